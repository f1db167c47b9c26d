"""Soft attention: spatial and channel attention, multiplied and blended."""

from typing import Any

import keras
from keras import ops

from hacnn_tf.layers.channel_attention import ChannelAttention
from hacnn_tf.layers.conv_block import ConvBlock
from hacnn_tf.layers.inherited import inherited
from hacnn_tf.layers.spatial_attention import SpatialAttention
from hacnn_tf.utils.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="hacnn_tf")
class SoftAttention(keras.layers.Layer):
    """Full soft attention map A = sigmoid(blend(S × C)) (§3.1 (I), Eq. 1, Fig. 3(a)).

    The blending 1×1 conv ends in a ReLU like every conv, so the sigmoid gives at least 0.5. The map is not applied
    here: the module's output is `inputs * attention`.

    Args:
        spatial: learn S; otherwise S is 1 everywhere (Table 5's "SCA").
        channel: learn C; otherwise C is 1 everywhere (Table 5's "SSA").
        reduction: the channel attention's reduction rate r.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: `(batch, height, width, channels)` float tensor.
        signature: `(batch, 1, 1, channels)` float tensor, the mean of `inputs` over space (Eq. 3).

    Returns:
        Tensor shaped as `inputs`, values in [0.5, 1].

    Raises:
        ValueError: neither `spatial` nor `channel`, or channels not divisible by `reduction`.
    """

    def __init__(self, spatial: bool = True, channel: bool = True, reduction: int = 16, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not (spatial or channel):
            raise ValueError("SoftAttention needs spatial or channel attention; without both, leave the layer out.")
        common = inherited(self)
        self.spatial = SpatialAttention(name="spatial", **common) if spatial else None
        self.channel = ChannelAttention(reduction, name="channel", **common) if channel else None
        self.reduction = reduction

    def build(self, inputs_shape: Shape, signature_shape: Shape) -> None:
        if self.spatial:
            self.spatial.build(inputs_shape)
        if self.channel:
            self.channel.build(signature_shape)
        common = inherited(self)
        self.blend = ConvBlock(inputs_shape[-1], name="blend_1x1", **common)
        self.blend.build(inputs_shape)

    def call(self, inputs: Tensor, signature: Tensor) -> Tensor:
        spatial = self.spatial(inputs) if self.spatial else ops.ones_like(inputs[..., :1])
        channel = self.channel(signature) if self.channel else ops.ones_like(signature)
        return ops.sigmoid(self.blend(spatial * channel))  # Eq. 1

    def compute_output_shape(self, inputs_shape: Shape, signature_shape: Shape) -> Shape:
        return inputs_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "spatial": self.spatial is not None,
            "channel": self.channel is not None,
            "reduction": self.reduction,
        }
