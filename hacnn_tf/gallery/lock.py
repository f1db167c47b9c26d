"""Who may write a database: one thread or process at a time."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from hacnn_tf.gallery.naming import in_bucket
from hacnn_tf.utils.files import expanded, locked
from hacnn_tf.utils.types import FilePath

WRITE_WAIT = 60  # seconds that a writer waits for another to end
HELD = threading.local()  # paths of databases that a thread may write, the others may not


@contextlib.contextmanager
def writing(path: FilePath) -> Iterator[None]:
    """Keeps other threads and processes of this machine from writing a database meanwhile; buckets have no lock.

    Raises:
        InputError: another goes on writing it for `WRITE_WAIT` seconds.
    """
    path = expanded(path)
    place = Path(os.path.realpath(path))
    locks = HELD.__dict__.setdefault("locks", set())
    if in_bucket(path) or place in locks:  # what holds it may call what holds it
        yield
        return
    with locked(place.with_name(f".{place.name}.lock"), path, WRITE_WAIT):
        locks.add(place)
        try:
            yield
        finally:
            locks.remove(place)
