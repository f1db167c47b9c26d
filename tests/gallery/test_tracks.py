"""Tracks in a database: the nearest by brute force, of those images that are there and that a condition leaves."""

import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from hacnn_tf.evaluation import rerank
from hacnn_tf.evaluation.tracks import unit_branches
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.types import BRANCHES
from tests.evaluation.test_tracks import mean_of, random_features

pytest.importorskip("lancedb", reason='needs the extra "search"')

from hacnn_tf import gallery
from hacnn_tf.gallery import Database
from hacnn_tf.gallery.results import as_page, as_text

DIM, COUNT = 8, 60
MODEL = SimpleNamespace(name="runs/a", fingerprint="aa", feature_dim=DIM, precision="float32")


def search_tracks(database, features, where=None, branches=BRANCHES, **how):
    return gallery.search_tracks(database, features, where, branches=branches, **how)


@pytest.fixture
def people(tmp_path):
    """A database of 60 images, most of them in tracks of up to 4, written in parts; and its table, with features."""
    numbers = np.arange(COUNT)
    rows = pd.DataFrame({"path": [f"/people/{i:02}.jpg" for i in numbers], "bytes": 5, "modified": 1})
    track = numbers // 4 + 100
    rows["camid"] = track % 3
    rows["track"] = pd.Series(track, dtype="Int64").mask(numbers % 7 == 0)
    times = pd.Timestamp("2026-11-24 08:00:00") + pd.to_timedelta(numbers[::-1], unit="min")
    rows["time"] = times.astype("datetime64[us]")
    rows.loc[numbers % 11 == 0, "time"] = pd.NaT
    features = random_features(COUNT)
    database = Database.create(tmp_path / "people.lance", MODEL, rows[:0])
    for part in np.split(np.random.default_rng(0).permutation(numbers), 5):
        database.write(rows.loc[part].reset_index(drop=True), features[part])
    database.refresh()
    return database, rows.assign(feature=list(features))


def nearest(rows, query):
    """All tracks of some rows, nearest first: distance, path, and the track's other columns."""
    lines = []
    for _, track in rows.groupby(rows.track.astype(object).where(rows.track.notna(), rows.path), sort=False):
        distances = np.linalg.norm(np.stack(track.feature) - query, axis=1)
        best = track.iloc[np.argmin(distances)]
        distance = np.linalg.norm(mean_of(np.stack(track.feature)) - query)
        lines.append((distance, best.path, best.camid, len(track), track.time.min(), track.time.max(), best.track))
    columns = ["distance", "path", "camid", "images", "first_seen", "last_seen", "track"]
    types = {"first_seen": "datetime64[us]", "last_seen": "datetime64[us]", "track": "Int64"}
    return pd.DataFrame(sorted(lines, key=lambda line: line[:2]), columns=columns).astype(types)


def test_a_manifests_columns_are_all_there(tmp_path):
    rows = pd.DataFrame(
        {"path": ["/a.jpg", "/b.jpg"], "bytes": 5, "modified": 1, "camid": 1, "track": 7, "near": "door"}
    )
    rows["time"] = pd.Series(pd.NaT, rows.index, "datetime64[us]")
    database = Database.create(tmp_path / "p.lance", MODEL, rows)
    database.write(rows, random_features(2))
    (found,) = search_tracks(database, random_features(1))
    assert found.near.tolist() == ["door"] and not any(name.startswith("_") for name in found)


def test_a_track_that_another_process_has_written_is_found(people):
    database, rows = people
    new = rows[:1].drop(columns="feature").assign(path="/people/99.jpg", track=pd.array([999], "Int64"))
    feature = random_features(1, seed=1)
    Database(database.path).write(new, feature)
    (found,) = search_tracks(database, feature, top=1)
    assert found.path.tolist() == ["/people/99.jpg"]


def assert_same(found, expected):
    columns = [name for name in expected if name != "distance"]
    pd.testing.assert_frame_equal(found[columns], expected[columns], check_dtype=False)
    np.testing.assert_allclose(found.distance, expected.distance, atol=1e-5)


@pytest.mark.parametrize("where", [None, "camid != 1", "path > '/people/30.jpg' and time is not null"])
def test_the_nearest_tracks_are_those_of_brute_force(people, where):
    database, rows = people
    left = {"camid != 1": rows.camid != 1, None: rows.camid >= 0}.get(where, (rows.index > 30) & rows.time.notna())
    queries = random_features(3, seed=1)
    for query, found in zip(queries, search_tracks(database, queries, where=where, top=9), strict=True):
        assert_same(found, nearest(rows[left], query)[:9])
    assert set(database.columns) <= set(found)


def test_of_what_was_removed_nothing_is_left_in_its_track(people):
    database, rows = people
    (query,) = random_features(1, seed=1)
    gone = rows.index.isin([5, 6, 21])
    assert database.remove("path in ('/people/05.jpg', '/people/06.jpg', '/people/21.jpg')") == 3
    (found,) = search_tracks(database, query[None], top=100)
    assert_same(found, nearest(rows[~gone], query))


def test_what_another_removes_meanwhile_is_not_found(people, monkeypatch):
    database, rows = people
    (query,) = random_features(1, seed=1)
    read, removed = Database.features, []

    def features(self, where=None):
        if not removed:
            removed.append(Database(self.path).remove("track = 101 or track = 103"))
        return read(self, where)

    monkeypatch.setattr(Database, "features", features)
    (found,) = search_tracks(database, query[None], top=100)
    assert_same(found, nearest(rows[~rows.track.isin([101, 103])], query))
    assert removed and not found.track.isin([101, 103]).any()


