"""k-reciprocal re-ranking (Zhong et al., CVPR 2017), in memory that grows with the images and not with their pairs.

An image is encoded by those among its neighbours whose neighbour it is in turn: a row of a sparse matrix that has a
column for every query and gallery image. Distances between encodings are mixed with those between features.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array

from hacnn_tf.evaluation.ranking import comparable, half_distances, squared_norms
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.types import Features, Integers
from hacnn_tf.utils.waiting import bar


def rerank(
    query_features: Features, gallery_features: Features, k1: int = 20, k2: int = 6, weight: float = 0.3
) -> Iterator[Features]:
    """Distances from queries to a gallery that account for the neighbours of both; as published, by default.

    All queries and all of the gallery take part in every neighbour list, whatever their identity and camera.

    Args:
        query_features, gallery_features: `(q, d)` and `(g, d)` float32 arrays.
        k1: int, at least 1: neighbours of an image, besides itself, that may become part of its encoding.
        k2: int, at least 1: an encoding is the mean over this many nearest images, itself among them; 1: none.
        weight: λ in [0, 1], the share of the original distance: squared L2 over the query's greatest to any image.

    Yields:
        For query after query `(g,)` float32 array of its distances, in [0, 1] up to rounding; the caller's to keep.

    Raises:
        InputError: a feature is not finite, they are neither float32 nor float64, or not equally wide; or `k1`, `k2` or
            `weight` is out of its range.
    """
    if k1 < 1 or k2 < 1 or not 0 <= weight <= 1:
        raise InputError(f"Re-ranking takes k1 and k2 from 1 and a weight from 0 to 1, not {k1}, {k2} and {weight}.")
    features = np.concatenate(comparable(query_features, gallery_features))
    norms = squared_norms(features)
    neighbours, farthest = _neighbours(features, norms, max(k1 + 1, k2))
    encodings = _encodings(features, norms, farthest, neighbours, k1)
    if k2 > 1:
        nearest = neighbours[:, :k2]
        encodings = _lists(nearest, np.float32) @ encodings / nearest.shape[1]
    queries = len(query_features)
    having = encodings[queries:].T.tocsr()  # of every image the gallery's encodings that have it
    for i, row in enumerate(half_distances(features[:queries], features[queries:])):
        original = (norms[i] + 2 * row) / farthest[i]
        yield weight * original + (1 - weight) * _jaccard(encodings[[i]], having)


def _neighbours(features: Features, norms: Features, count: int) -> tuple[Integers, Features]:
    """Of each image the nearest `(n, count)`, itself among them, nearest first, and the greatest squared L2 `(n,)`.

    Images at the same distance come in order. If there are fewer than `count`, all are listed.
    """
    count = min(count, len(features))
    neighbours = np.empty((len(features), count), np.int32)
    farthest = np.empty(len(features), np.float32)
    rows = bar(half_distances(features, features), "Finding neighbours", len(features))
    for i, row in enumerate(rows):
        neighbours[i] = _nearest(row, count)
        farthest[i] = norms[i] + 2 * row.max()
    # If a network gives all images the same feature, what is left is rounding, and not to be divided by.
    return neighbours, np.maximum(farthest, np.finfo(np.float32).eps * (norms.max() or 1))


def _nearest(distances: Features, count: int) -> Integers:
    """The indices of the `count` least of `(n,)` distances, ascending, equal ones in order."""
    width = min(len(distances), 8 * count)
    least = distances[: len(distances) // width * width].reshape(-1, width).min(axis=0)
    bound = np.partition(least, count - 1)[count - 1]  # `count` are no greater, and few more: no need to sort the rest
    near = np.flatnonzero(distances <= bound)
    return near[np.argsort(distances[near], kind="stable")[:count]]


def _encodings(features: Features, norms: Features, farthest: Features, neighbours: Integers, k1: int) -> csr_array:
    """The `(n, n)` sparse float32 encodings: a row has exp(−distance) at reciprocal neighbours, over their sum."""
    near = _reciprocal(neighbours[:, : k1 + 1])
    close = _reciprocal(neighbours[:, : round(k1 / 2) + 1])
    # A neighbour brings its own closest neighbours along if more than two thirds of them are neighbours already.
    common = near.multiply(near @ close)  # `close` is symmetric
    common.data = (3 * common.data > 2 * close.sum(axis=0)[common.indices]).astype(np.int32)
    common.eliminate_zeros()
    encodings = (near + common @ close).astype(np.float32)
    spans = bar(pairwise(encodings.indptr), "Comparing neighbours", len(features))
    for i, (start, end) in enumerate(spans):
        others = encodings.indices[start:end]
        distances = norms[i] + norms[others] - 2 * (features[others] @ features[i])
        shares = np.exp(-distances / farthest[i])
        encodings.data[start:end] = shares / shares.sum()
    return encodings


def _reciprocal(neighbours: Integers) -> csr_array:
    """Which images are in each other's list, as an `(n, n)` sparse int32 matrix of ones; `neighbours` is `(n, k)`."""
    lists = _lists(neighbours, np.int32)
    return lists.multiply(lists.T)


def _lists(neighbours: Integers, dtype: type[np.generic]) -> csr_array:
    """The lists `(n, k)` of neighbours as an `(n, n)` sparse matrix of ones."""
    n, k = neighbours.shape
    return csr_array((np.ones(n * k, dtype), neighbours.ravel(), np.arange(0, n * k + 1, k)), shape=(n, n))


def _jaccard(encoding: csr_array, having: csr_array) -> Features:
    """The `(g,)` float32 Jaccard distances of one encoding, a sparse matrix of one row, to those of the gallery."""
    shared = having[encoding.indices]
    least = np.minimum(shared.data, np.repeat(encoding.data, np.diff(shared.indptr)))
    overlap = np.bincount(shared.indices, least, minlength=having.shape[1]).astype(np.float32)
    return 1 - overlap / (2 - overlap)
