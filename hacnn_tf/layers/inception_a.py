"""Inception-A: four parallel streams, resolution kept."""

from typing import Any

import keras
from keras import ops

from hacnn_tf.layers.batch_norm import BatchNorm
from hacnn_tf.layers.conv_block import ConvBlock
from hacnn_tf.layers.initializers import fan_in_uniform
from hacnn_tf.layers.stream_conv import StreamConv2D
from hacnn_tf.utils.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="hacnn_tf")
class InceptionA(keras.layers.Layer):
    """Four streams of `filters / 4` channels each, concatenated (§3, "Inception-A/B units").

    The streams: 1×1; 1×1 → 3×3; 1×1 → 3×3 → 3×3; 3×3 average pool → 1×1. Every conv has batch norm and ReLU.

    The four 1×1 convs keep their weights side by side, in one kernel and one batch norm.

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

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if filters % 4:
            raise ValueError(f"InceptionA has four equal streams: filters must be divisible by 4, not {filters}.")
        self.filters = filters
        width, dtype = filters // 4, self.dtype_policy
        self.conv = StreamConv2D(filters, kernel_initializer=fan_in_uniform(), dtype=dtype, name="conv_1x1")
        self.pool = keras.layers.AveragePooling2D(
            3, 1, padding="same", data_format="channels_last", dtype=dtype, name="stream4_pool"
        )
        self.norm = BatchNorm(dtype=dtype, name="norm_1x1")
        self.stream2 = ConvBlock(width, 3, dtype=dtype, name="stream2_3x3")
        self.stream3a = ConvBlock(width, 3, dtype=dtype, name="stream3_3x3a")
        self.stream3b = ConvBlock(width, 3, dtype=dtype, name="stream3_3x3b")

    def build(self, input_shape: Shape) -> None:
        output_shape = self.compute_output_shape(input_shape)
        stream_shape = (*input_shape[:-1], self.filters // 4)
        self.conv.build(input_shape)
        self.norm.build(output_shape)
        self.pool.build(input_shape)
        for layer in (self.stream2, self.stream3a, self.stream3b):
            layer.build(stream_shape)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        convs = self.conv([inputs, inputs, inputs, self.pool(inputs)])
        stream1, stream2, stream3, stream4 = map(ops.relu, self.norm(convs, training=training))
        stream2 = self.stream2(stream2, training=training)
        stream3 = self.stream3b(self.stream3a(stream3, training=training), training=training)
        return ops.concatenate([stream1, stream2, stream3, stream4], axis=-1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters}
