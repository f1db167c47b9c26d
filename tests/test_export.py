"""Exports: the same features where hacnn_tf is not installed, from pixels of any size and from encoded bytes."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from hacnn_tf import evaluate, export
from hacnn_tf.evaluation import evaluate_features, rerank, results_table
from hacnn_tf.training.run_folder import RunFolder


def command(module, *args):
    module.COMMAND.run(module.main, [module.COMMAND.name, *args])


@pytest.fixture(scope="module")
def exported(small_run, tmp_path_factory):
    output = tmp_path_factory.mktemp("exports") / "small"
    command(export, f"--run_dir={small_run}", f"--output={output}")
    return output


@pytest.fixture(scope="module")
def features(small_run, small_data_root, tmp_path_factory):
    """The evaluation's features of the query images, and their paths."""
    path = tmp_path_factory.mktemp("features") / "features.npz"
    command(evaluate, f"--run_dir={small_run}", f"--data_root={small_data_root}", f"--features={path}")
    with np.load(path, allow_pickle=False) as arrays:
        assert len(arrays["gallery_features"]) == len(arrays["gallery_pids"]) == len(arrays["gallery_camids"]) == 32
        return arrays["query_features"], arrays["query_paths"]


FOREIGN_SCRIPT = """
import sys
sys.modules["hacnn_tf"] = None  # cannot be imported
import numpy as np
import tensorflow as tf
folder, output, *paths = sys.argv[1:]
model = tf.saved_model.load(folder)
encoded = [tf.io.read_file(path) for path in paths]
from_bytes = model.signatures["encoded"](encoded=tf.stack(encoded))["features"]
one_by_one = [model.signatures["images"](images=tf.io.decode_image(x)[None])["features"] for x in encoded]
np.savez(output, from_bytes=from_bytes, from_images=tf.concat(one_by_one, 0))
"""


def test_a_foreign_process_gets_the_evaluations_features(exported, features, tmp_path):
    expected, paths = features
    args = [sys.executable, "-c", FOREIGN_SCRIPT, exported / "saved_model", tmp_path / "foreign.npz", *paths]
    subprocess.run(args, check=True, cwd=tmp_path)
    with np.load(tmp_path / "foreign.npz") as found:
        assert found["from_bytes"].shape == (16, 1024)
        np.testing.assert_allclose(found["from_bytes"], expected, atol=1e-5)
        np.testing.assert_allclose(found["from_images"], expected, atol=1e-5)


def test_the_keras_file_loads_once_hacnn_tf_is_imported(exported):
    script = "import sys, keras, hacnn_tf; print(type(keras.saving.load_model(sys.argv[1], safe_mode=True)).__name__)"
    args = [sys.executable, "-c", script, exported / "hacnn.keras"]
    assert subprocess.run(args, check=True, capture_output=True, text=True).stdout == "HACNN\n"


def test_the_keras_file_is_the_network(exported, small_run):
    loaded = keras.saving.load_model(exported / "hacnn.keras", safe_mode=True)
    model, _ = RunFolder(small_run).load_model()
    images = np.random.default_rng(0).integers(0, 256, (2, 160, 64, 3), dtype=np.uint8)
    np.testing.assert_array_equal(loaded.feature_extractor()(images), model.feature_extractor()(images))


def test_the_export_evaluates_like_the_run(exported, small_run, small_data_root, features, capsys):
    args = [f"--run_dir={small_run}", f"--data_root={small_data_root}"]
    command(evaluate, *args)
    table = capsys.readouterr().out.splitlines()[1:]
    before = json.loads((small_run / "metrics.json").read_text())
    command(evaluate, *args, f"--saved_model={exported}/saved_model")
    assert capsys.readouterr().out.splitlines()[1:] == table
    assert json.loads((small_run / "metrics.json").read_text()) == before


def test_reranking_is_printed_beside_the_plain_results_and_not_recorded(small_run, small_data_root, tmp_path, capsys):
    before = (small_run / "metrics.json").read_bytes()
    args = [f"--run_dir={small_run}", f"--data_root={small_data_root}"]
    command(evaluate, *args)
    plain = capsys.readouterr().out.splitlines()
    path = tmp_path / "features.npz"
    command(evaluate, *args, "--rerank", f"--features={path}")
    lines = capsys.readouterr().out.splitlines()
    title = "After k-reciprocal re-ranking:"
    assert lines[: len(plain) + 2] == [*plain, f"Features: {path}", title]
    dataset = RunFolder(small_run).settings.read_dataset(small_data_root)
    with np.load(path) as arrays:
        features = {split: arrays[f"{split}_features"] for split in ("query", "gallery")}
    reranked = results_table(evaluate_features(dataset, features, distances=rerank)).splitlines()
    assert lines[len(plain) + 2 :] == reranked != plain[1:]
    assert (small_run / "metrics.json").read_bytes() == before


def test_another_precision(small_run, small_data_root, features, tmp_path):
    """The features are close to those of float32, and metrics.json stays that of the run's own precision."""
    before = json.loads((small_run / "metrics.json").read_text())
    args = [f"--run_dir={small_run}", f"--data_root={small_data_root}"]
    command(evaluate, *args, "--precision=mixed_bfloat16", f"--features={tmp_path}/features.npz")
    with np.load(tmp_path / "features.npz") as arrays:
        cosines = np.sum(arrays["query_features"] * features[0], axis=1) / 2
    assert 0.99 < cosines.min() < 1 - 1e-7
    assert json.loads((small_run / "metrics.json").read_text()) == before
    with pytest.raises(SystemExit, match="--saved_model has its own precision"):
        command(evaluate, *args, "--precision=mixed_bfloat16", f"--saved_model={tmp_path}")


def test_a_failed_export_leaves_nothing(small_run, tmp_path, monkeypatch):
    monkeypatch.setattr("hacnn_tf.models.HACNN.save", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        command(export, f"--run_dir={small_run}", f"--output={tmp_path}/out")
    assert not list(tmp_path.iterdir())
