"""The nearest tracks in a database."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from hacnn_tf.data.dataset import check_tracks
from hacnn_tf.evaluation.ranking import half_distances, squared_norms, whole_distances
from hacnn_tf.evaluation.tracks import add_features, track_numbers, unit_branches
from hacnn_tf.gallery.database import Database
from hacnn_tf.gallery.lance import RETRIES
from hacnn_tf.gallery.naming import DISTANCE, FIRST, IMAGES, LAST
from hacnn_tf.gallery.nearest import CANDIDATES, no_images
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.types import Features, Integers


def check_has_tracks(database: Database) -> None:
    """Raises `InputError` if a database does not know of any tracks."""
    if "track" not in database.columns:
        raise InputError(
            f"{database.path} has no tracks: index its images into a new database with --track_pattern, or from a "
            "manifest with a column track."
        )


def search_tracks(
    database: Database,
    features: Features,
    where: str | None = None,
    *,
    branches: Sequence[str],
    top: int = 20,
    reranked: bool = False,
) -> list[pd.DataFrame]:
    """The nearest tracks of each query, by their pooled features (`pool_tracks`). Compares with all.

    A track is made, as it is searched, of those of its images that are in the database and for which the condition
    holds: of what was removed nothing is left in it. An image without a track is one of its own.

    Args:
        database: a `Database` with the column `track`.
        features: `(q, feature_dim)` float32 array.
        where: only of images for which this condition holds, as in `Database.search`.
        branches: whose features stand side by side in a feature, as `ReID.branches` names them.
        top: how many.
        reranked: order the nearest `CANDIDATES` (or `top`) by k-reciprocal re-ranking among themselves.

    Returns:
        List of `pandas.DataFrame`s, one a query: of each track the columns of its image that is nearest to the query,
        `images` (how many), `first_seen` and `last_seen` (times, may be missing), and `distance` of the track,
        nearest first, those that are found at the same distance by path.

    Raises:
        InputError: the database has no tracks, one of them has two persons or cameras, or as of `Database.search`.
    """
    database.check_queries(features, top)
    queries = np.asarray(features, np.float32)
    rows, tracks, sums, near = _read(database, queries, where)
    pooled = unit_branches(sums, branches)
    return [
        _nearest(query, pooled, rows.assign(_near=distances), tracks, top, reranked)
        for query, distances in zip(queries, near, strict=True)
    ]


def _read(
    database: Database, queries: Features, where: str | None
) -> tuple[pd.DataFrame, Integers, Features, Features]:
    """The rows `(n,)` of images, their tracks `(n,)`, the sums of these `(m, d)`, and each query's distances `(q, n)`.

    Others may write in between: what they add is left out, and where they remove something it is all read again.
    """
    for left in reversed(range(RETRIES)):
        database.refresh()
        check_has_tracks(database)  # it may be another than when it was opened
        rows = database.rows(database.columns, where)
        if rows.empty:
            raise no_images(database.path, where)
        # 0.3 kept a manifest's column of this name as it was, and what was indexed at several times may share names.
        check_tracks(rows, f"{database.path} has", "; index the images into a new database with such names")
        tracks, places = track_numbers(rows), pd.Index(rows.path)
        sums = np.zeros((tracks.max() + 1, database.feature_dim), np.float32)
        near = np.zeros((len(queries), len(rows)), np.float32)
        there = np.zeros(len(rows), bool)
        try:
            for paths, vectors in database.features(where):
                found = places.get_indexer(paths)
                found, vectors = found[found >= 0], vectors[found >= 0]
                there[found] = True
                add_features(sums, vectors, tracks[found])
                for distances, row in zip(near, half_distances(queries, vectors), strict=True):
                    distances[found] = row
        except InputError:  # files that another process has tidied away, perhaps
            if not left:
                raise
        else:
            if there.all():
                return rows, tracks, sums, near
    raise InputError(f"Images are removed from {database.path} faster than it is read: repeat the search.")


def _nearest(
    query: Features, pooled: Features, rows: pd.DataFrame, tracks: Integers, top: int, reranked: bool
) -> pd.DataFrame:
    """The lines of one query; `_near` of `rows` says which images are nearer to it."""
    (halves,) = half_distances(query[None], pooled)
    distances = whole_distances(halves, squared_norms(query[None]))
    nearest = np.argsort(distances, kind="stable")[: max(top, CANDIDATES) if reranked else top]
    found = pd.Series(distances[nearest], nearest)
    if reranked:
        from hacnn_tf.evaluation.reranking import rerank

        (found[:],) = rerank(query[None], pooled[nearest])
    images = rows[np.isin(tracks, nearest)].sort_values(["_near", "path"])
    groups = images.groupby(tracks[images.index])
    lines = groups.head(1).drop(columns="_near")
    lines = lines.set_axis(tracks[lines.index])
    lines[IMAGES], lines[FIRST], lines[LAST] = groups.size(), groups.time.min(), groups.time.max()
    return lines.assign(**{DISTANCE: found}).sort_values([DISTANCE, "path"], ignore_index=True)[:top]
