"""Ranges and initial values that the paper and the design state."""

import numpy as np
import pytest
import tensorflow as tf

from hacnn_tf.layers import HardAttention, SoftAttention, SpatialAttention


@pytest.mark.parametrize("training", [False, True])
def test_soft_attention_lies_between_a_half_and_one(training):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 10, 4, 32)).astype("float32")
    attention = np.asarray(SoftAttention()(x, x.mean((1, 2), keepdims=True), training=training))
    assert attention.min() >= 0.5
    assert attention.max() < 1
    if training:
        assert attention.std() > 0


@pytest.mark.parametrize("num_regions", [1, 4, 6])
def test_hard_attention_starts_at_even_stripes(num_regions):
    signature = np.random.default_rng(0).normal(size=(3, 1, 1, 32)).astype("float32")
    centres = np.asarray(HardAttention(num_regions)(signature))
    borders = np.linspace(-1, 1, num_regions + 1)
    np.testing.assert_allclose(centres[..., 0], np.tile((borders[1:] + borders[:-1]) / 2, (3, 1)), atol=1e-6)
    np.testing.assert_allclose(centres[..., 1], 0, atol=1e-7)


def test_fixed_regions_have_nothing_to_train():
    layer = HardAttention(4, trainable=False)
    layer(np.zeros((1, 32), "float32"))
    assert not layer.trainable_variables
    assert len(layer.variables) == 2


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_xla_compiles_the_gradient_of_spatial_attention(precision):
    layer = SpatialAttention(dtype=precision)
    x, weights = (tf.random.stateless_normal((4, 20, 8, c), seed=(0, c)) for c in (16, 1))
    layer.build(x.shape)

    def gradient(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(weights * tf.cast(layer(x, training=True), "float32"))
        return tf.reshape(tape.gradient(loss, layer.conv.conv.kernel.value), [-1])

    compiled, plain = tf.function(gradient, jit_compile=True)(x), gradient(x)
    cosine = np.dot(compiled, plain) / np.linalg.norm(compiled) / np.linalg.norm(plain)
    assert cosine > (0.9999 if precision == "float32" else 0.98)
