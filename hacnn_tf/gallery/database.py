"""A database of features: a LanceDB table with one row per image."""

import datetime
import json
import os
import warnings
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hacnn_tf.data.decode import DECODER_VERSION
from hacnn_tf.evaluation.calibration import Calibration
from hacnn_tf.evaluation.ranking import squared_norms
from hacnn_tf.gallery.lance import MOST_ROWS, LanceTable, connect, on_disk, own_temporary, refused
from hacnn_tf.gallery.lock import writing
from hacnn_tf.gallery.naming import FEATURE, in_bucket
from hacnn_tf.gallery.nearest import build_index, nearest, nearest_reranked, needs_index
from hacnn_tf.preset import from_anywhere
from hacnn_tf.reid import ReID
from hacnn_tf.utils.errors import FormatError, InputError
from hacnn_tf.utils.files import expanded
from hacnn_tf.utils.text import preview
from hacnn_tf.utils.types import Features, FilePath

try:
    import pyarrow as pa

    from hacnn_tf.gallery.columns import array_of, fields_of, frame_of, texts_of
    from hacnn_tf.gallery.condition import Condition, parse_condition, sql_literal
except ImportError:
    pass  # `connect` says what is missing

MOST_VERSIONS = 20  # until `tidy` is due, which writes all files into one, as many small ones slow a search
NEVER = datetime.timedelta(days=3650)
CALIBRATION = "hacnn_tf.calibration"  # of the column of features: LanceDB changes nothing that is said of a whole table


