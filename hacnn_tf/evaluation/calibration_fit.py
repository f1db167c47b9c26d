"""Fits the curve from distance to probability, and measures it on persons that it was not fitted on."""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hacnn_tf.data.dataset import DISTRACTOR, JUNK, ReidDataset, matched
from hacnn_tf.evaluation.calibration import Calibration
from hacnn_tf.evaluation.pairs import compared_pairs
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.types import Features

STEP = 0.001  # of distances: pairs are counted by distances rounded to it
# A curve of 10, half of them, has a Brier score 0.002 above that of 350, one of 5 has 0.007 (CUHK03).
LEAST_PERSONS = 20
BINS = 10  # of a reliability table
# Inverse strength of a penalty, without which persons who are told apart without fail give no finite curve.
WEAK = 100.0
LIKELY = 0.5  # the probability in a search from which on is counted how many are right
Counts = NDArray[np.int64]  # (2, n): pairs of two persons and of one, by distance in steps


@dataclasses.dataclass(frozen=True)
class Reliability:
    """What a calibration's probabilities are worth, where as many pairs are of one person as of two.

    Attributes:
        brier: mean squared difference of probability and truth.
        table: `pandas.DataFrame`, a row a tenth of probability that holds pairs: `low` and `high`, its ends;
            `predicted`, the mean probability; `observed`, the share of pairs of one person; `pairs`, how many there
            are in all; `weight`, their share of all where both kinds are equally many.
        gallery: gallery images that a query was compared with, but for those of its own person and camera.
        searched: what `at_least` says of probabilities of 0.5 or above in searches among that gallery, of whose images
            one shows the person, as their prior assumes.
    """

    brier: float
    table: pd.DataFrame
    gallery: int
    searched: tuple[float, float]

    def at_least(self, probability: float) -> tuple[float, float]:
        """Of the pairs from a tenth on, the share that is of one person; and the share of all of one person there.

        Both are in [0, 1]; the first is NaN if there are no such pairs.
        """
        above = self.table[self.table.low >= probability - 1e-9]
        weights, same = above.weight.sum(), (above.weight * above.observed).sum()
        return (same / weights if weights else np.nan), same / (self.table.weight * self.table.observed).sum()


def fit_calibration(
    dataset: ReidDataset,
    features: Mapping[str, Features],
    fingerprint: str,
    seed: int = 0,
    before: Calibration | None = None,
) -> tuple[Calibration, Reliability, Reliability | None]:
    """Fits a calibration to the pairs that a dataset's protocol compares.

    The calibration is of all persons. Its reliability is measured on half of them, by a curve fitted on the others: a
    pair belongs to a half if both its persons do. Each distractor is a person of its own.

    Args:
        dataset: a `ReidDataset`.
        features: dict from "query" and "gallery" to `(n, d)` float32 features, rows as in `dataset.split(split)`.
        fingerprint: of the network that gave them.
        seed: of which persons are which half.
        before: a calibration to be measured on the same persons.

    Returns:
        The `Calibration`, its `Reliability`, and that of `before`.

    Raises:
        InputError: there are fewer than `LEAST_PERSONS` persons, a half of them has no pairs of one person, or
            pairs of one person are not nearer; or a feature is not finite.
    """
    check_persons(dataset, seed)
    persons = _persons(dataset)
    first, second = _halves(dataset, seed)
    fitted, held_out = (_count_pairs(dataset, features, half) for half in (first, second))
    gallery = len(_compared(dataset, second)[1])
    everyone = _count_pairs(dataset, features, {})
    line = _fit(dataset, everyone)
    different, same = map(int, everyone.sum(axis=1))
    calibration = Calibration(fingerprint, *line, dataset.name, len(persons), same, different, np.nan)
    intercept, slope = _fit(dataset, fitted)
    measured = reliability(dataclasses.replace(calibration, intercept=intercept, slope=slope), held_out, gallery)
    calibration = dataclasses.replace(calibration, brier=measured.brier)
    return calibration, measured, reliability(before, held_out, gallery) if before else None


def check_persons(dataset: ReidDataset, seed: int = 0) -> None:
    """Checks, before any features, that a dataset has the persons for `fit_calibration`. Arguments as there.

    Raises:
        InputError: there are fewer than `LEAST_PERSONS`, or a half of them has no pairs of one person.
    """
    if (persons := len(_persons(dataset))) < LEAST_PERSONS:
        raise InputError(
            f"{dataset.name} has {persons:,} persons among its queries and gallery, and a calibration needs "
            f"{LEAST_PERSONS}: name more images (of a folder that nobody trained on, --test_share 1 takes all)."
        )
    # Of two persons there are pairs wherever there are some of one.
    if not all(matched(*_compared(dataset, half)).any() for half in _halves(dataset, seed)):
        raise InputError(
            f"{dataset.name} has no pairs of one person under two cameras among half of its persons: name images of "
            "more persons, each seen by several cameras."
        )


