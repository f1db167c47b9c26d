"""The nearest features of a table: compared with all, or where there are many, with those that an index leads to."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from hacnn_tf.gallery.lance import LanceTable
from hacnn_tf.gallery.naming import DISTANCE, FEATURE
from hacnn_tf.utils.errors import NoImagesError
from hacnn_tf.utils.types import Features
from hacnn_tf.utils.waiting import announced

try:
    from lancedb.index import IvfFlat

    from hacnn_tf.gallery.columns import frame_of
    from hacnn_tf.gallery.condition import Condition, shown
except ImportError:
    pass  # `hacnn_tf.gallery.lance.connect` says what is missing

EXACT_ROWS = 100_000  # up to so many, all are compared without an index
LISTS_SEARCHED = 0.2  # share of the index's lists that a search without a condition reads
ROWS_A_LIST = 2_000
MOST_SEGMENTS = 16  # of an index, which gets one for each tidying and is searched in all of them
CANDIDATES = 200  # nearest images, at least, that are ordered by re-ranking


def needs_index(table: LanceTable) -> bool:
    """Whether a table has more rows than are searched without an index, and none, or one in too many segments."""
    if len(table) <= EXACT_ROWS:
        return False
    indices = table.read(table.lance.list_indices)
    return not indices or (indices[0].num_segments or 1) > MOST_SEGMENTS


def build_index(table: LanceTable) -> None:
    """Makes an index of k-means lists (IVF) of the features as they are."""
    config = IvfFlat(distance_type="l2", num_partitions=max(1, len(table) // ROWS_A_LIST))
    with announced(f"Building the index of {len(table):,} images"):
        table.lance.create_index(FEATURE, config=config)


def nearest(
    table: LanceTable,
    feature: Features,
    condition: "Condition | None",
    top: int,
    exact: bool,
    more: Iterable[str] = (),
) -> pd.DataFrame:
    """The rows that are nearest to one feature, as `hacnn_tf.gallery.Database.search`.

    Args:
        table: a `LanceTable`.
        feature: `(feature_dim,)` float32 array.
        condition: only of rows for which it holds.
        top: how many.
        exact: compare with all.
        more: further columns of the result.

    Raises:
        InputError: the condition cannot be used.
        NoImagesError: it leaves none.
    """
    query = table.lance.search(feature, vector_column_name=FEATURE).distance_type("l2").limit(top)
    query = query.select([*table.columns, *more, "_distance"])
    if condition is not None:
        query = query.where(condition.sql, prefilter=True)
    if len(table) <= EXACT_ROWS:
        query = query.bypass_vector_index()
    else:  # Of what a condition leaves, the nearest lists may have little or nothing: then all are searched.
        everything = exact or condition is not None  # by a number that is more than there can be
        query = query.nprobes(len(table) if everything else max(1, int(LISTS_SEARCHED * len(table) / ROWS_A_LIST)))
    found = table.read(lambda: frame_of(query.to_arrow()), condition)
    if found.empty:
        raise no_images(table.path, condition and condition.text)
    found[DISTANCE] = np.sqrt(np.maximum(found.pop("_distance"), 0))
    return found.sort_values([DISTANCE, "path"], ignore_index=True)


def nearest_reranked(
    table: LanceTable, feature: Features, condition: "Condition | None", top: int, exact: bool
) -> pd.DataFrame:
    """As `nearest`, the nearest `CANDIDATES` (or `top`) ordered by k-reciprocal re-ranking among themselves."""
    from hacnn_tf.evaluation.reranking import rerank

    found = nearest(table, feature, condition, max(top, CANDIDATES), exact, [FEATURE])
    (found[DISTANCE],) = rerank(feature[None], np.stack(found.pop(FEATURE)))
    return found.sort_values([DISTANCE, "path"], ignore_index=True)[:top]


def no_images(path: str, where: str | None) -> NoImagesError:
    """What to raise for a condition that leaves none to search."""
    if where is None:
        return NoImagesError(f"{path} has no images.")
    unequal = "!=" in where or "<>" in where
    missing = " Rows without a value fail `!=`: if that is why, write `is distinct from`." if unequal else ""
    return NoImagesError(f"{path} has no images for which {shown(where)} holds.{missing}")
