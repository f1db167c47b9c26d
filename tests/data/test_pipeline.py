"""Batches: every epoch can be had again, and none repeats an image."""

import numpy as np
import pytest

from hacnn_tf.data.pipeline import batch_rows, training_batches
from hacnn_tf.errors import InputError

COUNT, BATCH = 23, 4
IMAGES = np.arange(COUNT, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
LABELS = np.arange(COUNT) % 5


def epoch(seed=0, epoch=1):
    batches = training_batches(IMAGES, LABELS, BATCH, seed, epoch)
    return [(x[:, 0, 0, 0].tolist(), y.tolist()) for x, y in batches.as_numpy_iterator()]


def test_an_epoch_holds_whole_batches_without_repeats():
    batches = epoch()
    assert [len(images) for images, _ in batches] == [BATCH] * (COUNT // BATCH)
    seen = [image for images, _ in batches for image in images]
    assert len(set(seen)) == len(seen)
    assert all(
        LABELS[image] == label for images, labels in batches for image, label in zip(images, labels, strict=True)
    )


def test_seed_and_epoch_fix_the_order():
    assert epoch(0, 1) == epoch(0, 1)
    assert epoch(0, 1) != epoch(0, 2)
    assert epoch(0, 1) != epoch(1, 1)


def test_fewer_images_than_a_batch_are_refused():
    with pytest.raises(InputError, match="23 training images do not fill a batch of 24"):
        training_batches(IMAGES, LABELS, 24, 0, 1)


def test_memory_maps_serve_as_well(tmp_path):
    np.save(tmp_path / "images.npy", IMAGES)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    batches = training_batches(mapped, LABELS, BATCH, 0, 1)
    assert [x[:, 0, 0, 0].tolist() for x, _ in batches.as_numpy_iterator()] == [images for images, _ in epoch()]


def test_steps_that_are_done_are_left_out():
    rest = training_batches(IMAGES, LABELS, BATCH, 0, 1, done=2)
    assert [x[:, 0, 0, 0].tolist() for x, _ in rest.as_numpy_iterator()] == [images for images, _ in epoch()][2:]


@pytest.mark.parametrize(("parts", "replicas"), [(1, 2), (2, 1), (2, 2)])
def test_parts_of_all_workers_and_devices_make_the_batch(parts, replicas):
    """Step by step, the devices' parts one after another are the batch that one device takes: nothing twice, no gap."""
    streams = [
        iter(training_batches(IMAGES, LABELS, BATCH, 0, 1, done=1, part=part, parts=parts, replicas=replicas))
        for part in range(parts)
    ]
    for images, labels in epoch()[1:]:
        taken = [next(stream) for stream in streams for _ in range(replicas)]
        assert [image for x, _ in taken for image in x.numpy()[:, 0, 0, 0]] == images
        assert [label for _, y in taken for label in y.numpy()] == labels
    assert all(next(stream, None) is None for stream in streams)


def test_batch_rows_are_those_of_the_batch():
    for step, (images, _) in enumerate(epoch(), start=1):
        assert batch_rows(len(IMAGES), BATCH, 0, 1, step).tolist() == images
