"""Several devices: two logical CPU devices, and two worker processes on loopback, against one device.

The dataset has as many images as a batch, so that log.csv has a row a step.
"""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from hacnn_tf.data.synthetic import make_synthetic
from hacnn_tf.training.run_folder import RunFolder

STEPS = 20
LOST_SECONDS = 60  # as docs/training.md says

ONE = "from hacnn_tf import train; train.COMMAND.run(train.main)"
TWO_DEVICES = f"""
import tensorflow as tf
(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
{ONE}"""

GRADIENTS = """
import sys
import keras, numpy as np, tensorflow as tf
(cpu,) = tf.config.list_physical_devices("CPU")
replicas, xla, output = int(sys.argv[1]), sys.argv[2] == "True", sys.argv[3]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * replicas)
from hacnn_tf.models import HACNN
from hacnn_tf.training.recipes import RECIPES
from hacnn_tf.training.devices import Devices
from hacnn_tf.training.state import TrainingState

def make():
    model = HACNN(4, widths=(16, 32, 48), feature_dim=24)
    optimizer = keras.optimizers.SGD(1.0)  # its update is the gradient, which Adam's hides the size of
    optimizer.build(model.trainable_variables)
    return TrainingState(model, optimizer)

random = np.random.default_rng(0)
images, labels = random.integers(0, 256, (16, 160, 64, 3), dtype=np.uint8), np.arange(16) % 4
devices = Devices.choose("auto", 16)
assert devices.replicas == replicas
keras.utils.set_random_seed(0)
state = devices.build(make)
before = state.to_arrays()
step = devices.train_step(state.model, state.optimizer, RECIPES["paper"], xla)
(batch,) = devices.batches(images, labels, 16, RECIPES["paper"], seed=0, epoch=1, done=0)
results = step(*batch).numpy()
after = state.to_arrays()
moved = {f"moved {n.replace('/', '|')}": after[n] - before[n] for n in after if n.startswith("model/")}
np.savez(output, results=results, **moved)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("replicas", "xla"), [(2, False), (1, True)], ids=["two devices", "xla"])
def test_the_step_is_that_of_one_device_without_xla(replicas, xla, tmp_path):
    """Loss, gradients and batch norm's averages of one step; where ReLUs flip, float32 differs by a little."""
    for name, how in (("one", (1, False)), ("other", (replicas, xla))):
        subprocess.run([sys.executable, "-c", GRADIENTS, *map(str, how), tmp_path / f"{name}.npz"], check=True)
    with np.load(tmp_path / "one.npz") as one, np.load(tmp_path / "other.npz") as other:
        np.testing.assert_allclose(other["results"], one["results"], rtol=1e-5)
        averages = [name for name in one.files if "|moving_" in name]
        gradients = [name for name in one.files if name.startswith("moved") and name not in averages]
        assert len(averages) > 50 and len(gradients) > 100
        for name in averages:
            np.testing.assert_allclose(other[name], one[name], rtol=1e-3, atol=1e-6)
        one, other = (np.concatenate([arrays[name].ravel() for name in gradients]) for arrays in (one, other))
    assert 0 < np.linalg.norm(other - one) < 0.03 * np.linalg.norm(one)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--precision=mixed_float16"], "--precision mixed_float16 needs one device"),
        (["--debug_nans"], "--debug_nans needs one device"),
        (["--xla=on"], "--xla on needs one device"),
        (["--batch_identities=1"], "--batch_identities 1 cannot be divided among 2 devices"),
        (
            ["--batch_identities=2", "--triplet=1"],
            "--batch_identities 2 cannot be divided among 2 devices, two or more",
        ),
    ],
)
def test_what_needs_one_device_is_refused_on_two(flags, sentence, data_root, tmp_path):
    args = [sys.executable, "-c", TWO_DEVICES, f"--data_root={data_root}", "--allow_subset", "--batch_size=16", *flags]
    done = subprocess.run([*args, f"--run_dir={tmp_path / 'run'}"], capture_output=True, text=True)
    assert done.returncode == 1 and f"hacnn_tf.train: {sentence}" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def data_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    make_synthetic(root / "synthetic", identities=(2, 2))
    return root


def start(data_root, run_dir, script=ONE, epochs=STEPS, **environment):
    args = [f"--data_root={data_root}", f"--run_dir={run_dir}", "--allow_subset", "--batch_size=16"]
    args.append("--recipe=paper")  # which learns these images in so few steps
    return subprocess.Popen(
        [sys.executable, "-c", script, *args, f"--epochs={epochs}"],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_workers(data_root, run_dir, epochs=STEPS, chief=False):
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    addresses = [f"127.0.0.1:{listener.getsockname()[1]}" for listener in listeners]
    for listener in listeners:
        listener.close()
    cluster = {"worker": addresses[1:], "chief": addresses[:1]} if chief else {"worker": addresses}
    tasks = [("chief", 0), ("worker", 0)] if chief else [("worker", 0), ("worker", 1)]
    configs = ({"cluster": cluster, "task": {"type": kind, "index": i}} for kind, i in tasks)
    return [start(data_root, run_dir, epochs=epochs, TF_CONFIG=json.dumps(config)) for config in configs]


def end(*processes, code=0):
    said = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [code] * len(processes), said
    return [err for _, err in said]


def curve(run_dir):
    with open(run_dir / "log.csv", newline="") as file:
        return np.array([[float(row["global_loss"]), float(row["local_loss"])] for row in csv.DictReader(file)])


@pytest.fixture(scope="module")
def one_device(data_root, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "one"
    end(start(data_root, run_dir))
    assert curve(run_dir).shape == (STEPS, 2)
    assert curve(run_dir)[0].min() > 0.5 and curve(run_dir)[-1].max() < 0.01  # it has learnt
    return curve(run_dir)


@pytest.mark.slow
def test_two_devices_follow_one(data_root, one_device, tmp_path):
    end(start(data_root, tmp_path / "run", TWO_DEVICES))
    np.testing.assert_allclose(curve(tmp_path / "run"), one_device, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("chief", [False, True])
def test_two_workers_follow_one_device(chief, data_root, one_device, tmp_path):
    end(*start_workers(data_root, tmp_path / "run", chief=chief))
    np.testing.assert_allclose(curve(tmp_path / "run"), one_device, atol=1e-3)
    assert RunFolder(tmp_path / "run").read_metrics()


def wait_for_epoch(run_dir, epoch):
    while not (run_dir / "log.csv").exists() or len(curve(run_dir)) < epoch:
        time.sleep(0.1)


@pytest.mark.slow
def test_workers_stop_together_and_are_not_lost_for_ever(data_root, tmp_path):
    """Worker 1 is told to stop, then killed, then the chief is; each time the same command goes on."""
    run_dir = tmp_path / "run"
    for epoch, (victim, number, codes) in enumerate(
        [(1, signal.SIGTERM, (143, 143)), (1, signal.SIGKILL, (1, -9)), (0, signal.SIGKILL, (-9, 1))], start=1
    ):
        workers = start_workers(data_root, run_dir, epochs=60)
        wait_for_epoch(run_dir, 3 * epoch)
        workers[victim].send_signal(number)
        sent = time.monotonic()
        said = [worker.communicate(timeout=300)[1] for worker in workers]
        assert tuple(worker.returncode for worker in workers) == codes, said
        assert time.monotonic() - sent < LOST_SECONDS
        if number == signal.SIGKILL:
            assert "hacnn_tf.train: Another worker has ended or cannot be reached any more" in said[1 - victim]
            assert "Traceback" not in said[1 - victim]
        assert len(curve(run_dir)) >= 3 * epoch