def test_a_scan_that_another_cuts_short_begins_anew(people, monkeypatch):
    database, rows = people
    (query,) = random_features(1, seed=1)
    read, begun = Database.features, []

    def features(self, where=None):
        begun.append(True)
        for paths, vectors in read(self, where):
            yield paths[:7], vectors[:7]
            if len(begun) == 1:
                raise InputError("it cannot be read")
            yield paths[7:], vectors[7:]

    monkeypatch.setattr(Database, "features", features)
    (found,) = search_tracks(database, query[None], top=100)
    assert_same(found, nearest(rows, query))
    assert len(begun) == 2
    monkeypatch.setattr(Database, "features", lambda self, where: iter([]))
    with pytest.raises(InputError, match=r"Images are removed from .*people\.lance faster than it is read: repeat"):
        search_tracks(database, query[None])


def test_reranking_is_among_the_tracks(people, monkeypatch):
    database, rows = people
    query = random_features(1, seed=1)
    (found,) = search_tracks(database, query, top=100, reranked=True)
    names = rows.track.astype(object).where(rows.track.notna(), rows.path)
    pooled = [mean_of(np.stack(features)) for _, features in rows.feature.groupby(names, sort=False)]
    (expected,) = rerank(query, np.array(pooled, np.float32))
    np.testing.assert_allclose(found.distance, np.sort(expected), atol=1e-5)
    (few,) = search_tracks(database, query, top=3, reranked=True)  # out of many candidates
    pd.testing.assert_frame_equal(few, found[:3])
    monkeypatch.setattr("hacnn_tf.gallery.tracks.CANDIDATES", 2)
    assert len(search_tracks(database, query, top=3, reranked=True)[0]) == 3


def test_of_one_branch(people):
    database, rows = people
    query = random_features(1, seed=1)
    (found,) = search_tracks(database, query, "track = 101", ["global"], top=1)
    mean = np.mean(np.stack(rows.feature[(rows.track == 101).fillna(False).to_numpy(bool)]), axis=0)
    assert found.distance[0] == pytest.approx(np.linalg.norm(mean / np.linalg.norm(mean) - query[0]), abs=1e-5)


def test_what_cannot_be_searched_is_said(people, tmp_path):
    database, rows = people
    for where, sentence in (
        ("camid = 9", "has no images for which 'camid = 9' holds"),
        ("door = 1", "cannot be used"),
    ):
        with pytest.raises(InputError, match=sentence):
            search_tracks(database, random_features(1), where=where)
    with pytest.raises(InputError, match=r"A search takes features \(q, 8\) and a whole number from 1 as top, not \(1"):
        search_tracks(database, random_features(1, width=2))
    without = Database.create(tmp_path / "b.lance", MODEL, rows[:0].drop(columns=["track", "feature"]))
    shutil.rmtree(database.path)
    shutil.copytree(without.path, database.path)
    for each in (without, database):  # that which is open is another now
        with pytest.raises(InputError, match="has no tracks: index its images into a new database with --track_patt"):
            search_tracks(each, random_features(1))


def test_tracks_that_are_numbered_by_each_camera_are_refused(people, tmp_path):
    """As a column of this name was kept before there were tracks; of one camera alone they are tracks."""
    _, rows = people
    rows = rows.assign(track=(rows.index // 12).astype("Int64"))
    database = Database.create(tmp_path / "old.lance", MODEL, rows[:0].drop(columns="feature"))
    database.write(rows.drop(columns="feature"), np.stack(rows.feature))
    (query,) = random_features(1, seed=1)
    with pytest.raises(
        InputError, match=r"old\.lance has 5 tracks with more than one camera, 0, 1, 2 and 2 more: .*; ind"
    ):
        search_tracks(database, query[None])
    (found,) = search_tracks(database, query[None], where="camid = 1", top=100)
    assert_same(found, nearest(rows[rows.camid == 1], query))


def test_without_tracks_a_column_may_be_called_as_theirs(people):
    _, rows = people
    shown = rows[:2].drop(columns=["track", "feature"]).assign(distance=0.5, images=7, last_seen="today")
    head, line, _ = as_text(shown).splitlines()
    assert head.split() == ["rank", "distance", "camera", "time", "path"] and line.split()[-1] == "/people/00.jpg"
    assert "last_seen today" in as_page("people.lance", [(["/q.jpg"], shown)])


def test_a_line_of_a_track_and_its_place_on_a_page(people):
    database, rows = people
    (found,) = search_tracks(database, unit_branches(rows.feature[13][None]), where="track = 103", top=1)
    head, line = as_text(found).splitlines()
    assert head.split() == ["rank", "distance", "camera", "track", "images", "first_seen", "last_seen", "path"]
    times = "2026-11-24 08:44:00 2026-11-24 08:47:00"
    expected = ["1", f"{found.distance[0]:.3f}", "1", "103", "3", *times.split()]
    assert line.split() == [*expected, "/people/13.jpg"]
    page = as_page("people.lance", [(["/q.jpg"], found)])
    for text in ("track 103", "images 3", "first_seen 2026-11-24 08:44:00", "camera 1<br>2026-11-24 08:46:00"):
        assert text in page
