"""Files that appear whole, or not at all."""

import contextlib
import csv
import errno
import json
import os
import re
import secrets
import shutil
import socket
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import filelock
import numpy as np

import hacnn_tf
from hacnn_tf.utils.errors import FormatError, InputError
from hacnn_tf.utils.types import FilePath


def expanded(path: FilePath) -> str:
    """A path that a user gave, as the system has it: a `~` or `~user` that it begins with is that home folder.

    `file:` URLs become paths too. Other URLs, as of buckets, and `$NAMES` stay as they are.

    Raises:
        InputError: nobody has such a home folder, or no path can be called so.
    """
    text = os.fspath(path)
    home, below, _ = text.partition("/")
    try:
        if text.startswith("file:/"):
            return _of_file_url(text)
        full = os.path.expanduser(text)
        known = full != text or not (home == "~" or (home.startswith("~") and below)) or os.path.lexists(home)
    except ValueError:  # of zero bytes, lone surrogates and odd URLs
        raise InputError(f"{text!r} is no path.") from None
    if not known:
        raise InputError(f"{text}: {home} is nobody's home folder here; write the path in full, or ./~ for a name.")
    return full


def _of_file_url(text: str) -> str:
    url = urlsplit(text)
    if url.netloc not in ("", "localhost") or not url.path or url.query or url.fragment:
        raise InputError(f"{text} is no file of this machine: write its path, or file:///PATH.")
    return url2pathname(url.path)


UNSAID = 2  # seconds that a process waits for another without a word
URL = re.compile("(?!file:)[a-z][a-z0-9+.-]+:/")  # Path makes s3:/ of s3://


@contextlib.contextmanager
def atomic_write(path: FilePath, private: bool = False) -> Iterator[Path]:
    """A path beside `path` to write a file or folder to; it becomes `path` when the context ends well.

    What was written has reached the disk before it takes the place of what was there, so that not even a machine that
    fails leaves half a file.

    Args:
        path: of the file or folder.
        private: make a file that its owner alone can read.

    Raises:
        InputError: it cannot be written there.
    """
    path = Path(expanded(path))
    part = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if private:
            part.touch(0o600)
        yield part
        for written in [part, *part.rglob("*")]:
            _to_disk(written)
        os.replace(part, path)
        _to_disk(path.parent)
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error.strerror or error}.") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
        with contextlib.suppress(OSError):
            part.unlink()


@contextlib.contextmanager
def new_files_on_disk(folder: FilePath) -> Iterator[None]:
    """Has the disk hold, when the context ends, what was made below a folder by code that does not see to it itself.

    Files that were there before count as they are: nothing may be written into them.

    Raises:
        OSError: the disk cannot.
    """
    before = set(Path(folder).rglob("*"))
    yield
    new = set(Path(folder).rglob("*")) - before
    for path in new | {path.parent for path in new}:
        with contextlib.suppress(FileNotFoundError):  # made in between, and removed
            _to_disk(path)


def sweep(folder: FilePath, stems: Collection[str] | None = None) -> None:
    """Removes what processes that were killed while they wrote have left in a folder. Nobody may be writing there.

    Args:
        folder: to look in.
        stems: of the files that are meant, where others may be written; all if None.
    """
    for part in Path(folder).glob(".*.part*"):
        stem = part.name[1:].rpartition(".part")[0].rpartition(".")[0]
        if stems is None or stem in stems:
            with contextlib.suppress(OSError):
                shutil.rmtree(part) if part.is_dir() else part.unlink()


