"""Parallel convs that keep their kernels side by side."""

from typing import Any

import keras
from keras import ops

from hacnn_tf.utils.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="hacnn_tf")
class StreamConv2D(keras.layers.Conv2D):
    """A `keras.layers.Conv2D` without bias that can be several: given a list of n inputs, n convs of `filters / n`.

    The kernel of the i-th conv is the i-th part of the one kernel's output channels. One conv whose output were split
    would be the same for equal inputs; the split costs more time than it saves, forwards and backwards.

    Args:
        filters: number of output channels of all convs together.
        kernel_size, strides: in pixels.
        **kwargs: of `keras.layers.Conv2D`.

    Call arguments:
        inputs: `(batch, height, width, channels)` float tensor, or a list of such tensors.

    Returns:
        `(batch, new_height, new_width, filters)` tensor, or a list of tensors with `filters / n` channels.
    """

    def __init__(self, filters: int, kernel_size: int = 1, strides: int = 1, **kwargs: Any) -> None:
        # Told, since a user's ~/.keras/keras.json may set another order of axes.
        usual = {"padding": "same", "data_format": "channels_last"}
        super().__init__(filters, kernel_size, strides, **{**usual, **kwargs, "use_bias": False})

    def build(self, input_shape: Shape | list[Shape]) -> None:
        super().build(input_shape)
        self.input_spec = None  # it would refuse lists

    def call(self, inputs: Tensor) -> Tensor:
        if not isinstance(inputs, list):
            return super().call(inputs)
        kernels = ops.split(self.kernel, len(inputs), axis=-1)
        return [self.convolution_op(x, kernel) for x, kernel in zip(inputs, kernels, strict=True)]

    def compute_output_shape(self, input_shape: Shape | list[Shape]) -> Shape | list[Shape]:
        if not isinstance(input_shape[0], (list, tuple)):
            return super().compute_output_shape(input_shape)
        shapes = [super(StreamConv2D, self).compute_output_shape(shape) for shape in input_shape]
        return [(*shape[:-1], self.filters // len(shapes)) for shape in shapes]
