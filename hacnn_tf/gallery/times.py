"""Times as users write them."""

import pandas as pd


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
