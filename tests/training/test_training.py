"""Training: what it writes, that it repeats itself, goes on where it stopped, and refuses to mix runs."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from hacnn_tf import train
from hacnn_tf.training.run_folder import LOG_COLUMNS, RunFolder
from hacnn_tf.training.settings import Settings
from hacnn_tf.training.step import make_train_step
from tests.conftest import train_args

SMALL_NETWORK = {"widths": (16, 32, 48), "feature_dim": 24}


@pytest.fixture
def small_network(monkeypatch):
    """Trainings of a narrow network, which are as good for testing the loop."""
    from hacnn_tf.models import HACNN

    monkeypatch.setattr("hacnn_tf.training.settings.HACNN", lambda ids, **kwargs: HACNN(ids, **SMALL_NETWORK, **kwargs))


def run(data_root, run_dir, *more):
    train.COMMAND.run(train.main, train_args(data_root, run_dir, *more))


def log(run_dir):
    with open(run_dir / "log.csv", newline="") as file:
        return list(csv.DictReader(file))


def losses(run_dir):
    return [{key: row[key] for key in ("epoch", "step", "global_loss", "local_loss")} for row in log(run_dir)]


def test_the_run_folder_records_the_training(small_run):
    assert {path.name for path in small_run.iterdir()} == {
        "config.json",
        "log.csv",
        "tensorboard",
        "checkpoints",
        "metrics.json",
    }
    config = json.loads((small_run / "config.json").read_text())
    assert config["settings"]["learning_rate"] == 5e-4
    assert config["num_identities"] == 6
    assert config["versions"]["keras"]
    rows = log(small_run)
    assert list(rows[0]) == LOG_COLUMNS
    assert (rows[0]["epoch"], rows[0]["step"]) == ("1", "6")
    metrics = json.loads((small_run / "metrics.json").read_text())
    assert metrics["epoch"] == 1
    joint = metrics["results"]["single_query"]["joint"]
    assert joint["queries"] == 16
    assert 0 <= joint["rank1"] <= joint["rank5"] <= joint["rank20"] <= 100
    events = [
        e for path in (small_run / "tensorboard").iterdir() for e in tf.compat.v1.train.summary_iterator(str(path))
    ]
    assert {value.tag for event in events for value in event.summary.value} >= {"global_loss", "joint_rank1"}


def test_the_seed_fixes_everything(small_network, small_data_root, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(small_data_root, tmp_path / name, "--epochs=2", f"--seed={seed}")
    assert losses(tmp_path / "a") == losses(tmp_path / "b")
    assert losses(tmp_path / "a") != losses(tmp_path / "c")


def press_ctrl_c(*_):
    raise KeyboardInterrupt


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
    assert losses(tmp_path / "stopped") == losses(tmp_path / "whole")
    weights = [RunFolder(tmp_path / name).load_model()[0].get_weights() for name in ("whole", "stopped")]
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)
    metrics = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("whole", "stopped")]
    assert metrics[0] == metrics[1]


def test_a_finished_training_is_not_trained_again(small_run, small_data_root, capsys):
    before = (small_run / "log.csv").read_bytes()
    run(small_data_root, small_run)
    assert "is trained already" in capsys.readouterr().out
    assert (small_run / "log.csv").read_bytes() == before


def test_a_loss_that_is_not_finite_stops_the_training(small_network, small_data_root, tmp_path):
    with pytest.raises(SystemExit, match="no longer finite in epoch 1: lower --learning_rate"):
        run(small_data_root, tmp_path / "run", "--epochs=2", "--learning_rate=1e30")
    assert not (tmp_path / "run" / "log.csv").exists()
    assert not list((tmp_path / "run" / "checkpoints").glob("*"))


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_trains(small_network, small_data_root, tmp_path, precision):
    run(small_data_root, tmp_path / "run", "--epochs=2", f"--precision={precision}")
    rows = log(tmp_path / "run")
    assert float(rows[-1]["global_loss"]) < float(rows[0]["global_loss"])


def test_the_loss_is_the_sum_of_both_cross_entropies(small_network):
    """One step of plain gradient descent moves a classifier's bias by the gradient of its own cross-entropy."""
    import keras

    model = Settings(dataset="synthetic").build_model(3)
    images = np.random.default_rng(0).integers(0, 256, (4, 160, 64, 3), dtype=np.uint8)
    labels = np.array([0, 1, 2, 2], np.int32)
    logits = {branch: z.numpy() for branch, z in model(images, training=True).items()}
    biases = {branch: model.get_layer(f"{branch}_classifier").bias for branch in logits}
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.build(model.trainable_variables)
    means = make_train_step(model, optimizer, xla=False)(images, labels).numpy()
    for mean, (branch, z) in zip(means, logits.items(), strict=False):
        probabilities = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
        assert mean == pytest.approx(-np.log(probabilities[np.arange(4), labels]).mean(), rel=1e-4)
        gradient = (probabilities - np.eye(3)[labels]).mean(0)
        np.testing.assert_allclose(biases[branch], -gradient, atol=1e-4)
    assert means[2] == np.mean((logits["global"] + logits["local"]).argmax(-1) == labels)


XLA_SCRIPT = """
import keras, tensorflow as tf
from hacnn_tf.models import HACNN
from hacnn_tf.training.step import make_train_step
model = HACNN(3, widths=(16, 32, 48), feature_dim=24)
optimizer = keras.optimizers.Adam()
optimizer.build(model.trainable_variables)
step = make_train_step(model, optimizer, xla=True)
batch = tf.zeros((4, 160, 64, 3), tf.uint8), tf.zeros(4, tf.int32)
print(step.experimental_get_compiler_ir(*batch)(stage="hlo"))
"""


def test_the_step_compiles_to_one_xla_program():
    """In a process of its own: other trainings here have asked for determinism, under which XLA refuses max pooling."""
    program = subprocess.run([sys.executable, "-c", XLA_SCRIPT], check=True, capture_output=True, text=True).stdout
    assert "convolution" in program
    for word in ("custom-call", "infeed", "outfeed", "<="):  # host round trips, dynamic shapes
        assert word not in program
