"""The pairs that are compared against loops that follow the protocol's words."""

import numpy as np
import pytest

from hacnn_tf.evaluation import ranking
from hacnn_tf.evaluation.pairs import compared_pairs
from hacnn_tf.utils.errors import InputError
from tests.evaluation.test_ranking import random_case


def loops(q, g, query_pids, gallery_pids, query_camids, gallery_camids):
    """For every query the distances and whether it is the same person, of the gallery images it is compared with."""
    for i in range(len(q)):
        kept = [
            j
            for j in range(len(g))
            if -1 not in (gallery_pids[j], query_pids[i])
            and (gallery_pids[j], gallery_camids[j]) != (query_pids[i], query_camids[i])
        ]
        yield [np.linalg.norm(q[i] - g[j]) for j in kept], [gallery_pids[j] == query_pids[i] for j in kept]


@pytest.mark.parametrize("block_bytes", [1, 50_000, ranking.BLOCK_BYTES])
@pytest.mark.parametrize("seed", range(10))
def test_equals_the_loops(seed, block_bytes, monkeypatch):
    monkeypatch.setattr(ranking, "BLOCK_BYTES", block_bytes)
    case = random_case(seed)
    for (distances, same), (expected, same_there) in zip(compared_pairs(*case), loops(*case), strict=True):
        np.testing.assert_array_equal(distances, np.array(expected, np.float32))
        assert same.tolist() == same_there
        assert distances.dtype == np.float32


def test_a_query_of_nobody_is_compared_with_nothing():
    features = np.zeros((2, 3), np.float32)
    pids, camids = np.array([-1, 7]), np.array([1, 2])
    (distances, _), (others, same) = compared_pairs(features, features, pids, np.array([-1, 7]), camids, camids[::-1])
    assert len(distances) == 0
    assert (others.tolist(), same.tolist()) == ([0], [True])


def test_equal_features_are_no_less_than_0_apart():
    """Rounding makes some of these squares negative."""
    features = np.random.default_rng(0).standard_normal((50, 64)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    pids = np.arange(1, 51)
    for i, (distances, same) in enumerate(compared_pairs(features, features, pids, pids, pids, pids + 1)):
        assert distances[i] < 1e-3 and same[i]
        assert np.isfinite(distances).all()


def test_features_that_are_not_finite_are_refused():
    features, numbers = np.full((2, 3), np.nan, np.float32), np.array([1, 2])
    with pytest.raises(InputError, match="not finite"):
        next(compared_pairs(features, features, numbers, numbers, numbers, numbers))
