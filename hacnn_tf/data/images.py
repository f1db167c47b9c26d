"""From the paths of a table to pixels.

A path is a file name, or `FILE.mat#BOXES/PAIR/IDENTITY/VIEW` (numbers from 1) for an image inside `cuhk-03.mat`.
"""

import functools
import hashlib
import os
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import PIL.Image
import tensorflow as tf

from hacnn_tf.errors import InputError
from hacnn_tf.files import aside
from hacnn_tf.types import FilePath, Picture, Pixels, Size

DECODE_BATCH = 64
MAX_PIXELS = 2**25  # of an image to decode; a little more than an 8K video frame
NO_IMAGE, TOO_LARGE = "not a JPEG or PNG image", "image of too many pixels"
DAMAGED = "damaged or truncated image"
MAT_IMAGE = r".*\.mat#[a-z]+/\d+/\d+/\d+"


def mat_image_path(mat, boxes, pair, identity, view):
    """The path of an image inside `cuhk-03.mat`; `boxes` is "detected" or "labeled", the numbers count from 1."""
    return f"{mat}#{boxes}/{pair}/{identity}/{view}"


def mat_of(path: str) -> str | None:
    """The `cuhk-03.mat` in which the image of a path lies; None if it is a file of its own."""
    return path.rpartition("#")[0] if re.fullmatch(MAT_IMAGE, path) else None


def decode(encoded):
    """Bytes of a JPEG or PNG (also grey, CMYK, with alpha or 16 bits) to RGB, a `(height, width, 3)` uint8 tensor.

    Raises:
        tf.errors.InvalidArgumentError: when run, if the bytes are not a whole image, or one of more than `MAX_PIXELS`.
    """
    with tf.control_dependencies([tf.debugging.Assert(_is_image(encoded), [NO_IMAGE])]):
        pixels = _pixel_count(encoded)
    # Known before anything is decoded: a few bytes can stand for more pixels than there is memory.
    with tf.control_dependencies([tf.debugging.Assert(pixels <= MAX_PIXELS, [TOO_LARGE, pixels])]):
        image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    return tf.ensure_shape(image, (None, None, 3))


def decode_each(encoded, size):
    """Decodes and resizes each of some images, whatever is wrong with the others; all of it is a part of the graph.

    Args:
        encoded: `(n,)` string tensor, of bytes of JPEGs and PNGs; n may be 0.
        size: (height, width) in pixels.

    Returns:
        `(n, height, width, 3)` uint8 pixels, black where there is no image, and `(n,)` strings: "ok", or why there is
        none.
    """
    pixels, decoded = _each(lambda x: resize(decode(x), size), encoded, tf.zeros((*size, 3), tf.uint8))

    def reasons():
        counts, _ = _each(_pixel_count, encoded, tf.constant(0, tf.int64))
        return tf.where(_is_image(encoded), tf.where(counts > MAX_PIXELS, TOO_LARGE, DAMAGED), NO_IMAGE)

    ok = tf.fill(tf.shape(encoded), "ok")
    return pixels, tf.cond(tf.reduce_all(decoded), lambda: ok, lambda: tf.where(decoded, ok, reasons()))


def _each(function, elements, missing):
    """What a function gives for each element, `missing` where it raises, and for which it did not.

    An error ends a graph; in tf.data alone it can be left out instead.
    """
    count = tf.size(elements, tf.int64)
    outcomes = tf.data.Dataset.from_tensor_slices(elements).enumerate()
    outcomes = outcomes.map(lambda i, element: (i, function(element)), tf.data.AUTOTUNE).ignore_errors()
    # One more, so that there is a batch even if all are left out.
    last = tf.data.Dataset.from_tensors((count, missing))
    places, values = outcomes.concatenate(last).batch(count + 1).get_single_element()
    places = places[:, None]
    values = tf.scatter_nd(places, values, tf.concat([[count + 1], tf.shape(missing, tf.int64)], 0))[:-1]
    done = tf.scatter_nd(places, tf.ones_like(places[:, 0], tf.int32), [count + 1])[:-1]
    return tf.ensure_shape(values, (None, *missing.shape)), done > 0


def _is_image(encoded):
    jpeg, png = _kind(encoded)
    return jpeg | png


