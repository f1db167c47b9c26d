"""Checkpoints: the whole state of a training in one file of plain arrays, which tells when it is damaged."""

import errno
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import write_npz
from hacnn_tf.utils.text import preview
from hacnn_tf.utils.types import FilePath

KEPT = 2
NAMES = "names"  # of all other arrays in the file


class Checkpoints:
    """The checkpoints of a run folder, `epoch0003-step00120.npz`: after 3 whole epochs and 120 steps of the next.

    Each appears whole or not at all, and only then do older ones go. The format is NumPy's `.npz` without pickles, a
    ZIP archive, whose checksums and the list of its arrays reveal a file that was cut or in which a bit has flipped.

    Args:
        folder: where they are.
    """

    def __init__(self, folder: FilePath) -> None:
        self.folder = Path(folder)

    def __bool__(self) -> bool:
        """Whether there are any, whole or damaged."""
        return bool(self._paths())

    def save(self, epoch: int, step: int, arrays: Mapping[str, NDArray]) -> None:
        """Writes a checkpoint and removes all but the one before it.

        Args:
            epoch: whole epochs done.
            step: steps done of the next.
            arrays: dict of arrays.

        Raises:
            InputError: it cannot be written; those that are there stay.
        """
        path = self.folder / f"epoch{epoch:04d}-step{step:05d}.npz"
        write_npz(path, {**arrays, NAMES: np.array(list(arrays))})
        earlier = [other for other in self._paths() if _place(other) < (epoch, step)]
        for other in set(self._paths()) - {path, *earlier[: KEPT - 1]}:  # later ones were damaged, or we were not here
            other.unlink(missing_ok=True)

    def newest(self) -> tuple[Path, dict[str, NDArray]] | None:
        """The newest checkpoint that is whole; names on stderr those that are not.

        Returns:
            Its path and its dict of arrays; None if there is no checkpoint.

        Raises:
            InputError: there are checkpoints, but all are damaged, or one cannot be read.
        """
        paths, damaged = self._paths(), []
        for path in paths:
            try:
                arrays = _read(path)
            except MemoryError:
                raise
            except Exception as error:  # whatever a damaged archive makes its reader raise
                if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
                    raise InputError(f"Cannot read {path}: {error.strerror}.") from None
                damaged.append(f"{path} is damaged ({error or type(error).__name__})")
                continue
            for sentence in damaged:
                print(f"{sentence}: {path.name} takes its place.", file=sys.stderr)
            return path, arrays
        if damaged:
            raise InputError(f"{preview(damaged, separator='; ')}: restore one of them, or remove them to begin anew.")
        return None

    def _paths(self) -> list[Path]:
        """Newest first; copies by other names are their owner's."""
        named = [path for path in self.folder.glob("epoch*.npz") if re.fullmatch(r"epoch\d+-step\d+\.npz", path.name)]
        return sorted(named, key=_place, reverse=True)


def _place(path: Path) -> tuple[int, ...]:
    """The epoch and step in a checkpoint's name."""
    return tuple(map(int, re.findall(r"\d+", path.name)))


def _read(path: Path) -> dict[str, NDArray]:
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    if arrays.pop(NAMES).tolist() != list(arrays):  # a damaged directory may hide some
        raise ValueError("arrays are missing")
    return arrays
