"""Batch normalisation."""

from typing import Any

import keras
from keras import ops

from hacnn_tf.layers.backend import normalize_batch
from hacnn_tf.utils.types import Tensor


@keras.saving.register_keras_serializable(package="hacnn_tf")
class BatchNorm(keras.layers.BatchNormalization):
    """Batch normalisation as everywhere in HA-CNN: moving-average momentum 0.9 (a reading of §4).

    `keras.layers.BatchNormalization` on the last axis, computed in fewer steps: in training by the backend's fused
    kernel where it has one; otherwise as a scale and a shift in the policy's compute dtype, which a compiler folds into
    the conv before.

    Args:
        momentum: how much of the moving averages a training step keeps.
        epsilon: added to the variance.
        **kwargs: `name`, `dtype`, `trainable`, `synchronized` of `keras.layers.BatchNormalization`.

    Call arguments:
        inputs: `(batch, ..., channels)` float tensor.

    Returns:
        Tensor shaped as `inputs`.

    Raises:
        ValueError: another axis, or without scale or offset.
    """

    def __init__(self, momentum: float = 0.9, epsilon: float = 1e-5, **kwargs: Any) -> None:
        super().__init__(momentum=momentum, epsilon=epsilon, **kwargs)
        self.supports_masking = False  # statistics are of all that there is, and Keras warns of that
        if self.axis != -1 or not (self.center and self.scale):
            raise ValueError("BatchNorm is over the last axis, with scale and offset: axis=-1, center=scale=True.")

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        return self._by_batch(inputs) if training and self.trainable else self._by_averages(inputs)

    def _by_batch(self, x: Tensor) -> Tensor:
        outputs, mean, variance = normalize_batch(x, self.gamma, self.beta, self.epsilon, self.synchronized)
        for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            average.assign(average + (1 - self.momentum) * (value - average))
        return outputs

    def _by_averages(self, x: Tensor) -> Tensor:
        scale = self.gamma * ops.rsqrt(self.moving_variance + self.epsilon)
        shift = self.beta - self.moving_mean * scale
        return x * ops.cast(scale, self.compute_dtype) + ops.cast(shift, self.compute_dtype)
