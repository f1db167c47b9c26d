"""Tracks: one feature of many images, and track to track, beside brute force."""

import numpy as np
import pandas as pd
import pytest

from hacnn_tf import InputError
from hacnn_tf.data.dataset import ReidDataset
from hacnn_tf.evaluation import evaluate_features, results_table
from hacnn_tf.evaluation.tracks import pool_tracks, track_numbers, unit_branches


def random_features(count, seed=0, width=4):
    """Features of two branches, each of length 1."""
    return unit_branches(np.random.default_rng(seed).normal(size=(count, 2 * width)).astype(np.float32))


def mean_of(features):
    """The mean of some features, with branches of length 1 again."""
    halves = np.split(np.mean(np.asarray(features, np.float64), axis=0), 2)
    return np.concatenate([half / np.sqrt(np.sum(half**2)) for half in halves])


def test_a_track_is_the_mean_with_branches_of_length_1():
    tracks = np.array([1, 0, 1, 2, 1, 0])
    features = random_features(6)
    pooled = pool_tracks(features, tracks)
    assert pooled.dtype == np.float32
    np.testing.assert_allclose(pooled, [mean_of(features[tracks == track]) for track in range(3)], atol=1e-6)


def test_of_one_branch_the_whole_feature_has_length_1():
    pooled = pool_tracks(np.array([[1, 0], [0, 1]], np.float32), np.array([0, 0]), ["global"])
    np.testing.assert_allclose(pooled, [[0.5**0.5, 0.5**0.5]])


def test_what_cancels_out_is_a_feature_of_zeros():
    np.testing.assert_array_equal(pool_tracks(np.array([[1, 0], [-1, 0]], np.float32), np.zeros(2, int)), [[0, 0]])


@pytest.mark.parametrize("tracks", [[0, 2, 2], [0, 0], [1, 1, 1], [-1, 0, 1]])
def test_tracks_that_do_not_number_the_images_are_refused(tracks):
    with pytest.raises(InputError, match="3 images need as many tracks, numbered from 0 without a gap"):
        pool_tracks(np.ones((3, 4), np.float32), np.array(tracks))


def test_names_of_tracks_and_a_text_of_branches_are_refused():
    features = np.ones((2, 6), np.float32)
    for names in (np.array(["a", "b"]), np.array(["a", "b"], object), np.array([0.0, 1.0])):
        with pytest.raises(InputError, match=r"Tracks are numbers from 0, not .*: pandas\.factorize makes"):
            pool_tracks(features, names)
    with pytest.raises(InputError, match=r"Branches are a sequence of names, .*, not the text 'global'"):
        pool_tracks(features, np.array([0, 1]), "global")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint64, np.int16])
def test_numbers_of_any_kind(dtype):
    pooled = pool_tracks(np.array([[1, 0], [0, 1], [1, 0]], np.float32), np.array([1, 0, 1], dtype), ["global"])
    np.testing.assert_array_equal(pooled, [[0, 1], [1, 0]])


def test_features_that_are_no_equal_branches_are_refused():
    with pytest.raises(InputError, match="Features of 5 numbers are not those of 2 equal branches"):
        unit_branches(np.ones((2, 5), np.float32))


def test_no_images_are_no_tracks():
    assert pool_tracks(np.zeros((0, 4), np.float32), np.zeros(0, int)).shape == (0, 4)


def test_an_image_without_a_track_is_its_own():
    rows = pd.DataFrame({"track": ["b", None, "a", "b", np.nan]}, index=[7, 3, 5, 1, 0])
    assert track_numbers(rows).tolist() == [0, 1, 2, 0, 3]


@pytest.fixture
def dataset():
    """Twelve persons before three cameras: tracks of some images, one of each person and camera in the queries; some
    without a track, junk and distractors."""
    rng, rows = np.random.default_rng(0), []
    for pid in [*range(1, 13), 0, -1]:
        for camid in range(3):
            for number in range(rng.integers(1, 4)):
                track = None if rng.random() < 0.2 else f"{pid}-{camid}-{number}"
                split = "query" if number == 0 and pid > 0 else "gallery"
                for image in range(rng.integers(1, 5)):
                    rows.append((f"{pid}_{camid}_{number}_{image}", pid, camid, split, track))
    table = pd.DataFrame(rows, columns=["path", "pid", "camid", "split", "track"])
    return ReidDataset("test", table.sample(frac=1, random_state=0, ignore_index=True))


def features_of(dataset):
    """Features that tell something of the person."""
    persons = random_features(20, seed=1)
    found = {}
    for seed, split in enumerate(("query", "gallery")):
        rows = dataset.split(split)
        found[split] = unit_branches(persons[rows.pid] + random_features(len(rows), seed + 2))
    return found


