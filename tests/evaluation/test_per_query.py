"""Each query's own result, against a walk through the gallery from the nearest image on."""

import numpy as np
import pandas as pd
import pytest

from hacnn_tf.data.dataset import ReidDataset, make_table
from hacnn_tf.evaluation import evaluate_features
from hacnn_tf.evaluation.per_query import per_query

NEAREST = ["nearest_path", "nearest_pid", "nearest_camid", "nearest_distance"]


def drawn(seed):
    """A dataset with junk, distractors and queries without a match, and features with many ties."""
    rng = np.random.default_rng(seed)
    tables, features = [], {}
    for split, count, lowest in (("query", 25, 1), ("gallery", 60, -1)):
        people = rng.integers(lowest, 12, count), rng.integers(1, 4, count)
        tables.append(make_table([f"{split}{i}" for i in range(count)], *people, split))
        features[split] = rng.integers(-2, 3, (count, 4)).astype(np.float32)
    return ReidDataset("drawn", pd.concat(tables, ignore_index=True)), features


def walk(query, feature, gallery, features):
    """What `per_query` says of a query, by the protocol's words."""
    distances = np.linalg.norm(features - feature, axis=1)
    shown = gallery.assign(distance=distances).sort_values("distance", kind="stable")
    shown = shown[(shown.pid != -1) & ~((shown.pid == query.pid) & (shown.camid == query.camid))]
    hits = np.flatnonzero(shown.pid == query.pid) + 1
    nearest = shown.iloc[0]
    found = {"matches": len(hits), **dict(zip(NEAREST, nearest[["path", "pid", "camid", "distance"]], strict=True))}
    if len(hits):
        found |= {"first_rank": hits[0], "last_rank": hits[-1], "INP": 100 * len(hits) / hits[-1]}
        found["AP"] = 100 * np.mean(np.arange(1, len(hits) + 1) / hits)
    return found


@pytest.mark.parametrize("seed", range(10))
def test_equals_a_walk_through_the_gallery(seed):
    dataset, features = drawn(seed)
    query, gallery = dataset.split("query"), dataset.split("gallery")
    result = per_query(dataset, features)
    pd.testing.assert_frame_equal(result[["path", "pid", "camid"]], query[["path", "pid", "camid"]])
    for i, row in result.iterrows():
        for name, expected in walk(query.loc[i], features["query"][i], gallery, features["gallery"]).items():
            assert row[name] == (pytest.approx(expected, abs=1e-5) if isinstance(expected, float) else expected), name
    unmatched = result.matches == 0
    assert result[["first_rank", "last_rank", "AP", "INP"]].isna().all(axis=1).equals(unmatched)
    overall = evaluate_features(dataset, features)["single_query"]["joint"]
    assert overall["unmatched"] == unmatched.sum()
    assert overall["mAP"] == pytest.approx(result.AP.mean()) and overall["mINP"] == pytest.approx(result.INP.mean())
    assert overall["rank5"] == pytest.approx(100 * (result.first_rank.dropna() <= 5).mean())


def test_seeds_have_queries_without_a_match():
    assert any((per_query(*drawn(seed)).matches == 0).any() for seed in range(10))


def test_a_query_of_which_all_is_left_out_has_no_nearest_image():
    tables = [make_table(["a", "b"], [1, 2], [1, 2], "query"), make_table(["c", "d"], [1, -1], [1, 3], "gallery")]
    tables.append(make_table(["e"], [2], [1], "gallery"))
    dataset = ReidDataset("drawn", pd.concat(tables, ignore_index=True))
    dataset.table.loc[dataset.table.path == "e", "pid"] = 1  # both of the first query's person and camera
    dataset.table.loc[dataset.table.path == "b", "pid"] = 1
    result = per_query(dataset, {"query": np.eye(2, 3, dtype=np.float32), "gallery": np.eye(3, dtype=np.float32)})
    assert result.loc[0, NEAREST].isna().all() and result.matches.tolist() == [0, 2]
    assert result.nearest_path[1] == "c" and result.nearest_distance[1] == pytest.approx(2**0.5)
