"""Training: what it writes and tests, that it repeats itself, and how it ends where it cannot go on."""

import errno
import io
import json
import sys

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from hacnn_tf import evaluate, train
from hacnn_tf.data import read_dataset
from hacnn_tf.data.pipeline import epoch_order, training_batches
from hacnn_tf.evaluation import TEST_SPLITS
from hacnn_tf.training import multi_worker
from hacnn_tf.training.devices import Devices
from hacnn_tf.training.recipes import RECIPES
from hacnn_tf.training.run_folder import COLUMNS, RunFolder
from tests.conftest import command, train_args
from tests.stress.kill_resume import differences
from tests.training.conftest import log, run


def test_the_run_folder_records_the_training(small_run, small_data_root):
    assert {path.name for path in small_run.iterdir()} == {
        "config.json",
        "log.csv",
        "speed.csv",
        "evaluations.csv",
        "lock",
        ".metrics.lock",
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


def test_a_run_goes_below_runs_and_decoded_images_where_asked(small_network, small_data_root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    args = [arg for arg in train_args(small_data_root, "unused") if not arg.startswith("--run_dir")]
    command(train, *args, "--cache_dir=decoded")
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name == RunFolder(folder).settings.run_name
    assert sorted(len(np.load(path)) for path in (tmp_path / "decoded").glob("*.npy")) == [16, 32, 48]


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
        ["--grey=1"],
        grouped,
        [*grouped, "--triplet=1"],
    ]
    for i, flags in enumerate(parts):
        run(small_data_root, tmp_path / f"{i}", "--recipe=paper", *flags)
    losses = [log(tmp_path / f"{i}")[0]["global_loss"] for i in range(len(parts))]
    assert len({*losses}) == len(parts), losses


def test_evaluations_are_recorded_once_each(small_network, small_data_root, tmp_path):
    run(small_data_root, tmp_path / "run", "--epochs=3", "--eval_every=2")
    evaluations = RunFolder(tmp_path / "run").read_rows("evaluations", 3)
    assert [row["epoch"] for row in evaluations] == ["2", "3"]
    assert [row["step"] for row in log(tmp_path / "run")] == ["6", "12", "18"]
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
    command(evaluate, f"--run_dir={tmp_path / 'run'}", f"--data_root={small_data_root}")
    assert "2 training identities for validation" in capsys.readouterr().out


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
