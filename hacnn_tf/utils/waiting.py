"""What is shown while something takes more than two seconds, on a terminal alone."""

import contextlib
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

PATIENCE = 2  # seconds before a bar appears


def bar(items: Iterable[T], what: str, total: int | None = None, unit: str = "image", **more: Any) -> Iterable[T]:
    """The same items, with a progress bar if it takes long.

    Args:
        items: iterable.
        what: is done with them, as in "Decoding".
        total: how many there are, if they have no length.
        unit: what they are, in the singular.
        more: further arguments of `tqdm.tqdm`.

    Returns:
        A `tqdm.tqdm`.
    """
    import tqdm

    hidden = True if sys.stderr is None else None  # None: on a terminal alone
    return tqdm.tqdm(items, what, total, leave=False, unit=unit, delay=PATIENCE, disable=hidden, **more)


@contextlib.contextmanager
def announced(what: str) -> Iterator[None]:
    """Shows a line as long as the context lasts, for what does not say how far it has come."""
    shown = sys.stderr is not None and sys.stderr.isatty()
    if shown:
        print(f"{what} ...", end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        if shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
