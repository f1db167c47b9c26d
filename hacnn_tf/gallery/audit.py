"""The audit file: a line for each search and each deletion, which says who did what, and shows nobody."""

import contextlib
import datetime
import fcntl
import hashlib
import json
import os
import pwd
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hacnn_tf.data.listing import image_suffixes
from hacnn_tf.gallery.naming import in_bucket
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import check_folder, expanded
from hacnn_tf.utils.types import FilePath

if TYPE_CHECKING:
    import pandas as pd

SHOWN_IF_WRITTEN = "nothing is shown without it"
# A column's name in quotes, or a text in SQL, after what makes a pattern of it.
LITERAL = re.compile(
    r""""(?:[^"]|"")*"|(?P<before>like\s*|regexp_like\s*\([^'"]*,\s*)?'(?P<text>(?:[^']|'')*)'""", re.IGNORECASE
)
WILDCARDS = {"like": re.compile("%"), "regexp_like": re.compile(r"[\\^$*+?()\[\]{}|]")}


class Audit:
    """Appends to an audit file, one JSON object a line; any number of processes may append to the same one.

    Of images it holds digests (SHA-256) alone, of queries of their bytes, of what was found of its path: who has the
    file that was searched with can ask for it, and who has a path whether it was shown. An image that was searched on
    with on the page has the digest of the page's copy, which no file has; it was shown before, by its path. A path may
    tell a name, a place and a time, and the file outlives what is removed from a database. Conditions are kept as they
    were typed, but for the paths in them.

    Args:
        path: of the file, made with mode 600 when the first line is written; None records nothing.
        command: what its lines are from, as "hacnn_tf.search".

    Raises:
        InputError: it cannot be written, is in a bucket, or everybody on this machine may read or change it.
    """

    def __init__(self, path: FilePath | None, command: str) -> None:
        if path and in_bucket(expanded(path)):
            raise InputError(f"{path} is in a bucket, where nothing can be appended: name a local file.")
        self.path = Path(expanded(path)) if path else None
        self._command = command
        if self.path and not self.path.exists():
            check_folder(self.path.parent)
        elif self.path and not (self.path.is_file() and os.access(self.path, os.W_OK)):
            raise InputError(f"{self.path} is not a file that you may append to: name another for --audit.")
        elif self.path and self.path.stat().st_mode & 0o007:
            raise InputError(f"{self.path} can be read or changed by every user of this machine: chmod 600 it.")

    def run_search(
        self,
        search: Callable[[], list["pd.DataFrame"]],
        queries: Iterable[Sequence[bytes]],
        database: FilePath,
        user: str | None,
        asked: Mapping[str, Any],
    ) -> list["pd.DataFrame"]:
        """What a search finds, given only once a line a query has reached the disk; also a search that fails has one.

        Args:
            search: without arguments, as `Database.search`.
            queries: of each query its images, as files.
            database: its path.
            user: who asks for it; None if nobody knows.
            asked: how, by name: all that changes what is found, as `where`, `top` and `rerank`.

        Raises:
            InputError: the search fails, or the line cannot be written.
        """
        if not self.path:
            return search()
        asked = {"user": user, "database": database, **asked}
        digests = [{"queries": list(map(_digest, images))} for images in queries]
        try:
            found = search()
        except InputError:
            self._append([asked | query | {"found": []} for query in digests], SHOWN_IF_WRITTEN)
            raise
        shown = [{"found": [_digest(os.fsencode(path)) for path in rows.path]} for rows in found]
        self._append([asked | query | rows for query, rows in zip(digests, shown, strict=True)], SHOWN_IF_WRITTEN)
        return found

    def removing(self, database: FilePath, where: str, removing: int, of: int) -> None:
        """Writes that this system's user is about to delete so many images of so many: what follows may be killed.

        Raises:
            InputError: the line cannot be written, and nothing may be deleted.
        """
        self._deletion(database, where, {"removing": removing, "of": of}, "nothing is deleted without it")

    def removed(self, database: FilePath, where: str, removed: int, left: int) -> None:
        """Writes that a deletion by this system's user has ended. Raises `InputError` if that cannot be written."""
        counts = {"removed": removed, "left": left}
        self._deletion(database, where, counts, f"{removed:,} removed from {database} without it")

    def _deletion(self, database: FilePath, where: str, counts: Mapping[str, int], consequence: str) -> None:
        if self.path:
            self._append([{"user": system_user(), "database": database, "where": where, **counts}], consequence)

    def _append(self, events: Iterable[dict[str, Any]], consequence: str) -> None:
        first = {"time": utc_now(), "command": self._command, "sudo_user": os.environ.get("SUDO_USER")}
        lines = [json.dumps(first | _recorded(event)) + "\n" for event in events]
        try:
            assert self.path, "there is no file to write to"
            _append_to_file(self.path, "".join(lines).encode())
        except OSError as error:
            raise InputError(
                f"Cannot write the audit file {self.path} ({error.strerror or error}): {consequence}."
            ) from None


def utc_now() -> str:
    """This instant in ISO 8601, in UTC, to the second."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def system_user() -> str:
    """The name of the user whose process this is, which no environment variable can change; else the number.

    Who became that user by sudo stands in the lines as `sudo_user`, an environment variable that sudo sets.
    """
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # as in a container
        return str(os.getuid())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _recorded(event: dict[str, Any]) -> dict[str, Any]:
    """An event with the database's path in full, and the digest of each path in its condition."""
    database, where = event["database"], event.get("where")
    place = str(database) if in_bucket(database) else os.path.abspath(database)
    return event | {"database": place, "where": where and LITERAL.sub(_without_path, where)}


def _without_path(literal: re.Match[str]) -> str:
    """A literal of a condition; if it is the path of one image, and no pattern, its digest."""
    text, before = (literal["text"] or "").replace("''", "'"), literal["before"] or ""
    suffix = os.path.splitext(text)[1].lower()
    of_image = suffix and (text.startswith("/") or suffix in image_suffixes())
    pattern = before and WILDCARDS["regexp_like" if "(" in before else "like"].search(text)
    return f"{before}'{_digest(os.fsencode(text))}'" if of_image and not pattern else literal[0]


def _append_to_file(path: Path, content: bytes) -> None:
    """Appends all of it or nothing, whoever else does at the same time, and waits until it has reached the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)  # a disk in a network appends where the end was before
        size = os.fstat(file).st_size
        if not _ends_whole(path):
            content = b"\n" + content
        try:
            if os.write(file, content) != len(content):
                raise OSError("the disk is full")
            os.fsync(file)
        except OSError:
            with contextlib.suppress(OSError):  # a file that may only grow (chattr +a) keeps half a line
                os.ftruncate(file, size)
            raise
    finally:
        os.close(file)


def _ends_whole(path: Path) -> bool:
    """Whether a file ends in a whole line, as far as can be read."""
    try:
        with open(path, "rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read() == b"\n"
    except OSError:  # it is empty, or may not be read
        return True
