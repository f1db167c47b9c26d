"""Manifests: CSV or Parquet files that say of each image who it shows and which camera took it."""

import csv
import functools
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from hacnn_tf.data.dataset import SPLITS, check_tracks
from hacnn_tf.data.listing import list_images
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import expanded
from hacnn_tf.utils.packages import not_imported
from hacnn_tf.utils.text import preview
from hacnn_tf.utils.types import FilePath

NAMES = ("manifest.csv", "manifest.parquet")  # in the folder of its images
NAMED = ("pid", "camid", "track")  # columns of names or whole numbers
TEXTS = ("path", *NAMED, "split")
UNLISTED = "unlisted image"
BLANKS = {"NULL", "\\N", "NA", "N/A", "n/a", "#N/A", "#NV", "#REF!", "#VALUE!"}  # what databases, spreadsheets, R write
GAPS = {"nan", "NaN", "<NA>", "None"}  # what Python and pandas write of a missing value, among numbers
# What they write of a number with a point, and nothing else: 1.0, -1.0, 1.50, 1e+16; not 007.0, +1 or 1e3.
FLOAT = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]*(?:e[+-][0-9]+)?|e[+-][0-9]+)")
ROUNDED = re.compile(r"[0-9](?:\.[0-9]+)?E\+[0-9]+")  # what spreadsheets make of long numbers, whose digits are lost
NUMBER = re.compile(rf"-?[0-9]+|{FLOAT.pattern}")
PLAIN = re.compile(rf"-?(?:0|[1-9][0-9]*)|{FLOAT.pattern}")  # as programs write numbers: 007 and 12E5 are names
FLOAT_BITS = 53  # from 2**53 on, a whole number may be another than the one that was meant
SEPARATORS = ";\t|"  # that a file has between its columns where there are no commas, as of a German Excel


def find_manifest(place: FilePath) -> Path | None:
    """The manifest that a path means: itself if it is a file, or the one in this folder; None if there is none.

    Raises:
        InputError: there is no such path, or the folder has two.
    """
    place = Path(expanded(place))
    if not place.exists():
        raise InputError(f"{place} is not there: name the folder of your images, or their manifest.")
    if not place.is_dir():
        return place
    try:
        found = sorted(name for name in os.listdir(place) if name.lower() in NAMES)
    except OSError as error:
        raise InputError(f"{place} cannot be listed: {error.strerror or error}.") from None
    if len(found) > 1:
        raise InputError(f"{place} holds {' and '.join(found)}: name one of them, or remove one.")
    return place / found[0] if found else None


