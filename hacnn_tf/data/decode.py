"""From one image, whichever way it is given, to pixels, by Pillow.

A path is a file name, or `FILE.mat#BOXES/PAIR/IDENTITY/VIEW` (numbers from 1) for an image inside `cuhk-03.mat`.
`hacnn_tf.export.decoding` does the same to JPEG and PNG bytes inside a TensorFlow graph, but knows an orientation from
EXIF alone, where Pillow also takes it from XMP.
"""

import contextlib
import functools
import io
import math
import os
import re
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from hacnn_tf.data.listing import open_image
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import expanded
from hacnn_tf.utils.text import preview
from hacnn_tf.utils.types import FilePath, ImageLike, Pixels, Size

if TYPE_CHECKING:
    import h5py

MAX_PIXELS = 2**25  # of an image to decode; a little more than an 8K video frame
MAX_BYTES = 8 * MAX_PIXELS  # of its file: 16 bits in each of four channels, as they are
MOST_SCANS = 100  # of a JPEG, each a pass over all pixels; encoders make about ten
SCAN = re.compile(rb"\xff\xda\x00[\x08\x0a\x0c\x0e]")  # how one begins, of so many components
NO_IMAGE, TOO_LARGE = "not an image that Pillow reads", "image of too many pixels"
DAMAGED, NO_PIXELS = "damaged or truncated image", "image without pixels"
NOT_AN_IMAGE = "not an image: a path, bytes, PIL image or uint8 array (height, width, 3) or (height, width), not {}"
MAT_IMAGE = r".*\.mat#[a-z]+/\d+/\d+/\d+"
ORIENTATION = 0x0112  # EXIF's tag
TILE_WIDTH, TILE_LENGTH, BITS, WHITE_IS = 322, 323, 258, 262  # TIFF's tags
BLACK_IS_ZERO = 1  # a value of the last
UPRIGHT = {  # how an image of each orientation is turned upright
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}
DECODER_VERSION = 2  # raised when the same files give other pixels; 1 was TensorFlow's fast JPEG decoder, without EXIF


def mat_image_path(mat: FilePath, boxes: str, pair: int, identity: int, view: int) -> str:
    """The path of an image inside `cuhk-03.mat`; `boxes` is "detected" or "labeled", the numbers count from 1."""
    return f"{mat}#{boxes}/{pair}/{identity}/{view}"


def mat_of(path: str) -> str | None:
    """The `cuhk-03.mat` in which the image of a path lies; None if it is a file of its own."""
    return path.rpartition("#")[0] if re.fullmatch(MAT_IMAGE, path) else None


