"""Who may write a database: one thread or process at a time."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from hacnn_tf.gallery.naming import in_bucket
from hacnn_tf.utils.files import expanded, locked
from hacnn_tf.utils.types import FilePath

WRITE_WAIT = 60  # seconds that a writer waits for another to end


@contextlib.contextmanager
def writing(path: FilePath) -> Iterator[None]:
    """Keeps other threads and processes of this machine from writing a database meanwhile; buckets have no lock.

    Raises:
        InputError: another goes on writing it for `WRITE_WAIT` seconds.
    """
    path = expanded(path)
    if in_bucket(path):
        yield
        return
    place = Path(os.path.realpath(path))
    with locked(place.with_name(f".{place.name}.lock"), path, WRITE_WAIT, reentrant=True):
        yield