def read_manifest(path: FilePath, needed: Sequence[str] = ("pid",), gone: bool = False) -> pd.DataFrame:
    """The table in a manifest, checked. No image is opened.

    Args:
        path: the `.csv` (UTF-8, with a line of column names) or `.parquet` file. `path` in it is relative to its
            folder, or absolute; `pid`, `camid` and `track` are any texts or numbers; `split` is one of `SPLITS`.
        needed: columns that it must have besides `path`.
        gone: whether some files, but not all, may be gone since it was written.

    Returns:
        `pandas.DataFrame` with its columns: `path` below its folder, and `pid`, `camid`, `track` and `split` where it
        has them, as str, no value missing but of `track`; further columns as Parquet has them, or from CSV as numbers
        if all values are, else str.

    Raises:
        InputError: it cannot be read, lacks columns or values, has an unknown split, gives an image two identities,
            cameras or tracks or one split twice, a track two identities or cameras, or files are not there.
    """
    path = Path(expanded(path))
    readers = {".csv": _read_csv, ".parquet": _read_parquet}
    if path.suffix.lower() not in readers:
        raise InputError(f"{path} is no manifest: its name must end in .csv or .parquet.")
    try:
        rows = readers[path.suffix.lower()](path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    rows.columns = [_column_name(name) for name in rows.columns]
    _check_columns(path, rows, ("path", *needed))
    rows = rows.assign(**{name: _texts(path, rows, name) for name in TEXTS if name in rows})
    rows["path"] = _files(path, rows.path, gone)
    _check_values(path, rows)
    return rows


def unlisted(place: FilePath, paths: Iterable[str]) -> dict[str, str]:
    """What is left out if a folder is read by the manifest in it: dict from path to kind, as of `list_images`.

    Args:
        place: path of the folder; of a manifest itself, where nothing is said of a folder, nothing is left out. Nor is
            it if the folder has something that cannot be listed, as the manifest alone counts.
        paths: of the images that the manifest lists.
    """
    try:
        images = list_images(place)[0] if os.path.isdir(place) else []
    except InputError:
        return {}
    listed = set(_real(paths))
    return {str(path): UNLISTED for path, real in zip(images, _real(images), strict=True) if real not in listed}


def as_names(column: pd.Series, where: str) -> pd.Series:
    """Identities, cameras or tracks as the texts that they are compared by.

    Spaces around a name don't count, nor whether its accents are letters of their own (as on older Macs) or not. A
    whole number that was written with a point, as pandas does where there was a gap, is that number: 1.0 is 1.

    Args:
        column: `pandas.Series` of texts or numbers, none missing.
        where: what has them, to begin a sentence with: "people.csv has the pid".

    Returns:
        `pandas.Series` of str.

    Raises:
        InputError: numbers that are not whole, or so large that they have lost digits.
    """
    floats = isinstance(column.dtype, np.dtype) and column.dtype.kind == "f"
    bits = np.finfo(column.dtype).nmant + 1 if floats else FLOAT_BITS
    texts = column.astype(object).map(lambda value: unicodedata.normalize("NFC", str(value)).strip())
    numbers = texts[texts.map(lambda text: floats or FLOAT.fullmatch(text) is not None).astype(bool)].astype(float)
    rounded = texts[texts.map(lambda text: ROUNDED.fullmatch(text) is not None).astype(bool)]
    if len(rounded):
        raise InputError(
            f"{where} {preview(rounded.unique())}, as spreadsheets write long numbers, whose digits are lost: have it "
            "save that column as text."
        )
    if (blanks := texts[texts.isin(BLANKS)]).any():
        raise InputError(f"{where} {preview(blanks.unique())}, which is written where nothing is known: rename it.")
    odd = (numbers % 1 != 0) | (numbers.abs() >= 2.0**bits)  # infinity % 1 is NaN
    if odd.any():
        raise InputError(
            f"{where} {preview(texts[odd.index[odd]].unique())}: write names or whole numbers "
            f"(with a point only below 2**{bits}, where no digit can have been lost)."
        )
    texts[numbers.index] = numbers.astype(int).map(str)
    return texts


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            marks = [mark for mark in SEPARATORS if mark in first and "," not in first]
            file.seek(0)
            reader = csv.reader(file, delimiter=marks[0] if len(marks) == 1 else ",", strict=True)
            names = next(reader, [])
            lines: list[list[str]] = []
            for line in reader:
                if line and len(line) != len(names):
                    raise InputError(
                        f"Line {reader.line_num:,} of {path} has {len(line)} values, and its first line {len(names)} "
                        "names of columns: make them as many, with quotes around values that have commas in them."
                    )
                if any("\0" in value for value in line):
                    raise csv.Error(f"line {reader.line_num:,} has a zero byte")
                if line:
                    lines.append(line)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a CSV file in UTF-8 ({error}): save it as one.") from None
    rows = pd.DataFrame(lines, columns=names, dtype=object)
    empty = [not name.strip() and not rows.iloc[:, i].str.strip().any() for i, name in enumerate(names)]
    rows = rows.loc[:, ~np.array(empty, bool)]  # as spreadsheets leave them on the right
    if not rows.columns.duplicated().any():
        for name in [name for name in rows.columns if _column_name(name) not in TEXTS]:
            numbers = as_numbers(rows[name])
            rows[name] = rows[name] if numbers is None else numbers
    return rows


def as_numbers(values: pd.Series) -> pd.Series | None:
    """A column of objects, most often texts, as numbers; None if one of them is none, or would be another as one."""
    if values.map(type).eq(bool).any():
        return None
    texts = values.map(lambda value: value.strip() if isinstance(value, str) else "0")
    if not texts.map(PLAIN.fullmatch).map(bool).all():
        return None
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.isna().any() or numbers.dtype.kind == "u":
        return None
    whole = values.map(str).str.fullmatch(r"[+-]?\d+")
    return None if numbers.dtype.kind == "f" and (whole & (numbers.abs() >= 2**53)).any() else numbers


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise not_imported(error, str(path), "search") from None
    with open(path, "rb") as file:
        try:
            # Whole numbers with gaps would be floats otherwise, and large ones others.
            rows = pyarrow.parquet.read_table(file).to_pandas(integer_object_nulls=True, ignore_metadata=True)
            # With what pandas says of itself, a column that was its index would be one again, and lost.
            return rows[[name for name in rows if not re.fullmatch(r"__index_level_\d+__", str(name))]]
        except Exception as error:  # whatever a file of another kind makes its reader raise
            raise InputError(f"{path} is not a Parquet file, or damaged ({type(error).__name__}).") from None


def _check_columns(path: Path, rows: pd.DataFrame, needed: Sequence[str]) -> None:
    missing = [name for name in needed if name not in rows]
    if missing:
        raise InputError(
            f"{path} lacks the column{'s' * (len(missing) > 1)} {' and '.join(missing)}: "
            + (f"it has {preview(rows.columns)}." if len(rows.columns) else "it is empty.")
        )
    if rows.columns.duplicated().any():
        twice = rows.columns[rows.columns.duplicated()].unique()
        raise InputError(f"{path} has more than one column {preview([name or 'without a name' for name in twice])}.")
    if not len(rows):
        raise InputError(f"{path} lists no images: below the names of its columns comes a line an image.")


def _column_name(name: object) -> str:
    """The name of a column; those that are known, however they are spelled: a lost camid or split changes results."""
    name = str(name).strip()
    return name.lower() if name.lower() in (*TEXTS, "time") else name


def _texts(path: Path, rows: pd.DataFrame, name: str) -> pd.Series:
    texts = rows[name].astype(object).map(str)
    stripped = texts if name == "path" else texts.str.strip()
    empty = rows[name].isna() | (stripped == "")
    if name in NAMED:
        empty |= stripped.isin(BLANKS)
        gaps = stripped.isin(GAPS)
        if stripped[~gaps & ~empty].map(lambda text: NUMBER.fullmatch(text) is not None).all() and not gaps.all():
            empty |= gaps
    if name == "track":  # which not every image has
        return as_names(rows.track[~empty], f"{path} has the {name}").reindex(rows.index)
    if empty.any():
        where = [f"row {row + 1}" for row in rows.index[empty]] if name == "path" else rows.path[empty]
        unknown = "; -1 is a camera that is not known" if name == "camid" else ""
        raise InputError(f"{path} does not say the {name} of {empty.sum():,} images: {preview(where)}{unknown}.")
    return as_names(rows[name], f"{path} has the {name}") if name in NAMED else stripped


def _files(path: Path, names: pd.Series, gone: bool) -> list[str]:
    """The paths of images that a manifest names. Raises `InputError` if they are not there."""
    found = [_file(path.parent, name) for name in names]
    missing = [path.parent / name for name, file in zip(names, found, strict=True) if file is None]
    if missing and not (gone and len(missing) < len(found)):
        raise InputError(
            f"{len(missing):,} of the {len(found):,} images in {path} are not there: {preview(missing)}; "
            "their paths count from the manifest's folder."
        )
    return [file or str(path.parent / name) for name, file in zip(names, found, strict=True)]


def _file(folder: Path, name: str) -> str | None:
    """The path of a file, also if it is spelled otherwise there: spaces, Windows' \\, how accents are written."""
    spellings = [name]
    for separated in (name.strip(), name.strip().replace("\\", "/")):
        spellings += [unicodedata.normalize(form, separated) for form in ("NFC", "NFD")]
    return next(filter(os.path.isfile, (str(folder / spelling) for spelling in spellings)), None)


def _check_values(path: Path, rows: pd.DataFrame) -> None:
    if "split" in rows and (unknown := sorted(set(rows.split).difference(SPLITS))):
        raise InputError(f"{path} has a split {preview(unknown)}: {', '.join(SPLITS)} are known.")
    said = [name for name in NAMED if name in rows]
    rows = rows.assign(path=list(_real(rows.path)))
    two = rows.drop_duplicates(["path", *said]).path.duplicated()
    if two.any():
        raise InputError(
            f"{path} gives {two.sum():,} images more than one identity, camera or track: "
            f"{preview(rows.path[two.index[two]].unique())}."
        )
    twice = rows.duplicated([name for name in ("path", "split") if name in rows])
    if twice.any():
        raise InputError(f"{path} lists {twice.sum():,} images more than once: {preview(rows.path[twice].unique())}.")
    check_tracks(rows, f"{path} has")


def _real(paths: Iterable[FilePath]) -> Iterator[str]:
    """Paths in full, without links to the folders, which are looked at once each."""
    folder = functools.cache(os.path.realpath)
    return (os.path.join(folder(os.path.dirname(path)), os.path.basename(path)) for path in paths)