class UnreadableImagesError(InputError):
    """Images that cannot be read; `problems` holds "PATH (reason)" of every one."""

    def __init__(self, problems: list[str], count: int) -> None:
        self.problems, self._count = problems, count
        super().__init__(
            f"{len(problems):,} of {count:,} images cannot be read: {preview(problems, most=10)}; "
            "replace or remove them."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """As a pool of processes sends it, which waits for ever for what it cannot make again."""
        return type(self), (self.problems, self._count)


def read_image(image: ImageLike, size: Size | None = None) -> Pixels:
    """The pixels of one image, upright as its EXIF orientation says, in RGB.

    Args:
        image: a path as in a table, the bytes of an image file of any of `image_formats` (the first frame
            of an animation), a `PIL.Image` of any mode but "I" and "F", or an array: `(height, width, 3)` in RGB,
            `(height, width, 4)` in RGBA, `(height, width)` or `(height, width, 1)` in grey; uint8, or uint16 from 0 to
            65535. Alpha is ignored, and so are the lower eight of 16 bits.
        size: (height, width) to resize to, by antialiased bilinear interpolation; its own if not given.

    Returns:
        `(height, width, 3)` uint8 array.

    Raises:
        InputError: it cannot be read; says no more than why, as in "empty file".
    """
    upright = _rgb(_upright(_opened(image)))
    return np.asarray(upright if size is None else upright.resize(size[::-1], PIL.Image.Resampling.BILINEAR))


def own_copy(image: ImageLike | InputError, once: bool) -> ImageLike | InputError:
    """What another thread may read later, or why it cannot be.

    Args:
        image: as in `read_image`, or why there is none.
        once: whether an iterator gave it, which may give one array, buffer or file again and again, with another frame
            in it each time.

    Returns:
        Of what can change by then a copy, of a file its bytes. Several threads may not use one `PIL.Image` at once.
    """
    try:
        with _refusals():
            if isinstance(image, PIL.Image.Image):
                return _opened(image).copy()
            if not once:
                return image
            if isinstance(image, np.ndarray):
                return image.copy()
            if isinstance(image, (bytearray, memoryview)):
                return bytes(image)
            if isinstance(image, (str, os.PathLike)) and not mat_of(os.fspath(image)):
                return _content(expanded(image))
            return image
    except InputError as reason:
        return InputError(str(reason))  # without the pixels and bytes that its traceback would hold


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Makes an `InputError`, which says no more than why, of whatever an image makes its readers raise."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except FileNotFoundError:
        raise InputError("no such file") from None
    except PIL.Image.DecompressionBombError:
        raise InputError(TOO_LARGE) from None
    except Exception as error:  # whatever a broken image or HDF5 file, or an odd path, makes its reader raise
        raise InputError((isinstance(error, OSError) and error.strerror) or DAMAGED) from None


def _opened(image: ImageLike) -> PIL.Image.Image:
    """Whatever `read_image` takes, as a `PIL.Image` with its pixels loaded."""
    with _refusals():
        if isinstance(image, (bytes, bytearray, memoryview)):
            return _decoded(bytes(image))
        if isinstance(image, PIL.Image.Image):
            return _loaded(image)
        if not isinstance(image, (str, os.PathLike)):
            return _of_array(image)
        path = expanded(image)
        return _of_array(_read_mat_image(path)) if mat_of(path) else _decoded(_content(path))


def _content(path: str) -> bytes:
    """What is in an image file. Raises `InputError` if it is too much."""
    with open(path, "rb", opener=_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise InputError("a pipe or device, not a file")
        # By its size: Python sets so much memory aside as is asked for.
        content = file.read(min(os.fstat(file.fileno()).st_size, MAX_BYTES) + 1)
    if len(content) > MAX_BYTES:
        raise InputError(f"file of more than {MAX_BYTES // 2**20} MiB")
    return content


def _without_waiting(path: str, flags: int) -> int:
    """Opens a pipe even if nobody writes to it, to be refused then."""
    return os.open(path, flags | os.O_NONBLOCK)


def _decoded(encoded: bytes) -> PIL.Image.Image:
    if not encoded:
        raise InputError("empty file")
    try:
        image = open_image(io.BytesIO(encoded))
    except PIL.UnidentifiedImageError:
        raise InputError(DAMAGED if encoded.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n")) else NO_IMAGE) from None
    if image.format in ("JPEG", "MPO") and len(SCAN.findall(encoded)) > MOST_SCANS:
        raise InputError(f"JPEG of more than {MOST_SCANS} scans, which would take very long to decode")
    return _loaded(image)


def _loaded(image: PIL.Image.Image) -> PIL.Image.Image:
    # Known before anything is decoded: a few bytes can stand for more pixels than there is memory.
    if not 0 < image.width * image.height <= MAX_PIXELS:
        raise InputError(TOO_LARGE if image.width * image.height else NO_PIXELS)
    tags = getattr(image, "tag_v2", {})
    sides = [tags.get(tag, 1) for tag in (TILE_WIDTH, TILE_LENGTH)]  # decoded whole, however small the image is
    if not all(isinstance(side, int) for side in sides) or math.prod(sides) > MAX_PIXELS:
        raise InputError(TOO_LARGE)
    if tags and image.mode.startswith("I;16") and (set(tags[BITS]) != {16} or tags.get(WHITE_IS) != BLACK_IS_ZERO):
        raise InputError("TIFF of 12 bits, or of 16 whose white is 0: convert it to 8 or 16 bits whose black is 0")
    image.load()
    return image


def _of_array(array: object) -> PIL.Image.Image:
    if not isinstance(array, np.ndarray):
        raise InputError(NOT_AN_IMAGE.format(type(array).__name__))
    if array.dtype not in (np.uint8, np.uint16) or not (array.ndim == 2 or array.shape[2:] in ((1,), (3,), (4,))):
        raise InputError(NOT_AN_IMAGE.format(f"{array.dtype} array {array.shape}"))
    height, width = array.shape[:2]
    if not 0 < height * width <= MAX_PIXELS:
        raise InputError(TOO_LARGE if height * width else NO_PIXELS)
    channels = array.reshape(height, width) if array.size == height * width else array
    return PIL.Image.fromarray(np.ascontiguousarray(_eight_bits(channels)))


def _eight_bits(array: NDArray[Any]) -> Pixels:
    """The upper bits of an array of 16, as of files whose decoders leave the lower ones out."""
    return array if array.dtype == np.uint8 else (array >> 8).astype(np.uint8)


def _upright(image: PIL.Image.Image) -> PIL.Image.Image:
    try:
        orientation = image.getexif().get(ORIENTATION)
    except Exception:  # whatever damaged EXIF makes Pillow raise; the pixels are whole
        return image
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image


def _rgb(image: PIL.Image.Image) -> PIL.Image.Image:
    if image.mode.startswith("I;16"):  # Pillow itself would make white of all above 255
        image = PIL.Image.fromarray(_eight_bits(np.asarray(image)))
    if image.mode == "P" and "transparency" in image.info:  # of which Pillow warns, if made RGB at once
        image = image.convert("RGBA")
    if image.mode in ("I", "F"):
        raise InputError(f"image of mode {image.mode}, which does not say what is white: convert it to 8 or 16 bits")
    try:
        return image.convert("RGB")
    except ValueError:
        raise InputError(f"image of mode {image.mode}, which Pillow does not convert to RGB") from None


def _read_mat_image(path: str) -> Pixels:
    mat, _, place = path.rpartition("#")
    boxes, pair, identity, view = place.split("/")
    file = _open_mat(mat)
    identities = file[file[boxes][:].ravel()[int(pair) - 1]]
    stored = file[identities[int(view) - 1, int(identity) - 1]]
    if stored.size > 3 * MAX_PIXELS:
        raise InputError(TOO_LARGE)
    if stored.external or stored.is_virtual or stored.file != file:
        raise InputError("its pixels are in another file")
    return stored[()].T  # stored 3×W×H


@functools.lru_cache(maxsize=1)
def _open_mat(mat: str) -> "h5py.File":
    import h5py  # for this one dataset

    return h5py.File(mat, "r")
