"""Which images there are, and what is known of each without looking at it: camera, time, what a manifest says."""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from hacnn_tf.data.custom import group_regex
from hacnn_tf.data.dataset import NO_CAMERA, check_tracks
from hacnn_tf.data.folders import FILE_NAME
from hacnn_tf.data.listing import list_images, only
from hacnn_tf.data.manifest import NAMED, TEXTS, as_numbers, find_manifest, read_manifest, unlisted
from hacnn_tf.gallery.naming import FILE_COLUMNS, TRACK_COLUMNS, check_columns
from hacnn_tf.gallery.times import as_times, has_zone
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import expanded
from hacnn_tf.utils.text import preview
from hacnn_tf.utils.types import FilePath


def find_images(
    images: FilePath, camera_pattern: str | None = None, track_pattern: str | None = None
) -> tuple[pd.DataFrame, dict[str, str]]:
    """The images of a folder, or of a manifest.

    Args:
        images: path of a folder, taken with all folders in it; of one with a `manifest.csv` or `manifest.parquet`, or
            of such a file, see `hacnn_tf.data.manifest.read_manifest`. Of its columns only `path` is needed; `time` is
            as in 2026-11-24 15:30:00 (ISO 8601; with a zone, stored in UTC), and the others are kept as they are.
        camera_pattern: regular expression with one group that finds the camera in an image's path below the folder;
            if not given, it is the number after `_c` of names like 0002_c1s1_000451_03.jpg. Not for manifests with a
            `camid`.
        track_pattern: the same for the track, which is not known if not given. Not for manifests with a `track`.

    Returns:
        `pandas.DataFrame` ordered by path, with the columns `path` (absolute), `bytes`, `modified` (nanoseconds),
        `camid`, `track` if a pattern finds it, those of the manifest, and `time` if that is one of them; and a dict of
        what is left out, as `hacnn_tf.data.listing.list_images` gives it.

    Raises:
        InputError: there are none, they cannot be listed, or a track has two cameras; says what and what to do.
    """
    given = [
        (column, what, group_regex(what, pattern))
        for column, what, pattern in (("camid", "camera", camera_pattern), ("track", "track", track_pattern))
        if pattern is not None
    ]
    place = Path(expanded(images))
    left_out: dict[str, str] = {}
    manifest = find_manifest(place)
    if manifest:
        rows = _of_manifest(manifest)
        left_out = unlisted(place, rows.path)
        place = manifest.parent
    else:
        found, left_out = list_images(place)
        if not found:
            raise InputError(f"{images} holds no images, nor do the folders in it{only(left_out)}.")
        rows = pd.DataFrame({"path": list(map(str, found))}, dtype=str)
    for column, what, _ in given:
        if column in rows:
            raise InputError(f"{images} says the {what}s in its column {column}: leave --{what}_pattern out.")
    if "camid" not in rows and camera_pattern is None:
        rows["camid"] = _cameras(rows.path)
    names = [os.path.relpath(path, place) for path in rows.path] if given else []
    for column, what, pattern in given:
        rows[column] = _found(what, pattern, names)
    if "track" in rows and (taken := [name for name in TRACK_COLUMNS if name in rows]):
        tracks = "--track_pattern" if track_pattern else "the column track"
        raise InputError(
            f"{manifest} has a column {' and '.join(taken)}, which a database has itself where there are tracks: "
            f"rename it, or leave {tracks} out."
        )
    check_tracks(rows, f"{images} has")
    rows["path"] = rows.path.map(os.path.abspath)
    if rows.path.duplicated().any():
        raise InputError(f"{manifest} lists images more than once: {preview(rows.path[rows.path.duplicated()])}.")
    rows["bytes"], rows["modified"] = zip(*map(_status, rows.path), strict=True)
    first = [*FILE_COLUMNS, "camid"]
    rows = rows[[*first, *rows.columns.difference(first, sort=False)]].sort_values("path", ignore_index=True)
    return rows, left_out


def _of_manifest(manifest: Path) -> pd.DataFrame:
    rows = read_manifest(manifest, needed=(), gone=True).drop(
        columns=["", "Unnamed: 0"], errors="ignore"
    )  # pandas' row numbers
    if odd := [name for name in rows.columns if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", str(name))]:
        raise InputError(
            f"{manifest} has columns called {preview(odd)}: use letters, digits and _, beginning with a letter."
        )
    check_columns(str(manifest), rows.columns, FILE_COLUMNS[1:])
    if "camid" in rows:
        rows["camid"] = rows.camid.where(rows.camid != str(NO_CAMERA), None)
    for name in NAMED:
        if name in rows and rows[name].dropna().str.fullmatch(r"0|-?[1-9]\d{0,17}").all():
            rows[name] = rows[name].astype("Int64" if rows[name].isna().any() else int)
    for name in rows.columns.difference([*TEXTS, "time"]):
        if manifest.suffix.lower() == ".csv" or not rows[name].map(lambda value: isinstance(value, str)).any():
            rows[name] = _with_gaps(rows[name])  # texts of Parquet are texts
    if "time" in rows:
        rows["time"] = _parsed_times(manifest, rows.time)
    return rows


def _with_gaps(column: pd.Series) -> pd.Series:
    """A column whose empty texts are missing values, and whose others are numbers if all of them are."""
    if column.dtype != object:
        return column
    column = column.mask([isinstance(value, str) and value == "" for value in column])
    numbers = as_numbers(column.dropna())
    return column if numbers is None else numbers.convert_dtypes().reindex(column.index)


def _parsed_times(manifest: Path, column: pd.Series) -> pd.Series:
    if pd.api.types.is_datetime64_any_dtype(column):
        return pd.to_datetime(column, utc=True).dt.tz_localize(None).astype("datetime64[us]")
    texts = column.map(str).mask(column.isna() | (column.astype(object) == ""))
    times = as_times(texts)
    if len(odd := texts[texts.notna() & times.isna()]):
        raise InputError(f"{manifest} has invalid times: {preview(odd)}; write them as 2026-11-24 15:30:00.")
    zoned = {has_zone(text): text for text in texts.dropna()[::-1]}
    if len(zoned) > 1:
        raise InputError(
            f"{manifest} has times with a zone ({zoned[True]}) and without ({zoned[False]}): write all of them in one "
            "way, or some would be hours from where they belong."
        )
    return times


def _cameras(names: Iterable[str]) -> pd.Series:
    found = [FILE_NAME.match(os.path.basename(name)) for name in names]
    return _numbers(match and match[2] for match in found)


def _found(what: str, pattern: re.Pattern[str], names: Sequence[str]) -> pd.Series:
    """The camera or track that the group of a pattern finds in each name; missing where it finds none."""
    found = [(match and match[1]) or None for match in map(pattern.search, names)]
    if not any(found):
        raise InputError(f"--{what}_pattern {pattern.pattern} finds no {what} in any of the paths, as {names[0]}.")
    return _numbers(found, r"0|[1-9]\d{0,17}")  # 01 is a name, as in manifests


def _numbers(texts: Iterable[str | None], number: str = r"\d{1,18}") -> pd.Series:
    """Texts or None as a column, of numbers if all of them are."""
    column = pd.Series(list(texts), dtype=object)
    return column.astype("Int64") if column.dropna().str.fullmatch(number).all() else column


def _status(path: str) -> tuple[int, int]:
    """Size in bytes and time of change in nanoseconds; of what cannot be read, as reading it will say, none."""
    try:
        status = os.stat(path)
        return status.st_size, status.st_mtime_ns
    except OSError:
        return -1, -1
