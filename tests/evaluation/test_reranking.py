"""k-reciprocal re-ranking against the published algorithm, written as its loops over matrices of all pairs."""

import math
import tracemalloc

import numpy as np
import pytest

from hacnn_tf.evaluation import rank_matches, ranking, rerank
from hacnn_tf.utils.errors import InputError


def dense(query_features, gallery_features, k1=20, k2=6, weight=0.3):
    """The `(q, g)` distances, by §3 of the paper; images at the same distance in order."""
    features = np.concatenate([query_features, gallery_features]).astype(float)
    n, q = len(features), len(query_features)
    distances = np.array([[np.sum((a - b) ** 2) for b in features] for a in features])
    distances /= distances.max(axis=1, keepdims=True)
    ranks = [np.argsort(row, kind="stable") for row in distances]

    def reciprocal(i, k):
        return {j for j in ranks[i][: k + 1] if i in ranks[j][: k + 1]}

    encodings = np.zeros((n, n))
    for i in range(n):
        near = reciprocal(i, k1)
        expanded = set(near)
        for j in near:
            close = reciprocal(j, int(np.around(k1 / 2)))
            if len(near & close) > 2 / 3 * len(close):
                expanded |= close
        for j in expanded:
            encodings[i, j] = math.exp(-distances[i, j])
        encodings[i] /= encodings[i].sum() or 1
    if k2 > 1:
        encodings = np.array([np.mean([encodings[j] for j in ranks[i][:k2]], axis=0) for i in range(n)])
    final = np.empty((q, n - q))
    for i in range(q):
        for j in range(q, n):
            overlap = np.minimum(encodings[i], encodings[j]).sum()
            jaccard = 1 - overlap / (2 - overlap)
            final[i, j - q] = (1 - weight) * jaccard + weight * distances[i, j]
    return final


def clusters(queries, gallery, seed=0):
    """Unit features about a centre for every nine images or so, and the numbers of their centres."""
    rng = np.random.default_rng(seed)
    n = queries + gallery
    pids = rng.integers(0, n // 9 + 1, n)
    features = rng.standard_normal((n // 9 + 1, 16))[pids] + 0.7 * rng.standard_normal((n, 16))
    features = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)
    return features[:queries], features[queries:], pids[:queries], pids[queries:]


@pytest.mark.parametrize(
    "parameters",
    [{}, {"k1": 7, "k2": 3}, {"k1": 5, "k2": 1, "weight": 0.5}, {"k1": 1, "k2": 2}, {"k1": 4, "k2": 9, "weight": 0}],
    ids=str,
)
@pytest.mark.parametrize("size", [(1, 1), (1, 60), (4, 9), (30, 110), (60, 20)])
def test_equals_the_dense_loops(size, parameters):
    case = clusters(*size)[:2]
    np.testing.assert_allclose(list(rerank(*case, **parameters)), dense(*case, **parameters), atol=2e-6)


@pytest.mark.parametrize("block_bytes", [1, ranking.BLOCK_BYTES])
@pytest.mark.parametrize("k2", [1, 6])
@pytest.mark.parametrize("seed", range(5))
def test_ties_and_duplicates(seed, k2, block_bytes, monkeypatch):
    """Small integer features: some images have more duplicates than neighbours, and are not in their own list."""
    monkeypatch.setattr(ranking, "BLOCK_BYTES", block_bytes)
    rng = np.random.default_rng(seed)
    q, g = (rng.integers(-1, 2, (n, 2)).astype(np.float32) for n in (10, 80))
    np.testing.assert_allclose(list(rerank(q, g, 4, k2)), dense(q, g, 4, k2), atol=2e-6)


def test_ranks_of_the_protocol():
    """Junk and images of the query's own camera take part in the neighbour lists, and not in the ranking."""
    q, g, query_pids, gallery_pids = clusters(40, 120)
    gallery_pids[::11] = -1
    query_camids, gallery_camids = np.arange(40) % 3, np.arange(120) % 3
    ranks = []
    for distances, pid, camid in zip(dense(q, g), query_pids, query_camids, strict=True):
        kept = [j for j in range(120) if gallery_pids[j] != -1 and (gallery_pids[j], gallery_camids[j]) != (pid, camid)]
        kept.sort(key=lambda j: distances[j])
        ranks += [rank for rank, j in enumerate(kept, 1) if gallery_pids[j] == pid]
    matches = rank_matches(q, g, query_pids, gallery_pids, query_camids, gallery_camids, distances=rerank)
    assert matches.ranks.tolist() == ranks
    plain = rank_matches(q, g, query_pids, gallery_pids, query_camids, gallery_camids)
    assert matches.mean_average_precision() > plain.mean_average_precision()  # what it is for


def test_images_without_a_common_neighbour_are_1_apart():
    features = np.array([[0], [1], [2], [3], [4], [50], [51], [52], [53], [54]], np.float32)
    (distances,) = rerank(features[:1], features[1:], k1=4, k2=2, weight=0)
    assert distances[:4].max() < 0.9
    np.testing.assert_array_equal(distances[4:], 1)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [0, 0.3])
def test_a_network_that_gives_one_feature_to_all_images(value):
    features = np.full((30, 7), value, np.float32)
    assert np.isfinite(list(rerank(features[:3], features[3:]))).all()


def test_features_that_are_not_finite_are_refused():
    features = np.full((2, 3), np.nan, np.float32)
    with pytest.raises(InputError, match="not finite"):
        next(rerank(features, features))


@pytest.mark.parametrize("parameters", [{"k1": 0}, {"k2": 0}, {"weight": 30}, {"weight": np.nan}], ids=str)
def test_parameters_out_of_their_range_are_refused(parameters):
    features = np.eye(4, dtype=np.float32)
    with pytest.raises(InputError, match="Re-ranking takes k1 and k2 from 1 and a weight from 0 to 1, not "):
        next(rerank(features, features, **parameters))


def test_memory_is_bounded():
    q, g, *_ = clusters(500, 5500)
    tracemalloc.start()
    for _ in rerank(q, g):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 6000**2 / 3  # not even a third of one matrix of all pairs, of which there would be several
