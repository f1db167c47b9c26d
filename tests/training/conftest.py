"""Trainings of a tiny network as processes; as many images as a batch, so that log.csv has a row a step."""

import csv
import os
import subprocess
import sys

import numpy as np
import pytest

from hacnn_tf.data.synthetic import make_synthetic

STEPS = 20
TINY = """
import hacnn_tf.models
from tests.training.tiny import TinyNetwork
hacnn_tf.models.HACNN = TinyNetwork
from hacnn_tf import train
train.COMMAND.run(train.main)
"""


@pytest.fixture(scope="session")
def data_root(once):
    return once("data-of-four", lambda root: make_synthetic(root / "synthetic", identities=(2, 2)))


def start(data_root, run_dir, script=TINY, epochs=STEPS, **environment):
    args = [f"--data_root={data_root}", f"--run_dir={run_dir}", "--allow_subset", "--batch_size=16"]
    args.append("--recipe=paper")  # of a constant rate, so that a later step shows as an early one does
    return subprocess.Popen(
        [sys.executable, "-c", script, *args, f"--epochs={epochs}"],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(*processes, code=0):
    said = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [code] * len(processes), said
    return [err for _, err in said]


def curve(run_dir):
    with open(run_dir / "log.csv", newline="") as file:
        return np.array([[float(row["global_loss"]), float(row["local_loss"])] for row in csv.DictReader(file)])


@pytest.fixture(scope="session")
def one_device(data_root, once):
    """The losses of each step on one device, which several devices are to repeat."""
    run_dir = once("one_device", lambda path: end(start(data_root, path)))
    assert curve(run_dir).shape == (STEPS, 2)
    assert abs(np.diff(curve(run_dir), axis=0)).min() > 2e-3  # each step shows
    return curve(run_dir)
