"""Batch normalisation, of one map or of parallel streams."""

from typing import Any

import keras
from keras import ops

from hacnn_tf.layers.backend import normalize_batch
from hacnn_tf.utils.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="hacnn_tf")
class BatchNorm(keras.layers.BatchNormalization):
    """Batch normalisation as everywhere in HA-CNN: moving-average momentum 0.9 (§4).

    `keras.layers.BatchNormalization` on the last axis, computed in fewer steps: in training by the backend's fused
    kernel where it has one; otherwise as a scale and a shift in the policy's compute dtype, which a compiler folds into
    the conv before.

    Args:
        momentum: how much of the moving averages a training step keeps.
        epsilon: added to the variance.
        **kwargs: of `keras.layers.BatchNormalization`.

    Call arguments:
        inputs: `(batch, ..., channels)` float tensor; or a list of tensors, streams that share the channels among them
            in equal parts, in their order.

    Returns:
        As `inputs`.
    """

    def __init__(self, momentum: float = 0.9, epsilon: float = 1e-5, **kwargs: Any) -> None:
        super().__init__(momentum=momentum, epsilon=epsilon, **kwargs)

    def build(self, input_shape: Shape | list[Shape]) -> None:
        super().build(input_shape)
        self.input_spec = None  # it would refuse lists

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        normalize = self._by_batch if training and self.trainable else self._by_averages
        return normalize(inputs) if isinstance(inputs, list) else normalize([inputs])[0]

    def _by_batch(self, streams: list[Tensor]) -> list[Tensor]:
        outputs, means, variances = [], [], []
        for x, gamma, beta in zip(streams, *_split([self.gamma, self.beta], len(streams)), strict=True):
            output, mean, variance = normalize_batch(x, gamma, beta, self.epsilon, self.synchronized)
            outputs.append(output)
            means.append(mean)
            variances.append(variance)
        for average, values in ((self.moving_mean, means), (self.moving_variance, variances)):
            value = ops.concatenate(values) if len(values) > 1 else values[0]
            average.assign(average + (1 - self.momentum) * (value - average))
        return outputs

    def _by_averages(self, streams: list[Tensor]) -> list[Tensor]:
        scale = self.gamma * ops.rsqrt(self.moving_variance + self.epsilon)
        shift = self.beta - self.moving_mean * scale
        scale, shift = (ops.cast(value, self.compute_dtype) for value in (scale, shift))
        scales, shifts = _split([scale, shift], len(streams))
        return [x * a + b for x, a, b in zip(streams, scales, shifts, strict=True)]

    def compute_output_shape(self, input_shape: Shape | list[Shape]) -> Shape | list[Shape]:
        return input_shape


def _split(values: list[Tensor], parts: int) -> list[list[Tensor]]:
    return [ops.split(value, parts) if parts > 1 else [value] for value in values]
