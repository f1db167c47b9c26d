"""Inception-A: four parallel streams, resolution kept."""

from typing import Any

import keras
from keras import ops

from hacnn_tf.layers.conv_block import ConvBlock
from hacnn_tf.layers.inherited import inherited
from hacnn_tf.utils.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="hacnn_tf")
class InceptionA(keras.layers.Layer):
    """Four streams of `filters / 4` channels each, concatenated (§3, "Inception-A/B units").

    The streams: 1×1; 1×1 → 3×3; 1×1 → 3×3 → 3×3; 3×3 average pool → 1×1. Every conv has batch norm and ReLU.

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
        width, common = filters // 4, inherited(self)
        self.stream1_1x1 = ConvBlock(width, name="stream1_1x1", **common)
        self.stream2_1x1 = ConvBlock(width, name="stream2_1x1", **common)
        self.stream2_3x3 = ConvBlock(width, 3, name="stream2_3x3", **common)
        self.stream3_1x1 = ConvBlock(width, name="stream3_1x1", **common)
        self.stream3_3x3a = ConvBlock(width, 3, name="stream3_3x3a", **common)
        self.stream3_3x3b = ConvBlock(width, 3, name="stream3_3x3b", **common)
        self.stream4_pool = keras.layers.AveragePooling2D(
            3, 1, padding="same", data_format="channels_last", name="stream4_pool", **common
        )
        self.stream4_1x1 = ConvBlock(width, name="stream4_1x1", **common)

    def build(self, input_shape: Shape) -> None:
        stream_shape = (*input_shape[:-1], self.filters // 4)
        self.stream4_pool.build(input_shape)
        for layer in (self.stream1_1x1, self.stream2_1x1, self.stream3_1x1, self.stream4_1x1):
            layer.build(input_shape)
        for layer in (self.stream2_3x3, self.stream3_3x3a, self.stream3_3x3b):
            layer.build(stream_shape)

    def call(self, inputs: Tensor) -> Tensor:
        stream1 = self.stream1_1x1(inputs)
        stream2 = self.stream2_3x3(self.stream2_1x1(inputs))
        stream3 = self.stream3_3x3b(self.stream3_3x3a(self.stream3_1x1(inputs)))
        stream4 = self.stream4_1x1(self.stream4_pool(inputs))
        return ops.concatenate([stream1, stream2, stream3, stream4], axis=-1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters}
