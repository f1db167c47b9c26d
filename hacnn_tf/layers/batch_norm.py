"""Batch normalisation, of one map or of parallel streams."""

import keras
from keras import ops

from hacnn_tf.backend import normalize_batch


@keras.saving.register_keras_serializable(package="hacnn_tf")
class BatchNorm(keras.layers.BatchNormalization):
    """Batch normalisation as everywhere in HA-CNN: moving-average momentum 0.9 (§4).

    `keras.layers.BatchNormalization` on the last axis, computed in fewer steps: in training by the backend's fused
    kernel; otherwise as a scale and a shift in the policy's compute dtype, which a compiler folds into the conv before.

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

    def __init__(self, momentum=0.9, epsilon=1e-5, **kwargs):
        super().__init__(momentum=momentum, epsilon=epsilon, **kwargs)

    def build(self, input_shape):
        super().build(input_shape)
        self.input_spec = None  # it would refuse lists

    def call(self, inputs, training=None):
        streams = inputs if isinstance(inputs, list) else [inputs]
        variables = (self.gamma, self.beta, self.moving_mean, self.moving_variance)
        parts = zip(*(ops.split(variable, len(streams)) for variable in variables), strict=True)
        if training and self.trainable:
            outputs, means, variances = zip(
                *(
                    normalize_batch(x, gamma, beta, self.epsilon, self.synchronized)
                    for x, (gamma, beta, _, _) in zip(streams, parts, strict=True)
                ),
                strict=True,
            )
            self._average(self.moving_mean, means)
            self._average(self.moving_variance, variances)
        else:
            outputs = [self._affine(x, *part) for x, part in zip(streams, parts, strict=True)]
        return list(outputs) if isinstance(inputs, list) else outputs[0]

    def _average(self, average, values):
        average.assign(self.momentum * average + (1 - self.momentum) * ops.concatenate(values))

    def _affine(self, x, gamma, beta, mean, variance):
        scale = gamma * ops.rsqrt(variance + self.epsilon)
        shift = beta - mean * scale
        return x * ops.cast(scale, x.dtype) + ops.cast(shift, x.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape
