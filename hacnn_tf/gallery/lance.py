"""LanceDB's connections, and its errors as sentences."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from hacnn_tf.gallery.naming import check_path
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.forks import claim
from hacnn_tf.utils.types import FilePath

try:
    import lancedb
    import sqlglot  # noqa: F401  # conditions are read with it
except ImportError:
    lancedb = None  # type: ignore[assignment]  # a module otherwise

REASON = 200  # characters of what LanceDB says that a sentence quotes


def connect(path: FilePath) -> tuple[Any, str]:
    """LanceDB's connection to the place of a database, and the database's name there.

    Raises:
        InputError: LanceDB is not installed, no database can have that path, or the place cannot be opened.
    """
    if lancedb is None:
        raise InputError(
            'A database needs LanceDB and SQLGlot: install it with pip install -c constraints.txt -e ".[search]".'
        )
    claim("LanceDB")
    place, name = check_path(path)
    with refused(f"Cannot open {path}"):
        return lancedb.connect(place), name


@contextlib.contextmanager
def refused(what: str) -> Iterator[None]:
    """Raises `InputError` where LanceDB refuses: `what`, and its reason."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"{what}: {reason(error)}.") from None


def reason(error: Exception) -> str:
    """The first sentence of what LanceDB says, without where in its source it was said."""
    line = re.split(r",? ?/[^ ]*\.rs:|\n", str(error))[0]
    return line.removeprefix("lance error: ").removeprefix("Invalid input, ")[:REASON].strip().rstrip(".,?")
