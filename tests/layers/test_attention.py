"""The attentions against the paper's equations, and the ranges and initial values that it states."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from hacnn_tf.layers import ChannelAttention, HardAttention, SoftAttention, SpatialAttention
from tests.layers.oracle import block, trained


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(1, 20, size=(2, 10, 6, 32)).astype("float32")


@pytest.fixture
def signature(x):
    return x.mean((1, 2), keepdims=True)


def spatial(layer, x):
    """Eq. 2, a conv of stride 2, a resize back, a scaling conv."""
    mean = sum(x[..., c : c + 1] for c in range(x.shape[-1])) / x.shape[-1]
    half = block(mean, layer.conv, 2)
    assert half.shape[1:3] == (x.shape[1] // 2, x.shape[2] // 2)
    return np.asarray(block(ops.image.resize(half, x.shape[1:3], "bilinear"), layer.scale))


def channel(layer, signature):
    """Eq. 4: squeeze, excite, a ReLU after each."""
    return np.asarray(block(block(signature, layer.squeeze), layer.excite))


def test_soft_attentions_reduction_is_its_channels(x, signature):
    layer = trained(SoftAttention(reduction=4), x, signature)
    assert layer.channel.squeeze.conv.kernel.shape == (1, 1, 32, 8)


def test_spatial_attention_is_that_of_the_mean_over_channels(x):
    layer = trained(SpatialAttention(), x)
    expected = spatial(layer, x)
    assert expected.std() > 0.01
    np.testing.assert_allclose(layer(x), expected, atol=1e-4)


def test_channel_attention_squeezes_and_excites(signature):
    layer = trained(ChannelAttention(reduction=4), signature)
    expected = channel(layer, signature)
    assert expected.std() > 0.01
    np.testing.assert_allclose(layer(signature), expected, atol=1e-4)


@pytest.mark.parametrize("parts", [("spatial", "channel"), ("spatial",), ("channel",)])
def test_soft_attention_blends_the_product_of_both(parts, x, signature):
    layer = trained(SoftAttention(**{part: part in parts for part in ("spatial", "channel")}), x, signature)
    product = np.ones_like(x)
    if "spatial" in parts:
        product = product * spatial(layer.spatial, x)
    if "channel" in parts:
        product = product * channel(layer.channel, signature)  # Eq. 1
    expected = 1 / (1 + np.exp(-np.asarray(block(product, layer.blend))))
    assert expected.std() > 0.01
    np.testing.assert_allclose(layer(x, signature), expected, atol=1e-4)


def test_hard_attention_is_a_tanh_of_the_signature(signature):
    layer = trained(HardAttention(3), signature)
    kernel, bias = map(np.asarray, layer.translation.get_weights())
    expected = np.tanh(signature[:, 0, 0] @ kernel + bias).reshape(2, 3, 2)
    assert expected.std() > 0.01
    np.testing.assert_allclose(layer(signature), expected, atol=1e-5)


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


def test_fixed_regions_have_nothing_to_train_even_when_their_model_is_unfrozen():
    signature = keras.Input((32,))
    model = keras.Model(
        signature, [HardAttention(4, fixed=True)(signature), keras.layers.Dense(3, name="dense")(signature)]
    )
    for trainable, count in ((True, 2), (False, 0), (True, 2)):
        model.trainable = trainable
        assert len(model.trainable_variables) == count
        assert len(model.variables) == 4
    assert model.trainable_variables == model.get_layer("dense").variables


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
