"""The Inceptions' merged convolutions against the streams of the paper, one by one."""

import keras
import numpy as np

from hacnn_tf.layers import InceptionA, InceptionB
from tests.layers.oracle import block, conv_bn_relu, trained

WIDTH = 6


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
