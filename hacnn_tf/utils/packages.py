"""Packages that are not there, or cannot be loaded: what to say, and how to get them."""

import importlib.util
from collections.abc import Iterable, Sequence
from pathlib import Path

from hacnn_tf.utils.errors import InputError

CHECKOUT = Path(__file__).resolve().parents[2]  # where the package is, if it is one


def check_installed(names: Iterable[str], user: str, extra: str) -> None:
    """Checks that modules can be imported; imports none.

    Args:
        names: of the modules.
        user: what needs them, for people.
        extra: of hacnn_tf's, that brings them.

    Raises:
        InputError: some cannot; names them all.
    """
    if missing := [name for name in dict.fromkeys(names) if not importlib.util.find_spec(name)]:
        raise not_installed(missing, user, extra)


def not_installed(names: Sequence[str], user: str, extra: str) -> InputError:
    """The error for modules that are missing. Arguments as of `check_installed`."""
    verb = "is" if len(names) == 1 else "are"
    return InputError(f"{', '.join(names)} {verb} not installed, which {user} needs: {installing(extra)}.")


def not_imported(error: ImportError, user: str, extra: str) -> InputError:
    """The error for a module that could not be imported. `user` and `extra` as of `check_installed`."""
    package = (error.name or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and package and not importlib.util.find_spec(package):
        return not_installed([package], user, extra)
    return InputError(
        f"What {user} needs is installed, but cannot be loaded ({cause(error)}): mend that, or {installing(extra)}."
    )


def cause(error: BaseException) -> str:
    """What the first of several errors says, in a line: TensorFlow raises another one that quotes its traceback."""
    while isinstance(error.__context__, ImportError):
        error = error.__context__
    return " ".join(str(error).split())[:200]


def installing(extra: str) -> str:
    """How to install an extra: a command in a checkout, which has the tested versions."""
    if (CHECKOUT / "constraints.txt").exists():
        return f'pip install -c constraints.txt -e ".[{extra}]" in {CHECKOUT}'
    return f"install hacnn_tf with its extra [{extra}]"
