"""What a database and its columns are called, and whether there is one; opens none, so that it is known at once."""

import os
import re
from collections.abc import Collection

from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import expanded
from hacnn_tf.utils.text import preview
from hacnn_tf.utils.types import FilePath

SUFFIX = ".lance"
FEATURE = "feature"
FILE_COLUMNS = ["path", "bytes", "modified"]  # which image, and how to tell that it has changed
NEEDED = [*FILE_COLUMNS, "camid", "time"]  # by searches and the page, though they may be missing in a row
DISTANCE = "distance"  # a column of results
PROBABILITY = "_probability"  # another, where there is a calibration; a manifest has no column of such a name
IMAGES, FIRST, LAST = TRACK_COLUMNS = ["images", "first_seen", "last_seen"]  # of results that are tracks


def check_columns(where: str, names: Collection[object], taken: Collection[str]) -> None:
    """Raises `InputError` if columns are called as those of a database or of its results.

    Args:
        where: what has the columns, for people.
        names: of the columns.
        taken: that none may have, besides `FEATURE`, `DISTANCE` and those that begin with _, which are LanceDB's.
    """
    if own := sorted(str(name) for name in names if name in (FEATURE, DISTANCE, *taken)):
        raise InputError(f"{where} has a column {' and '.join(own)}, which a database has itself: rename it.")
    if lances := [name for name in names if str(name)[:1] == "_"]:
        raise InputError(f"{where} has a column {preview(lances)}, and such names are LanceDB's: rename it.")


def in_bucket(path: FilePath) -> bool:
    """Whether it is a URL, as of a bucket, and no path of this machine's."""
    return "://" in str(path)


def check_path(path: FilePath) -> tuple[str, str]:
    """The place of a database and its name there. Raises `InputError` if none can have that path."""
    place, slash, name = expanded(path).rstrip("/").rpartition("/")
    if not name.endswith(SUFFIX) or not re.fullmatch(r"[A-Za-z0-9_.-]+", stem := name.removesuffix(SUFFIX)):
        raise InputError(f"{path} must end in {SUFFIX}, after a name of letters, digits, - and _, as in people.lance.")
    return place or slash or ".", stem


def check_there(path: FilePath) -> None:
    """Raises `InputError` if no database can have that path, or if nothing is there; buckets are not asked."""
    check_path(path)
    if not in_bucket(path) and not os.path.exists(expanded(path)):
        raise InputError(no_database(path))


def no_database(path: FilePath, reason: str = "") -> str:
    """The sentence for a path that has no database."""
    return f"{path} is not a database of features{reason}: make one with python -m hacnn_tf.index."
