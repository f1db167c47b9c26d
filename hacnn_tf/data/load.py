"""From the paths of a table to pixels, in parallel, in memory or in a file."""

import hashlib
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import PIL

from hacnn_tf.data.decode import DECODER_VERSION, UnreadableImagesError, mat_of, read_image
from hacnn_tf.data.parallel import read_each
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import atomic_write, check_folder, expanded, locked, sweep
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


def load_images(paths: Iterable[FilePath], size: Size, cache_dir: FilePath | None = None) -> Pixels:
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
    names = list(map(str, paths))
    shape = (len(names), *size, 3)
    if cache_dir is None:
        try:
            images = np.empty(shape, np.uint8)
        except MemoryError:
            raise InputError(
                f"{len(names):,} images take {math.prod(shape) / 2**30:,.0f} GiB of memory, more than there is: take "
                "fewer, or keep them in a file (`cache_dir`; --cache_dir of train and evaluate)."
            ) from None
        _decode_into(images, names, size)
        return images

    cached = Path(expanded(cache_dir)) / f"{_fingerprint(names, size)}.npy"
    if not cached.is_file():
        check_folder(cached.parent)
        with locked(cached.with_name(".lock"), wait=-1):
            _sweep(cached.parent)
            if not cached.is_file():  # else another process has built it meanwhile, and may have it mapped
                _build(cached, names, size, shape)
    try:
        images = np.load(cached, mmap_mode="r")
        if (images.shape, images.dtype) != (shape, np.uint8):
            raise ValueError(f"{images.dtype} {images.shape} instead of uint8 {shape}")
        return images
    except (OSError, ValueError) as error:
        raise InputError(f"{cached} cannot be read ({error}): remove it, and it is rebuilt.") from None


def _sweep(folder: Path) -> None:
    """Removes what processes that were killed have left; each part may be as large as a dataset."""
    sweep(folder, {part.name[1:17] for part in folder.glob(f".{'[0-9a-f]' * 16}.*.part.npy")})


def _build(cached: Path, paths: Sequence[str], size: Size, shape: Sequence[int]) -> None:
    with atomic_write(cached, private=True) as part:
        images = np.lib.format.open_memmap(part, "w+", np.uint8, tuple(shape))
        if hasattr(os, "posix_fallocate"):  # not on macOS; a full disk is an error here, and a crash in a map
            with open(part, "r+b") as file:
                os.posix_fallocate(file.fileno(), 0, os.path.getsize(part))
        _decode_into(images, paths, size)
        images.flush()


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
