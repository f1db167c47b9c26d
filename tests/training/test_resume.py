"""A training that was stopped, or lost a part of what it wrote, goes on as if nothing had happened."""

import errno
import functools
import json
import os
import re
import shutil
import signal

import numpy as np
import pytest

from hacnn_tf.models import HACNN
from hacnn_tf.training import record
from hacnn_tf.training.checkpoints import Checkpoints
from hacnn_tf.training.code import code_here
from hacnn_tf.training.recipes import OPTIONS
from hacnn_tf.training.run_folder import RunFolder
from tests.models.test_legacy import former_checkpoint
from tests.stress.kill_resume import differences
from tests.training.conftest import at_step, log, press_ctrl_c, run


def test_an_interrupted_training_goes_on_as_if_nothing_had_happened(
    small_network, small_data_root, tmp_path, monkeypatch, capsys
):
    run(small_data_root, tmp_path / "whole", "--epochs=3", "--eval_every=1")
    with monkeypatch.context() as patch:
        patch.setattr("hacnn_tf.evaluation.Evaluator.run", press_ctrl_c)
        with pytest.raises(SystemExit) as stopped:
            run(small_data_root, tmp_path / "stopped", "--epochs=3", "--eval_every=1")
    assert stopped.value.code == 130
    assert len(log(tmp_path / "stopped")) == 1
    assert not (tmp_path / "stopped" / "metrics.json").exists()
    capsys.readouterr()
    run(small_data_root, tmp_path / "stopped", "--epochs=3", "--eval_every=1")
    assert "goes on after epoch 1 of 3" in capsys.readouterr().out
    assert differences(tmp_path / "whole", tmp_path / "stopped") == []
    metrics = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("whole", "stopped")]
    assert metrics[0] == metrics[1]
    evaluations = [(tmp_path / name / "evaluations.csv").read_bytes() for name in ("whole", "stopped")]
    assert evaluations[0] == evaluations[1]


@pytest.mark.parametrize(
    ("number", "step", "done"),
    [
        (signal.SIGTERM, 3, "step 4 of epoch 1"),
        (signal.SIGINT, 9, "step 3 of epoch 2"),  # an epoch asks seven times, at its end once more
        (signal.SIGTERM, 6, "epoch 1"),  # while the checkpoint after an epoch is due
    ],
)
def test_a_signal_stops_after_a_step_and_a_checkpoint(
    small_network, whole, small_data_root, tmp_path, monkeypatch, capsys, number, step, done
):
    expected = whole("--epochs=2")
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as stopped:
        at_step(step, lambda: os.kill(os.getpid(), number), patch)
        run(small_data_root, tmp_path / "stopped", "--epochs=2")
    assert stopped.value.code == 128 + number
    assert f"stopped after {done}; the same command again goes on from there" in capsys.readouterr().err
    run(small_data_root, tmp_path / "stopped", "--epochs=2")
    assert f"goes on after {done} of 2." in capsys.readouterr().out
    assert differences(expected, tmp_path / "stopped") == []


@pytest.mark.parametrize(
    "recipe",
    [
        ["--recipe=strong"],
        ["--recipe=adamw", "--batch_identities=4", "--triplet=1", "--weight_decay=0.1", "--erasing=1", "--grey=0.5"],
    ],
)
def test_every_part_of_a_recipe_goes_on_bit_for_bit(
    small_network, whole, small_data_root, tmp_path, monkeypatch, recipe
):
    expected = whole("--epochs=2", *recipe)
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        at_step(10, press_ctrl_c, patch)
        run(small_data_root, tmp_path / "stopped", "--epochs=2", *recipe)
    run(small_data_root, tmp_path / "stopped", "--epochs=2", *recipe)
    assert differences(expected, tmp_path / "stopped") == []
    assert differences(expected, whole("--epochs=2", "--recipe=paper"))


