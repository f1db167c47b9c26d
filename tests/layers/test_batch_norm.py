"""Batch norm by the fused kernel against Keras's own layer."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hacnn_tf.layers.batch_norm import BatchNorm

SHAPES = [(6, 5, 4, 8), (7, 8), (3, 2, 5, 4, 8)]


def pair(shape, dtype="float32"):
    """Ours and Keras's, with the same random variables."""
    rng = np.random.default_rng(1)
    ours = BatchNorm(dtype=dtype)
    keras_own = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, dtype=dtype)
    for layer in (ours, keras_own):
        layer.build(shape)
    weights = [rng.uniform(0.5, 2, 8).astype("float32") for _ in range(4)]
    ours.set_weights(weights)
    keras_own.set_weights(weights)
    return ours, keras_own


def outcome(layer, x, upstream, training):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=training)
    gradients = tape.gradient(y, [x, *layer.trainable_variables], upstream)
    return [y, *gradients, *layer.non_trainable_variables]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_keras(shape, training):
    rng = np.random.default_rng(0)
    x, upstream = (tf.constant(rng.normal(3, 2, shape), tf.float32) for _ in range(2))
    ours, keras_own = pair(shape)
    for found, expected in zip(
        outcome(ours, x, upstream, training), outcome(keras_own, x, upstream, training), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4)


def test_the_batch_may_be_unknown():
    x = np.random.default_rng(0).normal(3, 2, SHAPES[0]).astype("float32")
    ours, keras_own = pair(SHAPES[0])
    traced = tf.function(
        lambda x: ours(x, training=True), input_signature=[tf.TensorSpec((None, *SHAPES[0][1:]), tf.float32)]
    )
    np.testing.assert_allclose(traced(x), keras_own(x, training=True), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(ours.moving_variance, keras_own.moving_variance, rtol=1e-5)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_dtype_policies(policy, training):
    x = np.random.default_rng(0).normal(0, 1, SHAPES[0])
    ours, keras_own = pair(SHAPES[0], policy)
    found, expected = ours(x, training=training), keras_own(x, training=training)
    assert found.dtype == expected.dtype
    tolerance = 1e-6 if policy == "float64" else 0.05
    np.testing.assert_allclose(tf.cast(found, tf.float64), tf.cast(expected, tf.float64), rtol=0, atol=tolerance)


def test_frozen_it_keeps_its_averages():
    ours, keras_own = pair(SHAPES[0])
    ours.trainable = keras_own.trainable = False
    x = np.random.default_rng(0).normal(0, 1, SHAPES[0]).astype("float32")
    np.testing.assert_allclose(ours(x, training=True), keras_own(x, training=True), atol=1e-5)
    np.testing.assert_array_equal(ours.moving_mean, keras_own.moving_mean)
