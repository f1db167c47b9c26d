"""The step: its losses, and that XLA compiles it into one program."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from hacnn_tf.training.loop import make_optimizer
from hacnn_tf.training.recipes import RECIPES
from hacnn_tf.training.step import make_train_step
from tests.training.tiny import TinyNetwork


@pytest.mark.parametrize("branches", [("global", "local"), ("global",)])
def test_the_loss_is_the_sum_of_the_branches_cross_entropies(branches):
    """One step of plain gradient descent moves a classifier's bias by the gradient of its own cross-entropy."""
    model = TinyNetwork(3, local="local" in branches)
    # The branches disagree, so that the accuracy tells whose logits it is of.
    for branch, bias in zip(branches, ([0, 0, 9], [20, 0, 0]), strict=False):
        model.get_layer(f"{branch}_classifier").bias.assign(bias)
    before = {branch: model.get_layer(f"{branch}_classifier").bias.numpy() for branch in branches}
    images = np.random.default_rng(0).integers(0, 256, (4, 160, 64, 3), dtype=np.uint8)
    labels = np.array([0, 1, 2, 2], np.int32)
    logits = {branch: z.numpy() for branch, z in model(images, training=True).items()}
    biases = {branch: model.get_layer(f"{branch}_classifier").bias for branch in logits}
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.build(model.trainable_variables)
    means = make_train_step(model, optimizer, RECIPES["adamw"], xla=False)(images, labels).numpy()
    assert tuple(logits) == branches and means.shape == (len(branches) + 1,)
    for mean, (branch, z) in zip(means, logits.items(), strict=False):
        probabilities = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
        assert mean == pytest.approx(-np.log(probabilities[np.arange(4), labels]).mean(), rel=1e-4)
        gradient = (probabilities - np.eye(3)[labels]).mean(0)
        np.testing.assert_allclose(biases[branch], before[branch] - gradient, atol=1e-4)
    assert logits["global"].argmax(-1).tolist() == [2] * 4 and means[-1] == (0.25 if "local" in branches else 0.5)
    assert means[-1] == np.mean(np.sum([*logits.values()], axis=0).argmax(-1) == labels)


def test_a_scaled_loss_changes_no_update():
    """As under mixed_float16, where a loss is scaled so that small gradients are no zeros."""
    images = np.random.default_rng(0).integers(0, 256, (4, 160, 64, 3), dtype=np.uint8)
    labels, weights = np.array([0, 1, 2, 2], np.int32), []
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=2.0**15)
    assert type(make_optimizer(RECIPES["adamw"], 100, "mixed_float16")) is type(scaled)
    for optimizer in (keras.optimizers.SGD(0.1), scaled):
        keras.utils.set_random_seed(0)
        model = TinyNetwork(3)
        optimizer.build(model.trainable_variables)
        before = model.get_weights()
        make_train_step(model, optimizer, RECIPES["adamw"], xla=False)(images, labels)
        weights.append([now - then for now, then in zip(model.get_weights(), before, strict=True)])
    assert max(np.abs(moved).max() for moved in weights[0]) > 1e-3
    for plain, moved in zip(*weights, strict=True):
        np.testing.assert_allclose(moved, plain, rtol=1e-3, atol=1e-6)


XLA_SCRIPT = """
import json
import tensorflow as tf
from hacnn_tf.evaluation import feature_function
from hacnn_tf.models import HACNN
from hacnn_tf.training.recipes import RECIPES
from hacnn_tf.training.loop import make_optimizer
from hacnn_tf.training.step import make_train_step
from tests.training.tiny import TinyNetwork

IMAGES, LABELS = tf.TensorSpec((4, 160, 64, 3), tf.uint8), tf.TensorSpec(4, tf.int32)

def narrow(dtype=None, **switches):
    return HACNN(3, widths=(16, 32, 48), feature_dim=24, dtype=dtype, **switches)

def ir(model, recipe, precision="float32"):
    optimizer = make_optimizer(recipe, 100, precision)
    optimizer.build(model.trainable_variables)
    return make_train_step(model, optimizer, recipe, xla=True).experimental_get_compiler_ir(IMAGES, LABELS)

TRIPLET = RECIPES["strong"].replaced(batch_identities=2, triplet=1.0)
"""
XLA_PROGRAMS = """
irs = {name: ir(TinyNetwork(3), recipe) for name, recipe in RECIPES.items()}
irs["triplet"] = ir(narrow(), TRIPLET)
irs["global branch alone"] = ir(narrow(local=False), TRIPLET)
extract = tf.function(feature_function(narrow()), jit_compile=True, autograph=False)
irs["extraction"] = extract.experimental_get_compiler_ir(IMAGES)
print(json.dumps({name: ir(stage="hlo") for name, ir in irs.items()}))
"""


def run_xla(script, flags=""):
    """In a process of its own: other trainings here have asked for determinism, under which XLA refuses max pooling."""
    command, env = [sys.executable, "-c", XLA_SCRIPT + script], {**os.environ, "XLA_FLAGS": flags}
    return subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout


@pytest.fixture(scope="module")
def xla_programs():
    """Programs as XLA gets them: the step of each recipe of a tiny network, of one more recipe and the whole network
    and its global branch with narrow levels, and that network's extraction."""
    return json.loads(run_xla(XLA_PROGRAMS))


@pytest.mark.parametrize("name", [*RECIPES, "triplet", "global branch alone", "extraction"])
def test_step_and_extraction_compile_to_one_xla_program(xla_programs, name):
    assert "convolution" in xla_programs[name]
    for word in ("custom-call", "infeed", "outfeed", "<="):  # host round trips, dynamic shapes
        assert word not in xla_programs[name]


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_xla_compiles_the_step_in_half_precision(precision):
    """To the end: only then does it check that types agree."""
    compiled = f"ir(narrow({precision!r}), TRIPLET, {precision!r})(stage='optimized_hlo')"
    assert "fusion" in run_xla(f"print({compiled})", "--xla_backend_optimization_level=0")