@contextlib.contextmanager
def locked(
    path: FilePath, kept: FilePath | None = None, wait: float = 0, reentrant: bool = False
) -> Iterator[Callable[[], bool]]:
    """Holds a lock file while the context lasts; it is freed too when the process is killed.

    Args:
        path: of the lock file.
        kept: what it keeps others from, for people; its folder if not given.
        wait: seconds to wait for another process to free it; -1: as long as it takes. That it waits is said.
        reentrant: the thread that holds it may take it again; other threads wait as processes do.

    Yields:
        A function that says whether the file is still there, and the same.

    Raises:
        InputError: another process holds it and goes on to, or it cannot be made.
    """
    path = Path(expanded(path))
    if path.is_symlink():
        raise InputError(f"{path} is a link, which no lock may be: remove it.")
    lock = filelock.FileLock(path, fallback_to_soft=False, is_singleton=reentrant)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error.strerror or error}.") from None
    try:
        _acquire(lock, path, kept or path.parent, wait)
    except OSError as error:
        raise InputError(f"Cannot lock {path}: {error.strerror or error}; name a folder on another disk.") from None
    try:
        with contextlib.suppress(OSError):  # who it is, is only for the sentence above
            path.write_text(f"process {os.getpid()} on {socket.gethostname()}")
        held = os.stat(path)
        yield lambda: path.exists() and os.path.samestat(held, os.stat(path))
    finally:
        lock.release()


def _acquire(lock: filelock.BaseFileLock, path: Path, kept: FilePath, wait: float) -> None:
    soon = min(max(wait, 0), UNSAID)
    with contextlib.suppress(filelock.Timeout):
        lock.acquire(timeout=soon)
        return
    who = path.read_text(errors="replace").strip() or "another process"
    if wait != soon:
        print(f"{kept} is being written by {who}: waits for it{f', {wait:g} s at most' * (wait > 0)}.", file=sys.stderr)
        with contextlib.suppress(filelock.Timeout):
            lock.acquire(timeout=wait - soon)
            return
    raise InputError(f"{kept} is being written by {who}: wait until it has ended, or name another.")


def write_json(path: FilePath, content: Any) -> None:
    """Writes JSON. Raises `InputError` if it cannot."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def read_if_whole(path: Path) -> dict[str, Any]:
    """What is in a `.json` file; nothing if that is not there, or damaged."""
    try:
        content = json.loads(path.read_text())
        return content if isinstance(content, dict) else {}
    except (OSError, ValueError, RecursionError):
        return {}


def read_bytes(path: FilePath) -> bytes:
    """The content of a file that was there; raises `InputError` if it cannot be read now."""
    try:
        return Path(expanded(path)).read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read any more ({error.strerror}): choose it again.") from None


def write_text(path: FilePath, text: str, private: bool = False) -> None:
    """Writes text; `private` as in `atomic_write`. Raises `InputError` if it cannot."""
    with atomic_write(path, private) as part:
        part.write_text(text, encoding="utf-8")


def write_csv(path: FilePath, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes dicts of `columns` as a table. Raises `InputError` if it cannot."""
    with atomic_write(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def write_npz(path: FilePath, arrays: Mapping[str, Any], private: bool = False) -> None:
    """Writes a dict of arrays, none of objects; `private` as in `atomic_write`. Raises `InputError` if it cannot."""
    with atomic_write(path, private) as part:
        np.savez(part, **arrays)


def check_format(path: FilePath, found: int | str | None, known: int) -> None:
    """Raises `FormatError` if a file is of a newer format than this code reads; `found` is None if it names none."""
    if found is not None and int(found) > known:
        raise FormatError(
            f"{path} is of format {int(found)}, and hacnn_tf {hacnn_tf.__version__} reads formats up to {known}: "
            "update hacnn_tf."
        )


def check_new_path(path: FilePath, suffix: str = "") -> None:
    """Checks, before long work, that an output can be made.

    Raises:
        InputError: `path` exists, has another suffix, or its folder cannot be written.
    """
    path = Path(expanded(path))
    if path.suffix != suffix and suffix:
        raise InputError(f"{path} must end in {suffix}.")
    if path.exists():
        raise InputError(f"{path} exists: remove it or name another output.")
    check_folder(path)


def check_folder(path: FilePath) -> None:
    """Raises `InputError` if a folder cannot be written, or does not exist and cannot be made."""
    if URL.match(str(path)):
        raise InputError(f"{path} is a URL, and only databases may lie at one: name a folder of this machine.")
    path = Path(expanded(path))
    existing = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise InputError(f"{path} cannot be written: {existing} is not a folder that you may write to.")


def _to_disk(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP) or not path.is_dir():  # disks that have no such thing
            raise
    finally:
        os.close(file)
