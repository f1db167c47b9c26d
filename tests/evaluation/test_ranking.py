"""Exact ranks against a brute force that follows the protocol's words, query by query."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from hacnn_tf.evaluation import compared_pairs, ranking, rerank
from hacnn_tf.evaluation.ranking import half_distances, rank_matches
from hacnn_tf.utils.errors import InputError


def brute_force(q, g, query_pids, gallery_pids, query_camids, gallery_camids):
    """First-match ranks, plain and trapezoid average precisions, inverse penalties of all queries with a match."""
    first, plain, trapezoid, inverse_penalties = [], [], [], []
    for i in range(len(q)):
        kept = [
            j
            for j in range(len(g))
            if gallery_pids[j] != -1 and not (gallery_pids[j] == query_pids[i] and gallery_camids[j] == query_camids[i])
        ]
        kept.sort(key=lambda j: (float(np.sum((q[i].astype(float) - g[j]) ** 2)), j))
        good = [gallery_pids[j] == query_pids[i] for j in kept]
        if not any(good):
            continue
        first.append(good.index(True) + 1)
        hits, precision_sum, area, old_precision, hardest = 0, 0.0, 0.0, 1.0, 0
        for rank, match in enumerate(good, 1):
            hits += match
            if match:
                precision_sum += hits / rank
                area += (old_precision + hits / rank) / 2
                hardest = rank
            old_precision = hits / rank
        plain.append(precision_sum / hits)
        trapezoid.append(area / hits)
        inverse_penalties.append(hits / hardest)
    return np.array(first), np.array(plain), np.array(trapezoid), np.array(inverse_penalties)


def random_case(seed):
    """Small integer features, so that distances are exact and ties and duplicates abound; junk and distractors."""
    rng = np.random.default_rng(seed)
    queries, gallery = rng.integers(1, 30), rng.integers(5, 120)
    q = rng.integers(-2, 3, (queries, 3)).astype(np.float32)
    g = rng.integers(-2, 3, (gallery, 3)).astype(np.float32)
    pids = rng.integers(1, 9, queries), rng.integers(-1, 9, gallery)
    camids = rng.integers(1, 4, queries), rng.integers(1, 4, gallery)
    return q, g, *pids, *camids


@pytest.mark.parametrize(
    ("pid", "camid", "rank"),
    [
        pytest.param(-1, 2, 1, id="junk is left out"),
        pytest.param(7, 1, 1, id="the query's own camera is left out"),
        pytest.param(0, 2, 2, id="a distractor stays"),
        pytest.param(3, 1, 2, id="another person before the query's camera stays"),
    ],
)
def test_what_is_nearer_than_the_match(pid, camid, rank):
    matches = rank_matches(
        np.zeros((1, 1), np.float32),
        np.array([[1], [2]], np.float32),
        np.array([7]),
        np.array([pid, 7]),
        np.array([1]),
        np.array([camid, 2]),
    )
    assert matches.ranks.tolist() == [rank]


@pytest.mark.parametrize("block_bytes", [1, 50_000, ranking.BLOCK_BYTES])
@pytest.mark.parametrize("seed", range(30))
def test_equals_the_brute_force(seed, block_bytes, monkeypatch):
    monkeypatch.setattr(ranking, "BLOCK_BYTES", block_bytes)
    case = random_case(seed)
    first, plain, trapezoid, inverse_penalties = brute_force(*case)
    if not len(first):
        with pytest.raises(InputError, match="No query has a true match"):
            rank_matches(*case)
        return
    matches = rank_matches(*case)
    assert matches.unmatched == len(case[0]) - len(first)
    np.testing.assert_allclose(matches.cmc((1, 2, 5, 20)), [np.mean(first <= k) for k in (1, 2, 5, 20)])
    assert matches.mean_average_precision() == pytest.approx(plain.mean())
    assert matches.mean_average_precision(trapezoid=True) == pytest.approx(trapezoid.mean())
    assert matches.mean_inverse_negative_penalty() == pytest.approx(inverse_penalties.mean())


def test_features_of_real_kind_equal_the_brute_force():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(240, 64)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    pids, camids = rng.integers(1, 20, 240), rng.integers(1, 3, 240)
    case = features[:40], features[40:], pids[:40], pids[40:], camids[:40], camids[40:]
    first, plain, *_ = brute_force(*case)
    matches = rank_matches(*case)
    np.testing.assert_allclose(matches.cmc((1, 5)), [np.mean(first <= k) for k in (1, 5)])
    assert matches.mean_average_precision() == pytest.approx(plain.mean())


def test_ties_are_broken_by_gallery_order():
    same = np.zeros((4, 2), np.float32)
    matches = rank_matches(same[:1], same, np.array([7]), np.array([1, 7, 2, 7]), np.array([1]), np.array([2, 2, 2, 2]))
    assert matches.ranks.tolist() == [2, 4]


@pytest.mark.parametrize("dim", [16, 1024])
@pytest.mark.parametrize("images", [5, 33, 101, 1002, 4096, 4097, 8195])
def test_equal_features_are_at_equal_distance_to_the_last_bit(images, dim):
    rng = np.random.default_rng(images)
    gallery = np.repeat(rng.normal(size=(1, dim)).astype(np.float32), images, axis=0)
    for queries in (1, 2, 3, 9, 17):
        for row in half_distances(rng.normal(size=(queries, dim)).astype(np.float32), gallery):
            assert (row == row[0]).all()


def test_hand_computed_measures():
    gallery = np.array([[1.0], [2.0], [3.0], [4.0]], np.float32)  # matches at ranks 1 and 4
    pids, camids = np.array([7, 1, 2, 7]), np.array([2, 2, 2, 2])
    matches = rank_matches(np.zeros((1, 1), np.float32), gallery, np.array([7]), pids, np.array([1]), camids)
    assert matches.mean_average_precision() == pytest.approx((1 + 2 / 4) / 2)
    assert matches.mean_average_precision(trapezoid=True) == pytest.approx((1 + (1 / 3 + 2 / 4) / 2) / 2)
    assert matches.mean_inverse_negative_penalty() == pytest.approx(2 / 4)


def test_features_that_are_not_finite_are_refused():
    features = np.full((2, 3), np.nan, np.float32)
    with pytest.raises(InputError, match="not finite"):
        rank_matches(features, features, np.array([1, 2]), np.array([1, 2]), np.array([1, 1]), np.array([2, 2]))


@pytest.mark.parametrize("size", [7e18, 1.2e19, 1.8e19, 1e21])  # twice the first is beyond the root of float32's most
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_features_whose_distances_are_beyond_float32_are_refused(size, dtype):
    with pytest.raises(InputError, match="too large to be compared"):
        rank_matches(np.array([[size]], dtype), np.array([[-size]], dtype), *np.array([[1], [1], [1], [2]]))


def test_the_largest_features_are_as_far_apart_as_they_are():
    largest = np.array([[np.sqrt(0.99 * ranking.MOST_NORM)]], np.float32)
    ((distances, same),) = compared_pairs(largest, -largest, *np.array([[1], [1], [1], [2]]))
    assert distances == pytest.approx(2 * largest.ravel()) and same.tolist() == [True]


def test_the_gallery_may_be_a_memory_map(tmp_path):
    q, g, *rest = random_case(3)
    np.save(tmp_path / "gallery.npy", g)
    mapped = rank_matches(q, np.load(tmp_path / "gallery.npy", mmap_mode="r"), *rest)
    np.testing.assert_array_equal(mapped.ranks, rank_matches(q, g, *rest).ranks)


def test_memory_is_bounded():
    rng = np.random.default_rng(0)
    q, g = (rng.standard_normal((n, 8), np.float32) for n in (2000, 20000))
    pids, camids = [rng.integers(1, 50, len(x)) for x in (q, g)], [rng.integers(1, 5, len(x)) for x in (q, g)]
    tracemalloc.start()
    rank_matches(q, g, *pids, *camids)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 20000 * (ranking.QUERY_BLOCK + 400)  # all distances at once would be more than twice that


def test_of_no_query_and_in_no_gallery_there_are_no_distances():
    some, none = np.ones((3, 4), np.float32), np.ones((0, 4), np.float32)
    assert list(half_distances(none, some)) == []
    assert [row.shape for row in half_distances(some, none)] == [(0,)] * 3


def test_features_that_are_too_many_or_too_few_are_refused():
    features, pids, camids = np.eye(4, dtype=np.float32), np.arange(4), np.arange(4)
    for queries, gallery, what in ((features[:3], features, "3 query"), (features, features[:3], "3 gallery")):
        with pytest.raises(InputError, match=f"^{what} features cannot be of 4 identities and 4 cameras"):
            rank_matches(queries, gallery, pids, pids, camids, camids)
    for query, gallery, what in ((camids[:3], camids, "query"), (camids, np.arange(5), "gallery")):
        with pytest.raises(InputError, match=rf"^4 {what} features cannot be of 4 identities and [35] cameras"):
            rank_matches(features, features, pids, pids, query, gallery)


@pytest.mark.parametrize("dtype", ["int8", "float16"])
def test_features_in_which_sums_are_wrong_are_refused(dtype):
    case = random_case(3)
    with pytest.raises(InputError, match=f"are {dtype}: make them float32"):
        rank_matches(case[0].astype(dtype), case[1].astype(dtype), *case[2:])


@pytest.mark.parametrize("column", range(4))
@pytest.mark.parametrize("kind", [str, "texts", float, "halves", object])
def test_identities_and_cameras_are_integers(column, kind):
    """Of texts on one side none is the same as a number on the other, and no gap the same as another."""
    query, gallery, *people = random_case(3)
    expected, ids = rank_matches(query, gallery, *people).ranks, people[column]
    if kind in (float, object):
        people[column] = ids.astype(kind)
        np.testing.assert_array_equal(rank_matches(query, gallery, *people).ranks, expected)
        people[column][0] = np.nan if kind is float else None
    else:
        people[column] = {"texts": ids.astype(str).astype(object), "halves": ids + 0.5}.get(kind, ids.astype(str))
    for compare in (rank_matches, lambda *case: next(compared_pairs(*case))):
        with pytest.raises(InputError, match="Identities and cameras are integers, and these are "):
            compare(query, gallery, *people)


def test_large_identities_are_not_rounded():
    query, gallery = np.ones((1, 2), np.float32), np.ones((2, 2), np.float32)
    pids = np.array([2**53 + 1]), np.array([2**53, 2**53 + 1], np.uint64)
    assert [*rank_matches(query, gallery, *pids, np.array([1]), np.array([2, 2])).ranks] == [2]
    with pytest.raises(InputError, match="Identities and cameras are integers, and these are uint64"):
        rank_matches(query, gallery, pids[0], np.array([2**63, 5], np.uint64), np.array([1]), np.array([2, 2]))


def test_pairs_too_are_of_as_many_images_as_people():
    features, ids = np.eye(4, dtype=np.float32), np.arange(4)
    for people in ([ids[:3], ids, ids, ids], [ids, ids, ids, ids[:3]]):
        with pytest.raises(InputError, match=r"4 (query|gallery) features cannot be of [34] id"):
            next(compared_pairs(features, features, *people))


def test_lists_are_features_too_and_other_widths_are_refused():
    query, gallery, *people = random_case(3)
    found = rank_matches(query.tolist(), gallery.tolist(), *people)
    np.testing.assert_array_equal(found.ranks, rank_matches(query, gallery, *people).ranks)
    for other in (gallery[:, :2], gallery[:, 0]):
        for compare in (rank_matches, lambda *case: next(rerank(*case[:2]))):
            with pytest.raises(InputError, match="Features"):
                compare(query, other, *people)


def test_rows_of_tables_are_taken_in_their_order():
    """A table that was sorted or filtered has other names for its rows than their places."""
    case = random_case(5)
    expected = rank_matches(*case)
    shuffled = [pd.Series(values, np.random.default_rng(0).permutation(len(values))) for values in case[2:]]
    found = rank_matches(*case[:2], *shuffled)
    np.testing.assert_array_equal(found.ranks, expected.ranks)
    pairs = zip(compared_pairs(*case), compared_pairs(*case[:2], *shuffled), strict=True)
    assert all((a[0] == b[0]).all() and (a[1] == b[1]).all() for a, b in pairs)


def test_distances_that_are_no_numbers_are_no_perfect_ranking():
    q, g, *rest = random_case(0)

    def broken(queries, gallery):
        return iter(np.full((len(queries), len(gallery)), np.nan, np.float32))

    with pytest.raises(InputError, match="Some distances are not numbers"):
        rank_matches(q, g, *rest, distances=broken)
