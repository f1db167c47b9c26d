"""Inception-A: four parallel streams, resolution kept."""

import keras
from keras import ops

from hacnn_tf.layers.conv_block import ConvBlock, batch_norm
from hacnn_tf.layers.initializers import fan_in_uniform


@keras.saving.register_keras_serializable(package="hacnn_tf")
class InceptionA(keras.layers.Layer):
    """Four streams of `filters / 4` channels each, concatenated (§3, "Inception-A/B units").

    The streams: 1×1; 1×1 → 3×3; 1×1 → 3×3 → 3×3; 3×3 average pool → 1×1. Every conv has batch norm and ReLU.

    The four 1×1 convs read the same input, so they are one conv whose output is split; its kernel holds those of the
    four streams side by side. The fourth stream pools after its conv, not before: the same, as both are linear.

    Args:
        filters: number of output channels, divisible by 4.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: `(batch, height, width, channels)` float tensor.

    Returns:
        `(batch, height, width, filters)` tensor, values ≥ 0.

    Raises:
        ValueError: `filters` is not divisible by 4.
    """

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        if filters % 4:
            raise ValueError(f"InceptionA has four equal streams: filters must be divisible by 4, not {filters}.")
        self.filters = filters
        width, dtype = filters // 4, self.dtype_policy
        self.conv = keras.layers.Conv2D(
            filters, 1, use_bias=False, kernel_initializer=fan_in_uniform(), dtype=dtype, name="conv_1x1"
        )
        self.pool = keras.layers.AveragePooling2D(3, 1, padding="same", dtype=dtype, name="stream4_pool")
        self.norm = batch_norm(dtype=dtype, name="norm_1x1")
        self.stream2 = ConvBlock(width, 3, dtype=dtype, name="stream2_3x3")
        self.stream3a = ConvBlock(width, 3, dtype=dtype, name="stream3_3x3a")
        self.stream3b = ConvBlock(width, 3, dtype=dtype, name="stream3_3x3b")

    def build(self, input_shape):
        output_shape = self.compute_output_shape(input_shape)
        stream_shape = (*input_shape[:-1], self.filters // 4)
        self.conv.build(input_shape)
        self.norm.build(output_shape)
        for layer in (self.pool, self.stream2, self.stream3a, self.stream3b):
            layer.build(stream_shape)

    def call(self, inputs, training=None):
        width = self.filters // 4
        x = self.conv(inputs)
        x, pooled = ops.split(x, [3 * width], axis=-1)
        x = ops.concatenate([x, self.pool(pooled)], axis=-1)
        stream1, stream2, stream3, stream4 = ops.split(ops.relu(self.norm(x, training=training)), 4, axis=-1)
        stream2 = self.stream2(stream2, training=training)
        stream3 = self.stream3b(self.stream3a(stream3, training=training), training=training)
        return ops.concatenate([stream1, stream2, stream3, stream4], axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}
