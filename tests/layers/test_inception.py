"""The Inceptions against the streams of the paper, one by one."""

import keras
import numpy as np

from hacnn_tf.layers import InceptionA, InceptionB
from tests.layers.oracle import block, trained

WIDTH = 6


def kernels(layer):
    """Of each of its convs the side of the kernel, and the channels that it reads and gives."""
    return {
        conv.path.split("/")[-3]: (conv.shape[0], *conv.shape[2:]) for conv in layer.variables if conv.name == "kernel"
    }


def test_inception_a_is_four_streams():
    x = np.random.default_rng(0).normal(size=(2, 9, 7, 10)).astype("float32")
    layer = trained(InceptionA(4 * WIDTH), x)
    pooled = keras.layers.AveragePooling2D(3, 1, "same")(x)
    streams = [
        block(x, layer.stream1_1x1),
        block(block(x, layer.stream2_1x1), layer.stream2_3x3),
        block(block(block(x, layer.stream3_1x1), layer.stream3_3x3a), layer.stream3_3x3b),
        block(pooled, layer.stream4_1x1),
    ]
    np.testing.assert_allclose(layer(x), np.concatenate(streams, -1), atol=1e-4)
    assert kernels(layer) == {
        "stream1_1x1": (1, 10, WIDTH),
        "stream2_1x1": (1, 10, WIDTH),
        "stream2_3x3": (3, WIDTH, WIDTH),
        "stream3_1x1": (1, 10, WIDTH),
        "stream3_3x3a": (3, WIDTH, WIDTH),
        "stream3_3x3b": (3, WIDTH, WIDTH),
        "stream4_1x1": (1, 10, WIDTH),
    }


def test_inception_b_is_three_streams():
    x = np.random.default_rng(0).normal(size=(2, 9, 8, 10)).astype("float32")
    layer = trained(InceptionB(4 * WIDTH), x)
    pooled = keras.layers.MaxPooling2D(3, 2, "same")(x)
    streams = [
        block(block(x, layer.stream1_1x1), layer.stream1_3x3, 2),
        block(block(block(x, layer.stream2_1x1), layer.stream2_3x3a), layer.stream2_3x3b, 2),
        block(pooled, layer.stream3_1x1),
    ]
    np.testing.assert_allclose(layer(x), np.concatenate(streams, -1), atol=1e-4)
    assert kernels(layer) == {
        "stream1_1x1": (1, 10, WIDTH),
        "stream1_3x3": (3, WIDTH, WIDTH),
        "stream2_1x1": (1, 10, WIDTH),
        "stream2_3x3a": (3, WIDTH, WIDTH),
        "stream2_3x3b": (3, WIDTH, WIDTH),
        "stream3_1x1": (1, 10, 2 * WIDTH),
    }
