"""What `evaluate` prints, and what it leaves alone: of exports, after re-ranking, in another precision."""

import contextlib
import dataclasses
import io
import json
import shutil

import numpy as np
import pandas as pd
import pytest

from hacnn_tf import ReID, evaluate
from hacnn_tf.data import read as data_read
from hacnn_tf.data.custom import read_custom
from hacnn_tf.evaluation import evaluate_features, rank_matches, rerank, results_table, verification_table
from hacnn_tf.evaluation.per_query import per_query
from hacnn_tf.training.checkpoints import Checkpoints
from hacnn_tf.training.run_folder import RunFolder
from tests.conftest import command


@pytest.fixture(scope="module")
def printed(small_run, small_data_root):
    """The lines that an evaluation of the run prints, a title and a table."""
    with contextlib.redirect_stdout(io.StringIO()) as output:
        command(evaluate, f"--run_dir={small_run}", f"--data_root={small_data_root}")
    return output.getvalue().splitlines()


def test_the_export_evaluates_like_the_run(exported, small_run, printed, capsys):
    args = [f"--run_dir={small_run}", f"--export={exported}/saved_model"]
    before = json.loads((small_run / "metrics.json").read_text())
    command(evaluate, *args)  # its data are where its training found them
    assert capsys.readouterr().out.splitlines()[1:] == printed[1:]
    assert json.loads((small_run / "metrics.json").read_text()) == before


def test_a_dataset_that_has_moved_is_looked_for_in_data(
    small_run, small_data_root, printed, tmp_path, monkeypatch, capsys
):
    run = shutil.copytree(small_run, tmp_path / "run")
    config = json.loads((run / "config.json").read_text())
    assert config["places"]["data_root"] == str(small_data_root)
    config["places"]["data_root"] = str(tmp_path / "unplugged")
    (run / "config.json").write_text(json.dumps(config))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(small_data_root)
    command(evaluate, f"--run_dir={run}")
    said = capsys.readouterr()
    assert said.out.splitlines()[1:] == printed[1:] and "The images are read from" not in said.err


def test_a_dataset_in_data_beside_that_of_the_training_is_said(
    small_run, small_data_root, printed, tmp_path, monkeypatch, capsys
):
    run = shutil.copytree(small_run, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    command(evaluate, f"--run_dir={run}")
    said = capsys.readouterr()
    assert said.out.splitlines()[1:] == printed[1:]
    words = f"The images are read from {small_data_root}, as in training; for those in data, give --data_root=data."
    assert words in said.err


def test_a_checkpoint_from_within_an_epoch_is_measured_and_not_kept(small_run, small_data_root, tmp_path, capsys):
    run = shutil.copytree(small_run, tmp_path / "run")
    (run / "metrics.json").unlink()
    checkpoints = Checkpoints(run / "checkpoints")
    _, arrays = checkpoints.newest()
    checkpoints.save(1, 3, {**arrays, "step": np.array(3)})
    command(evaluate, f"--run_dir={run}", f"--data_root={small_data_root}")
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{run}, epoch 1 of 1 and 3 steps on synthetic")
    assert last == "This is a checkpoint from within an epoch: the results are not kept."
    assert not (run / "metrics.json").exists()


def test_decoded_images_are_kept_where_that_was_asked_for(small_run, small_data_root, printed, tmp_path, capsys):
    args = [f"--run_dir={small_run}", f"--data_root={small_data_root}", f"--cache_dir={tmp_path}"]
    for _ in range(2):
        command(evaluate, *args)
        assert capsys.readouterr().out.splitlines() == printed
    query, gallery = sorted((np.load(path) for path in tmp_path.glob("*.npy")), key=len)
    assert (len(query), len(gallery)) == (16, 32)


def test_thresholds_are_printed_below_and_kept_with_the_run(small_run, printed):
    kept = json.loads((small_run / "metrics.json").read_text())["results"]
    table = verification_table(kept).splitlines()
    assert printed[-len(table) - 1 :] == ["", *table]
    assert kept == RunFolder(small_run).read_metrics()
    assert kept["single_query"]["joint"]["verification"]["genuine"] > 0


def test_reranking_is_printed_beside_the_plain_results_and_not_recorded(
    small_run, small_data_root, printed, tmp_path, capsys
):
    before = (small_run / "metrics.json").read_bytes()
    args = [f"--run_dir={small_run}", f"--data_root={small_data_root}"]
    path = tmp_path / "features.npz"
    command(evaluate, *args, "--rerank", f"--features={path}")
    lines = capsys.readouterr().out.splitlines()
    title = "After k-reciprocal re-ranking:"
    assert lines[: len(printed) + 2] == [*printed, f"Features: {path}", title]
    dataset = RunFolder(small_run).settings.read_dataset(small_data_root)
    with np.load(path) as arrays:
        features = {split: arrays[f"{split}_features"] for split in ("query", "gallery")}
    reranked = results_table(evaluate_features(dataset, features, distances=rerank)).splitlines()
    assert lines[len(printed) + 2 :] == reranked != printed[1:]
    assert (small_run / "metrics.json").read_bytes() == before


def test_further_images_of_the_queries_are_pooled_and_measured(programs, small_data_root, tmp_path, capsys):
    """Every second gallery image is one, which all have a query of their person and camera."""
    folder, lines = small_data_root / "synthetic/detected", ["path,pid,camid,split"]
    for split, place in (("query", "query"), ("gallery", "bounding_box_test")):
        for i, path in enumerate(sorted((folder / place).iterdir())):
            pid, camera = path.name.split("_")[:2]
            lines.append(f"{path},{pid},{camera[1:]},{'multi_query' if split == 'gallery' and i % 2 else split}")
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    args = [f"--export={programs('onnx')}", "--dataset=folder", f"--data_root={tmp_path}"]
    command(evaluate, *args, f"--features={tmp_path}/features.npz", f"--per_query={tmp_path}/queries.csv")
    said = capsys.readouterr().out
    for name in ("features.npz", "queries.csv"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600, "people can be told by them"
    with np.load(tmp_path / "features.npz") as arrays:
        features = {split: arrays[f"{split}_features"] for split in ("query", "gallery", "multi_query")}
    assert [len(rows) for rows in features.values()] == [16, 16, 16]
    table = results_table(evaluate_features(read_custom(tmp_path), features))
    assert table in said and any(line.startswith("multi") for line in table.splitlines())
    expected = per_query(read_custom(tmp_path), features)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "queries.csv"), expected, check_dtype=False)


