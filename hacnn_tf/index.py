"""Indexes pictures of persons: puts the features of a folder's pictures into a database, to be searched.

    python -m hacnn_tf.index --model runs/quickstart --images data/synthetic/detected/bounding_box_test \\
        --database people.lance
    python -m hacnn_tf.index --database people.lance --remove "camid = 3 and time < timestamp '2026-11-01 00:00:00'"

Pictures that are there are left alone, those that have changed, or of which something else is said, are replaced, those
that cannot be read are named, and files that are no images are left out and counted by kind. What was stopped or killed
goes on with the same command.

--remove deletes for good what must not be kept: features and all that is known of the pictures; the files of the
pictures themselves are yours to remove, and a row stays when its file goes. It says first how many of how many it would
delete and asks; scripts say --yes. Rows with a missing value never match a condition on it: "camid != 3" does not hold
where there is no camera.
"""

import importlib.util
import sys
from collections.abc import Iterator, Mapping
from itertools import compress, islice
from pathlib import Path

import numpy as np
import pandas as pd
import tqdm
from absl.flags import FlagValues

from hacnn_tf.data.listing import count_kinds
from hacnn_tf.export import find_export, keras_file, load_export, onnx, saved_model
from hacnn_tf.gallery import Database
from hacnn_tf.gallery.database import SUFFIX, check_path, writing
from hacnn_tf.gallery.pictures import list_pictures, times
from hacnn_tf.reid import ReID
from hacnn_tf.utils import cli
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import expanded, printable
from hacnn_tf.utils.types import Features, FilePath

BATCH = 512  # pictures a transaction; a kill loses so many at most

COMMAND = cli.Command(__doc__, "hacnn_tf.index")
COMMAND.define("path", "model", None, "a run folder, an export, a preset's folder or name")
COMMAND.define_precision()
COMMAND.define(
    "enum",
    "runtime",
    None,
    "what computes a folder of exports; by default ONNX Runtime if it is installed and has its file there",
    enum_values=["tensorflow", "onnx"],
)
COMMAND.group("Network")
COMMAND.define("path", "images", None, "a folder of pictures, or a manifest (.csv, .parquet)")
COMMAND.define("string", "camera_pattern", None, "regular expression whose group finds the camera in a picture's path")
COMMAND.group("Pictures")
COMMAND.define("path", "database", None, f"where the features go, as in people{SUFFIX}")
COMMAND.define("string", "remove", None, "delete for good the rows for which this condition (SQL) holds")
COMMAND.define("boolean", "yes", False, "with --remove: do not ask")
COMMAND.group("Database")


def main(flags: FlagValues) -> None:
    cli.require(flags, "database")
    check_path(flags.database)
    if flags.remove is None:
        if flags.yes:
            raise InputError("--yes answers the question of --remove: leave it out.")
        cli.require(flags, "model", "images")
        pictures, left_out = list_pictures(flags.images, flags.camera_pattern)
        model = open_model(flags.model, flags.precision, flags.runtime)
        with writing(flags.database):
            index(model, pictures, flags.database, left_out)
    else:
        others = ("model", "images", "precision", "runtime", "camera_pattern")
        if given := [f"--{name}" for name in others if flags[name].value]:
            raise InputError(f"--remove takes nothing but --database and --yes: leave {' and '.join(given)} out.")
        database = Database(flags.database)
        with writing(flags.database):
            remove(database, flags.remove, flags.yes)


def remove(database: Database, where: str, sure: bool) -> None:
    """Deletes the pictures for which a condition holds; asks first, unless it is `sure`.

    Raises:
        InputError: the condition cannot be used, or nobody said yes; nothing is deleted then.
    """
    database.refresh()
    count, total = database.count(where), len(database)
    if not count and database.tidied:
        print(f"None of the {total:,} pictures in {database.path} matches; nothing was deleted.")
        return
    if count and not sure:  # a removal that was interrupted has had its yes
        _ask(f"{count:,} of {total:,} pictures from {database.path} for good")
    count = database.remove(where)
    print(f"{count:,} removed from {database.path}, {len(database):,} left.")