def brute_force(dataset, features, part):
    """CMC at rank 1 and mAP of tracks, each compared with each."""
    tracks = {}
    for split in ("query", "gallery"):
        for row, feature in zip(dataset.split(split).itertuples(), features[split], strict=True):
            name = row.path if pd.isna(row.track) else row.track
            tracks.setdefault(name, (row.pid, row.camid, [], set()))[2].append(feature)
            tracks[name][3].add(split)
    first, precisions = [], []
    for pid, camid, images, splits in tracks.values():
        if "query" not in splits:
            continue
        found = []
        for other, seen_by, others, where in tracks.values():
            if "gallery" in where and other != -1 and not (other == pid and seen_by == camid):
                found.append((np.linalg.norm(mean_of(images)[part] - mean_of(others)[part]), other == pid))
        hits = np.array([hit for _, hit in sorted(found)])
        if hits.any():
            first.append(hits[0])
            precisions.append(np.mean((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits]))
    return 100 * np.mean(first), 100 * np.mean(precisions)


def test_track_to_track_is_what_brute_force_finds(dataset):
    features = features_of(dataset)
    results = evaluate_features(dataset, features)
    assert list(results) == ["single_query", "tracks"]
    for part, numbers in (("joint", slice(None)), ("global", slice(0, 4)), ("local", slice(4, None))):
        measures = results["tracks"][part]
        assert (measures["rank1"], measures["mAP"]) == pytest.approx(brute_force(dataset, features, numbers))
    assert "tracks        joint" in results_table(results)


def test_a_track_that_is_query_and_gallery_has_all_its_images_in_both(dataset):
    """As where a split was drawn image by image; and an image that is in both counts once."""
    table = dataset.table[dataset.table.track.notna()].reset_index(drop=True)
    drawn = np.random.default_rng(1).random(len(table)) < 0.3
    table["split"] = np.where(drawn & (table.pid > 0), "query", "gallery")
    mixed = ReidDataset("mixed", table)
    features = features_of(mixed)
    expected = brute_force(mixed, features, slice(None))
    twice = mixed.split("query")[:5].assign(split="gallery")
    both = ReidDataset("both", pd.concat([table, twice], ignore_index=True))
    more = {**features, "gallery": np.concatenate([features["gallery"], features["query"][:5]])}
    for data, given in ((mixed, features), (both, more)):
        measures = evaluate_features(data, given)["tracks"]["joint"]
        assert (measures["rank1"], measures["mAP"]) == pytest.approx(expected)


def test_an_image_without_a_track_may_be_in_both_splits(dataset):
    features = features_of(dataset)
    alone = dataset.split("query").track.isna().to_numpy()
    assert alone.any()
    twice = dataset.split("query")[alone].assign(split="gallery")
    both = ReidDataset("both", pd.concat([dataset.table, twice], ignore_index=True))
    more = {**features, "gallery": np.concatenate([features["gallery"], features["query"][alone]])}
    measures = evaluate_features(both, more)["tracks"]["joint"]
    assert (measures["rank1"], measures["mAP"]) == pytest.approx(brute_force(both, more, slice(None)))


def test_images_are_ranked_as_without_tracks(dataset):
    features = features_of(dataset)
    without = ReidDataset("test", dataset.table.drop(columns="track"))
    results = evaluate_features(without, features)
    assert list(results) == ["single_query"]
    assert evaluate_features(dataset, features)["single_query"] == results["single_query"]
    unnamed = ReidDataset("test", dataset.table.assign(track=None))
    assert list(evaluate_features(unnamed, features)) == ["single_query"]


def test_tracks_of_one_image_are_ranked_as_images(dataset):
    table = dataset.table.assign(track=dataset.table.path)
    features = features_of(dataset)
    results = evaluate_features(ReidDataset("test", table), features)
    assert results["tracks"]["joint"]["mAP"] == pytest.approx(results["single_query"]["joint"]["mAP"])


def test_where_no_track_has_a_match_there_are_images_alone():
    """Cameras are not known, and each person has one track."""
    table = pd.DataFrame({"path": list("abcd"), "pid": [1, 1, 2, 2], "camid": [-1, -2, -3, -4], "track": list("ttuu")})
    table["split"] = ["query", "gallery"] * 2
    features = {split: np.eye(2, 4, dtype=np.float32) for split in ("query", "gallery")}
    assert list(evaluate_features(ReidDataset("test", table), features)) == ["single_query"]


def test_distances_may_be_others(dataset):
    """As after re-ranking: of tracks they are asked for once more, among tracks."""
    asked = []

    def distances(queries, gallery):
        asked.append((len(queries), len(gallery)))
        yield from np.zeros((len(queries), len(gallery)), np.float32)

    evaluate_features(dataset, features_of(dataset), distances=distances)
    names = {split: dataset.split(split).track.fillna(dataset.split(split).path) for split in ("query", "gallery")}
    assert asked[-1] == (names["query"].nunique(), names["gallery"].nunique())
