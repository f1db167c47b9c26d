"""Many images at once: threads to decode them with."""

import collections
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any, TypeVar

from hacnn_tf.data.decode import UnreadableImagesError
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.types import FilePath
from hacnn_tf.utils.waiting import bar

T = TypeVar("T")
MOST_THREADS = 8


def decoding_pool() -> ThreadPoolExecutor:
    """Threads to decode with: one for each of `available_cores`.

    At most `MOST_THREADS`: each may hold an image of 100 MB and its RGB copy, while a machine may have 128 processors.
    """
    return ThreadPoolExecutor(_threads())


def available_cores() -> int:
    """The processors that this process may use, as in a container with a share of a machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _threads() -> int:
    return min(available_cores(), MOST_THREADS)


def read_each(paths: Sequence[FilePath], read: Callable[[int], object]) -> None:
    """Reads some images in parallel.

    Args:
        paths: of the images.
        read: function of an image's number from 0 that reads it, and raises `InputError` if it cannot.

    Raises:
        UnreadableImagesError: some cannot be read; `problems` has them all.
    """

    def problem(i: int) -> str | None:
        try:
            read(i)
        except InputError as reason:
            return f"{paths[i]} ({reason})"
        return None

    # All are tried, so that all broken ones are named.
    if problems := [said for said in in_threads(problem, len(paths), "Decoding") if said]:
        raise UnreadableImagesError(problems, len(paths))


def in_threads(function: Callable[[int], T], count: int, what: str) -> list[T]:
    """What a function gives for each number below `count`, computed in parallel, with a bar on a terminal.

    Threads take the numbers themselves, so that Ctrl-C is heard while this waits; then what has begun is finished, and
    nothing else begins.
    """
    numbers = iter(range(count))
    found: list[Any] = [None] * count
    with bar(None, what, count) as shown, decoding_pool() as pool:

        def work() -> None:
            for i in numbers:
                found[i] = function(i)
                shown.update()

        try:
            for done in as_completed([pool.submit(work) for _ in range(_threads())]):
                done.result()
        finally:
            collections.deque(numbers, maxlen=0)  # whoever stops us leaves the others undone
    return found
