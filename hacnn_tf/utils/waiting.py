"""What is shown on a terminal, and there alone, while something takes long."""

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any

PATIENCE = 2  # seconds before a bar appears


def on_terminal() -> bool:
    """Whether standard error is a terminal that can rewrite a line; it may be closed, or a program's own."""
    if os.environ.get("TERM") == "dumb" or os.environ.get("TQDM_DISABLE"):
        return False
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):
        return False


def bar(items: Iterable[Any] | None, what: str, total: int | None = None, unit: str = "image") -> Any:
    """The same items, with a progress bar if it takes more than two seconds.

    Args:
        items: iterable; None if who takes the bar updates it.
        what: is done with them, as in "Decoding".
        total: how many there are, if they have no length.
        unit: what they are, in the singular.

    Returns:
        A `tqdm.tqdm`. Who prints in between clears it before.
    """
    import tqdm

    return tqdm.tqdm(items, what, total, leave=False, unit=unit, delay=PATIENCE, disable=not on_terminal())


@contextlib.contextmanager
def announced(what: str) -> Iterator[None]:
    """Shows a line as long as the context lasts, for what does not say how far it has come."""
    shown = on_terminal()
    with contextlib.suppress(OSError):  # a terminal that was closed
        if shown:
            print(f"{what} ...", end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if shown:
                print("\r\x1b[K", end="", file=sys.stderr, flush=True)
