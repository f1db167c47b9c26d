"""Batches: every epoch can be had again, and none repeats an image."""

import numpy as np
import pytest

from hacnn_tf.data.augmentation import augment
from hacnn_tf.data.pipeline import epoch_order, training_batches
from hacnn_tf.training.recipes import RECIPES, Recipe
from hacnn_tf.utils.errors import InputError

COUNT, BATCH = 23, 4
IMAGES = np.arange(COUNT, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
LABELS = np.arange(COUNT) % 5
PAPER = RECIPES["adamw"]


def epoch(seed=0, epoch=1):
    batches = training_batches(IMAGES, LABELS, BATCH, PAPER, seed, epoch)
    return [(x[:, 0, 0, 0].tolist(), y.tolist()) for x, y in batches.as_numpy_iterator()]


def test_an_epoch_holds_whole_batches_without_repeats():
    batches = epoch()
    assert [len(images) for images, _ in batches] == [BATCH] * (COUNT // BATCH)
    seen = [image for images, _ in batches for image in images]
    assert len(set(seen)) == len(seen)
    assert all(
        LABELS[image] == label for images, labels in batches for image, label in zip(images, labels, strict=True)
    )


def test_nothing_is_tuned():
    """The thread that tunes may not notice for up to a minute that the epoch is over, and the training waits for it."""
    batches = training_batches(IMAGES, LABELS, BATCH, PAPER, 0, 1)
    assert batches.options().autotune.enabled is False


def test_seed_and_epoch_fix_the_order():
    assert epoch(0, 1) == epoch(0, 1)
    assert epoch(0, 1) != epoch(0, 2)
    assert epoch(0, 1) != epoch(1, 1)


def test_fewer_images_than_a_batch_are_refused():
    with pytest.raises(InputError, match="23 training images do not fill a batch of 24"):
        training_batches(IMAGES, LABELS, 24, PAPER, 0, 1)


def test_memory_maps_serve_as_well(tmp_path):
    np.save(tmp_path / "images.npy", IMAGES)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    batches = training_batches(mapped, LABELS, BATCH, PAPER, 0, 1)
    assert [x[:, 0, 0, 0].tolist() for x, _ in batches.as_numpy_iterator()] == [images for images, _ in epoch()]


def test_steps_that_are_done_are_left_out():
    rest = training_batches(IMAGES, LABELS, BATCH, PAPER, 0, 1, done=2)
    assert [x[:, 0, 0, 0].tolist() for x, _ in rest.as_numpy_iterator()] == [images for images, _ in epoch()][2:]


@pytest.mark.parametrize(("parts", "replicas"), [(1, 2), (2, 1), (2, 2)])
def test_parts_of_all_workers_and_devices_make_the_batch(parts, replicas):
    """Step by step, the devices' parts one after another are the batch that one device takes: nothing twice, no gap."""
    streams = [
        iter(training_batches(IMAGES, LABELS, BATCH, PAPER, 0, 1, done=1, part=part, parts=parts, replicas=replicas))
        for part in range(parts)
    ]
    for images, labels in epoch()[1:]:
        taken = [next(stream) for stream in streams for _ in range(replicas)]
        assert [image for x, _ in taken for image in x.numpy()[:, 0, 0, 0]] == images
        assert [label for _, y in taken for label in y.numpy()] == labels
    assert all(next(stream, None) is None for stream in streams)


def test_the_order_is_that_of_the_batches():
    assert epoch_order(LABELS, BATCH, PAPER, 0, 1).tolist() == [images for images, _ in epoch()]


LABELS_OF_UNEQUAL_COUNT = np.repeat([3, 4, 5, 6, 7, 8, 9], [1, 2, 9, 4, 5, 3, 8])


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_batches_by_identities_are_p_times_k(epoch):
    labels = LABELS_OF_UNEQUAL_COUNT
    order = epoch_order(labels, 8, Recipe("paper", batch_identities=2), 0, epoch)
    assert order.shape == (len(labels) // 8, 8)
    turns = []
    for rows in order:
        for images in rows.reshape(2, 4):
            (identity,) = set(labels[images])
            turns.append(identity)
            assert len(set(images)) == min(4, (labels == identity).sum())  # none twice before it must
        assert len(set(turns[-2:])) == 2
    assert len(set(turns[:6])) == 6  # seven identities: six of them fill three batches before one comes again


def test_batches_by_identities_follow_from_seed_and_epoch():
    recipe = Recipe("paper", batch_identities=2)
    keys = ((0, 1), (0, 1), (0, 2), (1, 1))
    orders = [epoch_order(LABELS_OF_UNEQUAL_COUNT, 8, recipe, *key).tolist() for key in keys]
    assert orders[0] == orders[1] and orders[2] != orders[0] != orders[3]


def test_too_few_identities_for_a_batch():
    with pytest.raises(InputError, match="--batch_identities 8 needs so many training identities, and there are 5"):
        training_batches(IMAGES, LABELS, 16, Recipe("paper", batch_identities=8), 0, 1)


def test_augmented_batches_depend_on_nothing_but_seed_epoch_and_image():
    """The same in another order of the batch, from the middle of an epoch, and split among workers and devices."""
    recipe = RECIPES["strong"]
    noise = np.random.default_rng(0).integers(0, 256, (COUNT, 32, 16, 3), np.uint8)

    def stream(**kwargs):
        batches = training_batches(noise, LABELS, BATCH, recipe, 0, 2, **kwargs)
        return np.concatenate([x for x, _ in batches.as_numpy_iterator()])

    whole, order = stream(), epoch_order(LABELS, BATCH, recipe, 0, 2).ravel()
    by_image = {row: image for row, image in zip(order, whole, strict=True)}
    backwards = augment(noise[order[::-1]], order[::-1], recipe, 0, 2)
    for row, image in zip(order[::-1], backwards, strict=True):
        np.testing.assert_array_equal(image, by_image[row])
    np.testing.assert_array_equal(stream(done=2), whole[2 * BATCH :])
    halves = [stream(part=part, parts=2).reshape(-1, 2, 32, 16, 3) for part in (0, 1)]
    np.testing.assert_array_equal(np.concatenate(halves, axis=1).reshape(whole.shape), whole)
    assert not np.array_equal(whole, noise[order])
    for seed, number in ((1, 2), (0, 3)):
        batches = training_batches(noise, LABELS, BATCH, recipe, seed, number).as_numpy_iterator()
        order = epoch_order(LABELS, BATCH, recipe, seed, number).ravel()
        expected = augment(noise[order], order, recipe, seed, number)
        np.testing.assert_array_equal(np.concatenate([x for x, _ in batches]), expected)
        assert not np.array_equal(expected, augment(noise[order], order, recipe, 0, 2))
