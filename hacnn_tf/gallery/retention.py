"""How long pictures are kept."""

import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hacnn_tf.gallery.database import Database


def older_than(days: int, now: datetime.datetime) -> str:
    """The condition that holds for pictures taken more than some days before a time without zone."""
    return f"time < {_literal(now - datetime.timedelta(days=days))}"


def kept_anyway(database: "Database", now: datetime.datetime) -> str:
    """The sentence that says of how many pictures no time tells that they are old, whether or not they are."""
    later = now + datetime.timedelta(days=1)  # what is of another zone is not from the future
    unknown, future = database.count("time is null"), database.count(f"time > {_literal(later)}")
    return f"{unknown:,} without a time and {future:,} from the future are kept."


def _literal(time: datetime.datetime) -> str:
    return f"timestamp '{time.isoformat(' ', 'seconds')}'"