def test_without_the_local_branch_it_goes_on_bit_for_bit(small_network, small_data_root, tmp_path, monkeypatch, capsys):
    flags = ["--epochs=2", "--nolocal", "--eval_every=1", "--recipe=strong", "--batch_identities=4", "--triplet=1"]
    run(small_data_root, tmp_path / "whole", *flags)
    printed = capsys.readouterr().out
    assert re.search(r"step 6/6 global loss \d\.\d+ identity accuracy 0\.", printed)
    assert not re.search(r"local (loss|\d)|^ +local", printed, re.MULTILINE)
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        at_step(10, press_ctrl_c, patch)
        run(small_data_root, tmp_path / "stopped", *flags)
    with np.load(tmp_path / "stopped/checkpoints/epoch0001-step00004.npz") as checkpoint:
        assert checkpoint["totals"].shape == (2,) and json.loads(str(checkpoint["network"]))["local"] is False
    run(small_data_root, tmp_path / "stopped", *flags)
    assert "goes on after step 4 of epoch 2" in capsys.readouterr().out
    assert differences(tmp_path / "whole", tmp_path / "stopped") == []
    assert list(log(tmp_path / "whole")[0]) == ["epoch", "step", "global_loss", "identity_accuracy"]
    whole = RunFolder(tmp_path / "whole")
    assert list(whole.read_rows("evaluations", 1)[0]) == whole.columns["evaluations"]
    assert whole.columns["evaluations"] == ["epoch", "joint_rank1", "joint_mAP", "global_rank1", "global_mAP"]
    results = whole.read_metrics()["single_query"]
    assert list(results) == ["joint", "global"] and results["joint"] == results["global"]


def test_a_run_of_before_there_were_recipes_goes_on_by_section_4(
    small_network, whole, small_data_root, tmp_path, capsys
):
    expected = whole("--epochs=2", "--recipe=paper")
    shutil.copytree(expected, tmp_path / "old")
    (tmp_path / "old/checkpoints/epoch0002-step00000.npz").unlink()
    config = json.loads((tmp_path / "old/config.json").read_text())
    del config["format"]
    for name in ("recipe", "validation", *OPTIONS):
        if name != "learning_rate":
            del config["settings"][name]
    config["versions"]["hacnn_tf"], config["revision"], config["device"] = "0.1.0", "abc1234", "NVIDIA H200"
    (tmp_path / "old/config.json").write_text(json.dumps(config))
    run(small_data_root, tmp_path / "old", "--epochs=2", "--recipe=paper")
    said = capsys.readouterr().out
    assert "goes on after epoch 1 of 2. It was begun with hacnn_tf 0.1.0, now " in said
    assert "; revision abc1234, now " in said and "; device NVIDIA H200, now " in said
    assert ": it may be trained otherwise.\n" in said
    (then,) = json.loads((tmp_path / "old/config.json").read_text())["then"]
    assert then == {"epoch": 1, "step": 0, **code_here()}
    assert RunFolder(tmp_path / "old").revision == f"abc1234, then {then['revision']}"
    assert differences(expected, tmp_path / "old") == []


def test_a_run_of_before_the_local_branch_had_a_switch_goes_on(small_network, whole, small_data_root, tmp_path, capsys):
    expected = whole("--epochs=2")
    shutil.copytree(expected, tmp_path / "old")
    (tmp_path / "old/checkpoints/epoch0002-step00000.npz").unlink()
    path = tmp_path / "old/checkpoints/epoch0001-step00000.npz"
    with np.load(path) as checkpoint:
        arrays = dict(checkpoint)
    network = json.loads(str(arrays["network"]))
    assert network.pop("local") is True
    np.savez(path, **arrays | {"network": json.dumps(network)})
    config = json.loads((tmp_path / "old/config.json").read_text())
    assert config["settings"].pop("local") is True
    config |= {"pixels": 1, "tested": "aa", "device": None}  # runs did not say where at first
    (tmp_path / "old/config.json").write_text(json.dumps(config))
    run(small_data_root, tmp_path / "old", "--epochs=2")
    said = capsys.readouterr().out
    assert "goes on after epoch 1 of 2. Its images are decoded otherwise now: begin anew" in said
    assert "It is tested on other images now than when it began.\n" in said
    assert differences(expected, tmp_path / "old") == []
    with pytest.raises(SystemExit, match="--local True there, False now"):
        run(small_data_root, tmp_path / "old", "--epochs=2", "--nolocal")


