"""The one error that commands turn into a sentence."""


class InputError(Exception):
    """Something the user gave is wrong; the message says what, where and what to do. Commands print it and exit 1."""


def listing(items, limit=20):
    """`items` joined into one line, the tail beyond `limit` counted: "a, b, c and 4 more"."""
    items = [str(item) for item in items]
    shown = ", ".join(items[:limit])
    return shown if len(items) <= limit else f"{shown} and {len(items) - limit} more"
