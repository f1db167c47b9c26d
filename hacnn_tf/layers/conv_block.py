"""Convolution, batch normalisation, ReLU: the unit that everything convolutional is made of."""

from typing import Any

import keras
from keras import ops

from hacnn_tf.layers import initializers
from hacnn_tf.layers.batch_norm import BatchNorm
from hacnn_tf.layers.inherited import inherited
from hacnn_tf.utils.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="hacnn_tf")
class ConvBlock(keras.layers.Layer):
    """Conv → batch norm → ReLU, no conv bias, `SAME` padding (Fig. 3: "applied to each conv layer").

    Args:
        filters: number of output channels.
        kernel_size: side of the square kernel, in pixels.
        strides: stride in both directions, in pixels.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: `(batch, height, width, channels)` float tensor.

    Returns:
        `(batch, ⌈height / strides⌉, ⌈width / strides⌉, filters)` tensor, values ≥ 0.
    """

    def __init__(self, filters: int, kernel_size: int = 1, strides: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        common = inherited(self)
        self.conv = keras.layers.Conv2D(
            filters,
            kernel_size,
            strides,
            padding="same",
            data_format="channels_last",  # a user's ~/.keras/keras.json may have another default
            use_bias=False,
            kernel_initializer=initializers.fan_in_uniform(),
            name="conv",
            **common,
        )
        self.norm = BatchNorm(name="norm", **common)

    def build(self, input_shape: Shape) -> None:
        self.conv.build(input_shape)
        self.norm.build(self.conv.compute_output_shape(input_shape))

    def call(self, inputs: Tensor) -> Tensor:
        return ops.relu(self.norm(self.conv(inputs)))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return self.conv.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
        }
