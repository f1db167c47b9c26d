"""Training batches with tf.data: any epoch exactly again."""

import numpy as np
import tensorflow as tf

from hacnn_tf.errors import InputError


def steps_per_epoch(num_images, batch_size):
    """Whole batches in an epoch; the images left over differ from epoch to epoch.

    Raises:
        InputError: there is not one.
    """
    if num_images < batch_size:
        raise InputError(f"{num_images} training images do not fill a batch of {batch_size}: lower --batch_size.")
    return num_images // batch_size


def epoch_order(num_images, seed, epoch):
    """The order of images in an epoch, a `(num_images,)` int64 array; depends on nothing but the arguments."""
    return np.random.default_rng([seed, epoch]).permutation(num_images)


def training_batches(images, labels, batch_size, seed, epoch):
    """The batches of one epoch.

    Args:
        images: `(n, height, width, 3)` uint8 array, in memory or a memory map.
        labels: `(n,)` integer array, classes from 0.
        batch_size: images a batch; the incomplete last batch is dropped.
        seed, epoch: fix the order, see `epoch_order`.

    Returns:
        `tf.data.Dataset` of (images `(batch_size, height, width, 3)` uint8, labels `(batch_size,)` int32).

    Raises:
        InputError: there are fewer images than a batch.
    """
    labels = np.asarray(labels, np.int32)
    used = steps_per_epoch(len(images), batch_size) * batch_size
    order = epoch_order(len(images), seed, epoch)[:used]

    def take(indices):
        return images[indices], labels[indices]

    def batch(indices):
        x, y = tf.numpy_function(take, [indices], (tf.uint8, tf.int32), stateful=False)
        return tf.ensure_shape(x, (batch_size, *images.shape[1:])), tf.ensure_shape(y, (batch_size,))

    dataset = tf.data.Dataset.from_tensor_slices(order).batch(batch_size)
    return dataset.map(batch).prefetch(tf.data.AUTOTUNE)
