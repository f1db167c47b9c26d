"""JPEG and PNG bytes to pixels inside a TensorFlow graph: those of `hacnn_tf.data.decode`, for SavedModels."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from hacnn_tf.data.decode import DAMAGED, MAX_PIXELS, ORIENTATION, TOO_LARGE
from hacnn_tf.utils.types import Size, Tensor

NO_IMAGE = "not a JPEG or PNG image"
EXIF, START_OF_SCAN, FILL = 0xE1, 0xDA, 0xFF  # markers of JPEG segments
LONG = 4  # a type of TIFF's: four bytes, where an orientation has two
SHORT = np.array([256, 1])  # what the bytes of a big-endian number of two stand for
MOST_SEGMENTS = 2**14  # of a file, so that one made for it cannot keep a server busy
Segment = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def decode(encoded: Tensor) -> Tensor:
    """Bytes of a JPEG or PNG of any kind to upright RGB, a `(height, width, 3)` uint8 tensor.

    Raises:
        tf.errors.InvalidArgumentError: when run, if the bytes are not a whole image, or one of more than `MAX_PIXELS`.
    """
    jpeg, _ = _kind(encoded)
    with tf.control_dependencies([tf.debugging.Assert(_is_image(encoded), [NO_IMAGE])]):
        pixels = _pixel_count(encoded)
    # Known before anything is decoded: a few bytes can stand for more pixels than there is memory.
    with tf.control_dependencies([tf.debugging.Assert(pixels <= MAX_PIXELS, [TOO_LARGE, pixels])]):
        image = tf.cond(
            jpeg,
            lambda: tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE"),  # Pillow's, to the last bit
            lambda: tf.io.decode_png(encoded, channels=3),
        )
    return tf.ensure_shape(_upright(image, _orientation(encoded)), (None, None, 3))


def decode_each(encoded: Tensor, size: Size) -> tuple[Tensor, Tensor]:
    """Decodes and resizes each of some images, whatever is wrong with the others; all of it is a part of the graph.

    Args:
        encoded: `(n,)` string tensor, of bytes of JPEGs and PNGs; n may be 0.
        size: (height, width) in pixels.

    Returns:
        `(n, height, width, 3)` uint8 pixels, black where there is no image, and `(n,)` strings: "ok", or why there is
        none.
    """
    pixels, decoded = _each(lambda x: resize(decode(x), size), encoded, tf.zeros((*size, 3), tf.uint8))

    def reasons() -> Tensor:
        counts, _ = _each(_pixel_count, encoded, tf.constant(0, tf.int64))
        return tf.where(_is_image(encoded), tf.where(counts > MAX_PIXELS, TOO_LARGE, DAMAGED), NO_IMAGE)

    ok = tf.fill(tf.shape(encoded), "ok")
    return pixels, tf.cond(tf.reduce_all(decoded), lambda: ok, lambda: tf.where(decoded, ok, reasons()))


def resize(images: Tensor, size: Size) -> Tensor:
    """Antialiased bilinear resize of `(..., height, width, 3)` pixels to `(height, width)` = `size`, uint8.

    It differs from Pillow's, which rounds between its two passes, by one level at most. Images of this size stay as
    they are, which the resize, for which there is no GPU kernel, would only take longer for.
    """

    def resized() -> Tensor:
        found = tf.image.resize(images, size, method="bilinear", antialias=True)
        return tf.cast(tf.round(tf.clip_by_value(found, 0, 255)), tf.uint8)

    fits = tf.reduce_all(tf.shape(images)[-3:-1] == size)
    return tf.ensure_shape(tf.cond(fits, lambda: images, resized), (*images.shape[:-3], *size, 3))


def _each(function: Callable[[Tensor], Tensor], elements: Tensor, missing: Tensor) -> tuple[Tensor, Tensor]:
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


def _is_image(encoded: Tensor) -> Tensor:
    jpeg, png = _kind(encoded)
    return jpeg | png


def _kind(encoded: Tensor) -> tuple[Tensor, Tensor]:
    """Whether bytes begin as a JPEG, and as a PNG, does."""
    jpeg = tf.equal(tf.strings.substr(encoded, 0, 3), b"\xff\xd8\xff")
    return jpeg, tf.equal(tf.strings.substr(encoded, 0, 8), b"\x89PNG\r\n\x1a\n") & (tf.strings.length(encoded) >= 24)


def _pixel_count(encoded: Tensor) -> Tensor:
    """Height × width of the JPEG or PNG that bytes begin as, from its header."""
    jpeg, _ = _kind(encoded)
    size = tf.cond(jpeg, lambda: tf.image.extract_jpeg_shape(encoded)[:2], lambda: _png_size(encoded))
    return tf.reduce_prod(tf.cast(size, tf.int64))


def _png_size(encoded: Tensor) -> Tensor:
    """Height and width of a PNG, from its first chunk."""
    width, height = tf.unstack(tf.io.decode_raw(tf.strings.substr(encoded, 16, 8), tf.int32, little_endian=False), 2)
    return tf.stack([height, width])


def _orientation(encoded: Tensor) -> Tensor:
    """The orientation that EXIF gives an image, from 1, upright, to 8; 1 if it has none."""
    data = tf.io.decode_raw(encoded, tf.uint8)
    jpeg, _ = _kind(encoded)
    begin = tf.cond(jpeg, lambda: _find_exif(data, 2, _jpeg_segment), lambda: _find_exif(data, 8, _png_chunk))
    return tf.cond(begin > 0, lambda: _orientation_tag(data[begin:]), lambda: tf.constant(1, tf.int64))


def _find_exif(data: Tensor, first: int, segment: Segment) -> Tensor:
    """Where the EXIF of a file begins, that is a chain of segments from `first` on; 0 if it has none."""
    size = tf.size(data, tf.int64)

    def look(at: Tensor, found: Tensor) -> tuple[Tensor, Tensor]:
        exif, ahead = segment(data, at)
        return tf.where(ahead > 0, at + ahead, size), exif

    _, found = tf.while_loop(
        lambda at, found: (at < size) & (found == 0),
        look,
        (tf.constant(first, tf.int64), tf.constant(0, tf.int64)),
        maximum_iterations=MOST_SEGMENTS,
    )
    return found


def _jpeg_segment(data: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
    """Where the EXIF in a JPEG's segment begins (0: nowhere), and how far ahead the next one is (0: none)."""
    marker, none = _number(data, at + 1, 1), tf.constant(0, tf.int64)
    exif = (marker == EXIF) & (_number(data, at + 4, 4) == int.from_bytes(b"Exif", "big"))
    ahead = tf.where(marker == FILL, tf.constant(1, tf.int64), 2 + _number(data, at + 2, 2))
    is_last = (marker == START_OF_SCAN) | (_number(data, at, 1) != FILL)
    return tf.where(exif, at + 10, none), tf.where(is_last, none, ahead)