def _ask(what: str) -> None:
    """Raises `InputError` unless somebody at the terminal says yes to deleting this."""
    if not all(stream and stream.isatty() for stream in (sys.stdin, sys.stderr)):
        raise InputError(f"--remove would delete {what}: add --yes to do it without a question.")
    print(f"Delete {what}? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.buffer.readline().strip().lower() not in (b"y", b"yes"):
        raise InputError("Nothing was deleted.")


def open_model(preset: FilePath, precision: str | None = None, runtime: str | None = None) -> ReID:
    """The `ReID` to index with; of a folder with exports for several runtimes, the one for `runtime`.

    Args:
        preset: as in `ReID.from_preset`.
        precision: dtype policy to compute in, by TensorFlow.
        runtime: "tensorflow" or "onnx". By default ONNX Runtime, which starts at once and is faster on most CPUs, if it
            is installed and the folder has float32 for it; says so.

    Raises:
        InputError: as `ReID.from_preset`; or the folder has nothing for this runtime.
    """
    place = Path(expanded(preset))
    found = None if (place / "config.json").exists() else find_export(place)  # a run folder or preset has one way
    file = place / onnx.FILE if place.is_dir() else place
    program = found is not None and file.suffix == ".onnx" and file.is_file()
    if runtime == "tensorflow" and found and found[0] not in (keras_file, saved_model):
        raise InputError(f"--runtime tensorflow needs a run, preset, Keras file or SavedModel, and {preset} is none.")
    if runtime == "onnx" and (precision or not program):
        raise InputError(
            f"--runtime onnx needs {file}, and no --precision: write it with hacnn_tf.export --format onnx."
        )
    asked = runtime == "onnx" or (runtime is None and not precision and importlib.util.find_spec("onnxruntime"))
    if program and place.is_dir() and asked:
        export = load_export(file)
        if runtime or export.precision == "float32":
            print("Computed by ONNX Runtime on the CPU; --runtime tensorflow takes TensorFlow, also on a GPU.")
            return ReID(str(file), export)
    return ReID.from_preset(preset, precision)


def index(model: ReID, pictures: pd.DataFrame, path: FilePath, left_out: Mapping[str, str] | None = None) -> None:
    """Brings a database up to date with some pictures, and prints what was done.

    Args:
        model: a `ReID`.
        pictures: `pandas.DataFrame` of `list_pictures`.
        path: of the database; made if it is not there.
        left_out: dict of `list_pictures`, of which is said how much it is.

    Raises:
        InputError: the database is of another model or has other columns, or no picture can be read.
    """
    database = Database.find(path, model, pictures.assign(time=pd.NaT))
    if database and database.outdated:
        print(database.outdated, file=sys.stderr)
    known = pictures[:0].assign(time=pd.NaT) if database is None else database.rows(database.columns)
    unchanged, updated = _compare(pictures if database is None else database.as_kept(pictures), known)
    todo = pictures[~unchanged & ~updated].reset_index(drop=True)
    done = replaced = 0
    for rows, features in _extracted(model, todo):
        rows = rows.assign(time=rows.time if "time" in rows else times(rows.path))
        if database is None:
            database = Database.create(path, model, pictures.assign(time=pd.NaT))
        database.write(rows, features)
        done += len(rows)
        replaced += rows.path.isin(known.path).sum()
    if database is None:
        raise InputError(f"None of the {len(pictures):,} pictures can be read.")
    _update_metadata(database, pictures[updated], known)
    if not database.tidied:  # that was stopped too, perhaps
        database.tidy()
    print(
        f"{database.path}: {done - replaced:,} added, {replaced:,} replaced, {unchanged.sum():,} as they were, "
        f"{updated.sum():,} metadata updated, {len(todo) - done:,} that cannot be read; {len(database):,} in all"
        + (f"; left out: {count_kinds(left_out)}." if left_out else ".")
    )


def _extracted(model: ReID, pictures: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, Features]]:
    """Batch by batch the rows of those pictures that can be read, and their features; names the others on stderr."""
    with tqdm.tqdm(model.embed_each(pictures.path), total=len(pictures), unit="picture", disable=None) as bar:
        outcomes = iter(bar)
        for start in range(0, len(pictures), BATCH):
            rows = pictures[start : start + BATCH]
            batch = list(islice(outcomes, len(rows)))
            readable = [not isinstance(outcome, InputError) for outcome in batch]
            for picture, outcome in zip(rows.path, batch, strict=True):
                if isinstance(outcome, InputError):
                    tqdm.tqdm.write(f"{printable(picture)} cannot be read: {outcome}; left out.", file=sys.stderr)
            if any(readable):
                yield rows[readable].reset_index(drop=True), np.stack(list(compress(batch, readable)))


def _compare(pictures: pd.DataFrame, known: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Of each picture whether it is known as it is, and whether only what is said of it, as its camera, has changed."""
    before = known.set_index("path").reindex(pictures.path).reset_index()
    equal = {
        name: (before[name].astype(object) == pictures[name].astype(object)).fillna(False).astype(bool)
        | (before[name].isna() & pictures[name].isna())
        for name in pictures.columns
    }
    same_file = pictures.path.isin(known.path) & equal["bytes"] & equal["modified"]
    same_words = pd.DataFrame(equal).all(axis=1)
    return same_file & same_words, same_file & ~same_words


def _update_metadata(database: Database, pictures: pd.DataFrame, known: pd.DataFrame) -> None:
    """Writes what is said of pictures that are the same, with the features that are there."""
    if "time" not in pictures:
        pictures = pictures.assign(time=pictures.path.map(known.set_index("path").time))
    for start in range(0, len(pictures), BATCH):
        rows = pictures[start : start + BATCH].reset_index(drop=True)
        database.write(rows, database.feature(rows.path))


if __name__ == "__main__":
    COMMAND.run(main)
