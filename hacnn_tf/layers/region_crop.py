"""Region crop: the STN's bilinear sampling for transforms without rotation."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from hacnn_tf.utils.types import Shape, Tensor

ON_PIXEL = 1e-4  # pixels: a tanh's last bits, which compilers round differently, move a sample by less


def bilinear_matrix(centre: Tensor, crop_size: int, map_size: int) -> Tensor:
    """Bilinear sampling along one axis as a matrix: `crop = weights @ map`.

    Sample i of the crop lies at s·u_i + t (a row of Eq. 5), which is p_i = ((s·u_i + t + 1)·map_size − 1) / 2 in
    pixels, with u_i the pixel centres of [-1, 1] and s = crop_size / map_size: the samples are one pixel apart. Outside
    the map lie zeros.

    Args:
        centre: `(...)` float32 tensor t in [-1, 1].
        crop_size: number of samples.
        map_size: number of pixels of the map along this axis.

    Returns:
        `(..., crop_size, map_size)` float32 tensor, max(0, 1 − |p_i − j|); of a sample less than `ON_PIXEL` to the left
        of a pixel, the line that the hat follows to the right of it, which is as near as that.
    """
    first = (centre + 1) * (map_size / 2) - crop_size / 2
    samples = first[..., None] + ops.arange(crop_size, dtype="float32")  # Eq. 5: p_i, scale and translation in pixels
    offset = samples[..., None] - ops.arange(map_size, dtype="float32")
    # Even stripes put samples on pixels, where the hat has its kinks: relu(1 - |offset|) has no gradient there, and
    # regions that begin there never move. As in a sampler that gathers, it is the gradient to the right of them; and
    # with `ON_PIXEL` it is so however their positions were rounded.
    weights = ops.where(offset < -ON_PIXEL, 1 + offset, 1 - offset)
    return ops.where((offset >= -1 - ON_PIXEL) & (offset < 1 - ON_PIXEL), weights, 0.0)


@keras.saving.register_keras_serializable(package="hacnn_tf")
class RegionCrop(keras.layers.Layer):
    """Crops T regions of a fixed size out of a map, bilinearly, zeros beyond the border (§3.1 (II), Eq. 5).

    With scales and translations only, bilinear sampling is separable: each crop is W_y · X · W_xᵀ with the weights of
    `bilinear_matrix`. Equal to the STN's gather-based sampler in value and in both gradients.

    Nearly all weights are zero, yet gathering is no faster in training on a CPU: rows gathered for smaller products
    take as long, and pixels gathered and interpolated take longer.

    Args:
        size: (height, width) of a region, in pixels of the map; (s_h, s_w) of Eq. 5 are size / map size.
        **kwargs: `name`, `dtype` of `keras.layers.Layer`.

    Call arguments:
        inputs: `(batch, height, width, channels)` float tensor; height and width must be static.
        centres: `(batch, T, 2)` float32 tensor of (t_y, t_x) in [-1, 1], as `HardAttention` gives them.

    Returns:
        `(batch * T, size[0], size[1], channels)` tensor: the regions of an image follow one another.

    Raises:
        ValueError: `size` is not two positive whole numbers, the map's height, width or channels or T is not static, or
            centres are not pairs.
    """

    def __init__(self, size: Sequence[int], **kwargs: Any) -> None:
        # Positions stay float32 under every policy; autocast would round them to half precision.
        super().__init__(autocast=False, **kwargs)
        self.size = tuple(np.ravel(size).tolist())
        if len(self.size) != 2 or not all(isinstance(side, int) and side > 0 for side in self.size):
            raise ValueError(f"RegionCrop's size must be two whole numbers, (height, width), not {self.size}.")

    def build(self, inputs_shape: Shape, centres_shape: Shape) -> None:
        if None in inputs_shape[1:]:
            raise ValueError(f"RegionCrop needs maps of static height, width and channels, not {inputs_shape}.")
        if len(centres_shape) != 3 or centres_shape[1] is None or centres_shape[2] != 2:
            raise ValueError(f"RegionCrop needs centres (batch, T, 2) of static T, not {centres_shape}.")

    def call(self, inputs: Tensor, centres: Tensor) -> Tensor:
        inputs = ops.cast(inputs, self.compute_dtype)
        _, height, width, channels = inputs.shape
        rows = ops.cast(bilinear_matrix(centres[..., 0], self.size[0], height), self.compute_dtype)
        columns = ops.cast(bilinear_matrix(centres[..., 1], self.size[1], width), self.compute_dtype)
        regions, (crop_height, crop_width) = centres.shape[1], self.size
        rows = ops.reshape(rows, (-1, regions * crop_height, height))
        crops = ops.matmul(rows, ops.reshape(inputs, (-1, height, width * channels)))
        crops = ops.reshape(crops, (-1, regions, crop_height, width, channels))
        crops = ops.matmul(columns[:, :, None], crops)
        return ops.reshape(crops, (-1, crop_height, crop_width, channels))

    def compute_output_shape(self, inputs_shape: Shape, centres_shape: Shape) -> Shape:
        batch = None if inputs_shape[0] is None else inputs_shape[0] * centres_shape[1]
        return (batch, *self.size, inputs_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size}