def _kind(encoded):
    """Whether bytes begin as a JPEG, and as a PNG, does."""
    jpeg = tf.equal(tf.strings.substr(encoded, 0, 3), b"\xff\xd8\xff")
    return jpeg, tf.equal(tf.strings.substr(encoded, 0, 8), b"\x89PNG\r\n\x1a\n") & (tf.strings.length(encoded) >= 24)


def _pixel_count(encoded):
    """Height × width of the JPEG or PNG that bytes begin as, from its header."""
    jpeg, _ = _kind(encoded)
    size = tf.cond(jpeg, lambda: tf.image.extract_jpeg_shape(encoded)[:2], lambda: _png_size(encoded))
    return tf.reduce_prod(tf.cast(size, tf.int64))


def _png_size(encoded):
    """Height and width of a PNG, from its first chunk."""
    width, height = tf.unstack(tf.io.decode_raw(tf.strings.substr(encoded, 16, 8), tf.int32, little_endian=False), 2)
    return tf.stack([height, width])


def resize(images, size):
    """Antialiased bilinear resize of `(..., height, width, 3)` pixels to `(height, width)` = `size`, uint8."""
    images = tf.image.resize(images, size, method="bilinear", antialias=True)
    return tf.cast(tf.round(tf.clip_by_value(images, 0, 255)), tf.uint8)


class UnreadableImagesError(InputError):
    """Images that cannot be read; `problems` holds "PATH (reason)" of every one."""

    def __init__(self, problems: list[str], count: int) -> None:
        self.problems = problems
        super().__init__(
            f"{len(problems)} of {count} images cannot be read: {', '.join(problems)}; replace or remove them."
        )


def load_splits(dataset, splits, size, cache_dir=None):
    """Decodes and resizes the images of a dataset.

    Args:
        dataset: a `ReidDataset`.
        splits: names of its splits; those it does not have are left out.
        size, cache_dir: as in `load_images`.

    Returns:
        Dict from split to `(n, height, width, 3)` uint8 array, rows as in `dataset.split(split)`.

    Raises:
        InputError: images of any of the splits that cannot be read; names them all.
    """
    images, problems, count = {}, [], 0
    for split in splits:
        paths = dataset.split(split).path
        count += len(paths)
        if len(paths):
            try:
                images[split] = load_images(paths, size, cache_dir)
            except UnreadableImagesError as error:
                problems += error.problems
    if problems:
        raise UnreadableImagesError(problems, count)
    return images


