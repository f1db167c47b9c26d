"""Trained weights that a training begins from."""

import json
import shutil

import numpy as np
import pytest

from hacnn_tf import ReID
from hacnn_tf.training.run_folder import RunFolder
from tests.stress.kill_resume import differences
from tests.training.conftest import at_step, press_ctrl_c, run


def test_trained_weights_begin_a_training_all_but_the_classifiers(
    small_network, whole, small_data_root, tmp_path, monkeypatch, capsys
):
    trained = whole("--epochs=2", "--recipe=paper")
    (tmp_path / "trained").symlink_to(trained)
    flags = ["--epochs=2", f"--init_from={tmp_path / 'trained'}"]
    run(small_data_root, tmp_path / "whole", *flags)
    fingerprint = ReID.from_preset(trained).fingerprint
    assert f"begins from the weights of {tmp_path / 'trained'} ({fingerprint})" in capsys.readouterr().out
    assert json.loads((tmp_path / "whole/config.json").read_text())["initial"] == fingerprint

    # Stopped in its first epoch, it goes on without the weights that it began from.
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        at_step(3, press_ctrl_c, patch)
        run(small_data_root, tmp_path / "stopped", *flags)
    shutil.copytree(tmp_path / "stopped", tmp_path / "begun")
    (tmp_path / "begun/checkpoints/epoch0000-step00004.npz").unlink()
    with (
        np.load(tmp_path / "begun/checkpoints/epoch0000-step00000.npz") as begun,
        np.load(trained / "checkpoints/epoch0002-step00000.npz") as source,
    ):
        weights = [name for name in source.files if name.startswith("model/")]
        equal = {name for name in weights if np.array_equal(begun[name], source[name])}
        assert {name for name in weights if "classifier" in name} == {*weights} - equal
        moments = [name for name in source.files if name.endswith(("momentum", "velocity"))]
        assert moments and not any(begun[name].any() for name in moments)
    (tmp_path / "trained").unlink()
    for name in ("stopped", "begun"):
        run(small_data_root, tmp_path / name, *flags)
        assert differences(tmp_path / "whole", tmp_path / name) == []
    with pytest.raises(SystemExit, match="trained is not a run folder"):
        run(small_data_root, tmp_path / "another", *flags)
    assert not (tmp_path / "another").exists()


def test_it_says_whether_training_made_the_weights_better(small_network, whole, small_data_root, tmp_path, capsys):
    trained = whole("--epochs=2", "--recipe=paper")
    flags = ["--epochs=2", f"--init_from={trained}"]
    run(small_data_root, tmp_path, *flags)
    before, after = RunFolder(tmp_path).read_rows("evaluations")
    measures = [RunFolder(path).read_metrics()["single_query"]["joint"] for path in (trained, tmp_path)]
    for row, epoch, found in zip((before, after), "02", measures, strict=True):
        assert row["epoch"] == epoch
        assert [float(row["joint_rank1"]), float(row["joint_mAP"])] == [found["rank1"], found["mAP"]]
    was, now = (f"{found['rank1']:.1f}/{found['mAP']:.1f}" for found in measures)
    lines = capsys.readouterr().out.splitlines()
    assert f"Before training, the weights of {trained}:" in lines
    assert lines[-1].startswith(f"Rank-1/mAP was {was} with the weights of {trained}, and is {now}.")

    perfect = {**before, "joint_rank1": 101.0, "joint_mAP": 101.0}  # no result is as good
    for row, worse in ((perfect, True), ({**perfect, "joint_mAP": 0.0}, False)):
        RunFolder(tmp_path).write_rows("evaluations", [row, after])
        run(small_data_root, tmp_path, *flags)
        assert ("Training made them worse: use them as they were" in capsys.readouterr().out) == worse


def test_a_training_that_was_killed_before_it_began_wants_the_same_weights(
    small_network, whole, small_data_root, tmp_path
):
    trained, other = whole("--epochs=2", "--recipe=paper"), whole("--epochs=2", "--recipe=adamw")
    flags = ["--epochs=2", f"--init_from={tmp_path / 'trained'}"]
    shutil.copytree(trained, tmp_path / "trained")
    run(small_data_root, tmp_path / "run", *flags)
    shutil.rmtree(tmp_path / "run/checkpoints")
    shutil.rmtree(tmp_path / "trained")
    shutil.copytree(other, tmp_path / "trained")
    with pytest.raises(SystemExit, match=r"The weights in .*trained.* have changed since .* was set up"):
        run(small_data_root, tmp_path / "run", *flags)


def test_weights_of_another_network_begin_no_training(small_run, programs, small_data_root, tmp_path):
    run_dir = tmp_path / "run"
    with pytest.raises(SystemExit, match=r"another network than these settings' \(num_regions 4 there, 3 here\)"):
        run(small_data_root, run_dir, f"--init_from={small_run}", "--num_regions=3")
    with pytest.raises(SystemExit, match="is a program, which cannot be trained"):
        run(small_data_root, run_dir, f"--init_from={programs('onnx')}")
    assert not run_dir.exists()
