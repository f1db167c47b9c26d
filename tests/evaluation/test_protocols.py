"""The protocols: parts of the feature, multi-query, single-shot."""

import numpy as np
import pandas as pd
import pytest

from hacnn_tf.data.dataset import ReidDataset, make_table
from hacnn_tf.evaluation import evaluate_features, rerank, results_table, verification_table
from hacnn_tf.evaluation.protocols import SINGLE_SHOT_REPEATS, pool_queries
from hacnn_tf.utils.errors import InputError


def dataset(single_shot=False, **splits):
    """A dataset of rows (pid, camid) a split."""
    tables = [
        make_table([f"{s}{i}" for i in range(len(rows))], *np.array(rows).T.tolist(), s) for s, rows in splits.items()
    ]
    return ReidDataset("test", pd.concat(tables, ignore_index=True), single_shot)


def test_each_part_is_ranked_by_its_own_half():
    data = dataset(query=[(1, 1)], gallery=[(2, 2), (1, 2)])
    features = {"query": np.array([[1, 0, 1, 0]], np.float32)}
    features["gallery"] = np.array(
        [[1, 0, -1, 0], [0, 1, 1, 0]], np.float32
    )  # global prefers the first, local the second
    results = evaluate_features(data, features)["single_query"]
    assert results["global"]["rank1"] == 0
    assert results["local"]["rank1"] == 100
    assert results["joint"]["rank1"] == 100
    assert results["global"]["mAP"] == 50


def test_features_of_several_widths_are_refused_and_lists_are_not():
    data = dataset(query=[(1, 1)], gallery=[(2, 2), (1, 2)])
    gallery = [[0.0, 1.0], [1.0, 0.0]]
    features = {"query": np.array([[1, 0]], np.float32), "gallery": np.array(gallery, np.float32)}
    assert evaluate_features(data, {**features, "gallery": gallery})["single_query"]["joint"]["rank1"] == 100
    with pytest.raises(InputError, match=r"equally many numbers in all splits, not query \(1, 2\), gallery \(2, 3\)"):
        evaluate_features(data, {**features, "gallery": np.zeros((2, 3), np.float32)})
    with pytest.raises(InputError, match=r"equally many numbers in all splits, not query \(1,\)"):
        evaluate_features(data, {"query": np.zeros(1, np.float32), "gallery": np.zeros(2, np.float32)})


@pytest.mark.parametrize("split", ["query", "gallery", "multi_query"])
def test_rows_of_features_are_those_of_every_split(split):
    rows = {"query": [(1, 1)], "gallery": [(1, 2), (2, 2)], "multi_query": [(1, 1), (1, 1)]}
    features = {name: np.eye(len(pids), 4, dtype=np.float32) for name, pids in rows.items()}
    more = {**features, split: np.eye(len(rows[split]) + 1, 4, dtype=np.float32)}
    with pytest.raises(InputError, match=rf"\d {split} features cannot be of \d identities"):
        evaluate_features(dataset(**rows), more)
    if split != "multi_query":
        del features[split]
        with pytest.raises(InputError, match=f"0 {split} features cannot be of"):
            evaluate_features(dataset(**rows), features)


def test_of_one_branch_the_whole_feature_is_its_own():
    data = dataset(query=[(1, 1)], gallery=[(2, 2), (1, 2)])
    features = {"query": np.array([[1, 0, 0]], np.float32), "gallery": np.array([[0, 0, 1], [0.6, 0, 0.8]], np.float32)}
    results = evaluate_features(data, features, branches=["global"])
    assert list(results["single_query"]) == ["joint", "global"]
    assert results["single_query"]["joint"] == results["single_query"]["global"]
    assert results["single_query"]["joint"]["rank1"] == 100
    _, *lines = results_table(results).splitlines()
    assert [line.split()[-8] for line in lines] == ["joint", "global"]


def test_multi_query_is_the_mean_of_a_persons_images_of_a_camera():
    rows = pd.DataFrame({"pid": [2, 1, 2, 2], "camid": [1, 1, 1, 3]})
    pooled, features = pool_queries(rows, np.array([[1, 0], [5, 5], [3, 2], [7, 7]], np.float32))
    assert pooled.to_dict("list") == {"pid": [1, 2, 2], "camid": [1, 1, 3]}
    np.testing.assert_array_equal(features, [[5, 5], [2, 1], [7, 7]])


