"""The separable crop against the STN's own sampler: affine grid, gather, bilinear interpolation."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from hacnn_tf.layers import RegionCrop


def affine_sampler(image, theta, size):
    """Spatial transformer (Jaderberg et al. 2015, Eq. 1 and 5) by gathering, pixel centres, zeros outside.

    `image` is `(b, H, W, c)`, `theta` `(b, 2, 3)` from target to source coordinates (y, x, 1), both in [-1, 1].
    """
    height, width = image.shape[1:3]
    y = (2 * tf.range(size[0], dtype=tf.float64) + 1) / size[0] - 1
    x = (2 * tf.range(size[1], dtype=tf.float64) + 1) / size[1] - 1
    grid = tf.stack([*tf.meshgrid(y, x, indexing="ij"), tf.ones(size, tf.float64)], axis=-1)
    source = tf.einsum("bij,hwj->bhwi", theta, grid)
    rows, columns = ((source[..., 0] + 1) * height - 1) / 2, ((source[..., 1] + 1) * width - 1) / 2
    output = tf.zeros((), tf.float64)
    for dy in (0, 1):
        for dx in (0, 1):
            top, left = tf.floor(rows + 1e-4), tf.floor(columns + 1e-4)  # a whole pixel may come out a rounding below
            i, j = top + dy, left + dx
            fractions = rows - top, columns - left
            weight = tf.math.multiply(*(f if d else 1 - f for f, d in zip(fractions, (dy, dx), strict=True)))
            inside = (i >= 0) & (i < height) & (j >= 0) & (j < width)
            index = tf.stack([tf.clip_by_value(i, 0, height - 1), tf.clip_by_value(j, 0, width - 1)], axis=-1)
            pixels = tf.gather_nd(image, tf.cast(index, tf.int32), batch_dims=1)
            output += tf.where(inside, weight, tf.zeros_like(weight))[..., None] * pixels
    return output


def crop_by_affine_sampler(image, centres, size):
    """What `RegionCrop(size)` should give: Eq. 5 with s = size / map size for each of T regions."""
    batch, regions = centres.shape[:2]
    scale = tf.constant([size[0] / image.shape[1], size[1] / image.shape[2]], tf.float64)
    theta = tf.concat([tf.tile(tf.linalg.diag(scale)[None, None], (batch, regions, 1, 1)), centres[..., None]], axis=-1)
    image = tf.repeat(image, regions, axis=0)
    return affine_sampler(image, tf.reshape(theta, (-1, 2, 3)), size)


@pytest.mark.parametrize(
    ("map_size", "size"), [((80, 32), (24, 28)), ((40, 16), (12, 14)), ((20, 8), (6, 7)), ((9, 5), (4, 8))]
)
@pytest.mark.parametrize("where", ["inside", "beyond the border", "on whole pixels", "rounded off whole pixels"])
def test_equals_the_gather_based_sampler_in_value_and_gradients(map_size, size, where):
    rng = np.random.default_rng(0)
    if where.endswith("whole pixels"):  # for most of the sizes: the even stripes that regions begin as
        centres = np.broadcast_to([[-0.75, 0], [-0.25, 0], [0.25, 0], [0.75, 0]], (3, 4, 2))
        if where == "rounded off whole pixels":  # as by XLA's tanh
            centres = centres - 2e-7
    else:
        reach = {"inside": 0.5, "beyond the border": 1.0}[where]
        centres = rng.uniform(-reach, reach, (3, 4, 2))
    arrays = [rng.normal(size=(3, *map_size, 6)), centres, rng.normal(size=(12, *size, 6))]
    arrays = [array.astype("float32") for array in arrays]
    oracle = functools.partial(crop_by_affine_sampler, size=size)
    results = []
    for sampler, dtype in ((RegionCrop(size), tf.float32), (oracle, tf.float64)):
        image, centres, upstream = (tf.constant(array, dtype) for array in arrays)
        with tf.GradientTape() as tape:
            tape.watch([image, centres])
            output = sampler(image, centres)
        results.append([output, *tape.gradient(output, [image, centres], upstream)])
    for separable, gathered in zip(*results, strict=True):
        scale = max(1.0, float(tf.reduce_max(tf.abs(gathered))))
        np.testing.assert_allclose(separable / scale, gathered / scale, atol=1e-5)


def test_a_region_on_whole_pixels_is_a_slice():
    image = np.random.default_rng(0).normal(size=(1, 80, 32, 3)).astype("float32")
    centre = np.array([[[0.5, 0.0]]], "float32")  # row 60, column 16 of the map's borders
    np.testing.assert_allclose(RegionCrop((24, 28))(image, centre)[0], image[0, 48:72, 2:30], atol=1e-6)


def test_beyond_the_border_lie_zeros():
    image = np.ones((1, 20, 8, 1), "float32")
    crop = np.asarray(RegionCrop((6, 7))(image, np.array([[[-1.0, 0.0]]], "float32")))[0, :, :, 0]
    assert (crop[:3] == 0).all()
    assert (crop[3:, 1:-1] == 1).all()
