"""From the paths of a table to pixels.

A path is a file name, or `FILE.mat#BOXES/PAIR/IDENTITY/VIEW` (numbers from 1) for an image inside `cuhk-03.mat`.
"""

import functools
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import tensorflow as tf

from hacnn_tf.errors import InputError, listing

DECODE_BATCH = 64


def mat_image_path(mat, boxes, pair, identity, view):
    """The path of an image inside `cuhk-03.mat`; `boxes` is "detected" or "labeled", the numbers count from 1."""
    return f"{mat}#{boxes}/{pair}/{identity}/{view}"


def decode(encoded):
    """Bytes of a JPEG or PNG (also grey, CMYK, with alpha or 16 bits) to RGB, a `(height, width, 3)` uint8 tensor.

    Raises:
        tf.errors.InvalidArgumentError: when run, if the bytes are not a whole image.
    """
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    return tf.ensure_shape(image, (None, None, 3))


def resize(images, size):
    """Antialiased bilinear resize of `(..., height, width, 3)` pixels to `(height, width)` = `size`, uint8."""
    images = tf.image.resize(images, size, method="bilinear", antialias=True)
    return tf.cast(tf.round(tf.clip_by_value(images, 0, 255)), tf.uint8)


def load_images(paths, size, cache_dir=None):
    """Decodes and resizes all images, in parallel.

    Args:
        paths: sequence of paths.
        size: (height, width) in pixels.
        cache_dir: where to keep the pixels, in a file that later runs map instead of decoding again; for datasets
            larger than memory. By default they are held in memory.

    Returns:
        `(len(paths), height, width, 3)` uint8 array; a read-only memory map with `cache_dir`.

    Raises:
        InputError: images that cannot be read; names them.
    """
    paths = list(paths)
    shape = (len(paths), *size, 3)
    if cache_dir is None:
        images = np.empty(shape, np.uint8)
        _decode_into(images, paths, size)
        return images

    cached = Path(cache_dir) / f"{_fingerprint(paths, size)}.npy"
    if not cached.exists():
        cached.parent.mkdir(parents=True, exist_ok=True)
        aside = cached.with_suffix(f".{os.getpid()}.part")
        try:
            images = np.lib.format.open_memmap(aside, "w+", np.uint8, shape)
            _decode_into(images, paths, size)
            images.flush()
            aside.rename(cached)
        finally:
            aside.unlink(missing_ok=True)
    return np.load(cached, mmap_mode="r")


def _decode_into(images, paths, size):
    def read(path):
        return resize(_pixels(path), size)

    dataset = tf.data.Dataset.from_tensor_slices(paths).map(read, num_parallel_calls=tf.data.AUTOTUNE)
    start = 0
    try:
        for batch in dataset.batch(DECODE_BATCH).prefetch(2).as_numpy_iterator():
            images[start : start + len(batch)] = batch
            start += len(batch)
    except tf.errors.OpError as error:
        _raise_unreadable(paths, error)


def _pixels(path):
    if tf.strings.regex_full_match(path, r".*\.mat#[a-z]+/\d+/\d+/\d+"):
        image = tf.numpy_function(_read_mat_image, [path], tf.uint8, stateful=False)
        return tf.ensure_shape(image, (None, None, 3))
    return decode(tf.io.read_file(path))


def _read_mat_image(path):
    mat, _, place = path.decode().rpartition("#")
    boxes, pair, identity, view = place.split("/")
    file = _open_mat(mat)
    identities = file[file[boxes][:].ravel()[int(pair) - 1]]
    return file[identities[int(view) - 1, int(identity) - 1]][()].T  # stored 3×W×H


@functools.lru_cache(maxsize=1)
def _open_mat(mat):
    return h5py.File(mat, "r")


def _raise_unreadable(paths, first_error):
    """Tries every image by itself, so that all broken ones are named and not only the first that was met."""

    def problem(path):
        try:
            _pixels(path)
        except tf.errors.OpError as error:
            empty = os.path.exists(path) and not os.path.getsize(path)
            return f"{path} ({'empty file' if empty else _reason(error)})"
        return None

    with ThreadPoolExecutor() as pool:
        problems = [text for text in pool.map(problem, paths) if text]
    if not problems:
        raise first_error
    raise InputError(
        f"{len(problems)} of {len(paths)} images cannot be read: {listing(problems)}; replace or remove them."
    )


def _reason(error):
    if isinstance(error, tf.errors.NotFoundError):
        return "no such file"
    if "Unknown image file format" in error.message:
        return "not a JPEG or PNG image"
    return "damaged or truncated image"


def _fingerprint(paths, size):
    """Changes when any file, their order or the size does."""
    digest = hashlib.sha256(repr(tuple(size)).encode())
    for path in paths:
        status = os.stat(path.partition("#")[0])
        digest.update(f"{os.path.abspath(path)} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]
