"""Times as users write them, and when images were taken."""

import datetime
import os
import re
from collections.abc import Iterable

import pandas as pd

from hacnn_tf.data.listing import open_image

# 20261124_153000, 2026-11-24T15:30:00, 2026-11-24 15.30.00.250, 20261124153000250 and the like, anywhere in a name
TIME = re.compile(
    r"(?<!\d)(20\d\d)([-_.]?)(\d\d)\2(\d\d)[-_ T.]{0,2}(\d\d)([-_:.h]?)(\d\d)[-_:.m]?(\d\d)"
    r"(?:[.,](\d{1,6})|(\d{3}))?(?!\d)"
)
TAKEN, DIGITIZED, CHANGED, EXIF = 0x9003, 0x9004, 0x0132, 0x8769  # EXIF's tags of times, and where the first two lie


def as_times(texts: pd.Series) -> pd.Series:
    """Times as of `as_time`; missing where there is no text, or one that is no time. Zones must be all or none.

    Where some texts have zones, pandas takes that of one for that of the next without.
    """
    stripped = texts.str.strip()
    times = pd.to_datetime(stripped, format="ISO8601", utc=True, errors="coerce").dt.tz_localize(None)
    return times.mask(stripped.str.len() < len("20261124")).astype("datetime64[us]")


def as_time(text: str) -> pd.Timestamp:
    """A time in ISO 8601, in UTC if it has a zone, given to the day at least. Raises `ValueError` if it is none."""
    text = text.strip()
    try:
        time = pd.to_datetime(text, format="ISO8601", utc=True).tz_localize(None)
    except (ValueError, TypeError, OverflowError, AttributeError):
        raise ValueError(text) from None
    if pd.isna(time) or len(text) < len("20261124"):  # a year or a month would be its first instant
        raise ValueError(text)
    return time


def has_zone(text: str) -> bool:
    """Whether a time that `as_time` takes has a zone."""
    return pd.Timestamp(text.strip()).tzinfo is not None


def times_taken(paths: Iterable[str]) -> pd.Series:
    """When images were taken, by their names or else by EXIF: `pandas.Series` of times without zone, or missing."""
    return pd.Series([_time_in_name(path) or _time_in_exif(path) for path in paths], dtype="datetime64[us]")


def _time_in_name(path: str) -> datetime.datetime | None:
    if match := TIME.search(os.path.basename(path)):
        year, _, month, day, hour, _, minute, second, fraction, milliseconds = match.groups()
        return _time(year, month, day, hour, minute, second, (fraction or milliseconds or "0").ljust(6, "0"))
    return None


def _time_in_exif(path: str) -> datetime.datetime | None:
    try:
        with open_image(path) as image:
            exif = image.getexif()
            inner = exif.get_ifd(EXIF)
    except Exception:  # whatever a broken image makes Pillow raise; reading its pixels will say so
        return None
    text = inner.get(TAKEN) or inner.get(DIGITIZED) or exif.get(CHANGED)
    match = re.match(r"(\d{4}):(\d\d):(\d\d) (\d\d):(\d\d):(\d\d)", text) if isinstance(text, str) else None
    return _time(*match.groups()) if match else None


def _time(
    year: str, month: str, day: str, hour: str, minute: str, second: str, microsecond: str = "0"
) -> datetime.datetime | None:
    try:
        return datetime.datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), int(microsecond))
    except ValueError:  # 61 minutes: some other number
        return None
