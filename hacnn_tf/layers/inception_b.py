"""Inception-B: three parallel streams, resolution halved."""

from typing import Any

import keras
from keras import ops

from hacnn_tf.layers.conv_block import ConvBlock
from hacnn_tf.layers.inherited import inherited
from hacnn_tf.utils.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="hacnn_tf")
class InceptionB(keras.layers.Layer):
    """Three streams of `filters / 4`, `filters / 4`, `filters / 2` channels, concatenated (§3, "Inception-A/B units").

    The streams: 1×1 → 3×3 of stride 2; 1×1 → 3×3 → 3×3 of stride 2; 3×3 max pool of stride 2 → 1×1.
    Every conv has batch norm and ReLU.

    Args:
        filters: number of output channels, divisible by 4.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: `(batch, height, width, channels)` float tensor.

    Returns:
        `(batch, ⌈height / 2⌉, ⌈width / 2⌉, filters)` tensor, values ≥ 0.

    Raises:
        ValueError: `filters` is not divisible by 4.
    """

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if filters % 4:
            raise ValueError(
                f"InceptionB has streams of a quarter width: filters must be divisible by 4, not {filters}."
            )
        self.filters = filters
        width, common = filters // 4, inherited(self)
        self.stream1_1x1 = ConvBlock(width, name="stream1_1x1", **common)
        self.stream1_3x3 = ConvBlock(width, 3, 2, name="stream1_3x3", **common)
        self.stream2_1x1 = ConvBlock(width, name="stream2_1x1", **common)
        self.stream2_3x3a = ConvBlock(width, 3, name="stream2_3x3a", **common)
        self.stream2_3x3b = ConvBlock(width, 3, 2, name="stream2_3x3b", **common)
        self.stream3_pool = keras.layers.MaxPooling2D(
            3, 2, padding="same", data_format="channels_last", name="stream3_pool", **common
        )
        self.stream3_1x1 = ConvBlock(2 * width, name="stream3_1x1", **common)

    def build(self, input_shape: Shape) -> None:
        stream_shape = (*input_shape[:-1], self.filters // 4)
        for layer in (self.stream1_1x1, self.stream2_1x1, self.stream3_pool):
            layer.build(input_shape)
        for layer in (self.stream1_3x3, self.stream2_3x3a, self.stream2_3x3b):
            layer.build(stream_shape)
        self.stream3_1x1.build(self.stream3_pool.compute_output_shape(input_shape))

    def call(self, inputs: Tensor) -> Tensor:
        stream1 = self.stream1_3x3(self.stream1_1x1(inputs))
        stream2 = self.stream2_3x3b(self.stream2_3x3a(self.stream2_1x1(inputs)))
        stream3 = self.stream3_1x1(self.stream3_pool(inputs))
        return ops.concatenate([stream1, stream2, stream3], axis=-1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*self.stream3_pool.compute_output_shape(input_shape)[:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters}
