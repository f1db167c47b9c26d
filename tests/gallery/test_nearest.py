"""What is found: the nearest by brute force, with and without an index, a condition, re-ranking."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hacnn_tf.evaluation import rerank
from hacnn_tf.utils.errors import InputError, NoImagesError
from tests.gallery.conftest import DIM, MODEL, bytes_below, make_features, make_rows, numbers

pytest.importorskip("lancedb", reason='needs the extra "search"')

from hacnn_tf.gallery import Database, nearest


def test_a_search_gives_the_nearest_of_those_that_the_filter_leaves(filled):
    people, features = filled
    queries = make_features(4, seed=1)
    distances = np.linalg.norm(queries[:, None] - features, axis=2)
    people.refresh()
    for where, left in (
        (None, np.arange(50)),
        ("camid != 1", np.arange(50)[np.arange(50) % 3 != 1]),
        ("camid = 2 and time < timestamp '2026-11-24 08:20:00'", np.arange(2, 20, 3)),
        ("path like '%/4_.jpg'", np.arange(40, 50)),
    ):
        for i, found in enumerate(people.search(queries, where, top=7)):
            expected = left[np.argsort(distances[i, left])][:7]
            np.testing.assert_array_equal(numbers(found), expected)
            np.testing.assert_allclose(found.distance, distances[i, expected], rtol=1e-5)
    assert list(found.columns) == ["path", "bytes", "modified", "camid", "time", "distance"]
    assert found.time[0] == pd.Timestamp("2026-11-24 08:00:00") + pd.Timedelta(numbers(found)[0], "min")


def test_equal_distances_come_by_path(tmp_path):
    people = Database.create(tmp_path / "people.lance", MODEL, make_rows([]))
    people.write(make_rows([3, 1, 2]), np.ones((3, DIM), np.float32))
    (found,) = people.search(np.zeros((1, DIM)))
    np.testing.assert_array_equal(numbers(found), [1, 2, 3])


def test_reranking_orders_as_that_of_the_evaluation(filled, monkeypatch):
    people, features = filled
    query = make_features(1, seed=1)
    (found,) = people.search(query, top=50, reranked=True)
    (expected,) = rerank(query, features)
    np.testing.assert_allclose(found.distance, expected[numbers(found)], atol=1e-5)
    assert (np.diff(found.distance) >= 0).all()
    (few,) = people.search(query, top=5, reranked=True)  # out of many candidates, not of the five alone
    np.testing.assert_array_equal(numbers(few), numbers(found)[:5])
    assert set(numbers(few)) != set(numbers(people.search(query, top=5)[0]))
    monkeypatch.setattr(nearest, "CANDIDATES", 3)
    assert len(people.search(query, top=5, reranked=True)[0]) == 5


def test_above_its_size_an_index_is_searched_which_also_has_what_came_later(filled, monkeypatch):
    monkeypatch.setattr(nearest, "EXACT_ROWS", 100)
    monkeypatch.setattr(nearest, "LISTS_SEARCHED", 0.4)  # of three lists one; much shorter ones LanceDB would join
    people, first = filled
    added = make_features(6000, seed=2)
    people.write(make_rows(range(100, 6100)), added)
    people.tidy()
    assert people._table.lance.list_indices()
    queries = make_features(20, seed=3)
    exact = people.search(queries, exact=True)
    distances = np.linalg.norm(queries[:, None] - np.concatenate([first, added]), axis=-1)
    order = np.concatenate([np.arange(50), np.arange(100, 6100)])[np.argsort(distances)[:, :20]]
    assert [numbers(found).tolist() for found in exact] == order.tolist()
    near = np.concatenate([first, added])[np.argsort(distances[0])[: nearest.CANDIDATES]]
    (expected,) = rerank(queries[:1], near)
    (found,) = people.search(queries[:1], exact=True, reranked=True)
    np.testing.assert_allclose(found.distance, np.sort(expected)[:20], atol=1e-5)
    found = people.search(queries)
    recall = np.mean([len({*f.path} & {*e.path}) / 20 for f, e in zip(found, exact, strict=True)])
    assert 0.3 < recall < 0.9, "some are missed: it is the index that was searched"
    people.write(make_rows([7000]), queries[:1])
    (later,) = people.search(queries[:1])
    assert numbers(later)[0] == 7000
    people.tidy()
    (later,) = people.search(queries[:1])
    assert numbers(later)[0] == 7000
    people.remove("path = '/people/7000.jpg'")
    assert 7000 not in numbers(people.search(queries[:1])[0])
    assert queries[0].tobytes() not in bytes_below(Path(people.path)), "nor in the index's files"


def test_an_index_in_many_segments_is_made_anew(filled, monkeypatch):
    monkeypatch.setattr(nearest, "EXACT_ROWS", 100)
    people, _ = filled
    people.write(make_rows(range(100, 700)), make_features(600, seed=2))
    for part in range(nearest.MOST_SEGMENTS + 3):
        people.tidy()
        (index,) = people._table.lance.list_indices()
        assert index.num_segments == part % (nearest.MOST_SEGMENTS + 1) + 1
        assert index.num_indexed_rows == len(people) and people._table.versions == 1
        people.write(make_rows([1000 + part]), make_features(1, seed=part))


@pytest.mark.parametrize("among", [3, 40, 500])
def test_what_a_condition_leaves_is_found_wherever_it_is_in_the_index(filled, monkeypatch, among):
    monkeypatch.setattr(nearest, "EXACT_ROWS", 100)
    monkeypatch.setattr(nearest, "LISTS_SEARCHED", 0.4)  # of three lists one
    people, first = filled
    features = np.concatenate([first, make_features(6000, seed=2)])
    people.write(make_rows(range(50, 6050)), features[50:])
    people.tidy()
    assert people._table.lance.list_indices()
    top = 100
    for seed, query in enumerate(make_features(20, seed=3)):
        chosen = np.random.default_rng(seed).choice(6050, among, replace=False)
        where = "path in ({})".format(", ".join(f"'/people/{i}.jpg'" for i in chosen))
        (found,) = people.search(query[None], where, top)
        distances = np.linalg.norm(features - query, axis=-1)
        assert numbers(found).tolist() == chosen[np.argsort(distances[chosen])][:top].tolist()
        np.testing.assert_allclose(found.distance, distances[numbers(found)], rtol=1e-4)


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("camid ! 3", "The condition 'camid ! 3' cannot be used: it is not one whole condition at '!'"),
        ("camera = 3", "there is no column camera; the columns are path, bytes, modified, camid, time"),
        ("camid", "cannot be used"),
        ("path = 3 +", "cannot be used"),
        ("camid = 99", "has no images for which 'camid = 99' holds"),
        (
            "camid != 3 and camid = 99",
            "holds. Rows without a value fail `!=`: if that is why, write `is distinct from`",
        ),
        ("'", "cannot be used"),
    ],
)
def test_filters_that_cannot_be_used_or_leave_nothing(filled, where, words):
    people, features = filled
    with pytest.raises(NoImagesError if "99" in where else InputError, match=words) as error:
        people.search(features[:1], where)
    assert "\n" not in str(error.value) and ".rs" not in str(error.value)
    if "99" not in where:
        with pytest.raises(InputError, match=words):
            people.remove(where)
        assert len(people) == 50


def test_what_a_search_cannot_be(filled):
    people, features = filled
    for query, top in ((features[0], 5), (features[:1, :3], 5), (features[:1], 0)):
        with pytest.raises(InputError, match=rf"A search takes features \(q, {DIM}\) and a whole number from 1 as top"):
            people.search(query, top=top)
