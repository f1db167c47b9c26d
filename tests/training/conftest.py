"""Trainings of a tiny network: in this process, and in others with a step an epoch, for a row a step in log.csv."""

import csv
import functools
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from hacnn_tf import train
from hacnn_tf.data.synthetic import make_synthetic
from hacnn_tf.training.devices import Devices
from tests.conftest import command, train_args
from tests.training.tiny import TinyNetwork

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


@pytest.fixture
def small_network(monkeypatch):
    """Trainings of a tiny network, which are as good for testing the loop."""
    monkeypatch.setattr("hacnn_tf.models.HACNN", TinyNetwork)


def run(data_root, run_dir, *more):
    command(train, *train_args(data_root, run_dir, *more))


@pytest.fixture(scope="session")
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
