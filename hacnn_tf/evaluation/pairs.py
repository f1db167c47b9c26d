"""The pairs of query and gallery images that are compared, with true distances, query after query."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hacnn_tf.data.dataset import JUNK
from hacnn_tf.evaluation.ranking import check_people, searched_rows, squared_norms, whole_distances
from hacnn_tf.utils.types import Features, Integers


def compared_pairs(
    query_features: Features,
    gallery_features: Features,
    query_pids: Integers,
    gallery_pids: Integers,
    query_camids: Integers,
    gallery_camids: Integers,
) -> Iterator[tuple[Features, NDArray[np.bool_]]]:
    """The pairs that `rank_matches` compares: without those of the same identity and camera, and without junk.

    The distances are L2, comparable between queries, and computed in blocks as those of `half_distances`: of features
    of length √2, those below 0.002 are rounding.

    Args:
        query_features, gallery_features, query_pids, gallery_pids, query_camids, gallery_camids: as in `rank_matches`.

    Yields:
        For every query, also one that is compared with nothing, the distances `(m,)`, float32, at least 0, to the m
        gallery images that it is compared with, in gallery order, and whether each is the same person, `(m,)` bool.
        They are the caller's to keep.

    Raises:
        InputError: as `rank_matches`, but not if no query has a true match.
    """
    case = query_features, gallery_features, query_pids, gallery_pids, query_camids, gallery_camids
    check_people(*case)
    norms, rows = squared_norms(query_features), searched_rows(*case)
    for norm, pid, (row, matches) in zip(norms, query_pids, rows, strict=True):
        kept = np.isfinite(row) & (pid != JUNK)
        same = np.zeros(len(row), bool)
        same[matches] = True
        yield whole_distances(row[kept], norm), same[kept]
