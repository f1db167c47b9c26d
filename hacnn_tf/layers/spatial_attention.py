"""Soft spatial attention: which pixels matter."""

from typing import Any

import keras
from keras import ops

from hacnn_tf.layers.conv_block import ConvBlock
from hacnn_tf.layers.inherited import inherited
from hacnn_tf.utils.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="hacnn_tf")
class SpatialAttention(keras.layers.Layer):
    """Spatial attention map S, ten kernel weights (§3.1 (I)(1), Eq. 2, Fig. 3(b)).

    Mean over channels → 3×3 conv of stride 2 → bilinear resize back → 1×1 scaling conv, one filter each.

    Args:
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: `(batch, height, width, channels)` float tensor.

    Returns:
        `(batch, height, width, 1)` tensor, values ≥ 0.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        common = inherited(self)
        self.conv = ConvBlock(1, 3, 2, name="conv_3x3", **common)
        self.scale = ConvBlock(1, name="scale_1x1", **common)

    def build(self, input_shape: Shape) -> None:
        self.conv.build((*input_shape[:-1], 1))
        self.scale.build((*input_shape[:-1], 1))

    def call(self, inputs: Tensor) -> Tensor:
        x = ops.mean(inputs, axis=-1, keepdims=True)  # Eq. 2
        x = self.conv(x)
        # XLA's gradient of a resize is float32 whatever it resized: in half precision the step would not compile.
        x = ops.cast(x, keras.backend.result_type(x.dtype, "float32"))
        x = ops.image.resize(x, ops.shape(inputs)[1:3], interpolation="bilinear", data_format="channels_last")
        return self.scale(ops.cast(x, self.compute_dtype))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], 1)
