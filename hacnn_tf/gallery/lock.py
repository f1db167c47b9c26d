"""Who may write a database: one thread or process at a time."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from hacnn_tf.gallery.naming import in_bucket
from hacnn_tf.utils.files import expanded, locked
from hacnn_tf.utils.types import FilePath

HELD = threading.local()  # paths of databases that a thread may write, the others may not


@contextlib.contextmanager
def writing(path: FilePath, wait: float = 0) -> Iterator[None]:
    """Keeps other threads and processes of this machine from writing a database meanwhile; buckets have no lock.

    Args:
        path: of the database.
        wait: seconds to wait for another writer to end.

    Raises:
        InputError: another goes on writing.
    """
    path = expanded(path)
    place = Path(os.path.realpath(path))
    locks = HELD.__dict__.setdefault("locks", set())
    if in_bucket(path) or place in locks:  # what holds it may call what holds it
        yield
        return
    with locked(place.with_name(f".{place.name}.lock"), path, wait):
        locks.add(place)
        try:
            yield
        finally:
            locks.remove(place)
