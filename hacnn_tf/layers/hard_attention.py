"""Hard attention: where the body parts are."""

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from hacnn_tf.utils.types import Shape, Tensor


def stripe_centres(num_regions: int) -> NDArray[np.float32]:
    """`(num_regions, 2)` float32 array of (y, x) in [-1, 1]: even horizontal stripes, top to bottom."""
    y = (2 * np.arange(num_regions) + 1) / num_regions - 1
    return np.stack([y, np.zeros_like(y)], axis=-1).astype("float32")


@keras.saving.register_keras_serializable(package="hacnn_tf")
class HardAttention(keras.layers.Layer):
    """Centres of T regions, predicted from the channel signature (§3.1 (II), Eq. 5, Fig. 3(d)).

    One FC layer and a tanh give the translations (t_y, t_x) of Eq. 5; the scales are fixed by the region's size, in
    `RegionCrop`. It starts at weights 0 and a bias that puts the regions as even stripes, top to bottom. Computed in
    float32 under every dtype policy: half precision would blur a position by a good part of a pixel.

    Args:
        num_regions: T.
        fixed: the regions stay the even stripes, also if a model that has this layer is frozen and unfrozen.
        **kwargs: `name`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        signature: `(batch, 1, 1, channels)` or `(batch, channels)` float tensor (Eq. 3).

    Returns:
        `(batch, num_regions, 2)` float32 tensor of (t_y, t_x) in [-1, 1]: 0 is the image's centre, ±1 its borders.

    Raises:
        ValueError: `num_regions` is below 1; when built, on a map in place of its signature.
    """

    def __init__(self, num_regions: int = 4, fixed: bool = False, trainable: bool = True, **kwargs: Any) -> None:
        if num_regions < 1:
            raise ValueError(f"HardAttention's num_regions must be 1 or more, not {num_regions}.")
        self.fixed = fixed
        super().__init__(**{**kwargs, "trainable": trainable and not fixed, "dtype": "float32"})
        self.num_regions = num_regions
        self.translation = keras.layers.Dense(
            2 * num_regions,
            activation="tanh",
            kernel_initializer="zeros",
            bias_initializer=self._stripes,
            dtype="float32",
            name="translation",
        )
        self.translation.trainable = self.trainable

    @keras.layers.Layer.trainable.setter
    def trainable(self, value: bool) -> None:
        keras.layers.Layer.trainable.fset(self, value and not self.fixed)

    def _stripes(self, shape: Shape, dtype: str | None = None) -> Tensor:
        return ops.reshape(ops.arctanh(ops.convert_to_tensor(stripe_centres(self.num_regions), dtype)), shape)

    def build(self, input_shape: Shape) -> None:
        if any(side != 1 for side in input_shape[1:-1]):
            raise ValueError(f"HardAttention reads a signature (batch, 1, 1, channels), not a map {input_shape}.")
        self.translation.build((input_shape[0], input_shape[-1]))

    def call(self, signature: Tensor) -> Tensor:
        signature = ops.reshape(signature, (-1, signature.shape[-1]))
        return ops.reshape(self.translation(signature), (-1, self.num_regions, 2))  # Eq. 5: the translations

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.num_regions, 2)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_regions": self.num_regions, "fixed": self.fixed}