@pytest.mark.slow
def test_a_run_of_0_2_0_goes_on(small_data_root, tmp_path, monkeypatch, capsys):
    narrow = functools.partial(HACNN, widths=(16, 32, 48), feature_dim=24)
    monkeypatch.setattr("hacnn_tf.models.HACNN", narrow)
    run(small_data_root, tmp_path / "whole", "--epochs=2")
    shutil.copytree(tmp_path / "whole", tmp_path / "old")
    checkpoints = tmp_path / "old/checkpoints"
    (checkpoints / "epoch0002-step00000.npz").unlink()
    _, arrays = Checkpoints(checkpoints).newest()
    former = former_checkpoint(arrays)
    assert (len(former), former.keys() < arrays.keys()) == (695, False)  # 0.2.0 saved as many
    Checkpoints(checkpoints).save(1, 0, former)
    run(small_data_root, tmp_path / "old", "--epochs=2")
    assert "goes on after epoch 1 of 2" in capsys.readouterr().out
    assert differences(tmp_path / "whole", tmp_path / "old") == []


def test_checkpoints_by_steps_change_nothing(small_network, small_data_root, tmp_path, monkeypatch):
    saved, save = [], RunFolder.save
    monkeypatch.setattr(
        RunFolder, "save", lambda run, state: saved.append((state.epoch, state.step)) or save(run, state)
    )
    run(small_data_root, tmp_path / "by_epochs", "--epochs=2")
    assert saved == [(1, 0), (2, 0)]
    run(small_data_root, tmp_path / "by_steps", "--epochs=2", "--checkpoint_every=4")
    assert saved[2:] == [(0, 4), (1, 0), (1, 4), (2, 0)]
    assert differences(tmp_path / "by_epochs", tmp_path / "by_steps") == []


def test_a_damaged_newest_checkpoint_costs_an_epoch_and_nothing_else(
    small_network, whole, small_data_root, tmp_path, capsys
):
    expected = whole("--epochs=3")
    shutil.copytree(expected, tmp_path / "damaged")
    newest = tmp_path / "damaged/checkpoints/epoch0003-step00000.npz"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 4
    newest.write_bytes(content)
    (tmp_path / "damaged/speed.csv").write_text("nonsense\n1")  # of no account for the result
    capsys.readouterr()
    run(small_data_root, tmp_path / "damaged", "--epochs=3")
    said = capsys.readouterr()
    assert f"{newest} is damaged" in said.err and "epoch0002-step00000.npz takes its place" in said.err
    assert "goes on after epoch 2 of 3" in said.out
    assert differences(expected, tmp_path / "damaged") == []


def full_disk(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_the_checkpoints_before(small_network, small_data_root, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        at_step(8, lambda: patch.setattr("numpy.savez", full_disk), patch)
        with pytest.raises(SystemExit, match=r"Cannot write .*epoch0002-step00000.npz: No space left on device"):
            run(small_data_root, tmp_path / "run", "--epochs=2")
    assert [path.name for path in (tmp_path / "run/checkpoints").iterdir()] == ["epoch0001-step00000.npz"]
    run(small_data_root, tmp_path / "run", "--epochs=2")
    assert "goes on after epoch 1 of 2" in capsys.readouterr().out


def test_a_run_folder_that_is_removed_is_not_made_again(small_network, small_data_root, tmp_path, monkeypatch):
    at_step(3, lambda: shutil.rmtree(tmp_path / "run"), monkeypatch)
    with pytest.raises(SystemExit, match="run was removed while it was in use"):
        run(small_data_root, tmp_path / "run", "--epochs=2")
    assert not (tmp_path / "run").exists()


def test_a_finished_training_is_not_trained_again(small_run, small_data_root, capsys, monkeypatch):
    before = (small_run / "log.csv").read_bytes()
    run(small_data_root, small_run)
    assert f"{small_run} is trained already.\n" in capsys.readouterr().out
    monkeypatch.setattr(record, "code_here", lambda: code_here() | {"revision": "abc1234-dirty-0a1b2c"})
    run(small_data_root, small_run)
    revision = RunFolder(small_run).revision
    assert f" Its code was {revision}, now abc1234-dirty-0a1b2c: with another --run_dir" in capsys.readouterr().out
    assert (small_run / "log.csv").read_bytes() == before
