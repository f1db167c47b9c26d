"""Parallel convs in one kernel against Keras's conv on each part of it."""

import keras
import numpy as np
import pytest

from hacnn_tf.layers.stream_conv import StreamConv2D


@pytest.mark.parametrize(("kernel_size", "strides"), [(1, 1), (3, 2)])
def test_each_stream_has_its_part_of_the_kernel(kernel_size, strides):
    layer = StreamConv2D(6, kernel_size, strides)
    inputs = [np.random.default_rng(i).normal(size=(2, 7, 5, 4)).astype("float32") for i in range(3)]
    layer.build(inputs[0].shape)
    outputs = layer([keras.ops.convert_to_tensor(x) for x in inputs])
    for i, (x, found) in enumerate(zip(inputs, outputs, strict=True)):
        conv = keras.layers.Conv2D(2, kernel_size, strides, padding="same", use_bias=False)
        conv.build(x.shape)
        conv.set_weights([np.asarray(layer.kernel)[..., 2 * i : 2 * i + 2]])
        np.testing.assert_allclose(found, conv(x), atol=1e-5)
        assert layer.compute_output_shape([x.shape for x in inputs])[i] == found.shape


def test_of_one_tensor_it_is_a_conv():
    layer = StreamConv2D(6, 3)
    x = np.random.default_rng(0).normal(size=(2, 7, 5, 4)).astype("float32")
    found = layer(x)
    np.testing.assert_allclose(found, keras.ops.conv(x, layer.kernel, padding="same"), atol=1e-6)
    assert layer.compute_output_shape(x.shape) == found.shape
