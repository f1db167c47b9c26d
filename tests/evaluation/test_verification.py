"""Verification beside scikit-learn's ROC, and both measures beside loops over all thresholds."""

import tracemalloc

import numpy as np
import pytest

from hacnn_tf.evaluation import verification
from hacnn_tf.evaluation.verification import ONE_IN, identify, verify, without_half
from hacnn_tf.utils.errors import InputError


def random_pairs(seed, ties):
    """Queries with genuine and impostor distances that overlap; with ties, of a few values."""
    rng = np.random.default_rng(seed)
    queries = []
    for size in rng.integers(0, 80, rng.integers(1, 60)):
        same = rng.random(size) < 0.1
        distances = np.abs(rng.normal(1.3 - 0.4 * same, 0.2)).astype(np.float32)
        queries.append((np.round(distances, 1) if ties else distances, same))
    return queries


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(15))
def test_rates_are_those_of_scikit_learn(seed, ties):
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    pairs = random_pairs(seed, ties)
    distances, same = (np.concatenate(arrays) for arrays in zip(*pairs, strict=True))
    assert 0 < same.sum() < len(same)
    found = verify(lambda: pairs)
    assert (found.genuine, found.impostors) == (same.sum(), (~same).sum())
    false, true, _ = metrics.roc_curve(same, -distances, drop_intermediate=False)
    for x, accepted in found.rates.items():
        if (~same).sum() < x:
            assert accepted is None
            continue
        assert accepted.share == pytest.approx(true[false <= 1 / x].max())
        assert np.mean(distances[same] < accepted.threshold) == pytest.approx(accepted.share)
        assert np.mean(distances[~same] < accepted.threshold) <= 1 / x < np.mean(distances[~same] <= accepted.threshold)
    # Where the polygon meets the diagonal of equal errors, from both of its sides.
    error = found.equal.share
    at = (error, 1 - error)
    edges = zip(false[:-1], true[:-1], false[1:], true[1:], strict=True)
    assert any(
        abs((x1 - x0) * (at[1] - y0) - (y1 - y0) * (at[0] - x0)) < 1e-12
        and x0 - 1e-12 <= at[0] <= x1 + 1e-12
        and y0 - 1e-12 <= at[1] <= y1 + 1e-12
        for x0, y0, x1, y1 in edges
    )
    assert np.mean(distances[~same] < found.equal.threshold) <= error + 1e-12
    assert np.mean(distances[same] > found.equal.threshold) <= error + 1e-12


def test_distances_are_compared_as_float32_and_refused_if_they_are_none():
    distances, same = np.array([0.0, 0.5, 1.0, 0.75]), np.array([True, True, False, False])
    expected = verify(lambda: [(distances.astype(np.float32), same)])
    assert expected.equal.share == 0
    assert verify(lambda: [(distances, same)]) == expected
    assert verify(lambda: [(np.array([-0.0, *distances[1:]]), same)]) == expected, "-0 is no negative number"
    for wrong in (-1e-3, np.nan):
        for dtype in (np.float32, float):
            values = np.array([0.0, wrong, 1.0, 0.75], dtype)
            with pytest.raises(InputError, match="distances are negative or not a number: give L2 distances"):
                verify(lambda values=values: [(values, same)])


def test_each_part_of_the_bits_matters():
    """Distances that differ in the last bit alone, in one upper half and in two; and zeros."""
    one = np.float32(1)
    values = np.array([0, 0, np.nextafter(one, 0, dtype=np.float32), one, np.nextafter(one, 2, dtype=np.float32), 3])
    pairs = [(values.astype(np.float32), np.array([True, False, True, False, True, False]))]
    found = verify(lambda: pairs)
    assert found.rates[2].threshold == 1
    assert found.rates[2].share == pytest.approx(2 / 3)
    assert found.equal.share == pytest.approx(1 / 3)


@pytest.mark.parametrize("ties", [False, True])
def test_any_batch_gives_the_same(ties, monkeypatch):
    pairs = random_pairs(3, ties)
    expected = verify(lambda: pairs)
    for size in (1, 100, 2**30):
        monkeypatch.setattr(verification, "BATCH", size)
        assert verify(lambda: pairs) == expected


def test_hand_computed_rates():
    """Of ten impostors one in five, two, may be nearer than the threshold."""
    impostors = np.arange(1, 11, dtype=np.float32)
    genuine = np.array([0.5, 2, 3, 9], np.float32)  # 3 is as far as the third impostor, and not accepted
    pairs = [(impostors, np.zeros(10, bool)), (genuine, np.ones(4, bool))]
    found = verify(lambda: pairs)
    assert (found.rates[5].threshold, found.rates[5].share) == (3, 0.5)
    assert (found.rates[10].threshold, found.rates[10].share) == (2, 0.25)
    assert found.rates[20] is None
    # Below 3 two of ten and two of four; up to 3 three of ten and one of four: on the line at 2/10 + 1/10 × 6/7.
    assert found.equal.share == pytest.approx(2 / 10 + 1 / 10 * (2 / 4 - 2 / 10) / (1 / 10 + 1 / 4))
    assert found.equal.threshold == 3