def test_multi_query_is_reported_beside_single_query():
    data = dataset(query=[(1, 1)], gallery=[(1, 2), (2, 2)], multi_query=[(1, 1), (1, 1)])
    features = {
        "query": [[0, 1, 0, 1]],
        "gallery": [[1, 0, 1, 0], [0, 1, 0, 1]],
        "multi_query": [[2, 0, 2, 0], [0, 1, 0, 1]],
    }
    results = evaluate_features(data, {k: np.array(v, np.float32) for k, v in features.items()})
    assert results["single_query"]["joint"]["rank1"] == 0
    assert results["multi_query"]["joint"]["rank1"] == 100
    assert "multi-query" in results_table(results)


def test_single_shot_averages_over_random_gallery_images():
    """Of identity 1's two gallery images one is nearer than the distractor: right in about half of the repeats."""
    data = dataset(True, query=[(1, 1)], gallery=[(1, 2), (1, 2), (2, 2)])
    features = {"query": np.array([[0, 0]], np.float32), "gallery": np.array([[1, 1], [3, 3], [2, 2]], np.float32)}
    results = [evaluate_features(data, features, seed)["single_query"]["joint"] for seed in (0, 0, 1)]
    assert results[0] == results[1] and results[0]["rank1"] != results[2]["rank1"]
    for measures in results:
        hits = measures["rank1"] / 100
        assert abs(hits - 0.5) < 4 * 0.5 / SINGLE_SHOT_REPEATS**0.5
        assert measures["rank5"] == 100
        assert measures["mAP"] == pytest.approx(100 * (hits + (1 - hits) / 2))
        assert measures["mINP"] == pytest.approx(measures["mAP"])  # as with any single match
        assert measures["queries"] == 1


@pytest.mark.parametrize("query", [[(1, 1), (2, 1)], [(1, 1), (1, 2)]])
def test_single_shot_has_no_image_of_the_querys_own_camera(query):
    """Or a repeat in which it is drawn would lose the query, perhaps another one each time."""
    data = dataset(True, query=query, gallery=[(1, 2), (1, 1), (2, 3)])
    features = {"query": np.eye(2, dtype=np.float32), "gallery": np.ones((3, 2), np.float32)}
    with pytest.raises(InputError, match="without images of the queries' own cameras"):
        evaluate_features(data, features)


def test_single_shot_may_have_others_under_the_querys_camera():
    data = dataset(True, query=[(1, 1)], gallery=[(1, 2), (2, 1)])
    features = {"query": np.zeros((1, 2), np.float32), "gallery": np.array([[1, 1], [2, 2]], np.float32)}
    assert evaluate_features(data, features)["single_query"]["joint"]["rank1"] == 100


def test_single_shot_is_the_mean_of_a_hundred_galleries():
    assert SINGLE_SHOT_REPEATS == 100  # CUHK03's protocol


def test_every_random_gallery_has_distances_of_its_own():
    data = dataset(True, query=[(1, 1), (2, 1)], gallery=[(1, 2), (1, 2), (2, 2), (3, 2)])
    features = {"query": np.eye(2, 4, dtype=np.float32), "gallery": np.eye(4, dtype=np.float32)}
    sizes = []

    def distances(queries, gallery):
        sizes.append((len(queries), len(gallery)))
        yield from np.zeros((len(queries), len(gallery)))

    measures = evaluate_features(data, features, distances=distances)["single_query"]["joint"]
    assert sizes == 3 * SINGLE_SHOT_REPEATS * [(2, 3)]  # an image of each person, for each part of the feature
    assert (measures["rank1"], measures["mAP"]) == (50, 75)  # in gallery order


def test_the_table_fits_a_terminal_and_has_all_measures():
    data = dataset(query=[(1, 1)], gallery=[(1, 2), (2, 2), (1, 3)])
    features = {"query": np.zeros((1, 2), np.float32), "gallery": np.array([[0, 0], [1, 1], [2, 2]], np.float32)}
    head, *lines = results_table(evaluate_features(data, features)).splitlines()
    assert max(map(len, [head, *lines])) < 100
    assert head.split() == ["feature", "Rank-1", "Rank-5", "Rank-10", "Rank-20", "mAP", "mINP", "mAP", "(trapezoid)"]
    measures = ["83.3", "66.7", "79.2"]  # (1 + 2/3) / 2, 2/3, (1 + (1/2 + 2/3) / 2) / 2
    assert lines[0].split() == ["single-query", "joint", *4 * ["100.0"], *measures]


def test_queries_without_a_match_are_counted_and_shown():
    data = dataset(query=[(1, 1), (3, 1)], gallery=[(1, 2), (2, 2)])
    features = {split: np.eye(2, 4, dtype=np.float32) for split in ("query", "gallery")}
    results = evaluate_features(data, features)
    assert results["single_query"]["joint"]["queries"] == 1
    assert results["single_query"]["joint"]["unmatched"] == 1
    assert "left out: 1" in results_table(results)