def load_images(paths: Iterable[str], size: Size, cache_dir: FilePath | None = None) -> Pixels:
    """Decodes and resizes images, in parallel.

    Args:
        paths: sequence of paths.
        size: (height, width) in pixels.
        cache_dir: where to keep the pixels, in a file that later runs map instead of decoding again; for datasets
            larger than memory. By default they are held in memory.

    Returns:
        `(len(paths), height, width, 3)` uint8 array; a read-only memory map with `cache_dir`.

    Raises:
        InputError: images that cannot be read, all of them named; or a `cache_dir` that cannot be used.
    """
    paths = list(paths)
    shape = (len(paths), *size, 3)
    if cache_dir is None:
        images = np.empty(shape, np.uint8)
        _decode_into(images, paths, size)
        return images

    cached = Path(cache_dir) / f"{_fingerprint(paths, size)}.npy"
    if not cached.is_file():
        with aside(cached) as part:
            images = np.lib.format.open_memmap(part, "w+", np.uint8, shape)
            with open(part, "r+b") as file:  # a full disk is an error here, and a crash where a map is written
                if hasattr(os, "posix_fallocate"):  # not on macOS
                    os.posix_fallocate(file.fileno(), 0, os.path.getsize(part))
            _decode_into(images, paths, size)
            images.flush()
    try:
        return np.load(cached, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise InputError(f"{cached} cannot be read ({error}): remove it, and it is made anew.") from None


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
        # Tries every image by itself, so that all broken ones are named and not only the first that was met.
        with ThreadPoolExecutor() as pool:
            problems = [problem for problem in pool.map(_problem, paths) if problem]
        if not problems:
            raise InputError(f"Images could not be decoded: {error.message}.") from None
        raise UnreadableImagesError(problems, len(paths)) from None


def _pixels(path):
    if tf.strings.regex_full_match(path, MAT_IMAGE):
        image = tf.numpy_function(lambda path: _read_mat_image(path.decode()), [path], tf.uint8, stateful=False)
        return tf.ensure_shape(image, (None, None, 3))
    return decode(tf.io.read_file(path))


def _read_mat_image(path):
    mat, _, place = path.rpartition("#")
    boxes, pair, identity, view = place.split("/")
    file = _open_mat(mat)
    identities = file[file[boxes][:].ravel()[int(pair) - 1]]
    return file[identities[int(view) - 1, int(identity) - 1]][()].T  # stored 3×W×H


@functools.lru_cache(maxsize=1)
def _open_mat(mat):
    return h5py.File(mat, "r")


def read_image(image: Picture, size: Size | None = None) -> Pixels:
    """The pixels of one image.

    Args:
        image: a path as in a table, the bytes of a JPEG or PNG, a `PIL.Image`, or a `(height, width, 3)` uint8 array.
            As in training, nothing is turned by what EXIF says.
        size: (height, width) to resize to, as in training; its own if not given.

    Returns:
        `(height, width, 3)` uint8 array.

    Raises:
        InputError: it cannot be read; says no more than why, as in "empty file".
    """
    if isinstance(image, (bytearray, memoryview)):
        image = bytes(image)
    if not isinstance(image, (str, os.PathLike, bytes, PIL.Image.Image)):
        return _resized(_checked_pixels(image), size)
    try:
        if isinstance(image, PIL.Image.Image):
            return _resized(_checked_pixels(np.asarray(image.convert("RGB"))), size)
        if isinstance(image, bytes):
            return _decoded(image, size)
        image = os.fspath(image)
        if mat_of(image):
            return _resized(_checked_pixels(_read_mat_image(image)), size)
        return _decoded(Path(image).read_bytes(), size)
    except FileNotFoundError:
        raise InputError("no such file") from None
    except InputError:
        raise
    except Exception as error:  # whatever a broken image or HDF5 file makes its reader raise
        if image == b"" or (isinstance(image, str) and os.path.isfile(image) and not os.path.getsize(image)):
            raise InputError("empty file") from None
        reasons = [reason for reason in (NO_IMAGE, TOO_LARGE) if reason in str(error)]
        strerror = isinstance(error, OSError) and error.strerror
        raise InputError(reasons[0] if reasons else strerror or DAMAGED) from None


def _decoded(encoded, size):
    encoded = tf.constant(encoded)
    return (_graph("decode")(encoded) if size is None else _graph("decode_to")(encoded, tf.constant(size))).numpy()


def _resized(pixels, size):
    return pixels if size is None else _graph("resize_to")(tf.constant(pixels), tf.constant(size)).numpy()


@functools.cache
def _graph(name):
    """A function on tensors, traced once for images and sizes of all kinds, so that one image by itself is quick."""
    encoded, size = tf.TensorSpec((), tf.string), tf.TensorSpec((2,), tf.int32)
    pixels = tf.TensorSpec((None, None, 3), tf.uint8)
    function, signature = {
        "decode": (decode, [encoded]),
        "decode_to": (lambda encoded, size: resize(decode(encoded), size), [encoded, size]),
        "resize_to": (resize, [pixels, size]),
    }[name]
    return tf.function(function, input_signature=signature).get_concrete_function()


def _checked_pixels(array):
    if not isinstance(array, np.ndarray) or array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        found = f"{array.dtype} array {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise InputError(f"not an image: a path, bytes, PIL image or uint8 array (height, width, 3), not {found}")
    if not 0 < array.size <= 3 * MAX_PIXELS:
        raise InputError(TOO_LARGE if array.size else "image without pixels")
    return array


def _problem(path):
    """What is wrong with an image, as "PATH (reason)"; None if nothing is."""
    try:
        read_image(path)
    except InputError as reason:
        return f"{path} ({reason})"
    return None


def _fingerprint(paths, size):
    """Changes when any file, their order or the size does."""
    digest = hashlib.sha256(repr(tuple(size)).encode())
    for path in paths:
        file = mat_of(path) or path
        status = os.stat(file) if os.path.exists(file) else None  # decoding will name what is not there
        digest.update(f"{os.path.abspath(path)} {status and (status.st_size, status.st_mtime_ns)}\n".encode())
    return digest.hexdigest()[:16]