def reliability(calibration: Calibration, counts: Counts, gallery: int) -> Reliability:
    """The `Reliability` of a calibration.

    Args:
        calibration: a `Calibration`.
        counts: `(2, n)` int64 array, how many pairs of two persons and of one are at each of n distances (`_distances`
            has which); of each kind there must be some.
        gallery: how many images a search compares.
    """
    prior = 1 / max(gallery, 2)
    likely = counts[:, calibration.probability(_distances(counts), prior) >= LIKELY].sum(axis=1)
    # A dataset has several images of a person in its gallery, and would make searches look better than they are.
    wrong, right = np.array([1 - prior, prior]) * likely / counts.sum(axis=1)
    searched = right / (wrong + right) if likely.any() else np.nan, likely[1] / counts[1].sum()
    probability = calibration.probability(_distances(counts))
    weights = counts / counts.sum(axis=1, keepdims=True) / 2
    different, same = weights
    brier = float(different @ probability**2 + same @ (1 - probability) ** 2)
    place = np.minimum((probability * BINS).astype(int), BINS - 1)
    rows = pd.DataFrame({"weight": different + same, "same": same, "pairs": counts.sum(axis=0), "place": place})
    rows["predicted"] = rows.weight * probability
    table = rows.groupby("place").sum().query("pairs > 0")
    table = table.assign(
        low=table.index / BINS,
        high=(table.index + 1) / BINS,
        predicted=table.predicted / table.weight,
        observed=table.same / table.weight,
    )
    table = table[["low", "high", "predicted", "observed", "pairs", "weight"]].reset_index(drop=True)
    return Reliability(brier, table, gallery, (float(searched[0]), float(searched[1])))


def _persons(dataset: ReidDataset) -> NDArray[np.int64]:
    return np.unique(dataset.tested().pid)


def _halves(dataset: ReidDataset, seed: int) -> Iterator[dict[str, NDArray[np.bool_]]]:
    """For both halves of the persons, dict from split to which of its rows are theirs, `(n,)` bool."""
    rng = np.random.default_rng(seed)
    persons = rng.permutation(_persons(dataset))
    first = persons[: len(persons) // 2]
    chosen = {}
    for split in ("query", "gallery"):
        pids = dataset.split(split).pid.to_numpy()
        chosen[split] = np.where(pids == DISTRACTOR, rng.random(len(pids)) < 0.5, np.isin(pids, first))
    yield chosen
    yield {split: ~rows for split, rows in chosen.items()}


def _compared(dataset: ReidDataset, half: Mapping[str, NDArray[np.bool_]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of query and gallery in a half that the protocol compares: none that are junk."""
    query, gallery = (dataset.split(split)[half[split]] for split in ("query", "gallery"))
    return query[query.pid != JUNK], gallery[gallery.pid != JUNK]


def _count_pairs(
    dataset: ReidDataset, features: Mapping[str, Features], chosen: Mapping[str, NDArray[np.bool_]]
) -> Counts:
    """The pairs of some rows of each split, all if none are `chosen`, by rounded distance."""
    rows = {split: dataset.split(split)[["pid", "camid"]].to_numpy() for split in ("query", "gallery")}
    values = {split: features[split] for split in rows}
    for split, mask in chosen.items():
        rows[split], values[split] = rows[split][mask], values[split][mask]
    (query_pids, query_camids), (gallery_pids, gallery_camids) = rows["query"].T, rows["gallery"].T
    pairs = compared_pairs(values["query"], values["gallery"], query_pids, gallery_pids, query_camids, gallery_camids)
    counts: Counts = np.zeros((2, 1), np.int64)
    for distances, same in pairs:
        steps = np.rint(distances / STEP).astype(np.int64)
        longest = max(counts.shape[1], int(steps.max(initial=0)) + 1)
        counts = np.pad(counts, ((0, 0), (0, longest - counts.shape[1])))
        counts += [np.bincount(steps[same == kind], minlength=longest) for kind in (False, True)]
    return counts


def _fit(dataset: ReidDataset, counts: Counts) -> tuple[float, float]:
    """Intercept and slope of the log-odds by squared distance, for as many pairs of one person as of two.

    The regression is of the pairs as they are, most of them of two persons: where searches decide, among the nearest,
    it is better so than with equal weights. Its intercept is then that of equally many.
    """
    from sklearn.linear_model import LogisticRegression

    squares = _distances(counts)[:, None] ** 2
    # So few of the pairs are of one person that a gradient is small long before its end.
    model = LogisticRegression(C=WEAK, solver="newton-cholesky", tol=1e-9)
    model.fit(np.concatenate([squares, squares]), np.repeat([0, 1], len(squares)), sample_weight=counts.ravel())
    different, same = counts.sum(axis=1)
    slope = float(model.coef_[0, 0])
    if slope >= 0:
        raise InputError(
            f"On {dataset.name}, pairs of one person are no nearer than pairs of two: this network does not tell its "
            "persons apart, and no distance can be a probability."
        )
    return float(model.intercept_[0] + np.log(different / same)), slope


def _distances(counts: Counts) -> NDArray[np.float64]:
    return np.arange(counts.shape[1]) * np.float64(STEP)