def test_results_by_query_need_one_gallery(programs, small_data_root, tmp_path, monkeypatch):
    read = data_read.read_options
    monkeypatch.setattr(data_read, "read_options", lambda *args: dataclasses.replace(read(*args), single_shot=True))
    args = [f"--export={programs('onnx')}", "--dataset=synthetic", f"--data_root={small_data_root}", "--allow_subset"]
    with pytest.raises(SystemExit, match="--per_query needs one gallery, and that of synthetic"):
        command(evaluate, *args, f"--per_query={tmp_path}/queries.csv")
    assert not list(tmp_path.iterdir())


def test_other_test_images_and_results_that_are_not_kept_are_told(small_run, tmp_path, capsys):
    run = shutil.copytree(small_run, tmp_path / "run")
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "tested": "others", "pixels": 0}))
    command(evaluate, f"--run_dir={run}")
    said = capsys.readouterr().err
    assert f"{run} is tested on other images now than when its training began." in said
    assert f"The images of {run} are decoded otherwise now than in its training." in said
    command(evaluate, f"--run_dir={small_run}", "--precision=mixed_bfloat16")
    output = capsys.readouterr()
    assert "Computed in mixed_bfloat16, and trained in float32: the results are not kept." in output.out
    assert "is tested on" not in output.err and "decoded otherwise" not in output.err


def test_weights_of_a_training_that_is_not_finished_are_told(small_run, tmp_path, capsys):
    run = shutil.copytree(small_run, tmp_path / "run")
    ReID.from_preset(run)
    assert "not finished" not in capsys.readouterr().err
    config = json.loads((run / "config.json").read_text())
    config["settings"]["epochs"] = 5
    (run / "config.json").write_text(json.dumps(config))
    ReID.from_preset(run)
    assert (
        f"The training in {run} is not finished: these are its weights after epoch 1 of 5." in capsys.readouterr().err
    )


def test_a_preset_is_no_run(programs, tmp_path):
    for name in ("hacnn_cuhk03_detected", programs("onnx")):
        with pytest.raises(SystemExit, match="is a preset or an export, not a run: pass it as --export"):
            command(evaluate, f"--run_dir={name}")
    with pytest.raises(SystemExit, match="is not a run folder: it has no config"):
        command(evaluate, f"--run_dir={tmp_path}")


