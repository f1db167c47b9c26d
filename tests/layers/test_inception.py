"""The Inceptions' merged convolutions against the streams of the paper, one by one."""

import keras
import numpy as np
from keras import ops

from hacnn_tf.layers import InceptionA, InceptionB

WIDTH = 6


def trained(layer, x):
    """The layer with weights, BN statistics included, that are unlike its initial ones."""
    layer(x)
    rng = np.random.default_rng(1)
    for variable in layer.variables:
        positive = "variance" in variable.path or "gamma" in variable.path
        variable.assign(rng.uniform(0.5, 1.5, variable.shape) if positive else rng.normal(0, 0.3, variable.shape))
    return layer


def conv_bn_relu(x, kernel, norm, part, strides=1):
    """Conv, inference batch norm on the channels `part` of `norm`, ReLU."""
    x = ops.conv(x, kernel, strides, "same")
    gamma, beta, mean, variance = (
        np.asarray(v)[part] for v in (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
    )
    return ops.relu((x - mean) / np.sqrt(variance + norm.epsilon) * gamma + beta)


def block(x, layer):
    return conv_bn_relu(x, layer.conv.kernel, layer.norm, slice(None), layer.strides)


def test_inception_a_is_four_streams():
    x = np.random.default_rng(0).normal(size=(2, 9, 7, 10)).astype("float32")
    layer = trained(InceptionA(4 * WIDTH), x)
    pooled = keras.layers.AveragePooling2D(3, 1, "same")(x)
    parts = [slice(i * WIDTH, (i + 1) * WIDTH) for i in range(4)]
    first = [
        conv_bn_relu(pooled if i == 3 else x, layer.conv.kernel[..., part], layer.norm, part)
        for i, part in enumerate(parts)
    ]
    streams = [
        first[0],
        block(first[1], layer.stream2),
        block(block(first[2], layer.stream3a), layer.stream3b),
        first[3],
    ]
    np.testing.assert_allclose(layer(x), np.concatenate(streams, -1), atol=1e-4)


def test_inception_b_is_three_streams():
    x = np.random.default_rng(0).normal(size=(2, 9, 8, 10)).astype("float32")
    layer = trained(InceptionB(4 * WIDTH), x)
    first = [
        conv_bn_relu(x, layer.reduce.conv.kernel[..., part], layer.reduce.norm, part)
        for part in (slice(0, WIDTH), slice(WIDTH, 2 * WIDTH))
    ]
    streams = [
        block(first[0], layer.stream1),
        block(block(first[1], layer.stream2a), layer.stream2b),
        block(keras.layers.MaxPooling2D(3, 2, "same")(x), layer.stream3),
    ]
    np.testing.assert_allclose(layer(x), np.concatenate(streams, -1), atol=1e-4)
