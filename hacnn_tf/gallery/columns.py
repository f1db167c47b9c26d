"""From columns of pandas to those of a database, and back."""

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from hacnn_tf.gallery.naming import TRACK_COLUMNS, check_columns
from hacnn_tf.utils.errors import InputError

# Lance looks for two writers of the same new row only where a column is said to be the key.
KEY = {b"lance-schema:unenforced-primary-key": b"true"}


def fields_of(rows: pd.DataFrame) -> list[pa.Field]:
    """The fields that a database has for the columns of a table. Raises `InputError` if it can have none for one."""
    check_columns("The table", rows.columns, TRACK_COLUMNS if "track" in rows else ())
    types = {"path": pa.string(), "bytes": pa.int64(), "modified": pa.int64(), "time": pa.timestamp("us")}
    try:
        fields = [pa.field(name, types.get(name) or _type(rows[name])) for name in rows.columns]
        return [f.with_nullable(False).with_metadata(KEY) if f.name == "path" else f for f in fields]
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise InputError(f"A column cannot be kept in a database: {error}.") from None


def _type(column: pd.Series) -> pa.DataType:
    found = array_of(column, None).type
    if pa.types.is_null(found):
        return pa.int64()
    if pa.types.is_nested(found) or pa.types.is_binary(found):
        raise TypeError(f"{column.name} holds {found}")
    return found


def array_of(column: pd.Series, kind: pa.DataType | None) -> pa.Array:
    """A column in Arrow, of a type, by default its own."""
    if kind is not None and pa.types.is_timestamp(kind):
        known = column.dropna().infer_objects()
        if len(known) and pd.api.types.is_numeric_dtype(known):  # seconds since 1970 would be microseconds
            raise TypeError(f"{column.name} holds numbers: pandas.to_datetime with a unit makes times of them")
    texts = kind is not None and pa.types.is_string(kind)
    array = pa.array(texts_of(column) if texts else column, kind, from_pandas=True)
    if array.type in (pa.float32(), pa.float64()):
        return pc.add(array, pa.scalar(0.0, array.type))  # no -0.0, which LanceDB takes for less than 0.0
    return array


def texts_of(column: pd.Series) -> pd.Series:
    """A column for one of texts, which may happen to hold numbers alone."""
    return column.astype(object).map(str, na_action="ignore")  # of Int64 with gaps, 1 would be "1.0"


def frame_of(table: pa.Table) -> pd.DataFrame:
    """An Arrow table in pandas, whole numbers with gaps as such."""
    return table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
