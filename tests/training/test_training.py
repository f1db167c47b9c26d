"""Training: what it writes, that it repeats itself, goes on where it stopped, and refuses to mix runs."""

import csv
import errno
import functools
import io
import json
import os
import re
import shutil
import signal
import sys

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from hacnn_tf import ReID, evaluate, train
from hacnn_tf.data import read_dataset
from hacnn_tf.data.pipeline import epoch_order, training_batches
from hacnn_tf.evaluation import TEST_SPLITS
from hacnn_tf.models import HACNN
from hacnn_tf.training import multi_worker
from hacnn_tf.training.checkpoints import Checkpoints
from hacnn_tf.training.code import code_here
from hacnn_tf.training.devices import Devices
from hacnn_tf.training.recipes import OPTIONS, RECIPES
from hacnn_tf.training.run_folder import COLUMNS, RunFolder
from tests.conftest import train_args
from tests.models.test_legacy import former_checkpoint
from tests.stress.kill_resume import differences
from tests.training.tiny import TinyNetwork


@pytest.fixture
def small_network(monkeypatch):
    """Trainings of a tiny network, which are as good for testing the loop."""
    monkeypatch.setattr("hacnn_tf.models.HACNN", TinyNetwork)


def run(data_root, run_dir, *more):
    train.COMMAND.run(train.main, train_args(data_root, run_dir, *more))


@pytest.fixture(scope="module")
def whole(small_data_root, tmp_path_factory):
    """A function that gives the run folder of a training of the tiny network that nothing stopped, trained once."""
    folder = tmp_path_factory.mktemp("whole")

    @functools.cache
    def trained(*flags):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("hacnn_tf.models.HACNN", TinyNetwork)
            run(small_data_root, folder / " ".join(flags), *flags)
        return folder / " ".join(flags)

    return trained