@pytest.mark.parametrize("same", [[], [True, True], [False, False]], ids=["nothing", "one person", "no match"])
def test_without_pairs_of_both_kinds_there_is_no_rate(same):
    pairs = [(np.ones(len(same), np.float32), np.array(same, bool))]
    found = verify(lambda: pairs)
    assert found.equal is None and set(found.rates.values()) == {None}
    assert found.genuine + found.impostors == len(same)


def test_a_network_that_sees_no_difference():
    pairs = [(np.zeros(200, np.float32), np.arange(200) % 4 == 0)]
    found = verify(lambda: pairs)
    assert found.rates[100].share == 0
    assert found.equal.share == 0.5


def test_memory_does_not_grow_with_the_pairs():
    def pairs(queries):
        for seed in range(queries):
            yield np.random.default_rng(seed).random(20_000, np.float32), np.arange(20_000) < 10

    peaks = []
    for queries in (150, 600):
        tracemalloc.start()
        verify(lambda: pairs(queries))  # noqa: B023
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.05 * peaks[0]


def open_set_loops(queries, x):
    """The greatest rate at any threshold with at most one false alarm in x; None if there can be none."""
    nearest = [min(zip(distances, range(len(same)), same, strict=True)) for distances, same in queries if len(same)]
    mated = [any(same) for _, same in queries if len(same)]
    if sum(mated) == 0 or len(mated) - sum(mated) < x:
        return None
    best = 0.0
    for threshold in [*(distance for distance, *_ in nearest), np.inf]:
        alarms = [n[0] < threshold for n, m in zip(nearest, mated, strict=True) if not m]
        if np.mean(alarms) <= 1 / x:
            hits = [n[0] < threshold and n[2] for n, m in zip(nearest, mated, strict=True) if m]
            best = max(best, float(np.mean(hits)))
    return best


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(15))
def test_identification_equals_the_loops(seed, ties):
    queries = random_pairs(seed, ties)
    for _, same in queries[::2]:
        same[:] = False
    found = identify(queries)
    for x in ONE_IN:
        assert (found.rates[x] and found.rates[x].share) == pytest.approx(open_set_loops(queries, x))
    assert found.mated == sum(same.any() for _, same in queries)
    assert found.non_mated == sum(len(same) > 0 and not same.any() for _, same in queries)


def test_the_nearest_must_be_the_person_and_near_enough():
    queries = [
        ([1, 2], [True, False]),  # found
        ([2, 1], [True, False]),  # another is nearer
        ([4, 5], [True, False]),  # too far
        ([3], [False]),  # the only other person's
        ([], []),  # compared with nothing
    ]
    arrays = [(np.array(distances, np.float32), np.array(same, bool)) for distances, same in queries]
    found = identify([*arrays, (np.array([3.5], np.float32), np.array([False]))])
    assert (found.mated, found.non_mated) == (3, 2)
    assert (found.rates[2].threshold, found.rates[2].share) == (3.5, pytest.approx(1 / 3))
    assert found.rates[5] is None


@pytest.mark.parametrize("wrong", [np.nan, -1.0])
def test_what_is_no_distance_identifies_nobody(wrong):
    with pytest.raises(InputError, match="negative or not a number"):
        identify([(np.array([wrong, 0.2]), np.array([False, True]))])


def test_half_of_the_persons_leave_the_gallery():
    queries = np.array([1, 2, 3, 4, 5, 9, 1])
    gallery = np.array([1, 1, 2, 3, 4, 5, 7, 0, -1])
    drawn = [without_half(queries, gallery, seed) for seed in (0, 0, 1, 2)]
    assert drawn[0].tolist() == drawn[1].tolist()
    assert any(drawn[0].tolist() != other.tolist() for other in drawn[2:])
    for pids in drawn:
        absent = set(gallery) - set(pids)
        assert len(absent) == 2 and absent <= {1, 2, 3, 4, 5}  # of five persons; distractors and others stay
        assert pids.tolist() == [-1 if pid in absent else pid for pid in gallery]


def test_one_person_alone_stays():
    assert without_half(np.array([1]), np.array([1, 1, 0]), 0).tolist() == [1, 1, 0]


def test_counts_may_be_of_any_size():
    """Of 100 million genuine pairs and 100 billion others, whose product has 67 bits."""
    total = np.array([10**11, 10**8])
    accepted = np.array([[0, 10**8, 10**10, 10**11], [0, 9 * 10**7, 95 * 10**6, 10**8]])
    assert verification._equal(accepted, total).tolist() == [False, False, True, True]


def test_whether_pairs_are_the_same_may_be_numbers():
    distances, same = np.float32([0.1, 0.2, 0.8, 0.9]), np.array([1, 1, 0, 0])
    found = verify(lambda: iter([(distances, same)]))
    assert found == verify(lambda: iter([(distances, same == 1)]))
    assert (found.genuine, found.impostors) == (2, 2)


def test_pairs_that_can_be_read_only_once_are_refused():
    pairs = iter(random_pairs(1, ties=False))
    with pytest.raises(InputError, match="other pairs the second time"):
        verify(lambda: pairs)


def test_lists_are_taken_as_arrays():
    pairs = [([0.5, 1.0, 1.5], [True, False, False]), ([1.2, 0.7], [False, False])]
    arrays = [(np.array(distances, np.float32), np.array(same)) for distances, same in pairs]
    assert identify(pairs) == identify(arrays)
    assert verify(lambda: pairs) == verify(lambda: arrays)
