"""Several devices of a machine: two logical CPU devices, against one."""

import json
import subprocess
import sys

import numpy as np
import pytest

from hacnn_tf.training.devices import use_xla
from tests.training.conftest import TINY, curve, end, start

TWO_DEVICES = """
import tensorflow as tf
(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
"""

MIRRORED = """
import sys
sys.argv.append("--strategy=mirrored")
"""

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
assert Devices.choose("auto").replicas == 1
devices = Devices.choose("mirrored")
assert devices.replicas == replicas
keras.utils.set_random_seed(0)
state = devices.build(make, lambda state: None)
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
def test_the_step_is_that_of_one_device_without_xla(replicas, xla, once, tmp_path):
    """Loss, gradients and batch norm's averages of one step; where ReLUs flip, float32 differs by a little."""

    def step(path, *how):
        subprocess.run([sys.executable, "-c", GRADIENTS, *map(str, how), path], check=True)
        return path

    one = once("gradients.npz", lambda path: step(path, 1, False))
    with np.load(one) as one, np.load(step(tmp_path / "other.npz", replicas, xla)) as other:
        np.testing.assert_allclose(other["results"], one["results"], rtol=1e-5)
        averages = [name for name in one.files if "|moving_" in name]
        gradients = [name for name in one.files if name.startswith("moved") and name not in averages]
        assert len(averages) > 50 and len(gradients) > 100
        for name in averages:
            np.testing.assert_allclose(other[name], one[name], rtol=1e-3, atol=1e-6)
        one, other = (np.concatenate([arrays[name].ravel() for name in gradients]) for arrays in (one, other))
    assert 0 < np.linalg.norm(other - one) < 0.03 * np.linalg.norm(one)


REFUSED = {
    "--precision=mixed_float16": "--precision mixed_float16 needs one device",
    "--debug_nans": "--debug_nans needs one device",
    "--xla=on": "--xla on needs one device",
    "--batch_size=15": "--batch_size 15 cannot be divided among 2 devices",
    "--batch_identities=2 --triplet=1": "--triplet needs one device",
}
REFUSALS = f"""
import json, sys
{TWO_DEVICES}
from hacnn_tf import train

def refusal(flags):
    try:
        train.COMMAND.run(train.main, [*sys.argv[:-1], *flags.split()])
    except SystemExit as stopped:
        return stopped.code

print(json.dumps([refusal(flags) for flags in json.loads(sys.argv[-1])]))
"""


def test_what_needs_one_device_is_refused_on_two(data_root, tmp_path):
    """One after the other in a process, to which the devices are given before TensorFlow begins."""
    args = [sys.executable, "-c", REFUSALS, f"--data_root={data_root}", "--allow_subset", "--batch_size=16"]
    args += ["--strategy=mirrored", f"--run_dir={tmp_path / 'run'}", json.dumps([*REFUSED])]
    done = subprocess.run(args, check=True, stdout=subprocess.PIPE, text=True)
    for said, sentence in zip(json.loads(done.stdout.splitlines()[-1]), REFUSED.values(), strict=True):
        assert said.startswith(f"hacnn_tf.train: {sentence}")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("choice", "gpus", "replicas", "compiled"),
    [("auto", 0, 1, False), ("auto", 1, 1, True), ("auto", 2, 2, False), ("on", 0, 1, True), ("off", 1, 1, False)],
)
def test_xla_compiles_on_one_gpu_and_where_it_is_told_to(choice, gpus, replicas, compiled, monkeypatch):
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda kind: ["gpu"] * gpus)
    assert use_xla(choice, replicas) is compiled


@pytest.mark.slow
def test_two_devices_follow_one(data_root, one_device, tmp_path):
    end(start(data_root, tmp_path / "run", TWO_DEVICES + MIRRORED + TINY))
    np.testing.assert_allclose(curve(tmp_path / "run"), one_device, atol=1e-3)
