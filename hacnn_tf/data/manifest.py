"""Manifests: CSV or Parquet files that say of each image who it shows and which camera took it."""

import csv
import os
from pathlib import Path

import pandas as pd

from hacnn_tf.data.table import SPLITS
from hacnn_tf.errors import InputError
from hacnn_tf.files import some

NAMES = ("manifest.csv", "manifest.parquet")  # in the folder of its images
TEXTS = ("path", "pid", "camid", "split")


def find_manifest(place):
    """The manifest that a path means: itself if it is a file, or the one in this folder; None if there is none.

    Raises:
        InputError: there is no such path, or the folder has two.
    """
    place = Path(place)
    if not place.exists():
        raise InputError(f"{place} is not there: name the folder of your images, or their manifest.")
    found = [place / name for name in NAMES if (place / name).exists()] if place.is_dir() else [place]
    if len(found) > 1:
        raise InputError(f"{place} holds {' and '.join(NAMES)}: name one of them, or remove one.")
    return found[0] if found else None


def read_manifest(path, needed=("pid",)):
    """The table in a manifest, checked. No image is opened.

    Args:
        path: the `.csv` (UTF-8, with a line of column names) or `.parquet` file. `path` in it is relative to its
            folder, or absolute; `pid` and `camid` are any texts or numbers; `split` is one of `SPLITS`.
        needed: columns that it must have besides `path`.

    Returns:
        `pandas.DataFrame` with its columns: `path` below its folder, and `pid`, `camid` and `split` where it has them,
        as str, no value missing; further columns as Parquet has them, or from CSV as numbers if all values are, else
        str.

    Raises:
        InputError: it cannot be read, lacks columns or values, has an unknown split, gives an image two identities or
            cameras or one split twice, or files are not there.
    """
    path = Path(path)
    readers = {".csv": _read_csv, ".parquet": _read_parquet}
    if path.suffix.lower() not in readers:
        raise InputError(f"{path} is no manifest: its name must end in .csv or .parquet.")
    try:
        rows = readers[path.suffix.lower()](path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    _check_columns(path, rows, ("path", *needed))
    rows = rows.assign(**{name: _texts(path, rows, name) for name in TEXTS if name in rows})
    rows["path"] = [str(path.parent / name) for name in rows.path]
    _check_values(path, rows)
    return rows


def _read_csv(path):
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            names, lines = next(reader, []), []
            for line in reader:
                if line and len(line) != len(names):
                    raise InputError(
                        f"Line {reader.line_num:,} of {path} has {len(line)} values, and its first line {len(names)} "
                        "names of columns: make them as many, with quotes around values that have commas in them."
                    )
                if line:
                    lines.append(line)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a CSV file in UTF-8 ({error}): save it as one.") from None
    rows = pd.DataFrame(lines, columns=names, dtype=object)
    if not rows.columns.duplicated().any():
        for name in set(names).difference(TEXTS):
            numbers = as_numbers(rows[name])
            rows[name] = rows[name] if numbers is None else numbers
    return rows


def as_numbers(values):
    """A column of objects, most often texts, as numbers; None if one of them is none, or would be another as one."""
    if values.map(type).eq(bool).any():
        return None
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.isna().any() or numbers.dtype.kind == "u":
        return None
    whole = values.map(str).str.fullmatch(r"[+-]?\d+")
    return None if numbers.dtype.kind == "f" and (whole & (numbers.abs() >= 2**53)).any() else numbers


def _read_parquet(path):
    with open(path, "rb") as file:
        try:
            return pd.read_parquet(file, engine="pyarrow").reset_index(drop=True)
        except ImportError:
            raise InputError(
                f'{path} needs pyarrow: pip install -c constraints.txt -e ".[search]", or make it a .csv file.'
            ) from None
        except Exception as error:  # whatever a file of another kind makes its reader raise
            raise InputError(f"{path} is not a Parquet file, or damaged ({type(error).__name__}).") from None


def _check_columns(path, rows, needed):
    missing = [name for name in needed if name not in rows]
    if missing:
        raise InputError(
            f"{path} lacks the column{'s' * (len(missing) > 1)} {' and '.join(missing)}: "
            + (f"it has {some(rows.columns)}." if len(rows.columns) else "it is empty.")
        )
    if rows.columns.duplicated().any():
        raise InputError(f"{path} has more than one column {some(rows.columns[rows.columns.duplicated()].unique())}.")
    if not len(rows):
        raise InputError(f"{path} lists no images: below the names of its columns comes a line an image.")


def _texts(path, rows, name):
    column = rows[name].astype(object)
    empty = column.isna() | (column.map(str) == "")
    if empty.any():
        where = [f"row {row + 1}" for row in rows.index[empty]] if name == "path" else rows.path[empty]
        raise InputError(f"{path} does not say the {name} of {empty.sum():,} images: {some(where)}.")
    return column.map(str)


def _check_values(path, rows):
    if "split" in rows and (unknown := sorted(set(rows.split).difference(SPLITS))):
        raise InputError(f"{path} has a split {some(unknown)}: {', '.join(SPLITS)} are known.")
    said = [name for name in ("pid", "camid") if name in rows]
    two = rows.drop_duplicates(["path", *said]).path.duplicated()
    if two.any():
        raise InputError(
            f"{path} gives {two.sum():,} images more than one identity or camera: "
            f"{some(rows.path[two.index[two]].unique())}."
        )
    twice = rows.duplicated([name for name in ("path", "split") if name in rows])
    if twice.any():
        raise InputError(f"{path} lists {twice.sum():,} images more than once: {some(rows.path[twice].unique())}.")
    missing = [file for file in rows.path if not os.path.isfile(file)]
    if missing:
        raise InputError(
            f"{len(missing):,} of the {len(rows):,} images in {path} are not there: {some(missing)}; "
            "their paths count from the manifest's folder."
        )
