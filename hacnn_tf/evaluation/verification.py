"""Is this the same person, yes or no? What a distance threshold accepts: verification, and open-set identification.

What is *nearer* than a threshold is accepted. The threshold of a rate is the largest that keeps to it: of n distances
that are wrong to accept, one in x of which may be, it is the (⌊n / x⌋ + 1)-th smallest. That is exact, whatever
distances are equal. If n is less than x there is none: a rate that low could not be told from 0.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hacnn_tf.data.dataset import DISTRACTOR, JUNK
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.types import Features, Integers

Pairs = Iterable[tuple[Features, NDArray[np.bool_]]]  # as `compared_pairs` gives them
Counts = NDArray[np.int64]
Reached = Callable[[Counts, Counts], NDArray[np.bool_]]

ONE_IN = (2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)  # of how many wrong ones one may be accepted
BATCH = 2**20  # pairs counted at a time
HALF = 16  # bits of a float32, which order as the number does, if it is not negative


@dataclasses.dataclass(frozen=True)
class Accepted:
    """What a threshold accepts: `share`, in [0, 1], of what is nearer than `threshold`, a distance."""

    threshold: float
    share: float


@dataclasses.dataclass(frozen=True)
class Verification:
    """How well a threshold tells pairs of the same person, genuine ones, from pairs of two, impostors.

    Attributes:
        genuine, impostors: numbers of pairs.
        rates: dict from x, of `ONE_IN`, to the genuine pairs that are `Accepted` where one impostor in x is: the
            true-accept rate at that false-accept rate; None if impostors are fewer than x, or there is no genuine pair.
        equal: the equal error rate, or None without pairs of both kinds: its `share` is that of impostors accepted
            where that of genuine pairs not accepted is the same, on the straight line between two thresholds.
    """

    genuine: int
    impostors: int
    rates: dict[int, Accepted | None]
    equal: Accepted | None

    def results(self) -> dict[str, Any]:
        """As `evaluate_features` gives it."""
        return {
            "genuine": self.genuine,
            "impostors": self.impostors,
            "eer": None if self.equal is None else 100 * self.equal.share,
            "eer_threshold": None if self.equal is None else self.equal.threshold,
            **_columns("tar", self.rates),
        }


@dataclasses.dataclass(frozen=True)
class Identification:
    """How well a threshold tells queries of persons in the gallery, mated ones, from those of others.

    Attributes:
        mated, non_mated: numbers of queries.
        rates: dict from x, of `ONE_IN`, to the mated queries whose nearest image is `Accepted` and right, where that of
            one non-mated query in x is accepted: the detection-and-identification rate (rank 1) at that false-alarm
            rate; None if non-mated queries are fewer than x, or there is no mated one.
    """

    mated: int
    non_mated: int
    rates: dict[int, Accepted | None]

    def results(self) -> dict[str, Any]:
        """As `evaluate_features` gives it."""
        return {"mated": self.mated, "non_mated": self.non_mated, **_columns("dir", self.rates)}


def verify(pairs: Callable[[], Pairs]) -> Verification:
    """True-accept rates at false-accept rates and the equal error rate, over all pairs together.

    Exact, in memory that does not grow with the pairs: they are gone through twice and counted, never kept.

    Args:
        pairs: function that gives the pairs, the same ones each time: distances `(m,)`, at least 0, which are compared
            as float32, and whether they are of the same person, `(m,)` bool, as `compared_pairs` does for each query.

    Returns:
        A `Verification`.

    Raises:
        InputError: a distance is negative or not a number, or the pairs are others the second time.
    """
    total, (equal, *rates) = _crossings(pairs, [_equal, *(_one_in(x) for x in ONE_IN)])
    impostors, genuine = map(int, total)
    if not genuine or not impostors:
        return Verification(genuine, impostors, dict.fromkeys(ONE_IN), None)
    return Verification(
        genuine,
        impostors,
        {
            x: Accepted(threshold, float(below[1] / genuine)) if x <= impostors else None
            for x, (threshold, below, _) in zip(ONE_IN, rates, strict=True)
        },
        _equal_error(total, *equal),
    )


def identify(pairs: Pairs) -> Identification:
    """Detection-and-identification rates at rank 1 at false-alarm rates: open-set identification.

    A mated query is detected and identified if its nearest image is its person's and nearer than the threshold; a
    query whose person is not in the gallery raises a false alarm if its nearest image is (Phillips, Grother and
    Micheals, Evaluation Methods in Face Recognition, 2011; Liao et al., Open-set Person Re-identification, 2014).

    Args:
        pairs: for query after query distances and whether they are of the same person, as in `verify`. A query without
            any has no part in it; of images at the same distance the first is the nearest.

    Returns:
        An `Identification`.

    Raises:
        InputError: a distance is negative or not a number.
    """
    right, wrong, mated = [], [], 0  # nearest distances: of mated queries where it is the person, of non-mated ones
    for distances, same in pairs:
        if not len(same):
            continue
        distances, same = _as_float32(distances), np.asarray(same, bool)
        nearest = int(np.argmin(distances))
        if not same.any():
            wrong.append(distances[nearest])
            continue
        mated += 1
        if same[nearest]:
            right.append(distances[nearest])
    wrong.sort()
    return Identification(mated, len(wrong), {x: _identified(right, wrong, mated, x) for x in ONE_IN})


def without_half(query_pids: Integers, gallery_pids: Integers, seed: int) -> Integers:
    """The gallery's identities for an open set: of the queries' persons in it a random half, rounded down, is junk.

    Args:
        query_pids, gallery_pids: `(q,)` and `(g,)` int arrays of identities.
        seed: int, of the draw.

    Returns:
        `(g,)` int array.
    """
    persons = np.intersect1d(query_pids, gallery_pids)
    persons = persons[persons > DISTRACTOR]
    absent = np.random.default_rng(seed).permutation(persons)[: len(persons) // 2]
    return np.where(np.isin(gallery_pids, absent), JUNK, gallery_pids)


def _columns(name: str, rates: dict[int, Accepted | None]) -> dict[str, list[float | None]]:
    """Lists of the rates of wrong acceptance, of what is then accepted, both in percent, and of the thresholds."""
    return {
        "far": [100 / x for x in rates],
        name: [None if accepted is None else 100 * accepted.share for accepted in rates.values()],
        "threshold": [None if accepted is None else accepted.threshold for accepted in rates.values()],
    }


def _identified(right: Sequence[float], wrong: Sequence[float], mated: int, x: int) -> Accepted | None:
    if not mated or len(wrong) < x:
        return None
    threshold = wrong[len(wrong) // x]
    return Accepted(float(threshold), np.count_nonzero(np.array(right) < threshold) / mated)


def _one_in(x: int) -> Reached:
    return lambda accepted, total: accepted[0] > total[0] // x


def _equal(accepted: Counts, total: Counts) -> NDArray[np.bool_]:
    accepted, total = accepted.astype(object), total.astype(object)  # their products have more than 64 bits
    return (accepted[0] * total[1] >= (total[1] - accepted[1]) * total[0]).astype(bool)


def _equal_error(total: Counts, threshold: float, below: Counts, upto: Counts) -> Accepted:
    """Where the line from what is `below` a threshold to what is not above it has as many errors of both kinds."""
    (start, found), (end, found_then) = below / total, upto / total
    missed, gap = 1 - found, end - start + found_then - found
    return Accepted(threshold, float(start + (end - start) * (missed - start) / gap))


def _crossings(
    pairs: Callable[[], Pairs], reached: Sequence[Reached]
) -> tuple[Counts, list[tuple[float, Counts, Counts]]]:
    """The least distances up to which so many pairs are that something is reached.

    Distances are counted by the upper half of their bits, and those around a crossing once more by the lower half.

    Args:
        pairs: as in `verify`.
        reached: functions of the counts `(2, n)` of impostors and genuine pairs up to each of n distances, and of all
            of them `(2,)`, that give from which on, `(n,)` bool.

    Returns:
        The counts `(2,)` of all pairs; and for each function the distance, and the counts `(2,)` below it and up to it.
    """
    coarse = _count(pairs(), 1 << HALF, lambda bits: bits >> HALF)
    upto = np.cumsum(coarse, axis=1)
    total = upto[:, -1]
    uppers = [int(np.argmax(reach(upto, total))) for reach in reached]
    slots = np.full(1 << HALF, -1)
    slots[uppers] = range(len(uppers))  # of equal ones the last counts

    def lower(bits: Integers) -> Integers:
        slot = slots[bits >> HALF]
        near = slot >= 0
        return (slot[near] << HALF) | (bits[near] & ((1 << HALF) - 1))

    fine = _count(pairs(), len(uppers) << HALF, lower).reshape(2, len(uppers), -1)
    if fine.sum() != coarse[:, list(set(uppers))].sum():
        raise InputError("There are other pairs the second time: give a function that begins with the first each time.")
    crossings = []
    for reach, upper in zip(reached, uppers, strict=True):
        counts = fine[:, slots[upper]]
        within = upto[:, [upper]] - coarse[:, [upper]] + np.cumsum(counts, axis=1)
        value = int(np.argmax(reach(within, total)))
        distance = float(np.uint32(upper << HALF | value).view(np.float32))
        crossings.append((distance, within[:, value] - counts[:, value], within[:, value]))
    return total, crossings


def _count(pairs: Pairs, size: int, key: Callable[[Integers], Integers]) -> Counts:
    """How many impostors and genuine pairs have each key, a `(2, size)` array; `key` is of the distances' bits."""
    counts = np.zeros((2, size), np.int64)
    for distances, same in _batches(pairs):
        bits, same = _as_float32(distances).view(np.uint32), np.asarray(same, bool)
        for kind, chosen in enumerate((~same, same)):
            counts[kind] += np.bincount(key(bits[chosen]), minlength=size)
    return counts


def _as_float32(distances: NDArray[np.floating]) -> Features:
    """Distances whose bits order as they do: -0, which is no negative number, becomes 0."""
    distances = np.asarray(distances)
    if not (distances >= 0).all():
        raise InputError(
            "Some distances are negative or not a number: give L2 distances of features, as compared_pairs does."
        )
    return np.abs(distances, dtype=np.float32)


def _batches(pairs: Pairs) -> Iterator[tuple[Features, NDArray[np.bool_]]]:
    """The same pairs, in arrays of about `BATCH`."""
    parts: list[tuple[Features, NDArray[np.bool_]]] = []
    size = 0
    for part in pairs:
        parts.append(part)
        size += len(part[0])
        if size >= BATCH:
            yield np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
            parts, size = [], 0
    if parts:
        yield np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