def test_another_precision(exported, small_run, small_data_root, features, tmp_path):
    """The features are close to those of float32, and metrics.json stays that of the run's own precision."""
    before = json.loads((small_run / "metrics.json").read_text())
    args = [f"--run_dir={small_run}", f"--data_root={small_data_root}"]
    command(evaluate, *args, "--precision=mixed_bfloat16", f"--features={tmp_path}/features.npz")
    with np.load(tmp_path / "features.npz") as arrays:
        cosines = np.sum(arrays["query_features"] * features[0], axis=1) / 2
    assert 0.99 < cosines.min() < 1 - 1e-7
    assert json.loads((small_run / "metrics.json").read_text()) == before
    with pytest.raises(SystemExit, match="has its own precision"):
        command(evaluate, *args, "--precision=mixed_bfloat16", f"--export={exported}/saved_model")


def test_tracks_of_a_manifest_are_evaluated_beside_its_images(exported, small_data_root, tmp_path, capsys):
    """Each person's two images of each camera in the gallery are one track, and the query of one image another."""
    folder = small_data_root / "synthetic/detected"
    lines = ["path,pid,camid,split,track"]
    for split, part in (("query", "query"), ("gallery", "bounding_box_test")):
        for path in sorted((folder / part).glob("*.jpg")):
            pid, camera, _ = path.stem.split("_")
            lines.append(f"{path},{pid},{camera},{split},{split}-{pid}-{camera}")
    lines[1] = lines[1].rpartition(",")[0] + ","  # a query without a track is one of its own
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
    args = [f"--export={exported}/saved_model", "--dataset=folder", f"--data_root={tmp_path}"]
    command(evaluate, *args, f"--features={tmp_path}/features.npz")
    printed = capsys.readouterr().out
    (line,) = (line for line in printed.splitlines() if line.split()[:2] == ["tracks", "joint"])
    with np.load(tmp_path / "features.npz") as arrays:
        queries, gallery = arrays["query_features"], arrays["gallery_features"]
        expected = [line.split(",")[4] for line in lines if ",query," in line]
        assert arrays["query_tracks"].tolist() == expected and expected[0] == "" != expected[1]
        assert arrays["gallery_tracks"][1] == "gallery-{}-{}".format(*lines[-32].split(",")[1:3])
        means = (gallery[::2] + gallery[1::2]).reshape(-1, 2, 512)
        assert (arrays["gallery_camids"][::2] == arrays["gallery_camids"][1::2]).all()
        matches = rank_matches(
            queries,
            (means / np.linalg.norm(means, axis=2, keepdims=True)).reshape(-1, 1024),
            arrays["query_pids"],
            arrays["gallery_pids"][::2],
            arrays["query_camids"],
            arrays["gallery_camids"][::2],
        )
    expected = 100 * matches.cmc()[0], 100 * matches.mean_average_precision()
    assert [line.split()[2], line.split()[6]] == [f"{value:.1f}" for value in expected]


def test_a_preset_that_comes_along_evaluates_by_its_name(small_data_root, capsys):
    name = "hacnn_cuhk03_detected"
    args = ["--dataset=synthetic", "--allow_subset", f"--data_root={small_data_root}"]
    command(evaluate, f"--export={name}", *args)
    said = capsys.readouterr()
    assert f"{name} on a part of synthetic, detected boxes:" in said.out and "single-query  joint" in said.out
    assert "trained on" not in said.err


def test_a_test_of_people_who_were_trained_on_is_told(small_run, small_data_root, programs, tmp_path, capsys):
    lines = ["path,pid,camid,split"]
    for path in sorted((small_data_root / "synthetic/detected/bounding_box_train").glob("*.jpg")):
        pid, camera, _ = path.stem.split("_")
        lines.append(f"{path},{pid},{camera},{'query' if camera == 'c1' else 'gallery'}")
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
    run = shutil.copytree(small_run, tmp_path / "run")
    command(evaluate, f"--run_dir={run}", "--dataset=folder", f"--data_root={tmp_path}")
    expected = f"{run} was trained on 6 of the 6 persons who are tested here, so the results flatter it."
    assert expected in capsys.readouterr().err.splitlines()
    command(evaluate, f"--export={programs('onnx')}", "--dataset=folder", f"--data_root={tmp_path}")
    assert f"It is unknown whom {programs('onnx')} was trained on" in capsys.readouterr().err