def persons(count, cameras=2, single_shot=False):
    """Of each person an image a camera, the first of them the query, and features that are near each other."""
    rows = [(pid, camid) for camid in range(cameras) for pid in range(1, count + 1)]
    data = dataset(single_shot, query=rows[:count], gallery=rows[count:])
    rng = np.random.default_rng(0)
    centres = np.tile(rng.standard_normal((count, 8)), (cameras, 1))
    features = (centres + 0.7 * rng.standard_normal(centres.shape)).astype(np.float32)
    return data, {"query": features[:count], "gallery": features[count:]}


@pytest.mark.parametrize("single_shot", [False, True])
def test_thresholds_are_those_of_each_parts_own_pairs(single_shot):
    """With each image of the gallery compared once, and the persons of an open set either in it or not."""
    data, features = persons(40, cameras=3, single_shot=single_shot)
    parts = evaluate_features(data, features)["single_query"]
    for part, columns in (("joint", slice(None)), ("global", slice(4)), ("local", slice(4, None))):
        distances = np.linalg.norm(features["query"][:, None, columns] - features["gallery"][:, columns], axis=2)
        same = np.equal.outer(data.split("query").pid.to_numpy(), data.split("gallery").pid.to_numpy())
        measured = parts[part]["verification"]
        assert (measured["genuine"], measured["impostors"]) == (80, 40 * 78)
        threshold = np.sort(distances[~same])[40 * 78 // 100]
        at = measured["far"].index(1)
        assert measured["threshold"][at] == pytest.approx(threshold, rel=1e-5)
        assert measured["tar"][at] == pytest.approx(100 * np.mean(distances[same] < threshold * (1 - 1e-6)), abs=1e-9)
        assert measured["tar"][measured["far"].index(0.01)] is None  # of fewer than 10,000
        missed, wrong = (
            np.mean(values)
            for values in (
                distances[same] > measured["eer_threshold"] * (1 + 1e-6),
                distances[~same] < measured["eer_threshold"] * (1 - 1e-6),
            )
        )
        assert 100 * max(missed, wrong) <= measured["eer"] + 1e-9
        opened = parts[part]["open_set"]
        assert (opened["mated"], opened["non_mated"]) == (20, 20)
        assert opened["dir"][opened["far"].index(50)] is not None


def test_the_seed_draws_the_open_set():
    data, features = persons(40)
    first, again, other = (evaluate_features(data, features, seed)["single_query"]["joint"] for seed in (0, 0, 1))
    assert first["open_set"] == again["open_set"] != other["open_set"]
    assert first["verification"] == other["verification"]


def test_reranked_distances_have_no_thresholds():
    """They depend on the other queries, so that a threshold on them means nothing elsewhere."""
    measures = evaluate_features(*persons(10), distances=rerank)["single_query"]["joint"]
    assert not {"verification", "open_set"} & set(measures)


def test_the_table_of_thresholds_has_all_of_them_and_fits_a_terminal():
    data, features = persons(41)
    joint = evaluate_features(data, features)["single_query"]["joint"]
    head, *lines, pairs, queries = verification_table({"single_query": {"joint": joint}}).splitlines()
    assert max(map(len, [head, *lines, pairs, queries])) < 120
    assert " ".join(head.split()) == "joint feature FAR 10% FAR 1% FAR 0.1% FAR 0.01% EER"

    def shown(measured, name, digits, rates):
        values = [joint[measured][name][joint[measured]["far"].index(far)] for far in rates]
        return [f"{value:.{digits}f}" for value in values] + ["–"] * (4 - len(rates))

    equal = joint["verification"]
    few, fewer = (10, 1, 0.1), (10,)  # the rates that 1,640 pairs and 20 queries have
    assert [line.split() for line in lines] == [
        ["single-query", "TAR", *shown("verification", "tar", 1, few), f"{equal['eer']:.1f}"],
        ["distance", "below", *shown("verification", "threshold", 3, few), f"{equal['eer_threshold']:.3f}"],
        ["DIR", *shown("open_set", "dir", 1, fewer)],
        ["distance", "below", *shown("open_set", "threshold", 3, fewer)],
    ]
    assert "41 pairs of one person" in pairs and "1,640 pairs of two" in pairs
    assert "21 queries found first" in queries and "FAR of 20 whose person is not there" in queries


def test_a_person_alone_has_no_rate():
    data = dataset(query=[(1, 1)], gallery=[(1, 2), (1, 3)])
    features = {"query": np.zeros((1, 2), np.float32), "gallery": np.ones((2, 2), np.float32)}
    results = evaluate_features(data, features)
    assert results["single_query"]["joint"]["verification"]["eer"] is None
    _, *lines = verification_table(results).splitlines()
    assert lines[0].split() == ["single-query", "TAR", *5 * ["–"]]
