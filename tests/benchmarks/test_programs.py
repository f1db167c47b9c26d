"""Trainings for a machine without TensorFlow: what is carried there is whole, and what comes back makes run folders."""

import json
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.gpu import programs
from hacnn_tf.data import read_dataset
from hacnn_tf.evaluation import evaluate_features
from hacnn_tf.training.run_folder import RunFolder
from hacnn_tf.training.settings import Settings
from hacnn_tf.utils.errors import InputError

pytestmark = pytest.mark.slow
FLAGS = "--dataset synthetic --allow_subset --epochs 2 --batch_size 8 --eval_every 1"


@pytest.fixture(scope="module")
def written(small_data_root, tmp_path_factory):
    """The folder of two trainings that differ in the seed, and that of their run folders."""
    folder, runs = (tmp_path_factory.mktemp(name) for name in ("programs", "runs"))
    command = [sys.executable, programs.__file__, f"--write={folder}", f"--runs_dir={runs}"]
    # In a process of its own: trainings here have asked for determinism, under which XLA refuses max pooling.
    lines = "".join(f"{FLAGS} --seed {seed}\n" for seed in (0, 1))
    subprocess.run([*command, f"--data_root={small_data_root}"], input=lines, text=True, check=True)
    assert len(np.load(folder / "images.npz")) == len(
        read_dataset("synthetic", small_data_root, allow_subset=True).table
    )
    return next(path for path in folder.iterdir() if path.is_dir()), runs


def test_each_variable_is_captured_once(written):
    place, runs = written
    content = json.loads((place / "training.json").read_text())
    assert [Settings.from_flags(flags).seed for flags in content["trainings"]] == [0, 1]
    model = Settings.from_flags(content["trainings"][0]).build_model(content["identities"])
    adam = 2 * len(model.trainable_variables) + 1  # two moments of each weight, and the steps done
    classifiers = {i for i, v in enumerate(model.variables) if "classifier" in v.path}
    expected = {
        "train": set(range(len(model.variables) + adam)),
        "extract": set(range(len(model.variables))) - classifiers,
    }
    for name, places in expected.items():
        captured = json.loads((place / f"{name}.json").read_text())["captured"]
        assert sorted(x for x in captured if isinstance(x, int)) == sorted(places)
        assert (place / f"{name}.mlir").stat().st_size > 10_000
    assert sorted(run.name[-5:] for run in runs.iterdir()) == ["seed0", "seed1"]


def test_a_run_that_is_there_is_not_begun_anew(written, small_data_root, tmp_path):
    _, runs = written
    with pytest.raises(InputError, match="exists"):
        programs.write([programs.parse(f"{FLAGS} --seed 1")], tmp_path, runs, small_data_root)
    assert not list(tmp_path.iterdir())


def test_what_comes_back_completes_the_run_folder(written, small_data_root, tmp_path):
    _, runs = written
    run = RunFolder(next(runs.glob("*seed1")))
    dataset = read_dataset("synthetic", small_data_root, allow_subset=True)
    rng = np.random.default_rng(0)
    features = {split: rng.normal(size=(len(dataset.split(split)), 8)).astype("f") for split in ("query", "gallery")}
    results = evaluate_features(dataset, features)
    lines = []
    for epoch in (1, 1, 2):  # begun anew after it was stopped
        lines.append({"epoch": epoch, "steps": 3, "means": [4 / epoch, 2, 0.5], "images_per_second": 7.0})
        lines.append({"epoch": epoch, "results": results})
    name = run.path.name
    (tmp_path / "log.jsonl").write_text("".join(json.dumps({"run": name, **line}) + "\n" for line in lines))
    model = run.settings.build_model(run.num_identities)
    weights = [rng.normal(size=v.shape).astype("f") for v in model.variables]
    np.savez(tmp_path / f"{name}.npz", **{str(i): weight for i, weight in enumerate(weights)})

    programs.read(tmp_path, runs)
    assert run.read_metrics() == results
    assert [float(row["global_loss"]) for row in run.read_rows("log", 2)] == [4, 2]
    loaded, epoch = run.load_model()
    assert epoch == 2
    for variable, weight in zip(loaded.variables, weights, strict=True):
        np.testing.assert_array_equal(variable, weight)


def test_what_is_no_setting_of_a_training_is_refused():
    with pytest.raises(InputError, match="--run_dir says where"):
        programs.parse("--dataset synthetic --run_dir runs/a")
