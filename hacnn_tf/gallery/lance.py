"""A LanceDB table that stays open while others write it, tidy it, or replace it; and LanceDB's errors as sentences."""

import contextlib
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from hacnn_tf.data.decode import DECODER_VERSION
from hacnn_tf.gallery.naming import FEATURE, NEEDED, check_path, in_bucket, no_database
from hacnn_tf.utils.errors import FormatError, InputError
from hacnn_tf.utils.files import check_format, expanded, new_files_on_disk
from hacnn_tf.utils.forks import check_process, claim
from hacnn_tf.utils.packages import not_imported
from hacnn_tf.utils.text import preview
from hacnn_tf.utils.types import FilePath

_missing: ImportError | None = None
try:
    import lancedb
    import pyarrow as pa

    from hacnn_tf.gallery.columns import fields_of
    from hacnn_tf.gallery.condition import Condition, shown
except ImportError as error:
    _missing = error  # `connect` says so

RETRIES = 4  # of a read, as others may tidy away one version after the other
REASON = 200  # characters of what LanceDB says that a sentence quotes
MOST_ROWS = 2**31 - 1  # that LanceDB can be asked for
REMOVING = "hacnn_tf.removing"  # of the column of features: from before rows are deleted until no file has them
YES, NO = b"yes", b"no"
TEMPORARY = ".tmp"  # how names of files begin that LanceDB is still writing
FORMAT = 1  # of a database; raised when older code would misread a newer one
FORMAT_KEY, FINGERPRINT, PRESET, DECODER, PRECISION = (
    f"hacnn_tf.{name}".encode() for name in ("format", "fingerprint", "preset", "pixels", "precision")
)
T = TypeVar("T")
_temporary = threading.Lock()


class LanceTable:
    """The rows of a database, as LanceDB has them.

    Args:
        path: of the database.

    Attributes:
        path: as given, with `~` in full.
        fingerprint, feature_dim: as of `hacnn_tf.gallery.Database`.

    Raises:
        InputError: LanceDB is not installed or cannot be loaded, or `path` is no database; says how to get either.
            Every method raises it in a process that was forked after the table was opened.
    """

    def __init__(self, path: FilePath) -> None:
        self.path = expanded(path)
        self._connection, self._name = connect(self.path)
        self._process, self._replaced = os.getpid(), False
        try:
            self._opened = self._connection.open_table(self._name)
            metadata = self.schema.metadata
            check_format(path, metadata.get(FORMAT_KEY), FORMAT)
            self.fingerprint = metadata[FINGERPRINT].decode()
            self.feature_dim = self.schema.field(FEATURE).type.list_size
        except FormatError:
            raise
        except Exception as error:  # whatever LanceDB raises for a folder of another kind, or a damaged one
            why = f" ({reason(error)})" if Path(self.path).exists() else ""
            raise InputError(no_database(path, why)) from None

    @staticmethod
    def create(
        path: FilePath, rows: pd.DataFrame, fingerprint: str, preset: str, feature_dim: int, precision: str
    ) -> None:
        """Makes an empty one with the columns of `rows`, for the features of a model; its owner alone can read it.

        Raises:
            InputError: it exists, cannot be made, has not all of `NEEDED`, or a column has no type that a database has.
        """
        if missing := [name for name in NEEDED if name not in rows]:
            raise InputError(f"The rows of a database have no {' and no '.join(missing)}: give each column, if empty.")
        path = expanded(path)
        connection, name = connect(path)
        feature = pa.field(FEATURE, pa.list_(pa.float32(), feature_dim), metadata={REMOVING: NO})
        metadata = {
            FORMAT_KEY: str(FORMAT),
            FINGERPRINT: fingerprint,
            PRESET: preset,
            DECODER: str(DECODER_VERSION),
            PRECISION: precision,
        }
        schema = pa.schema([*fields_of(rows), feature], metadata=metadata)
        with refused(f"Cannot make {path}"):
            if not in_bucket(path):
                os.makedirs(path, 0o700, exist_ok=True)  # it is about people, also if this is stopped
            with on_disk(path):
                connection.create_table(name, schema=schema)
            if not in_bucket(path):
                os.chmod(path, 0o700)

    @property
    def lance(self) -> Any:
        """LanceDB's own table."""
        self._check_usable()
        return self._opened

    @property
    def schema(self) -> "pa.Schema":
        """Its fields and what is said of them."""
        return self.lance.schema

    @property
    def preset(self) -> str:
        """As of `hacnn_tf.gallery.Database`; this and what follows may be others where a database was made anew."""
        return self.schema.metadata[PRESET].decode()

    @property
    def decoder(self) -> int:
        """The version of `hacnn_tf.data.decode` that read the images."""
        return int(self.schema.metadata.get(DECODER, b"1"))

    @property
    def precision(self) -> str:
        """As of `hacnn_tf.gallery.Database`."""
        return self.schema.metadata.get(PRECISION, b"").decode()

    @property
    def columns(self) -> list[str]:
        """The names of all columns but `feature`."""
        return [name for name in self.schema.names if name != FEATURE]

    def __len__(self) -> int:
        return self.read(self.lance.count_rows)

    def _check_usable(self) -> None:
        check_process(f"The database {self.path}", self._process)
        if self._replaced:
            raise InputError(f"{self.path} is of another model than when it was opened: open it again, and that model.")

    def refresh(self) -> None:
        """Sees what other processes have written since.

        Raises:
            InputError: it was removed, or another of another model is in its place.
        """
        with self.readable():
            self.checkout_latest()

    def checkout_latest(self) -> None:
        """As `refresh`, but raises what LanceDB raises where the table cannot be read."""
        table = self.lance
        known = table.version  # before the next line, or another thread may have gone on to a later one
        present = self._connection.open_table(self._name).version
        if present < known:  # one made anew, or from a backup: LanceDB looks for later versions alone
            table.checkout(present)
        table.checkout_latest()
        self._replaced = (self.schema.metadata or {}).get(FINGERPRINT, b"").decode() != self.fingerprint
        self._check_usable()

    def query(self, columns: list[str], condition: "Condition | None" = None) -> Any:
        """LanceDB's query for all rows for which a condition holds."""
        query = self.lance.search().select(columns).limit(MOST_ROWS)  # there may be more when it is run
        return query if condition is None else query.where(condition.sql)

    def read(self, read: Callable[[], T], condition: "Condition | None" = None) -> T:
        """What `read` returns; of the latest version, if another process has tidied away the files of this one.

        Args:
            read: function without arguments.
            condition: that it reads by, for the sentence.

        Raises:
            InputError: it cannot; says why.
        """
        for _ in range(RETRIES):
            with contextlib.suppress(OSError, RuntimeError, ValueError):
                return read()
            version = self.lance.version
            self.refresh()
            if self.lance.version == version:
                break
        with self.readable(condition):
            return read()

    @contextlib.contextmanager
    def readable(self, condition: "Condition | None" = None) -> Iterator[None]:
        """Raises `InputError` where LanceDB cannot read, perhaps because of a condition."""
        try:
            yield
        except (OSError, RuntimeError, ValueError) as error:
            if condition is None:
                raise InputError(f"{self.path} cannot be read, or was removed: {reason(error)}.") from None
            raise InputError(
                f"The condition {shown(condition.text)} cannot be used on {self.path}: {reason(error)}; its columns "
                f"are {preview(self.columns, most=10)}."
            ) from None

    @property
    def versions(self) -> int:
        """How many there are to go back to, the present one included: one for each write since the last tidying."""
        return self.read(lambda: len(self.lance.list_versions()))

    @property
    def removing(self) -> bool:
        """Whether rows were deleted that are in the files still, as of a removal that was interrupted."""
        marked = (self.schema.field(FEATURE).metadata or {}).get(REMOVING.encode())
        if marked is None and not in_bucket(self.path):  # made by 0.3.0, which marked nothing
            return any(Path(self.path, "_deletions").glob("*"))
        return marked == YES

    def mark(self, removing: bool) -> None:
        """Has `removing` be so, for whoever opens the table from now on."""
        with on_disk(self.path):
            marked = YES if removing else NO
            self.lance.update_field_metadata({"path": FEATURE, "metadata": {REMOVING: marked.decode()}})

    def delete(self, condition: "Condition") -> int:
        """Deletes the rows for which a condition holds, which stay in the files. Returns how many there were."""
        self.refresh()
        before = len(self)
        with self.readable(condition):
            self.lance.count_rows(condition.sql)  # or it would be marked, though nothing can be removed
        with refused(f"Cannot write {self.path}"):
            self.mark(removing=True)
            with on_disk(self.path):
                self.lance.delete(condition.sql)
        return before - len(self)

    def write_anew(self) -> None:
        """Makes a version of all rows that has nothing of what was deleted; those before it are still there."""
        left = self.lance.search().limit(max(1, len(self))).to_batches()
        reader = pa.RecordBatchReader.from_batches(self.schema, left)
        with refused(f"Rows removed from {self.path} are still in its files; make as much room again and repeat"):
            self._opened = self._connection.create_table(self._name, reader, mode="overwrite")


