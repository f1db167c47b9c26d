"""CMC, mAP and mINP: the exact ranks of the true matches, a block of queries at a time.

A gallery image with the query's identity *and* camera, or junk, is left out for that query (the Market-1501 protocol).
Gallery images at the same distance rank in gallery order. Queries without a true match are left out and counted.
"""

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from hacnn_tf.data.dataset import JUNK
from hacnn_tf.evaluation.measures import CMC_RANKS
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.types import Distances, Features, Integers
from hacnn_tf.utils.waiting import bar

QUERY_BLOCK = 512  # queries compared at a time, fewer if their distances would take more than
BLOCK_BYTES = 512 * 2**20
GALLERY_BLOCK = 4096  # gallery images multiplied at a time
MOST_NORM = np.finfo(np.float32).max / 8  # of a feature, squared: a distance between two is at most twice their norm


@dataclasses.dataclass(frozen=True)
class Matches:
    """The ranks of the true matches of a set of queries.

    Attributes:
        ranks: int64 array, ranks from 1 of all true matches, query after query, ascending within a query.
        counts: int64 array, the number of true matches of each query that has any.
        queries: int64 array, which queries those are: their places from 0 among all.
        unmatched: number of queries without a true match; they have no part in the measures.
    """

    ranks: NDArray[np.int64]
    counts: NDArray[np.int64]
    queries: NDArray[np.int64]
    unmatched: int

    def cmc(self, ranks: Iterable[int] = CMC_RANKS) -> NDArray[np.float64]:
        """Share of queries in [0, 1] whose first true match is at rank k or better, for each k in `ranks`."""
        return np.array([np.mean(self.first_ranks <= k) for k in ranks])

    def mean_average_precision(self, trapezoid: bool = False) -> float:
        """mAP in [0, 1]; `trapezoid` as in `average_precisions`."""
        return float(np.mean(self.average_precisions(trapezoid)))

    def average_precisions(self, trapezoid: bool = False) -> NDArray[np.float64]:
        """AP in [0, 1] of each of `queries`.

        Args:
            trapezoid: the area under the precision-recall polygon, as the Market-1501 toolkit has it; by default the
                plain mean of the precisions at the true matches.
        """
        hits = np.arange(1, len(self.ranks) + 1) - np.repeat(self._starts, self.counts)
        precisions = hits / self.ranks
        if trapezoid:
            before = np.divide(hits - 1, self.ranks - 1, out=np.ones(len(hits)), where=self.ranks > 1)
            precisions = (before + precisions) / 2
        return np.add.reduceat(precisions, self._starts) / self.counts

    def mean_inverse_negative_penalty(self) -> float:
        """mINP in [0, 1] (Ye et al., 2021): the mean of the precisions at the last, the hardest, true matches."""
        return float(np.mean(self.counts / self.last_ranks))

    @property
    def first_ranks(self) -> NDArray[np.int64]:
        """The rank of the nearest true match of each of `queries`."""
        return self.ranks[self._starts]

    @property
    def last_ranks(self) -> NDArray[np.int64]:
        """The rank of the farthest true match of each of `queries`."""
        return self.ranks[self._starts + self.counts - 1]

    @property
    def _starts(self) -> Integers:
        return np.concatenate([[0], np.cumsum(self.counts)[:-1]])


def squared_norms(features: Features) -> Features:
    """The squared L2 norms `(n,)` of `(n, d)` float32 features.

    Raises:
        InputError: they are no rows, one is not finite, a squared distance may be beyond float32, or they are neither
            float32 nor float64, in which sums are wrong.
    """
    features = np.asarray(features)
    if features.ndim != 2:
        raise InputError(f"Features are rows, (n, d), not {features.shape}.")
    if features.dtype not in (np.float32, np.float64):
        raise InputError(f"The features are {features.dtype}: make them float32.")
    norms = np.einsum("ij,ij->i", features, features)
    if not np.isfinite(features[~np.isfinite(norms)]).all():
        raise InputError(
            "Some features are not finite: the network that gave them is broken, or its training diverged."
        )
    if (norms > MOST_NORM).any():
        raise InputError(
            "Some features are too large to be compared, as their squared distances may be beyond float32: scale all."
        )
    return norms


