"""Words for people: names that may be anything, a few of many things, and tables."""

import re
import unicodedata
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

UNSHOWN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # signs that end or turn a line, as Unicode calls their kinds
JOINERS = "\u200c\u200d"  # of which Persian names and emoji are made
SHOWN, LONGEST = 3, 300  # of many things in a sentence, and characters of each


def as_file_name(text: str) -> str:
    """A text as a part of a file's name: what is no letter, digit or one of `_.+-` becomes `_`."""
    return re.sub(r"[^\w.+-]+", "_", text)


def printable(path: str) -> str:
    """A path as a line of a terminal has it; file names may be anything."""
    if path.isprintable():  # which nearly all are, and is soon told
        return path
    return repr(path) if any(map(is_unshown, path)) else path


def is_unshown(sign: str) -> bool:
    """Whether a sign moves a terminal's cursor or hides others; names of files and cameras may hold any."""
    return unicodedata.category(sign) in UNSHOWN and sign not in JOINERS


def harmless(text: str) -> str:
    """A text for a terminal; names of files in it may be anything."""
    return "".join(ascii(sign)[1:-1] if is_unshown(sign) and sign != "\n" else sign for sign in text)


def preview(items: Collection[object], most: int = SHOWN, separator: str = ", ") -> str:
    """The first of many things, for a sentence: "a.jpg, b.jpg, c.jpg and 5 more". No sentence names more than ten."""
    shown = [printable(str(item))[:LONGEST] for item in list(items)[:most]]
    more = len(items) - len(shown)
    return separator.join(shown) + (f" and {more:,} more" if more else "")


def aligned(table: "pd.DataFrame", align: Callable[[str, int], str] = str.ljust) -> str:
    """A table of texts as lines, its columns below their names; the last one, the longest, is not padded."""
    widths = [max(map(_cells, [name, *table[name]])) for name in table.columns[:-1]]
    lines = [table.columns, *table.itertuples(index=False)]
    # A letter of two cells is one character to `align`.
    return "\n".join(
        "  ".join([*(align(t, w - _cells(t) + len(t)) for t, w in zip(line, widths, strict=False)), line[-1]])
        for line in lines
    )


def _cells(text: str) -> int:
    """How many cells of a terminal a text takes: Chinese, Japanese and Korean letters take two."""
    return sum(1 + (unicodedata.east_asian_width(sign) in "WF") for sign in text)