def _png_chunk(data: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
    """As `_jpeg_segment`, of a PNG."""
    exif = _number(data, at + 4, 4) == int.from_bytes(b"eXIf", "big")
    return tf.where(exif, at + 8, tf.constant(0, tf.int64)), 12 + _number(data, at, 4)


def _orientation_tag(exif: Tensor) -> Tensor:
    """The orientation in the first directory of EXIF's TIFF structure; 1 if it is not there, or none."""
    big = _number(exif, 0, 1) == ord("M")
    directory = _number(exif, 4, 4, big)
    entries = exif[directory + 2 : directory + 2 + 12 * _number(exif, directory, 2, big)]
    pairs = tf.reshape(tf.cast(entries[: tf.size(entries) // 12 * 12], tf.int64), (-1, 6, 2))
    tag, kind, _, _, first, second = tf.unstack(tf.reduce_sum(pairs * tf.where(big, SHORT, SHORT[::-1]), -1), axis=1)
    values = tf.where(big & (kind == LONG), second, first)
    found = tf.concat([tf.boolean_mask(values, tag == ORIENTATION), [1]], 0)[0]
    return tf.where((found >= 1) & (found <= 8), found, 1)


def _upright(image: Tensor, orientation: Tensor) -> Tensor:
    """Turns an image of an EXIF orientation upright."""
    image = tf.cond(orientation >= 5, lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
    down, across = (tf.where(tf.reduce_any(orientation == turned), -1, 1) for turned in ([3, 4, 7, 8], [2, 3, 6, 7]))
    return image[::down, ::across]


def _number(data: Tensor, start: Tensor, size: int, big: Tensor = True) -> Tensor:
    """The whole number in some bytes, of which those past the end are 0."""
    digits = tf.cast(data[start : start + size], tf.int64)
    digits = tf.pad(digits, [[0, size - tf.size(digits)]])
    powers = 256 ** np.arange(size)
    return tf.reduce_sum(digits * tf.where(big, powers[::-1], powers))
