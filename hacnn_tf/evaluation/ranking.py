"""CMC and mAP: the exact ranks of the true matches, counted without sorting the gallery.

A gallery image with the query's identity *and* camera, or junk, is left out for that query (the Market-1501 protocol).
Gallery images at the same distance rank in gallery order. Queries without a true match are left out and counted.
"""

import dataclasses

import numpy as np

from hacnn_tf.data.table import JUNK
from hacnn_tf.errors import InputError

CMC_RANKS = (1, 5, 10, 20)
BLOCK_BYTES = 64 * 2**20  # of distances held at a time


@dataclasses.dataclass(frozen=True)
class Matches:
    """The ranks of the true matches of a set of queries.

    Attributes:
        ranks: int64 array, ranks from 1 of all true matches, query after query, ascending within a query.
        counts: int64 array, the number of true matches of each query that has any.
        unmatched: number of queries without a true match; they have no part in the measures.
    """

    ranks: np.ndarray
    counts: np.ndarray
    unmatched: int

    def cmc(self, ranks=CMC_RANKS):
        """Share of queries in [0, 1] whose first true match is at rank k or better, for each k in `ranks`."""
        first = self.ranks[self._starts]
        return np.array([np.mean(first <= k) for k in ranks])

    def mean_average_precision(self, trapezoid=False):
        """mAP in [0, 1].

        Args:
            trapezoid: the area under the precision-recall polygon, as the Market-1501 toolkit has it; by default the
                plain mean of the precisions at the true matches.
        """
        hits = np.arange(1, len(self.ranks) + 1) - np.repeat(self._starts, self.counts)
        precisions = hits / self.ranks
        if trapezoid:
            before = np.divide(hits - 1, self.ranks - 1, out=np.ones(len(hits)), where=self.ranks > 1)
            precisions = (before + precisions) / 2
        return float(np.mean(np.add.reduceat(precisions, self._starts) / self.counts))

    @property
    def _starts(self):
        return np.concatenate([[0], np.cumsum(self.counts)[:-1]])


def rank_matches(query_features, gallery_features, query_pids, gallery_pids, query_camids, gallery_camids):
    """Ranks the true matches of every query by L2 distance, a block of queries at a time.

    Args:
        query_features, gallery_features: `(q, d)` and `(g, d)` float32 arrays.
        query_pids, gallery_pids: `(q,)` and `(g,)` int arrays of identities; -1 is junk.
        query_camids, gallery_camids: `(q,)` and `(g,)` int arrays of cameras.

    Returns:
        `Matches`.

    Raises:
        InputError: no query has a true match in the gallery, or a feature is not finite.
    """
    if not (np.isfinite(query_features).all() and np.isfinite(gallery_features).all()):
        raise InputError(
            "Some features are not finite: the network that gave them is broken, or its training diverged."
        )
    half_norms = 0.5 * np.square(gallery_features).sum(axis=1)
    block = max(1, BLOCK_BYTES // (4 * max(1, len(gallery_pids))))
    ranks, counts = [], []
    for start in range(0, len(query_pids), block):
        rows = slice(start, start + block)
        # |q - g|² = |q|² + 2 (|g|²/2 - q·g): the term without the query's own norm ranks alike.
        distances = half_norms - query_features[rows] @ gallery_features.T
        same_person = query_pids[rows, None] == gallery_pids
        same_camera = query_camids[rows, None] == gallery_camids
        excluded = (same_person & same_camera) | (gallery_pids == JUNK)
        distances[excluded] = np.inf
        block_ranks, block_counts = _count_ranks(distances, same_person & ~excluded)
        ranks.append(block_ranks)
        counts.append(block_counts)
    counts = np.concatenate(counts) if counts else np.zeros(0, np.int64)
    if not counts.any():
        raise InputError(
            "No query has a true match in the gallery (the same identity under another camera): "
            "check that query and gallery are of the same dataset."
        )
    return Matches(np.concatenate(ranks), counts[counts > 0], int(np.sum(counts == 0)))


def _count_ranks(distances, is_match):
    """Ranks of the matches in each row of a block.

    Args:
        distances: `(q, g)` float32 array, inf where a gallery image is left out.
        is_match: `(q, g)` bool array.

    Returns:
        Ranks of all matches, row after row and ascending within a row; number of matches of each row.
    """
    counts = is_match.sum(axis=1)
    rows, columns = np.nonzero(is_match)
    starts = np.cumsum(counts) - counts
    ranks = np.empty(len(rows), np.int64)
    # With the rows that have most matches first, those that have an n-th one are a leading block.
    by_count = np.argsort(-counts, kind="stable")
    distances = distances[by_count]
    for n in range(counts.max(initial=0)):
        pairs = (starts[by_count] + n)[: np.sum(counts > n)]
        match_distances = distances[np.arange(len(pairs)), columns[pairs], None]
        nearer = np.count_nonzero(distances[: len(pairs)] < match_distances, axis=1)
        tied = np.count_nonzero(distances[: len(pairs)] == match_distances, axis=1)
        for i in np.flatnonzero(tied > 1):
            nearer[i] += np.count_nonzero(distances[i, : columns[pairs[i]]] == match_distances[i])
        ranks[pairs] = nearer + 1
    return ranks[np.lexsort((ranks, rows))], counts
