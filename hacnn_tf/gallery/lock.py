"""Who may write a database: one thread or process at a time."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from hacnn_tf.gallery.naming import in_bucket
from hacnn_tf.utils.files import check_folder, expanded, locked
from hacnn_tf.utils.types import FilePath

WRITE_WAIT = 60  # seconds that a writer waits for another to end


@contextlib.contextmanager
def writing(path: FilePath, wait: float | None = None) -> Iterator[None]:
    """Keeps other threads and processes of this machine from writing a database meanwhile; buckets have no lock.

    Args:
        path: of the database.
        wait: seconds for another that is writing it, by default `WRITE_WAIT`; -1: as long as it takes, which is said.

    Raises:
        InputError: another goes on writing it.
    """
    path = expanded(path)
    if in_bucket(path):
        yield
        return
    place = _place(path)
    with locked(place.with_name(f".{place.name}.lock"), path, WRITE_WAIT if wait is None else wait, reentrant=True):
        yield


def check_writable(path: FilePath) -> None:
    """Raises `InputError` if a database, or its lock beside it, cannot be written now; of buckets nothing is known."""
    if not in_bucket(path):
        place = _place(expanded(path))
        check_folder(place.parent)
        check_folder(place)
        with writing(path):
            pass


def _place(path: FilePath) -> Path:
    return Path(os.path.realpath(path))