def connect(path: FilePath) -> tuple[Any, str]:
    """LanceDB's connection to the place of a database, and the database's name there.

    Raises:
        InputError: LanceDB is not installed or cannot be loaded, no database can have that path, or the place cannot be
            opened.
    """
    if _missing:
        raise not_imported(_missing, "a database", "search")
    claim("LanceDB")
    place, name = check_path(path)
    with refused(f"Cannot open {path}"):
        return lancedb.connect(place), name


def on_disk(path: str) -> contextlib.AbstractContextManager[None]:
    """`new_files_on_disk` of a database: LanceDB leaves to the system when what it writes gets there."""
    return contextlib.nullcontext() if in_bucket(path) else new_files_on_disk(path)


@contextlib.contextmanager
def own_temporary(path: str) -> Iterator[None]:
    """Has LanceDB keep what does not fit in memory, features too, in a folder that no other user of the machine reads.

    Removes before what processes that were killed have left in the database. Nobody else may be writing it. Threads
    with other databases wait, as TMPDIR is the process's.
    """
    place = None if in_bucket(path) else path
    for left in [] if place is None else list(Path(place).rglob(f"{TEMPORARY}*")):
        shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink(missing_ok=True)
    with _temporary, tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=place) as own:
        before = os.environ.get("TMPDIR")
        os.environ["TMPDIR"] = own
        try:
            yield
        finally:
            if before is None:
                del os.environ["TMPDIR"]
            else:
                os.environ["TMPDIR"] = before


@contextlib.contextmanager
def refused(what: str) -> Iterator[None]:
    """Raises `InputError` where LanceDB refuses: `what`, and its reason."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"{what}: {reason(error)}.") from None


def reason(error: Exception) -> str:
    """The first sentence of what LanceDB says, without where in its source it was said."""
    line = re.split(r",? ?/[^ ]*\.rs:|\n", str(error))[0]
    return line.removeprefix("lance error: ").removeprefix("Invalid input, ")[:REASON].strip().rstrip(".,?")
