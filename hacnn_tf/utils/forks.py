"""Processes that were forked: their parent's threads did not come along, and what waits for those waits for ever."""

import os

from hacnn_tf.utils.errors import InputError

_first_user: dict[str, int] = {}  # by library, the process


def check_process(what: str, process: int) -> None:
    """Raises `InputError` if what has threads was opened in another process than this one."""
    if process != os.getpid():
        raise InputError(
            f"{what} was in use before this process was forked, and its threads did not come along: open models and "
            'databases only after the fork, or start processes by "spawn" (multiprocessing.get_context("spawn")).'
        )


def claim(library: str) -> None:
    """Notes that a library with threads is in use from now on. Raises `InputError` if it was so before a fork."""
    check_process(library, _first_user.setdefault(library, os.getpid()))
