"""How long images are kept."""

import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hacnn_tf.gallery.database import Database


def older_than(days: int, now: datetime.datetime) -> str:
    """The condition that holds for images taken more than so many times 24 hours before a time of the local clock."""
    cutoff = now.astimezone(datetime.timezone.utc) - datetime.timedelta(days=days)  # whatever the clock did meanwhile
    return f"time < {_literal(cutoff.astimezone().replace(tzinfo=None))}"


def kept_anyway(database: "Database", now: datetime.datetime) -> str:
    """The sentence that says of how many images no time tells that they are old, whether or not they are."""
    later = now + datetime.timedelta(days=1)  # what is of another zone is not from the future
    unknown, future = database.count("time is null"), database.count(f"time > {_literal(later)}")
    return f"{unknown:,} without a time and {future:,} from the future are kept."


def _literal(time: datetime.datetime) -> str:
    return f"timestamp '{time.isoformat(' ', 'seconds')}'"