class Database:
    """Features by path, camera, time and what else a manifest says, in a folder or bucket of LanceDB's.

    Columns: `path` (str), `camid` (int or str, may be missing), `time` (without zone, may be missing), perhaps `track`
    (int or str, may be missing), those of the manifest, `feature`; `bytes` and `modified` (nanoseconds) of the file.
    Every write is one transaction.

    Args:
        path: of the table, such as `people.lance` or `s3://bucket/people.lance`.

    Attributes:
        path: as given, with `~` in full.
        fingerprint: of the model whose features it holds, see `hacnn_tf.reid.ReID`.
        feature_dim: numbers in a feature.

    Raises:
        InputError: LanceDB is not installed or cannot be loaded, or `path` is not such a database; says how to get
            either. Every method raises it in a process that was forked after the database was opened.
    """

    def __init__(self, path: FilePath) -> None:
        self._table = LanceTable(path)
        self.path, self.fingerprint = self._table.path, self._table.fingerprint
        self.feature_dim = self._table.feature_dim

    @property
    def preset(self) -> str:
        """What `ReID.from_preset` made the model from whose features it holds."""
        return self._table.preset

    @property
    def precision(self) -> str:
        """That of this model, as in "int8"; empty if it is not known."""
        return self._table.precision

    @classmethod
    def create(cls, path: FilePath, model: ReID, rows: pd.DataFrame) -> "Database":
        """Makes an empty database with the columns of a table.

        Args:
            path: to be made.
            model: the `ReID` whose features it will hold.
            rows: `pandas.DataFrame` as for `write`, without `feature`; gives the columns and their types.

        Returns:
            A `Database`.

        Raises:
            InputError: it exists, cannot be made, lacks one of the columns that every database has, or a column has a
                name or type that it cannot have.
        """
        LanceTable.create(path, rows, model.fingerprint, from_anywhere(model.name), model.feature_dim, model.precision)
        return cls(path)

    @classmethod
    def find(cls, path: FilePath, model: ReID, rows: pd.DataFrame) -> "Database | None":
        """The database at a path; None if it is still to be made, and can be. Arguments as `create`.

        Raises:
            InputError: something else is there, or it is of another model, has other columns, or would be partly of
                int8.
        """
        path = expanded(path)
        connect(path)  # what cannot be made either is said now, and not after the first images
        try:
            database = cls(path)
        except FormatError:
            raise
        except InputError:
            # A kill in the midst of `create` leaves folders of LanceDB's without a version.
            if Path(path).is_file() or any(
                part for pattern in ("[!_]*", "_versions/*") for part in Path(path).glob(pattern)
            ):
                raise
            fields_of(rows)
            return None
        database.check_model(model)
        database.check_precision(model)
        database._arrays(rows)
        return database

    def load_model(self, preset: FilePath | None = None) -> ReID:
        """The `ReID` whose features it holds.

        Args:
            preset: as in `ReID.from_preset`, if what it was made from is elsewhere now.

        Raises:
            InputError: it cannot be opened, or is another.
        """
        model = ReID.from_preset(preset or self.find_preset())
        self.check_model(model)
        return model

    def find_preset(self) -> str:
        """`preset`, where it still is. Raises `InputError` if it was moved."""
        if os.path.isabs(self.preset) and not os.path.exists(self.preset):
            raise InputError(
                f"{self.path} was indexed with {self.preset}, which is not there: say where it is now with --model."
            )
        return self.preset

    def check_model(self, model: ReID) -> None:
        """Raises `InputError` if features of a `ReID` cannot be compared with those in here."""
        if (model.fingerprint, model.feature_dim) != (self.fingerprint, self.feature_dim):
            raise InputError(
                f"{self.path} holds features of {self.preset} ({self.fingerprint}, {self.feature_dim:,} numbers), "
                f"and {model.name} is another ({model.fingerprint}, {model.feature_dim:,}): use the former, or "
                "index the images into another database."
            )

    def check_precision(self, model: ReID) -> None:
        """Raises `InputError` if a `ReID`'s features are at other distances than those in here: one alone is int8."""
        if self.precision and (self.precision == "int8") != (model.precision == "int8"):
            raise InputError(
                f"{self.path} was indexed in {self.precision}, and {model.name} computes in {model.precision}, whose "
                "distances differ: use the former, or index the images into another database."
            )

    @property
    def outdated(self) -> str | None:
        """What to tell who uses it, if its images were read otherwise than they are now; None if they were not."""
        if self._table.decoder == DECODER_VERSION:
            return None
        return (
            f"{self.path} was indexed by a version of hacnn_tf that decoded JPEGs less exactly and ignored EXIF "
            "orientation: features of an image are up to 0.12 from today's, or more where it is turned. Index the "
            "images into a new database to have all of them alike."
        )

    def _arrays(self, rows: pd.DataFrame) -> "list[pa.Array]":
        """The columns of some rows, as here. Raises `InputError` if they are others, or of other types."""
        if set(rows.columns) != set(self.columns):
            raise InputError(
                f"{self.path} has the columns {preview(self.columns, most=10)}, and these images "
                f"{preview(rows.columns, most=10)}: index them into another database, or give them the same columns."
            )
        rows = self.as_kept(rows)
        try:
            return [array_of(rows[name], self._table.schema.field(name).type) for name in self.columns]
        except (pa.ArrowException, ValueError, TypeError) as error:
            raise InputError(
                f"{self.path} has other types of columns than these images ({error}): index them into another "
                "database, or give them values of the same kind."
            ) from None

    def __len__(self) -> int:
        return len(self._table)

    def __bool__(self) -> bool:
        return True  # also without rows: `Database.find(...) or Database.create(...)` is one that is there

    @property
    def columns(self) -> list[str]:
        """The names of all columns but `feature`."""
        return self._table.columns

    @property
    def calibration(self) -> Calibration | None:
        """The calibration that it keeps, for its own cameras; None if that of its model, if any, is to be taken.

        Raises:
            InputError: it is damaged, or of a newer format.
        """
        kept = (self._table.schema.field(FEATURE).metadata or {}).get(CALIBRATION.encode())
        return None if kept is None else Calibration.parse(kept.decode(), self.path, self.fingerprint)

    def keep_calibration(self, calibration: Calibration) -> None:
        """Keeps a calibration, in the place of the one that it had; waits for others that write, as long as it takes.

        Raises:
            InputError: it is of another network, or the database cannot be written.
        """
        text = json.dumps(calibration.to_json())
        Calibration.parse(text, "what was given", self.fingerprint)  # for the check alone
        with writing(self.path, wait=-1), refused(f"Cannot write {self.path}"), on_disk(self.path):
            self._table.checkout_latest()
            self._table.lance.update_field_metadata({"path": FEATURE, "metadata": {CALIBRATION: text}})

    def refresh(self) -> None:
        """Sees what other processes have written since.

        Raises:
            InputError: it was removed, or another of another model is in its place.
        """
        self._table.refresh()

    def check_condition(self, where: str | None) -> None:
        """Raises `InputError` if a condition cannot be used, see `hacnn_tf.gallery.condition.parse_condition`."""
        self._condition(where)

    def _condition(self, where: str | None) -> "Condition | None":
        return None if where is None else self._parsed(where)

    def _parsed(self, where: str) -> "Condition":
        if not isinstance(where, str):
            raise InputError(f"A condition is a text, as 'camid != 3', not {where!r}.")
        types = {name: self._table.schema.field(name).type for name in self.columns}
        return Condition(where, parse_condition(where, types))

    def count(self, where: str | None = None) -> int:
        """The number of rows for which a condition holds, of all if there is none.

        Raises:
            InputError: the condition cannot be used; says why.
        """
        condition = self._condition(where)
        return self._table.read(lambda: self._table.lance.count_rows(condition and condition.sql), condition)

    def rows(self, columns: Sequence[str], where: str | None = None) -> pd.DataFrame:
        """Some columns of the rows for which a condition holds, as a `pandas.DataFrame`.

        Raises:
            InputError: there is no such column, or the condition cannot be used; says why.
        """
        names = [columns] if isinstance(columns, str) else list(columns)
        if unknown := [name for name in names if name not in (*self.columns, FEATURE)]:
            raise InputError(f"{self.path} has no column {preview(unknown)}: it has {preview(self.columns, most=10)}.")
        condition = self._condition(where)
        return self._table.read(lambda: frame_of(self._table.query(names, condition).to_arrow()), condition)

    def features(self, where: str | None = None) -> Iterator[tuple[pd.Series, Features]]:
        """The paths `(n,)` and features `(n, feature_dim)` of the rows for which a condition holds, batch by batch.

        Raises:
            InputError: the condition cannot be used; says why.
        """
        condition = self._condition(where)

        def begun() -> list[Iterator[Any]]:
            batches = iter(self._table.query(["path", FEATURE], condition).to_batches())
            return [iter([first]) for first in islice(batches, 1)] + [batches]

        parts = self._table.read(begun, condition)
        with self._table.readable(condition):
            for batch in chain(*parts):
                yield batch["path"].to_pandas(), batch[FEATURE].flatten().to_numpy().reshape(-1, self.feature_dim)

    def feature(self, paths: Sequence[FilePath]) -> Features:
        """The features of some images, `(n, feature_dim)` float32, in the order of `paths`, of which there is one.

        Raises:
            InputError: it does not hold one of them.
        """
        names = [str(path) for path in paths]
        if not names:
            return np.zeros((0, self.feature_dim), np.float32)
        found = self.rows(["path", FEATURE], f"path in ({', '.join(map(sql_literal, names))})").set_index("path")
        if missing := [name for name in names if name not in found.index]:
            raise InputError(f"{self.path} does not hold {preview(missing)}.")
        return np.stack([found.loc[name, FEATURE] for name in names])

    def write(self, rows: pd.DataFrame, features: Features) -> None:
        """Adds images, or replaces those of the same path, in one transaction.

        Args:
            rows: `pandas.DataFrame` with the columns of the database but `feature`.
            features: `(len(rows), feature_dim)` float32 array.

        Raises:
            InputError: the columns are others, features are not finite or of another shape, a path is there twice, or
                it cannot be written.
        """
        if np.shape(features) != (len(rows), self.feature_dim):
            raise InputError(
                f"{len(rows):,} images need features {(len(rows), self.feature_dim)}, not {np.shape(features)}."
            )
        arrays = self._arrays(rows.copy())
        if (twice := rows.path[rows.path.duplicated()]).any():
            raise InputError(f"Images cannot be written twice at once: {preview(twice.unique())}.")
        # Copies are aligned in memory. Arrays that came from another process may not be, at which LanceDB panics.
        features = np.array(features, np.float32)
        squared_norms(features)  # for the check alone
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(features.ravel(), pa.float32()), self.feature_dim)
        fields = [self._table.schema.field(name) for name in (*self.columns, FEATURE)]
        table = pa.table([*arrays, vectors], schema=pa.schema(fields))
        with writing(self.path), refused(f"Cannot write {self.path}"), on_disk(self.path):
            self._table.checkout_latest()  # of an older version, files may have been tidied away
            merge = self._table.lance.merge_insert("path").when_matched_update_all().when_not_matched_insert_all()
            merge.execute(table)

    def as_kept(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Rows as they would be read again: numbers are texts in a column of texts."""
        schema = self._table.schema
        texts = [name for name in rows.columns if pa.types.is_string(schema.field(name).type)]
        rows = rows.assign(**{name: texts_of(rows[name]) for name in texts})
        for name in {"camid", "track"} & set(rows.columns):  # made when a pattern's 01 was a number
            whole = pa.types.is_integer(schema.field(name).type) and rows[name].dtype == object
            if whole and rows[name].dropna().map(str).str.fullmatch(r"\d{1,18}").all():
                rows[name] = rows[name].astype("Int64")
        return rows

    @property
    def removing(self) -> bool:
        """Whether a removal was interrupted, and rows that it deleted are still in the files."""
        return self._table.removing

    @property
    def untidy(self) -> bool:
        """Whether `tidy` is due: after many writes, after a removal that was interrupted, or to make an index."""
        return self.removing or self._table.versions > MOST_VERSIONS or needs_index(self._table)

    def tidy(self) -> None:
        """Merges what many writes have left, removes what nobody sees any more, and keeps the index, if it has one.

        Finishes a removal that was interrupted. Of a bucket, which has no lock, no other process may be writing.

        Raises:
            InputError: it cannot be written, another process goes on writing it, or what was removed is still in its
                files, because a clock was ahead: repeat the call.
        """
        table = self._table
        failed = refused(f"Cannot write {self.path}")
        with writing(self.path), failed, own_temporary(self.path), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # LanceDB's, of what the docstring says
            with on_disk(self.path):  # before what was there is removed, or a power cut might leave neither
                table.checkout_latest()
                if table.removing:
                    table.mark(removing=True)  # until it is done, also of one that was not marked
                    table.write_anew()
                if needs_index(table):
                    build_index(table)
                table.lance.optimize(cleanup_older_than=NEVER)
            # Of buckets, which have no lock, another writer's files may be on their way.
            unverified = not in_bucket(self.path)
            table.lance.optimize(cleanup_older_than=datetime.timedelta(0), delete_unverified=unverified)
            if table.removing:
                if table.versions > 1:  # LanceDB keeps those that are later than now
                    raise InputError(
                        f"What was removed from {self.path} is still in its files, which a clock that was ahead has "
                        "dated: set this machine's clock right, or wait until then, and repeat."
                    )
                table.mark(removing=False)

    def remove(self, where: str) -> int:
        """Deletes the rows for which a condition holds, for good: nothing of them is left in its files.

        LanceDB by itself only marks rows as deleted, so all others are written anew, which takes as much room again
        while it lasts. Of a bucket, which has no lock, no other process may be writing. If it is interrupted, the same
        call finishes it, and so does `tidy`.

        Returns:
            How many there were.

        Raises:
            InputError: the condition cannot be used, and nothing is removed; or as `tidy`.
        """
        condition = self._parsed(where)
        with writing(self.path):
            removed = self._table.delete(condition)
            self.tidy()
        return removed

    def search(
        self, features: Features, where: str | None = None, top: int = 20, exact: bool = False, reranked: bool = False
    ) -> list[pd.DataFrame]:
        """The nearest images of each query.

        Args:
            features: `(q, feature_dim)` float32 array.
            where: only among rows for which this condition (as `camid != 3 and time > timestamp '2026-11-01'`, see
                `hacnn_tf.gallery.condition.parse_condition`) holds.
            top: how many.
            exact: compare with all, however many there are. With a condition, or up to `EXACT_ROWS` rows, that is done
                anyway; else a search reads a part of the lists of an index, and may miss some.
            reranked: order the nearest `CANDIDATES` (or `top`) by k-reciprocal re-ranking among themselves.

        Returns:
            List of `pandas.DataFrame`s, one a query: the columns of the database and `distance` (L2, or that of
            `hacnn_tf.evaluation.rerank`), nearest first, those that are found at the same distance by path.

        Raises:
            InputError: the condition cannot be used (says why), features are not finite or of another shape, or `top`
                is no whole number of at least 1.
            NoImagesError: the database is empty, or the condition leaves none.
        """
        condition = self._condition(where)
        self.check_queries(features, top)
        search, top = nearest_reranked if reranked else nearest, min(top, MOST_ROWS)
        vectors = np.asarray(features, np.float32)
        return [search(self._table, vector, condition, top, exact) for vector in vectors]

    def check_queries(self, features: Features, top: int) -> None:
        """Raises `InputError` if features are not finite or of another shape, or `top` is no number from 1."""
        shape = np.shape(features)
        if len(shape) != 2 or shape[1] != self.feature_dim or not isinstance(top, int | np.integer) or top < 1:
            raise InputError(
                f"A search takes features (q, {self.feature_dim}) and a whole number from 1 as top, not {shape} and "
                f"{top}."
            )
        squared_norms(np.asarray(features, np.float32))  # for the check alone
