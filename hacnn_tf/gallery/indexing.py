"""Brings a database up to date with the images that there are."""

import contextlib
import os
import sys
from collections.abc import Collection, Iterator, Mapping
from itertools import islice

import numpy as np
import pandas as pd

from hacnn_tf.data.dataset import check_tracks
from hacnn_tf.data.listing import count_kinds
from hacnn_tf.data.manifest import NAMED
from hacnn_tf.gallery.database import Database
from hacnn_tf.gallery.times import times_taken
from hacnn_tf.reid import ReID
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.text import printable
from hacnn_tf.utils.types import Features, FilePath
from hacnn_tf.utils.waiting import bar

LONG = pd.Timedelta(hours=1)  # of a track: perhaps a tracker began to count anew, and it is of several people
BATCH = 2048  # images per transaction: each takes longer the more there were, and a kill loses so many at most


def index(model: ReID, images: pd.DataFrame, path: FilePath, left_out: Mapping[str, str] | None = None) -> None:
    """Brings a database up to date with some images, and prints what was done.

    Args:
        model: a `ReID`.
        images: `pandas.DataFrame` of `find_images`.
        path: of the database; made if it is not there.
        left_out: dict of `find_images`, of which is said how much it is.

    Raises:
        InputError: the database is of another model, has other columns, or a track of these images under another
            camera or identity; or no image can be read.
    """
    database = Database.find(path, model, images.assign(time=pd.NaT))
    if database and database.outdated:
        print(database.outdated, file=sys.stderr)
    known = images[:0].assign(time=pd.NaT) if database is None else database.rows(database.columns)
    gone = _gone(images, known)
    listed = _with_files(images, known)
    images = listed[listed.bytes >= 0].reset_index(drop=True)
    kept = images if database is None else database.as_kept(images)
    both = [rows[[name for name in NAMED if name in rows]] for rows in (known[~known.path.isin(kept.path)], kept)]
    moved = f"; {gone}, which may be of images that were moved" if gone else ""
    check_tracks(pd.concat([rows.astype(object) for rows in both]), f"{path} would have", moved)
    unchanged, updated = _compare(kept, known)
    todo = images[~unchanged & ~updated].reset_index(drop=True)
    done = replaced = 0
    for rows, features in _extracted(model, todo, set(known.path)):
        rows = rows.assign(time=rows.time if "time" in rows else times_taken(rows.path))
        if database is None:
            database = Database.create(path, model, images.assign(time=pd.NaT))
        database.write(rows, features)
        done += len(rows)
        replaced += rows.path.isin(known.path).sum()
    if database is None:
        raise InputError(f"None of the {len(listed):,} images can be read.")
    _update_metadata(database, images[updated], known)
    if database.untidy:
        database.tidy()
    print(
        f"{database.path}: {done - replaced:,} added, {replaced:,} replaced, {unchanged.sum():,} as they were, "
        f"{updated.sum():,} metadata updated, {len(todo) - done:,} that cannot be read"
        + (f", {absent:,} listed but not there" if (absent := len(listed) - len(images)) else "")
        + f"; {_in_all(database)}"
        + (f"; {gone}, which --remove would delete" if gone else "")
        + (f"; left out: {count_kinds(left_out)}." if left_out else ".")
    )


def _gone(images: pd.DataFrame, known: pd.DataFrame) -> str:
    """How many rows are of files that are not there any more, where these images are; empty if there are none."""
    folder = os.path.commonpath({os.path.dirname(path) for path in images.path})
    others = known.path[~known.path.isin(images.path) & known.path.str.startswith(os.path.join(folder, ""))]
    count = sum(not os.path.exists(path) for path in others) + known.path.isin(images.path[images.bytes < 0]).sum()
    return f"{count:,} rows are of files that are gone from {folder}" if count else ""


def _with_files(images: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """These images, of files that are gone with what is known of the files: their features are there."""
    known = known.dropna(subset=["bytes", "modified"])  # which rows written from Python may lack
    gone = (images.bytes < 0) & images.path.isin(known.path)
    files = known.set_index("path").loc[images.path[gone], ["bytes", "modified"]].astype("int64")
    images = images.copy()
    images.loc[gone, ["bytes", "modified"]] = files.to_numpy()
    return images


def _in_all(database: Database) -> str:
    """How much a database holds, of how much camera, track or time are missing, and how many tracks are too long."""
    names = {"camid": "camera", "track": "track", "time": "time"}
    rows = database.rows([name for name in names if name in database.columns])
    tracks = ""
    if "track" in rows:
        seen = rows.groupby("track").time
        long = (seen.max() - seen.min() > LONG).sum()
        tracks = f" in {len(seen):,} tracks" + (f", {long:,} of them longer than an hour" if long else "")
    missing = rows.isna().sum()
    without = [
        f", none with a {names[name]}" if count == len(rows) else f", {count:,} without a {names[name]}"
        for name, count in missing.items()
        if count
    ]
    return f"{len(rows):,} in all{tracks}{''.join(without)}"


def _extracted(model: ReID, images: pd.DataFrame, known: Collection[str]) -> Iterator[tuple[pd.DataFrame, Features]]:
    """Batch by batch the rows of those images that can be read, and their features; names the others on stderr."""
    shown = bar(model.embed_each(images.path), "Indexing", len(images), "image")
    outcomes = iter(shown)
    for start in range(0, len(images), BATCH):
        rows = images[start : start + BATCH]
        batch = list(islice(outcomes, len(rows)))
        readable = [not isinstance(outcome, InputError) for outcome in batch]
        for image, outcome in zip(rows.path, batch, strict=True):
            if isinstance(outcome, InputError):
                shown.clear()
                what = "its row stays as it was" if image in known else "left out"
                with contextlib.suppress(OSError):  # the terminal may be closed
                    print(f"{printable(image)} cannot be read: {outcome}; {what}.", file=sys.stderr)
        if features := [outcome for outcome in batch if not isinstance(outcome, InputError)]:
            yield rows[readable].reset_index(drop=True), np.stack(features)


def _compare(images: pd.DataFrame, known: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Of each image whether it is known as it is, and whether only what is said of it, as its camera, has changed."""
    before = known.set_index("path").reindex(images.path).reset_index()
    equal = {
        name: (before[name].astype(object) == images[name].astype(object)).fillna(False).astype(bool)
        | (before[name].isna() & images[name].isna())
        for name in images.columns
    }
    same_file = images.path.isin(known.path) & equal["bytes"] & equal["modified"]
    same_words = pd.DataFrame(equal).all(axis=1)
    return same_file & same_words, same_file & ~same_words


def _update_metadata(database: Database, images: pd.DataFrame, known: pd.DataFrame) -> None:
    """Writes what is said of images that are the same, with the features that are there."""
    if "time" not in images:
        images = images.assign(time=images.path.map(known.set_index("path").time))
    for start in range(0, len(images), BATCH):
        rows = images[start : start + BATCH].reset_index(drop=True)
        database.write(rows, database.feature(rows.path))
