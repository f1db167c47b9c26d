"""From the paths of a table to pixels, in parallel, in memory or in a file."""

import contextlib
import fcntl
import hashlib
import math
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import PIL

from hacnn_tf.data.decode import DECODER_VERSION, UnreadableImagesError, mat_of, read_image
from hacnn_tf.data.parallel import read_each
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import atomic_write, check_folder, expanded
from hacnn_tf.utils.types import FilePath, Pixels, Size

if TYPE_CHECKING:
    from hacnn_tf.data.dataset import ReidDataset


def load_splits(
    dataset: "ReidDataset", splits: Iterable[str], size: Size, cache_dir: FilePath | None = None
) -> dict[str, Pixels]:
    """Decodes and resizes the images of a dataset.

    Args:
        dataset: a `ReidDataset`.
        splits: names of its splits; those it does not have are left out.
        size, cache_dir: as in `load_images`.

    Returns:
        Dict from split to `(n, height, width, 3)` uint8 array, rows as in `dataset.split(split)`.

    Raises:
        UnreadableImagesError: images of any of the splits cannot be read; `problems` has them all.
        InputError: there is not enough memory for a split, or `cache_dir` cannot be used.
    """
    images: dict[str, Pixels] = {}
    problems: list[str] = []
    count = 0
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
        InputError: images that cannot be read; or a `cache_dir` that cannot be used.
    """
    paths = list(paths)
    shape = (len(paths), *size, 3)
    if cache_dir is None:
        try:
            images = np.empty(shape, np.uint8)
        except MemoryError:
            raise InputError(
                f"{len(paths):,} images take {math.prod(shape) / 2**30:,.0f} GiB of memory, more than there is: take "
                "fewer, or keep them in a file (`cache_dir`; --cache_dir of train and evaluate)."
            ) from None
        _decode_into(images, paths, size)
        return images

    cached = Path(expanded(cache_dir)) / f"{_fingerprint(paths, size)}.npy"
    if not cached.is_file():
        check_folder(cached.parent)
        with _alone(cached):
            if not cached.is_file():  # else another process has built it meanwhile, and may have it mapped
                _build(cached, paths, size, shape)
    try:
        images = np.load(cached, mmap_mode="r")
        if (images.shape, images.dtype) != (shape, np.uint8):
            raise ValueError(f"{images.dtype} {images.shape} instead of uint8 {shape}")
        return images
    except (OSError, ValueError) as error:
        raise InputError(f"{cached} cannot be read ({error}): remove it, and it is rebuilt.") from None


@contextlib.contextmanager
def _alone(cached: Path) -> Iterator[None]:
    """One process at a time builds a file."""
    lock = cached.with_name(f".{cached.stem}.lock")
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        file = open(lock, "wb", opener=_for_its_owner)  # noqa: SIM115  # closed below
    except OSError as error:
        raise InputError(f"Cannot write {lock}: {error.strerror or error}.") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another process is decoding the same images: waits for it.", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:  # there are disks without locks
            pass
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)  # who waits for it finds what was built


def _build(cached: Path, paths: Sequence[str], size: Size, shape: Sequence[int]) -> None:
    _sweep(cached.parent)
    with contextlib.ExitStack() as held, atomic_write(cached, private=True) as part:  # locked until it has its name
        file = held.enter_context(_locked(part))
        images = np.lib.format.open_memmap(part, "w+", np.uint8, tuple(shape))
        if hasattr(os, "posix_fallocate"):  # not on macOS; a full disk is an error here, and a crash in a map
            os.posix_fallocate(file.fileno(), 0, os.path.getsize(part))
        _decode_into(images, paths, size)
        images.flush()


def _locked(part: Path) -> BinaryIO:
    """A new file, locked; made again if another process swept it before it was."""
    while True:
        file = open(part, "w+b", opener=_for_its_owner)  # noqa: SIM115  # the caller closes it
        with contextlib.suppress(OSError):  # there are disks without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        if part.exists():
            return file
        file.close()


def _for_its_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sweep(folder: Path) -> None:
    """Removes what processes that were killed have left; each may be as large as a dataset. Writers hold a lock."""
    for part in folder.glob(".*.part.npy"):
        with contextlib.suppress(OSError), open(part, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part.unlink()


def _decode_into(images: Pixels, paths: Sequence[str], size: Size) -> None:
    def read(i: int) -> None:
        images[i] = read_image(paths[i], size)

    read_each(paths, read)


def _fingerprint(paths: Sequence[str], size: Size) -> str:
    """Changes when any file, their order, the size, or how pixels are made of files does."""
    digest = hashlib.sha256(repr((*size, DECODER_VERSION, PIL.__version__)).encode())
    for path in paths:
        file = mat_of(path) or path
        status = os.stat(file) if os.path.exists(file) else None  # decoding will name what is not there
        digest.update(f"{os.path.abspath(path)} {status and (status.st_size, status.st_mtime_ns)}\n".encode())
    return digest.hexdigest()[:16]