def log(run_dir):
    with open(run_dir / "log.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_the_run_folder_records_the_training(small_run, small_data_root):
    assert {path.name for path in small_run.iterdir()} == {
        "config.json",
        "log.csv",
        "speed.csv",
        "evaluations.csv",
        "lock",
        "tensorboard",
        "checkpoints",
        "metrics.json",
    }
    config = json.loads((small_run / "config.json").read_text())
    assert config["settings"]["learning_rate"] == 5e-4
    assert config["num_identities"] == 6
    assert config["versions"]["keras"]
    rows = log(small_run)
    assert list(rows[0]) == COLUMNS["log"]
    assert (rows[0]["epoch"], rows[0]["step"]) == ("1", "6")
    metrics = json.loads((small_run / "metrics.json").read_text())
    assert metrics["epoch"] == 1
    dataset = RunFolder(small_run).settings.read_dataset(small_data_root)
    assert metrics["tested"] == dataset.fingerprint(TEST_SPLITS) != dataset.fingerprint()
    joint = metrics["results"]["single_query"]["joint"]
    assert joint["queries"] == 16
    assert 0 <= joint["rank1"] <= joint["rank5"] <= joint["rank20"] <= 100
    events = [
        e for path in (small_run / "tensorboard").iterdir() for e in tf.compat.v1.train.summary_iterator(str(path))
    ]
    shown = {(v.tag, e.step): float(tf.make_ndarray(v.tensor)) for e in events for v in e.summary.value}
    assert shown["global_loss", 1] == pytest.approx(float(rows[0]["global_loss"]))
    assert shown["joint_mAP", 1] == pytest.approx(joint["mAP"]) and shown["images_per_second", 1] > 0


def test_the_seed_fixes_everything(small_network, small_data_root, tmp_path, monkeypatch):
    initial, restore = [], RunFolder.restore

    def remember(run_folder, state):
        initial.append(state.model.get_layer("stem").get_weights()[0])
        return restore(run_folder, state)

    monkeypatch.setattr(RunFolder, "restore", remember)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(small_data_root, tmp_path / name, "--epochs=2", f"--seed={seed}")
    assert log(tmp_path / "a") == log(tmp_path / "b")
    assert log(tmp_path / "a") != log(tmp_path / "c")
    assert np.array_equal(initial[0], initial[1]) and np.abs(initial[2] - initial[0]).max() > 0.01


def test_every_epoch_has_its_own_batches(small_network, small_data_root, tmp_path, monkeypatch):
    asked = []

    def remember(images, labels, batch_size, recipe, seed, epoch, done=0, **kwargs):
        asked.append((batch_size, seed, epoch, done))
        return training_batches(images, labels, batch_size, recipe, seed, epoch, done, **kwargs)

    monkeypatch.setattr("hacnn_tf.training.devices.training_batches", remember)
    run(small_data_root, tmp_path / "run", "--epochs=2", "--seed=3")
    assert asked == [(8, 3, 1, 0), (8, 3, 2, 0)]


def test_flags_of_devices_reach_them(small_network, small_data_root, tmp_path, monkeypatch):
    reached = []
    monkeypatch.setattr("hacnn_tf.training.loop.train", lambda *args: reached.append(args[5:]))
    monkeypatch.setattr("hacnn_tf.evaluation.Evaluator", lambda *args: reached.append(args[2:]))
    opened = multi_worker.open_devices
    monkeypatch.setattr(multi_worker, "open_devices", lambda *args: (reached.append(args[:2]), opened(*args))[1])
    run(small_data_root, tmp_path / "run", "--xla=on", "--strategy=one", "--checkpoint_every=2", "--debug_nans")
    assert reached == [("one", 8), (True,), (True, 2, True)]


def test_results_read_a_step_late_are_the_same(small_network, whole, small_data_root, tmp_path, monkeypatch):
    at_once = whole("--epochs=2")
    monkeypatch.setattr(Devices, "ahead", property(lambda _: 1, lambda *_: None), raising=False)  # as on a GPU
    run(small_data_root, tmp_path / "late", "--epochs=2")
    assert differences(at_once, tmp_path / "late") == []


def press_ctrl_c(*_):
    os.kill(os.getpid(), signal.SIGINT)


def at_step(count, do, monkeypatch):
    """Has `do` done while a step is on its way, the count-th of the training."""
    steps, stopping = [], Devices.stopping

    def count_steps(devices, request):
        steps.append(stopping(devices, request))
        if len(steps) == count:
            do()
        return steps[-1]

    monkeypatch.setattr(Devices, "stopping", count_steps)


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
        ["--recipe=adamw", "--batch_identities=4", "--triplet=1", "--weight_decay=0.1", "--erasing=1"],
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


def test_every_part_of_a_recipe_reaches_the_training(small_network, small_data_root, tmp_path):
    grouped = ["--batch_identities=4"]
    parts = [
        [],
        ["--learning_rate=1e-3"],
        ["--schedule=cosine"],
        ["--warmup=0.5"],
        ["--weight_decay=8"],
        ["--label_smoothing=0.1"],
        ["--flip"],
        ["--crop_padding=4"],
        ["--erasing=1"],
        grouped,
        [*grouped, "--triplet=1"],
    ]
    for i, flags in enumerate(parts):
        run(small_data_root, tmp_path / f"{i}", "--recipe=paper", *flags)
    losses = [log(tmp_path / f"{i}")[0]["global_loss"] for i in range(len(parts))]
    assert len({*losses}) == len(parts), losses


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
    config["versions"]["hacnn_tf"], config["revision"] = "0.1.0", "abc1234"
    (tmp_path / "old/config.json").write_text(json.dumps(config))
    run(small_data_root, tmp_path / "old", "--epochs=2", "--recipe=paper")
    said = capsys.readouterr().out
    assert "goes on after epoch 1 of 2. It was begun with hacnn_tf 0.1.0, now " in said
    assert "; revision abc1234, now " in said
    (then,) = json.loads((tmp_path / "old/config.json").read_text())["then"]
    assert then == {"epoch": 1, "step": 0, **code_here()}
    assert RunFolder(tmp_path / "old").revision == f"abc1234, then {then['revision']}"
    assert differences(expected, tmp_path / "old") == []


def test_a_run_of_before_the_local_branch_had_a_switch_goes_on(small_network, whole, small_data_root, tmp_path, capsys):
    expected = whole("--epochs=2")
    shutil.copytree(expected, tmp_path / "old")
    (tmp_path / "old/checkpoints/epoch0002-step00000.npz").unlink()
    with np.load(tmp_path / "old/checkpoints/epoch0001-step00000.npz") as checkpoint:
        assert "local" not in json.loads(str(checkpoint["network"]))
    config = json.loads((tmp_path / "old/config.json").read_text())
    assert config["settings"].pop("local") is True
    config |= {"pixels": 1, "tested": "aa"}
    (tmp_path / "old/config.json").write_text(json.dumps(config))
    run(small_data_root, tmp_path / "old", "--epochs=2")
    said = capsys.readouterr().out
    assert "goes on after epoch 1 of 2. Its images are decoded otherwise now: begin anew" in said
    assert "It is tested on other images now than when it began.\n" in said
    assert differences(expected, tmp_path / "old") == []
    with pytest.raises(SystemExit, match="--local True there, False now"):
        run(small_data_root, tmp_path / "old", "--epochs=2", "--nolocal")


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
    with pytest.raises(SystemExit, match="was trained on 3 of the 3 persons who are tested here"):
        run(small_data_root, run_dir, f"--init_from={small_run}", "--validation=3")
    assert not run_dir.exists()


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


def test_evaluations_are_recorded_once_each(small_network, small_data_root, tmp_path, monkeypatch):
    run(small_data_root, tmp_path / "run", "--epochs=3", "--eval_every=2")
    evaluations = RunFolder(tmp_path / "run").read_rows("evaluations", 3)
    assert [row["epoch"] for row in evaluations] == ["2", "3"]
    joint = RunFolder(tmp_path / "run").read_metrics()["single_query"]["joint"]
    assert float(evaluations[-1]["joint_mAP"]) == joint["mAP"]
    before = (tmp_path / "run/evaluations.csv").read_bytes()
    run(small_data_root, tmp_path / "run", "--epochs=3", "--eval_every=2")
    assert (tmp_path / "run/evaluations.csv").read_bytes() == before


def test_validation_tests_on_identities_that_are_not_trained_on(small_network, small_data_root, tmp_path, capsys):
    run(small_data_root, tmp_path / "run", "--validation=2")
    config = json.loads((tmp_path / "run/config.json").read_text())
    assert config["num_identities"] == 4 and config["settings"]["validation"] == 2
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert metrics["dataset"].endswith("2 training identities for validation")
    capsys.readouterr()
    evaluate.COMMAND.run(evaluate.main, ["evaluate", f"--run_dir={tmp_path / 'run'}", f"--data_root={small_data_root}"])
    assert "2 training identities for validation" in capsys.readouterr().out


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


def test_a_finished_training_is_not_trained_again(small_run, small_data_root, capsys):
    before = (small_run / "log.csv").read_bytes()
    run(small_data_root, small_run)
    assert "is trained already" in capsys.readouterr().out
    assert (small_run / "log.csv").read_bytes() == before


def test_a_loss_that_is_not_finite_stops_the_training(small_network, small_data_root, tmp_path):
    with pytest.raises(SystemExit) as stopped:
        run(small_data_root, tmp_path / "run", "--epochs=2", "--learning_rate=1e30", "--checkpoint_every=1")
    sentence = stopped.value.code
    assert (
        "The loss or a weight is not finite after step 2 of epoch 1. --debug_nans says in which layer it began."
        in sentence
    )
    rows = read_dataset("synthetic", small_data_root, allow_subset=True).split("train")
    batch = epoch_order(rows.pid, 8, RECIPES["adamw"], seed=0, epoch=1)[1]
    listed = tmp_path / "run" / "not_finite.csv"
    assert sentence.endswith(f"The batch: {', '.join(rows.path[batch[:3]])} and 5 more, all of them in {listed}.")
    assert pd.read_csv(listed).path.tolist() == rows.path[batch].tolist()
    assert not (tmp_path / "run" / "log.csv").exists()
    kept = [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()]
    assert kept == ["epoch0000-step00001.npz"]


def test_a_weight_that_is_not_finite_after_the_last_step_is_not_kept(
    small_network, small_data_root, tmp_path, monkeypatch
):
    """The loss of the step is that of the weights before it."""
    make_step = Devices.train_step

    def spoiling(devices, model, *args):
        step, taken = make_step(devices, model, *args), []

        def train_step(*batch):
            results = step(*batch)
            taken.append(results)
            if len(taken) == 6:
                kernel = model.get_layer("stem").trainable_variables[0]
                kernel.assign(np.full(kernel.shape, np.nan))
            return results

        return train_step

    monkeypatch.setattr(Devices, "train_step", spoiling)
    with pytest.raises(SystemExit, match=r"not finite after step 6 of epoch 1\."):
        run(small_data_root, tmp_path / "run", "--epochs=2")
    assert not list((tmp_path / "run").glob("checkpoints/*"))


def test_debug_nans_says_where_it_began(small_network, small_data_root, tmp_path):
    with pytest.raises(SystemExit, match=r"after step 2 of epoch 1. It began in the output of "):
        run(small_data_root, tmp_path / "run", "--learning_rate=1e30", "--debug_nans")


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_trains(small_network, small_data_root, tmp_path, precision):
    run(small_data_root, tmp_path / "run", "--epochs=2", f"--precision={precision}")
    rows = log(tmp_path / "run")
    assert float(rows[-1]["global_loss"]) < float(rows[0]["global_loss"])


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(errno.EIO, "Input/output error")])
def test_results_are_kept_when_who_read_them_has_left(small_network, small_data_root, tmp_path, monkeypatch, error):
    """A pipe that was closed, or a terminal."""

    class Left(io.StringIO):
        def write(self, text):
            if "Rank-1" in text or "epoch 1/2" in text:
                raise error
            return super().write(text)

    monkeypatch.setattr(sys, "stdout", Left())
    run(small_data_root, tmp_path / "run", "--epochs=2", "--eval_every=1")
    assert RunFolder(tmp_path / "run").read_metrics()["single_query"]
    assert len(RunFolder(tmp_path / "run").read_rows("evaluations", 2)) == 2
