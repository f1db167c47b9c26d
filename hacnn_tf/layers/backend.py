"""What Keras's operations lack, from the backend itself: the only place where layers tell backends apart."""

import keras
from keras import ops

from hacnn_tf.utils.types import Tensor


def normalize_batch(
    x: Tensor, scale: Tensor, offset: Tensor, epsilon: float, synchronized: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Batch normalisation in training: with the batch's own mean and variance over all axes but the last.

    Under TensorFlow it is the fused kernel, except in float64 and when synchronized. It passes over memory twice
    forwards and twice backwards; the single operations that Keras makes of it pass more than ten times, which was 40%
    of a training step on a CPU.

    Args:
        x: `(batch, ..., channels)` float tensor.
        scale, offset: `(channels,)` float32 tensors.
        epsilon: added to the variance.
        synchronized: take mean and variance over the batches of all devices that train together.

    Returns:
        Tensor shaped as `x`, and `(channels,)` tensors of mean and variance, float32 or wider.
    """
    fused = keras.backend.backend() == "tensorflow" and keras.backend.standardize_dtype(x.dtype) != "float64"
    if fused and not synchronized:
        return _tensorflow_fused(x, scale, offset, epsilon)
    wide = ops.cast(x, keras.backend.result_type(x.dtype, "float32"))
    mean, variance = ops.moments(wide, axes=list(range(len(x.shape) - 1)), synchronized=synchronized)
    return ops.cast(ops.batch_normalization(wide, mean, variance, -1, offset, scale, epsilon), x.dtype), mean, variance


def _tensorflow_fused(x: Tensor, scale: Tensor, offset: Tensor, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    import tensorflow as tf

    if len(x.shape) != 4:
        maps = tf.reshape(x, (-1, 1, 1, x.shape[-1]))
        y, mean, variance = _tensorflow_fused(maps, scale, offset, epsilon)
        return tf.reshape(y, tf.shape(x)), mean, variance
    y, mean, unbiased, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x, scale=scale, offset=offset, mean=[], variance=[], epsilon=epsilon
    )
    size = x.shape.num_elements()  # known in training, where a step has one batch size
    count = size // x.shape[-1] if size else tf.cast(tf.size(x) // x.shape[-1], tf.float32)
    return y, mean, unbiased * ((count - 1) / count)