def half_distances(query_features: Features, gallery_features: Features) -> Iterator[Features]:
    """Half the squared L2 distances, up to a term of the query's own: they rank as L2 distances do.

    Computed for at most `QUERY_BLOCK` queries and in `BLOCK_BYTES` at a time. Equal features are at equal distance, to
    the last bit. The gallery may be a memory map (`numpy.load(path, mmap_mode="r")`), also one larger than memory; it
    is read once for every block of queries.

    Args:
        query_features, gallery_features: `(q, d)` and `(g, d)` float32 arrays.

    Yields:
        For query after query `(g,)` float32 array, (|q − g|² − |q|²) / 2. It holds until the next is asked for, and may
        be overwritten.

    Raises:
        InputError: a feature is not finite or too large, or they are neither float32 nor float64, or not equally wide.
    """
    query_features, gallery_features = comparable(query_features, gallery_features)
    half_norms = 0.5 * squared_norms(gallery_features)
    squared_norms(query_features)  # for the check alone
    width = -(-len(gallery_features) // GALLERY_BLOCK) * GALLERY_BLOCK
    block = max(1, min(len(query_features), QUERY_BLOCK, BLOCK_BYTES // (4 * max(1, width))))
    products = np.empty((block, width), np.float32)
    for start in range(0, len(query_features), block):
        queries = query_features[start : start + block]
        for first in range(0, len(gallery_features), GALLERY_BLOCK):
            images = gallery_features[first : first + GALLERY_BLOCK]
            if missing := GALLERY_BLOCK - len(images):  # a product of another shape is rounded otherwise
                images = np.pad(images, ((0, missing), (0, 0)))
            np.matmul(queries, images.T, out=products[: len(queries), first : first + GALLERY_BLOCK])
        for row in products[: len(queries), : len(gallery_features)]:
            yield np.subtract(half_norms, row, out=row)  # row by row, while it is in the cache


def comparable(query_features: Features, gallery_features: Features) -> tuple[Features, Features]:
    """Both as arrays. Raises `InputError` unless they are rows of equally many numbers."""
    query_features, gallery_features = np.asarray(query_features), np.asarray(gallery_features)
    if query_features.ndim != 2 or query_features.shape[1:] != gallery_features.shape[1:]:
        raise InputError(
            f"Features to be compared are rows of equally many numbers, not {query_features.shape} and "
            f"{gallery_features.shape}."
        )
    return query_features, gallery_features


def whole_distances(halves: Features, norms: Features) -> Features:
    """L2 distances, at least 0, which rounding would make less.

    Args:
        halves: float32 array, as `half_distances` gives them.
        norms: of the queries, as `squared_norms` gives them; or a single one, where `halves` are one query's.

    Returns:
        float32 array of the shape of `halves`.
    """
    return np.sqrt(np.maximum(norms + 2 * halves, 0))


def rank_matches(
    query_features: Features,
    gallery_features: Features,
    query_pids: Integers,
    gallery_pids: Integers,
    query_camids: Integers,
    gallery_camids: Integers,
    distances: Distances = half_distances,
) -> Matches:
    """Ranks the true matches of every query by distance.

    Besides the features and what `distances` holds come some 40 bytes a gallery image and 8 a pair of the same
    identity.

    Args:
        query_features, gallery_features: `(q, d)` and `(g, d)` float32 arrays.
        query_pids, gallery_pids: `(q,)` and `(g,)` int arrays of identities; -1 is junk.
        query_camids, gallery_camids: `(q,)` and `(g,)` int arrays of cameras.
        distances: function from `query_features` and `gallery_features` to an iterator of the `(g,)` float distances of
            query after query, which are overwritten; by default L2, see `hacnn_tf.evaluation.reranking` for another.

    Returns:
        `Matches`.

    Raises:
        InputError: no query has a true match in the gallery, a feature is not finite or too large, they are neither
            float32 nor float64, not equally wide, or more or fewer than identities or cameras, or these are no
            integers.
    """
    people = query_pids, gallery_pids, query_camids, gallery_camids
    check_people(query_features, gallery_features, *people)
    if not any(len(matches) for matches, _ in same_person(*people)):  # said before the long work
        raise InputError(
            "No query has a true match in the gallery (the same identity under another camera): "
            "check that query and gallery are of the same dataset."
        )
    searched = searched_rows(query_features, gallery_features, *people, distances)
    ranks = [_ranks(row, matches) for row, matches in searched]
    counts = np.array([len(of_query) for of_query in ranks], np.int64)
    return Matches(np.concatenate(ranks), counts[counts > 0], np.flatnonzero(counts), int(np.sum(counts == 0)))


def searched_rows(
    query_features: Features,
    gallery_features: Features,
    query_pids: Integers,
    gallery_pids: Integers,
    query_camids: Integers,
    gallery_camids: Integers,
    distances: Distances = half_distances,
) -> Iterator[tuple[Features, Integers]]:
    """For query after query its distances, inf where an image is left out, and the gallery indices of true matches.

    Args:
        query_features, gallery_features, query_pids, gallery_pids, query_camids, gallery_camids, distances: as in
            `rank_matches`; the distances hold until the next query is asked for.

    Raises:
        InputError: a distance is not a number, or as `same_person`.
    """
    junk = np.flatnonzero(np.asarray(gallery_pids) == JUNK)
    rows = bar(distances(query_features, gallery_features), "Ranking", len(query_features), "query")
    people = same_person(query_pids, gallery_pids, query_camids, gallery_camids)
    for row, (matches, left_out) in zip(rows, people, strict=True):
        if np.isnan(row).any():  # which sorts behind all others
            raise InputError("Some distances are not numbers: see what `distances` gives.")
        row[junk] = row[left_out] = np.inf
        yield row, matches


def check_people(
    query_features: Features,
    gallery_features: Features,
    query_pids: Integers,
    gallery_pids: Integers,
    query_camids: Integers,
    gallery_camids: Integers,
) -> None:
    """`check_rows` of queries and gallery."""
    check_rows("query", *map(len, (query_features, query_pids, query_camids)))
    check_rows("gallery", *map(len, (gallery_features, gallery_pids, gallery_camids)))


def check_rows(what: str, features: int, pids: int, camids: int) -> None:
    """Raises `InputError` unless there are as many features as identities and cameras: one row too many moves all."""
    if not features == pids == camids:
        raise InputError(
            f"{features:,} {what} features cannot be of {pids:,} identities and {camids:,} cameras: give a row each."
        )


def same_person(
    query_pids: Integers, gallery_pids: Integers, query_camids: Integers, gallery_camids: Integers
) -> Iterator[tuple[Integers, Integers]]:
    """For every query the gallery indices, ascending, of its identity: under other cameras, and under its own.

    Args:
        query_pids, gallery_pids, query_camids, gallery_camids: as in `rank_matches`.

    Raises:
        InputError: they are no integers: texts and numbers are never the same, nor are gaps.
    """
    query_pids, gallery_pids, query_camids, gallery_camids = map(
        _integers, (query_pids, gallery_pids, query_camids, gallery_camids)
    )
    by_pid = np.argsort(gallery_pids, kind="stable")
    sorted_pids = gallery_pids[by_pid]
    first, last = (np.searchsorted(sorted_pids, query_pids, side) for side in ("left", "right"))
    for begin, end, pid, camid in zip(first, last, query_pids, query_camids, strict=True):
        images = by_pid[begin:end]
        same_camera = (gallery_camids[images] == camid) | (pid == JUNK)
        yield images[~same_camera], images[same_camera]


def _integers(ids: Integers) -> Integers:
    """Identities or cameras as int64, also of a `pandas.Series`, whose rows have names, or of whole floats.

    `np.searchsorted` would compare int64 with uint64 as floats, in which large ones are the same.
    """
    ids = np.asarray(ids)
    with contextlib.suppress(TypeError, ValueError, OverflowError), np.errstate(invalid="ignore"):
        whole = ids.astype(np.int64)
        if np.array_equal(whole, ids):
            return whole
    raise InputError(
        f"Identities and cameras are integers, and these are {ids.dtype}: number texts, those of queries and gallery "
        "together; junk is the identity -1, and each image of an unknown camera has a negative one of its own."
    )


def _ranks(distances: Features, matches: Integers) -> Integers:
    """Ranks from 1 of some gallery images, ascending.

    Args:
        distances: `(g,)` float array, inf where a gallery image is left out.
        matches: int array of gallery indices.

    Returns:
        int64 array of the size of `matches`.
    """
    ordered = np.sort(distances)
    ranks = np.searchsorted(ordered, distances[matches], "left") + 1
    tied = np.searchsorted(ordered, distances[matches], "right") > ranks
    for i in np.flatnonzero(tied):  # rank in gallery order
        ranks[i] += np.count_nonzero(distances[: matches[i]] == distances[matches[i]])
    return np.sort(ranks)
