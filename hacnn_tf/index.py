"""Indexes pictures of persons: puts the features of a folder's pictures into a database, to be searched.

    python -m hacnn_tf.index --model runs/quickstart --images data/synthetic/detected/bounding_box_test \\
        --database people.lance
    python -m hacnn_tf.index --database people.lance --remove "camid = 3 and time < timestamp '2026-11-01 00:00:00'"

Pictures that are there are left alone, those that have changed are replaced, those that cannot be read are named. What
was stopped or killed goes on with the same command. --remove deletes for good what must not be kept: features and all
that is known of the pictures; the files of the pictures themselves are yours to remove.
"""

import contextlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import tqdm

from hacnn_tf import cli
from hacnn_tf.database import Database
from hacnn_tf.database.database import SUFFIX
from hacnn_tf.database.pictures import list_pictures, times
from hacnn_tf.errors import InputError
from hacnn_tf.files import locked
from hacnn_tf.reid import ReID
from hacnn_tf.training.settings import PRECISIONS

BATCH = 512  # pictures a transaction; a kill loses so many at most

COMMAND = cli.Command(__doc__, "hacnn_tf.index")
COMMAND.define("string", "model", None, "a run folder, an export, a preset's folder or name")
COMMAND.define(
    "enum", "precision", None, "dtype policy to compute in; the training's if not given", enum_values=PRECISIONS
)
COMMAND.group("Network")
COMMAND.define("string", "images", None, "a folder of pictures, or a manifest (.csv, .parquet)")
COMMAND.define("string", "camera_pattern", None, "regular expression whose group finds the camera in a picture's path")
COMMAND.group("Pictures")
COMMAND.define("string", "database", None, f"where the features go, as in people{SUFFIX}")
COMMAND.define("string", "remove", None, "delete for good the rows for which this condition (SQL) holds")
COMMAND.group("Database")


def main(flags):
    cli.require(flags, "database")
    if flags.remove is None:
        cli.require(flags, "model", "images")
    elif flags.model or flags.images:
        raise InputError("--remove takes nothing but --database: leave --model and --images out.")
    with _alone(flags.database):
        if flags.remove is not None:
            database = Database(flags.database)
            count = database.remove(flags.remove)
            print(f"{count:,} pictures removed from {database.path}, {len(database):,} left.")
        else:
            pictures = list_pictures(flags.images, flags.camera_pattern)
            index(ReID.from_preset(flags.model, flags.precision), pictures, flags.database)


def index(model, pictures, path):
    """Brings a database up to date with some pictures, and prints what was done.

    Args:
        model: a `ReID`.
        pictures: `pandas.DataFrame` of `list_pictures`.
        path: of the database; made if it is not there.

    Raises:
        InputError: the database is of another model or has other columns, or no picture can be read.
    """
    database = Database.open_or_create(path, model, pictures.assign(time=pictures.get("time", pd.NaT)))
    known = database.rows(["path", "bytes", "modified"]).set_index("path")
    before = known.reindex(pictures.path)
    same = (before.bytes.to_numpy() == pictures.bytes) & (before.modified.to_numpy() == pictures.modified)
    todo = pictures[~same].reset_index(drop=True)
    unreadable = 0
    with tqdm.tqdm(total=len(todo), unit="picture", disable=None) as bar:
        outcomes = model.embed_each(todo.path)
        for start in range(0, len(todo), BATCH):
            rows = todo[start : start + BATCH].reset_index(drop=True)
            features = {}
            for i, (picture, outcome) in enumerate(zip(rows.path, outcomes, strict=False)):
                if isinstance(outcome, InputError):
                    unreadable += 1
                    tqdm.tqdm.write(f"{picture} cannot be read: {outcome}; left out.", file=sys.stderr)
                else:
                    features[i] = outcome
                bar.update()
            if features:
                rows = rows.loc[list(features)].reset_index(drop=True)
                taken = rows.time if "time" in rows else times(rows.path)
                database.write(rows.assign(time=taken), np.stack(list(features.values())))
    if unreadable == len(pictures):
        raise InputError(f"None of the {len(pictures):,} pictures can be read.")
    if len(todo) > unreadable:
        database.tidy()
    replaced = todo.path.isin(known.index).sum()
    print(
        f"{database.path}: {len(todo) - replaced - unreadable:,} pictures added, {replaced:,} replaced, "
        f"{same.sum():,} as they were, {unreadable:,} that cannot be read; {len(database):,} in all."
    )


def _alone(path):
    """Keeps other processes of this machine from writing the database; those of buckets are not locked."""
    if "://" in path:
        return contextlib.nullcontext()
    place = Path(path)
    return locked(place.with_name(f".{place.name}.lock"), path)


if __name__ == "__main__":
    COMMAND.run(main)
