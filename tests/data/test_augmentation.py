"""Augmentation: each change against pixels written one by one, and the draws against their distributions."""

import math

import numpy as np
import pytest

from hacnn_tf.data.augmentation import ERASED_AREA, ERASED_ASPECT, GREY, Change, apply, augment, draw
from hacnn_tf.models.hacnn import PIXEL_MEAN
from hacnn_tf.training.recipes import RECIPES, Recipe

SIZE = (40, 16)
IMAGE = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
LUMA = np.array([0.299, 0.587, 0.114])  # of red, green and blue, ITU-R BT.601
STRONG = Recipe("strong", flip=True, crop_padding=4, erasing=0.5, grey=0.5)


def slowly(image, change):
    """The oracle: for every pixel, where it comes from."""
    height, width, _ = image.shape
    changed = np.zeros_like(image)
    for y in range(height):
        for x in range(width):
            from_y, from_x = y - change.shift[0], x - change.shift[1]
            inside = 0 <= from_y < height and 0 <= from_x < width
            if change.hole:
                top, left, rows, columns = change.hole
                inside &= not (top <= y < top + rows and left <= x < left + columns)
            if change.flip:
                from_x = width - 1 - from_x
            pixel = image[from_y, from_x] if inside else GREY
            if change.grey and inside:
                pixel = round(float(pixel @ LUMA))
            changed[y, x] = pixel
    return changed


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("shift", [(0, 0), (3, -2), (-4, 0), (0, 4), (40, 16), (-40, 1), (50, -20), (70, 100)])
@pytest.mark.parametrize("hole", [None, (0, 0, 40, 16), (5, 3, 7, 2), (39, 15, 1, 1)])
def test_changes_equal_the_oracle(grey, flip, shift, hole):
    before = IMAGE.copy()
    change = Change(grey, flip, shift, hole)
    np.testing.assert_array_equal(apply(IMAGE, change), slowly(IMAGE, change))
    np.testing.assert_array_equal(IMAGE, before)


def test_a_padded_crop_is_the_shift():
    padded = np.tile(np.uint8(GREY), (SIZE[0] + 8, SIZE[1] + 8, 1))
    padded[4:-4, 4:-4] = IMAGE
    for y, x in ((-4, 4), (1, -3)):
        crop = padded[4 - y : 4 - y + SIZE[0], 4 - x : 4 - x + SIZE[1]]
        np.testing.assert_array_equal(apply(IMAGE, Change(False, False, (y, x), None)), crop)


def test_grey_is_what_the_network_takes_away():
    assert list(GREY) == [round(mean) for mean in PIXEL_MEAN]


@pytest.fixture(scope="module")
def changes():
    return [draw(STRONG, SIZE, 0, epoch, row) for epoch in range(1, 11) for row in range(500)]


def test_half_are_flipped_half_erased_and_half_grey_independently(changes):
    parts = np.array([(c.flip, c.hole is not None, c.grey) for c in changes])
    differing = [parts[:, i] ^ parts[:, j] for i, j in ((0, 1), (0, 2), (1, 2))]
    shares = np.mean([*parts.T, *differing], axis=1)
    assert np.abs(shares - 0.5).max() < 4 * math.sqrt(0.25 / len(changes))


def test_shifts_are_uniform_and_independent(changes):
    shifts = np.array([c.shift for c in changes])
    counts = np.histogram2d(*shifts.T, bins=np.arange(-4.5, 5))[0]
    assert counts.sum() == len(changes)
    expected = len(changes) / 81
    assert ((counts - expected) ** 2 / expected).sum() < 80 + 4 * math.sqrt(160)  # chi-squared of 80 degrees


def test_holes_are_anywhere_and_have_the_sizes_of_the_paper_on_random_erasing():
    height, width = 160, 64
    changes = [draw(STRONG, (height, width), 0, 1, row) for row in range(5000)]
    holes = [c.hole for c in changes if c.hole]
    areas = np.array([rows * columns / (height * width) for _, _, rows, columns in holes])
    assert ERASED_AREA[0] * 0.95 < areas.min() < 0.025 and 0.35 < areas.max() < ERASED_AREA[1] * 1.05
    for top, left, rows, columns in holes:
        assert 0 <= top <= height - rows and 0 <= left <= width - columns
        low, high = (rows - 0.5) / (columns + 0.5), (rows + 0.5) / (columns - 0.5)  # before it was rounded
        assert high > ERASED_ASPECT[0] * 0.99 and low < ERASED_ASPECT[1] * 1.01
    inside = [hole for hole in holes if hole[3] < width]
    places = [(top / (height - rows), left / (width - columns)) for top, left, rows, columns in inside]
    assert np.abs(np.mean(places, axis=0) - 0.5).max() < 4 * math.sqrt(0.25 / len(places))


def test_a_part_does_not_change_what_another_draws():
    for row in range(50):
        strong, flips = draw(STRONG, SIZE, 3, 2, row), draw(Recipe("strong", flip=True), SIZE, 3, 2, row)
        assert flips == Change(False, strong.flip, (0, 0), None)


def test_no_two_images_epochs_or_seeds_draw_alike():
    keys = [(seed, epoch, row) for seed in range(4) for epoch in range(1, 5) for row in range(4)]
    always = Recipe("strong", flip=True, crop_padding=4, erasing=1.0)
    assert len({draw(always, (400, 400), *key) for key in keys}) == len(keys)


def test_recipes_without_augmentation_leave_images_alone():
    rows = np.arange(3)
    images = np.stack([IMAGE] * 3)
    for name in ("paper", "adamw"):
        assert not RECIPES[name].augments
        np.testing.assert_array_equal(augment(images, rows, RECIPES[name], 0, 1), images)
