"""How far a difference may be chance in who was tested: against the formulas for means of persons and of ratios."""

import numpy as np
import pandas as pd
import pytest

from experiments.studies import people
from tests.conftest import command, fails


def table(hits, pids, matches=None):
    """As of `evaluate --per_query`."""
    found = {"path": [f"{i}.jpg" for i in range(len(hits))], "pid": pids, "first_rank": np.where(hits, 1, 2)}
    return pd.DataFrame({**found, "AP": 50.0 * np.asarray(hits), "matches": 1 if matches is None else matches})


def test_a_person_with_many_queries_is_one_draw():
    """The deviation of a ratio over persons, which of single queries would be a fifth of it."""
    pids = np.concatenate([np.arange(100), np.repeat(np.arange(100, 200), 30)])
    hits = np.random.default_rng(0).random(200)[pids] < 0.5  # a person's queries are all found, or none
    differences, of = people.paired(table(hits, pids), table(np.zeros(len(pids), bool), pids))
    sums, counts = np.bincount(of, differences[:, 0]), np.bincount(of)
    expected = np.sqrt(np.sum((sums - differences[:, 0].mean() * counts) ** 2)) / counts.sum()
    assert expected > 4 * np.std(differences[:, 0]) / np.sqrt(len(pids))
    assert np.std(people.draw(differences, of, 200, seed=0)[:, 0]) == pytest.approx(expected, rel=0.05)


def test_fewer_persons_differ_more():
    rng = np.random.default_rng(0)
    first, second = (table(rng.random(400) < 0.5, np.arange(400)) for _ in range(2))
    differences, of = people.paired(first, second)
    for count in (400, 100):
        expected = np.std(differences[:, 0]) / np.sqrt(count)
        assert np.std(people.draw(differences, of, count, seed=1)[:, 0]) == pytest.approx(expected, rel=0.05)


def test_queries_without_a_match_are_left_out_and_others_are_refused(tmp_path, capsys):
    first, second = table([1, 1, 0, 1], [1, 1, 2, 3], [1, 1, 1, 0]), table([1, 0, 0, 0], [1, 1, 2, 3], [1, 1, 1, 0])
    for name, queries in (("a", first), ("b", second), ("c", second[::-1])):
        queries.to_csv(tmp_path / f"{name}.csv", index=False)
    command(people, f"--first={tmp_path}/a.csv", f"--second={tmp_path}/b.csv")
    rank1, mean_ap = capsys.readouterr().out.splitlines()
    assert rank1.startswith("Rank-1  +33.3 ± ") and mean_ap.startswith("mAP     +16.7 ± ")
    assert "are of other queries" in fails(people, [f"--first={tmp_path}/a.csv", f"--second={tmp_path}/c.csv"])
