"""Soft channel attention: which channels matter, by squeeze and excitation."""

from typing import Any

import keras

from hacnn_tf.layers.conv_block import ConvBlock
from hacnn_tf.layers.inherited import inherited
from hacnn_tf.utils.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="hacnn_tf")
class ChannelAttention(keras.layers.Layer):
    """Channel attention map C, 2c²/r kernel weights (§3.1 (I)(2), Eq. 4, Fig. 3(c)).

    It reads the channel signature (Eq. 3), which the hard attention shares: `GlobalAveragePooling2D(keepdims=True)`.

    Args:
        reduction: the bottleneck's reduction rate r; divides the number of channels.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        signature: `(batch, 1, 1, channels)` float tensor, the mean of a map over space.

    Returns:
        `(batch, 1, 1, channels)` tensor, values ≥ 0.

    Raises:
        ValueError: `reduction` is below 1; when built, if the number of channels is not divisible by it, or on a map
            in place of its signature.
    """

    def __init__(self, reduction: int = 16, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if reduction < 1:
            raise ValueError(f"ChannelAttention's reduction must be 1 or more, not {reduction}.")
        self.reduction = reduction

    def build(self, input_shape: Shape) -> None:
        if any(side != 1 for side in input_shape[1:-1]):
            raise ValueError(f"ChannelAttention reads a signature (batch, 1, 1, channels), not a map {input_shape}.")
        channels = input_shape[-1]
        if channels % self.reduction:
            raise ValueError(
                f"ChannelAttention reduces channels by {self.reduction}, which does not divide {channels}."
            )
        common = inherited(self)
        self.squeeze = ConvBlock(channels // self.reduction, name="squeeze_1x1", **common)
        self.excite = ConvBlock(channels, name="excite_1x1", **common)
        self.squeeze.build(input_shape)
        self.excite.build((*input_shape[:-1], channels // self.reduction))

    def call(self, signature: Tensor) -> Tensor:
        return self.excite(self.squeeze(signature))  # Eq. 4

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "reduction": self.reduction}
