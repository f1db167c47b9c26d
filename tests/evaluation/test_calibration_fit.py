"""The fit beside plain maximum likelihood, and its reliability beside all pairs one by one."""

import numpy as np
import pandas as pd
import pytest

from hacnn_tf.data.dataset import ReidDataset, make_table
from hacnn_tf.evaluation import calibration_fit
from hacnn_tf.evaluation.calibration import Calibration
from hacnn_tf.utils.errors import InputError

pytest.importorskip("sklearn", reason='needs the extra "calibrate"')
SPLITS = ("query", "gallery")


def case(persons=40, seed=0, noise=0.5, distractors=9, junk=5):
    """A dataset of persons, each a query of two cameras and twice in the gallery of each, and features around them."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(persons + 1, 6))
    tables, features = [], {}
    for split, repeats in (("query", 1), ("gallery", 2)):
        pids, camids = (values.ravel() for values in np.meshgrid(np.arange(1, persons + 1), [1, 2] * repeats))
        if split == "gallery":
            pids = np.concatenate([pids, np.zeros(distractors, int), np.full(junk, -1)])
            camids = np.concatenate([camids, np.ones(distractors + junk, int)])
        tables.append(make_table([f"{split}/{i}.jpg" for i in range(len(pids))], pids, camids, split))
        values = np.where(pids[:, None] > 0, centres[pids], rng.normal(size=(len(pids), 6)))
        values = values + noise * rng.normal(size=values.shape)
        features[split] = (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)
    return ReidDataset("drawn", pd.concat(tables, ignore_index=True)), features


def pairs_of(dataset, features, chosen=None):
    """Distances and same-person flags of all pairs that are compared, one by one; `chosen` as `_halves` has it."""
    query, gallery = (dataset.split(split) for split in SPLITS)
    distances, same = [], []
    for i, one in query.iterrows():
        for j, other in gallery.iterrows():
            left_out = other.pid == -1 or (one.pid, one.camid) == (other.pid, other.camid)
            if left_out or (chosen and not (chosen["query"][i] and chosen["gallery"][j])):
                continue
            distances.append(np.linalg.norm(features["query"][i].astype(float) - features["gallery"][j]))
            same.append(one.pid == other.pid)
    return np.array(distances), np.array(same)


def by_newton(distances, same):
    """The logistic regression of all pairs by squared distance, and the intercept for as many of both kinds."""
    x, beta = np.stack([np.ones(len(distances)), distances**2], axis=1), np.zeros(2)
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ beta))
        hessian = (x * (p * (1 - p))[:, None]).T @ x + np.diag([0, 0.01])  # the penalty, of the slope
        beta = beta - np.linalg.solve(hessian, x.T @ (p - same) + [0, 0.01 * beta[1]])
    return beta[0] + np.log(np.sum(~same) / np.sum(same)), beta[1]


def test_the_curve_is_that_of_maximum_likelihood():
    dataset, features = case()
    distances, same = pairs_of(dataset, features)
    calibration, _, _ = calibration_fit.fit_calibration(dataset, features, "aa")
    assert (calibration.same, calibration.different) == (same.sum(), (~same).sum())
    assert (calibration.fingerprint, calibration.dataset, calibration.persons) == ("aa", "drawn", 40)
    intercept, slope = by_newton(distances, same)
    assert (calibration.intercept, calibration.slope) == pytest.approx((intercept, slope), rel=2e-3)


def test_reliability_is_of_persons_that_the_curve_has_not_seen():
    dataset, features = case()
    first, second = calibration_fit._halves(dataset, seed=3)
    persons = [set(dataset.split("query").pid[half["query"]]) for half in (first, second)]
    assert list(map(len, persons)) == [20, 20] and not persons[0] & persons[1]
    for half, theirs in zip((first, second), persons, strict=True):
        assert set(dataset.split("gallery").pid[half["gallery"]]) - {0, -1} == theirs
    everybody = sum(half["gallery"].astype(int) for half in (first, second))
    assert (everybody == 1).all(), "each distractor too is in one half"

    calibration, measured, _ = calibration_fit.fit_calibration(dataset, features, "aa", seed=3)
    intercept, slope = by_newton(*pairs_of(dataset, features, first))
    distances, same = pairs_of(dataset, features, second)
    said = 1 / (1 + np.exp(-intercept - slope * distances**2))
    expected = (np.mean((1 - said[same]) ** 2) + np.mean(said[~same] ** 2)) / 2
    assert measured.brier == pytest.approx(expected, abs=2e-3) and calibration.brier == measured.brier
    assert measured.table.pairs.sum() == len(distances)
    assert measured.gallery == second["gallery"][dataset.split("gallery").pid != -1].sum() < second["gallery"].sum()


def test_reliability_as_counted_pair_by_pair():
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 5, (2, 1500))
    calibration = Calibration("aa", 4.0, -4.0, "drawn", 20, 1, 1, 0.1)
    measured = calibration_fit.reliability(calibration, counts, gallery=50)
    kinds, steps = np.indices(counts.shape)
    same, distances = (np.repeat(values.ravel(), counts.ravel()) for values in (kinds == 1, steps / 1000))
    said, weight = calibration.probability(distances), np.where(same, 0.5 / same.sum(), 0.5 / (~same).sum())
    assert measured.brier == pytest.approx(np.sum(weight * (same - said) ** 2))
    for row in measured.table.itertuples():
        here = (said >= row.low) & (said < row.high)
        assert row.pairs == here.sum()
        assert row.predicted == pytest.approx(np.average(said[here], weights=weight[here]))
        assert row.observed == pytest.approx(np.average(same[here], weights=weight[here]))
    above = said >= 0.9
    right, found = np.average(same[above], weights=weight[above]), np.mean(said[same] >= 0.9)
    assert measured.at_least(0.9) == pytest.approx((right, found))
    likely = calibration.probability(distances, prior=1 / 50) >= 0.5
    weight = np.where(same, 1 / 50 / same.sum(), 49 / 50 / (~same).sum())
    right = np.average(same[likely], weights=weight[likely])
    assert measured.searched == pytest.approx((right, np.mean(likely[same])))


def test_a_probability_of_1_is_in_the_last_tenth():
    sure = Calibration("aa", 60.0, -1.0, "drawn", 20, 1, 1, 0.1)
    measured = calibration_fit.reliability(sure, np.ones((2, 1), np.int64), gallery=50)
    assert measured.table[["low", "high", "predicted", "pairs"]].to_numpy().tolist() == [[0.9, 1, 1, 2]]


def test_the_diagram_has_predictions_across_and_what_was_observed_upwards():
    pytest.importorskip("matplotlib")
    from hacnn_tf.evaluation.reliability_diagram import reliability_diagram

    counts = np.random.default_rng(0).integers(0, 5, (2, 1500))
    measured = calibration_fit.reliability(Calibration("aa", 4.0, -4.0, "drawn", 20, 1, 1, 0.1), counts, gallery=50)
    shares, pairs = reliability_diagram(measured, "drawn").axes
    _, curve = shares.lines
    np.testing.assert_array_equal(curve.get_xydata(), measured.table[["predicted", "observed"]])
    assert [bar.get_height() for bar in pairs.patches] == measured.table.pairs.tolist()


def test_another_calibration_is_measured_on_the_same_persons():
    dataset, features = case()
    calibration, measured, _ = calibration_fit.fit_calibration(dataset, features, "aa")
    worse = Calibration("aa", -5.0, -1.0, "elsewhere", 20, 1, 1, 0.1)
    _, again, former = calibration_fit.fit_calibration(dataset, features, "aa", before=worse)
    assert again.brier == measured.brier and former.brier > measured.brier
    assert former.table.pairs.sum() == measured.table.pairs.sum()
    assert np.isnan(former.at_least(0.9)[0]) and former.at_least(0.9)[1] == 0
    assert calibration.slope < 0


def test_persons_who_are_told_apart_without_fail_give_a_curve_that_is_finite():
    dataset, features = case(noise=1e-3)
    calibration, measured, _ = calibration_fit.fit_calibration(dataset, features, "aa")
    assert np.isfinite([calibration.intercept, calibration.slope]).all() and measured.brier < 0.01


def test_what_no_curve_can_be_fitted_to_is_one_sentence():
    dataset, features = case(persons=19)
    with pytest.raises(InputError, match=r"drawn has 19 persons .* and a calibration needs 20: name more"):
        calibration_fit.fit_calibration(dataset, features, "aa")
    dataset, features = case()
    one_camera = ReidDataset("drawn", dataset.table.assign(camid=1))
    sentence = "drawn has no pairs of one person under two cameras among half"
    with pytest.raises(InputError, match=sentence):
        calibration_fit.fit_calibration(one_camera, features, "aa")
    for half in calibration_fit._halves(dataset, seed=3):  # of one of which no pairs are left
        pids = set(dataset.split("query").pid[half["query"]])
        alone = dataset.table.assign(camid=dataset.table.camid.where(~dataset.table.pid.isin(pids), 1))
        with pytest.raises(InputError, match=sentence):
            calibration_fit.check_persons(ReidDataset("drawn", alone), seed=3)
        with pytest.raises(InputError, match=sentence):
            calibration_fit.fit_calibration(ReidDataset("drawn", alone), features, "aa", seed=3)
    assert calibration_fit.check_persons(dataset, seed=3) is None
    with pytest.raises(InputError, match="pairs of one person are no nearer than pairs of two"):
        opposite = features["gallery"] * np.where(dataset.split("gallery").pid > 0, -1, 1)[:, None]
        calibration_fit.fit_calibration(dataset, features | {"gallery": opposite.astype(np.float32)}, "aa")
    with pytest.raises(InputError, match="not finite"):
        calibration_fit.fit_calibration(dataset, features | {"query": np.full_like(features["query"], np.nan)}, "aa")


def test_the_curve_is_exact_where_impostors_are_many_times_more():
    """Beside Newton's method, where the first steps change the mean loss by little."""
    distances = np.arange(2001) * 0.001
    bell = np.exp(-(((distances - [[1.4], [1.0]]) / 0.1) ** 2)) * (distances > 0)
    counts = np.rint(bell * [[1e5], [3]]).astype(np.int64)
    x, beta, total = np.stack([np.ones(2001), distances**2], axis=1), np.zeros(2), counts.sum(axis=0)
    for _ in range(100):
        p = 1 / (1 + np.exp(-x @ beta))
        hessian = (x * (total * p * (1 - p))[:, None]).T @ x + np.diag([0, 0.01])
        beta = beta - np.linalg.solve(hessian, x.T @ (total * p - counts[1]) + [0, 0.01 * beta[1]])
    different, same = counts.sum(axis=1)
    found = calibration_fit._fit(case()[0], counts)
    assert found == pytest.approx((beta[0] + np.log(different / same), beta[1]), rel=1e-4)
