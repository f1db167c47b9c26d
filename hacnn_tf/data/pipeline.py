"""Training batches with tf.data: any epoch exactly again."""

from typing import TYPE_CHECKING

import numpy as np

from hacnn_tf.data.augmentation import augment
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.types import Integers, Pixels, Tensor

if TYPE_CHECKING:
    import tensorflow as tf

    from hacnn_tf.training.recipes import Recipe


READY = 8  # batches that wait to be taken


def steps_per_epoch(num_images: int, batch_size: int) -> int:
    """Whole batches in an epoch; the images left over differ from epoch to epoch.

    Raises:
        InputError: there is not one.
    """
    if num_images < batch_size:
        raise InputError(f"{num_images} training images do not fill a batch of {batch_size}: lower --batch_size.")
    return num_images // batch_size


def epoch_order(labels: Integers, batch_size: int, recipe: "Recipe", seed: int, epoch: int) -> Integers:
    """Which image is where in the batches of an epoch; depends on nothing but the arguments.

    With `recipe.batch_identities` = P every batch has P identities and K = batch size / P random images of each, which
    follow one another; an identity that has fewer repeats them. All identities take their turn before one comes again
    (but for those that would not fill a batch, others each time).

    Args:
        labels: `(n,)` integer array, the identity of each image.
        batch_size: images a batch.
        recipe: a `hacnn_tf.training.recipes.Recipe`.
        seed: of the training.
        epoch: from 1.

    Returns:
        `(steps, batch_size)` int64 array.

    Raises:
        InputError: there are fewer images than a batch, or fewer identities than one needs.
    """
    steps = steps_per_epoch(len(labels), batch_size)
    rng = np.random.default_rng([seed, epoch])
    if not recipe.batch_identities:
        return rng.permutation(len(labels))[: steps * batch_size].reshape(steps, batch_size)
    return _identity_order(np.asarray(labels), steps, batch_size, recipe.batch_identities, rng)


def _identity_order(
    labels: Integers, steps: int, batch_size: int, identities: int, rng: np.random.Generator
) -> Integers:
    images_of = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    turns = len(images_of) // identities  # batches until all have had their turn
    if not turns:
        raise InputError(
            f"--batch_identities {identities} needs so many training identities, and there are {len(images_of)}: "
            "lower it, or --validation."
        )
    rounds = -(-steps // turns)
    chosen = np.concatenate([rng.permutation(len(images_of))[: turns * identities] for _ in range(rounds)])
    images = batch_size // identities
    order = [np.resize(rng.permutation(images_of[i]), images) for i in chosen[: steps * identities]]
    return np.concatenate(order).reshape(steps, batch_size)


def training_batches(
    images: Pixels,
    labels: Integers,
    batch_size: int,
    recipe: "Recipe",
    seed: int,
    epoch: int,
    done: int = 0,
    part: int = 0,
    parts: int = 1,
    replicas: int = 1,
) -> "tf.data.Dataset":
    """The batches of one epoch, or a worker's parts of them.

    Args:
        images: `(n, height, width, 3)` uint8 array, in memory or a memory map.
        labels: `(n,)` integer array, classes from 0.
        batch_size: images a batch; the incomplete last batch is dropped.
        recipe: a `hacnn_tf.training.recipes.Recipe`; says how batches are composed and how images are changed.
        seed, epoch: fix both, see `epoch_order` and `hacnn_tf.data.augmentation`.
        done: how many of the epoch's batches to leave out, as done already.
        part, parts: take the part-th (from 0) of so many equal parts of each batch.
        replicas: split this again, into so many batches that follow one another.

    Returns:
        `tf.data.Dataset` of (images `(b, height, width, 3)` uint8, labels `(b,)` int32), b = batch_size / parts /
        replicas.

    Raises:
        InputError: as `epoch_order`.
    """
    import tensorflow as tf  # the order of an epoch needs none

    labels = np.asarray(labels, np.int32)
    size = batch_size // parts // replicas
    order = epoch_order(labels, batch_size, recipe, seed, epoch)
    order = order.reshape(len(order), parts, -1)[done:, part].ravel()

    def take(rows: Integers) -> tuple[Pixels, Integers]:
        return augment(images[rows], rows, recipe, seed, epoch), labels[rows]

    def batch(rows: Tensor) -> tuple[Tensor, Tensor]:
        x, y = tf.numpy_function(take, [rows], (tf.uint8, tf.int32), stateful=False)
        return tf.ensure_shape(x, (size, *images.shape[1:])), tf.ensure_shape(y, (size,))

    dataset = tf.data.Dataset.from_tensor_slices(order).batch(size)
    # AutoGraph would write temporary files, and there may be no folder for them.
    dataset = dataset.map(tf.autograph.experimental.do_not_convert(batch)).prefetch(READY)
    options = tf.data.Options()
    options.autotune.enabled = False  # its thread may outlive the epoch by up to a minute, in which the training waits
    return dataset.with_options(options)
