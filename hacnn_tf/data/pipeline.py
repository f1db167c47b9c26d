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


def batch_rows(num_images, batch_size, seed, epoch, step):
    """Which images are in a batch: a `(batch_size,)` int64 array. Steps count from 1."""
    return epoch_order(num_images, seed, epoch)[(step - 1) * batch_size : step * batch_size]


def training_batches(images, labels, batch_size, seed, epoch, done=0, part=0, parts=1, replicas=1):
    """The batches of one epoch, or a worker's parts of them.

    Args:
        images: `(n, height, width, 3)` uint8 array, in memory or a memory map.
        labels: `(n,)` integer array, classes from 0.
        batch_size: images a batch; the incomplete last batch is dropped.
        seed, epoch: fix the order, see `epoch_order`.
        done: how many of the epoch's batches to leave out, as done already.
        part, parts: take the part-th (from 0) of so many equal parts of each batch.
        replicas: split this again, into so many batches that follow one another.

    Returns:
        `tf.data.Dataset` of (images `(b, height, width, 3)` uint8, labels `(b,)` int32), b = batch_size / parts /
        replicas.

    Raises:
        InputError: there are fewer images than a batch.
    """
    labels = np.asarray(labels, np.int32)
    steps, size = steps_per_epoch(len(images), batch_size), batch_size // parts // replicas
    order = epoch_order(len(images), seed, epoch)[: steps * batch_size].reshape(steps, parts, -1)[done:, part].ravel()

    def take(indices):
        return images[indices], labels[indices]

    def batch(indices):
        x, y = tf.numpy_function(take, [indices], (tf.uint8, tf.int32), stateful=False)
        return tf.ensure_shape(x, (size, *images.shape[1:])), tf.ensure_shape(y, (size,))

    dataset = tf.data.Dataset.from_tensor_slices(order).batch(size)
    return dataset.map(batch).prefetch(tf.data.AUTOTUNE)
