"""The database: the nearest by brute force, one transaction a write, and nothing left of what was removed."""

import dataclasses
import os
import pickle
import shutil
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from hacnn_tf.evaluation import rerank
from hacnn_tf.evaluation.calibration import Calibration
from hacnn_tf.utils.errors import FormatError, InputError
from tests.conftest import in_fork

pytest.importorskip("lancedb", reason='needs the extra "search"')

from hacnn_tf.gallery import Database, database, lance, lock
from hacnn_tf.gallery.lock import writing
from hacnn_tf.gallery.naming import check_path

DIM = 8
MODEL = SimpleNamespace(name="runs/a", fingerprint="aa", feature_dim=DIM)


def make_rows(numbers, **columns):
    numbers = np.asarray(numbers)
    time = pd.Timestamp("2026-11-24 08:00:00") + pd.to_timedelta(numbers, unit="min")
    rows = {"path": [f"/people/{i}.jpg" for i in numbers], "bytes": 5, "modified": 1, "camid": numbers % 3}
    return pd.DataFrame(rows | columns).assign(time=time)


def make_features(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)


@pytest.fixture
def filled(tmp_path):
    """A database of 50 pictures, and their features."""
    filled = Database.create(tmp_path / "people.lance", MODEL, make_rows([]))
    features = make_features(50)
    for part in np.split(np.arange(50), 5):
        filled.write(make_rows(part), features[part])
    return filled, features


def numbers(found):
    return found.path.str.extract(r"(\d+)")[0].astype(int).to_numpy()


def test_a_model_that_was_moved_is_asked_for(tmp_path):
    (tmp_path / "run").mkdir()
    model = SimpleNamespace(name=str(tmp_path / "run"), fingerprint="aa", feature_dim=DIM)
    people = Database.create(tmp_path / "people.lance", model, make_rows([]))
    (tmp_path / "run").rmdir()
    with pytest.raises(InputError, match=f"was indexed with {tmp_path}/run, which is not there: .* with --model"):
        people.load_model()


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


def test_reranking_orders_as_that_of_the_evaluation(filled):
    people, features = filled
    query = make_features(1, seed=1)
    (found,) = people.search(query, top=50, reranked=True)
    (expected,) = rerank(query, features)
    np.testing.assert_allclose(found.distance, expected[numbers(found)], atol=1e-5)
    assert (np.diff(found.distance) >= 0).all()
    (nearest,) = people.search(query, top=5, reranked=True)  # out of many candidates, not of the five alone
    np.testing.assert_array_equal(numbers(nearest), numbers(found)[:5])
    assert set(numbers(nearest)) != set(numbers(people.search(query, top=5)[0]))


def test_equal_distances_come_by_path(tmp_path):
    people = Database.create(tmp_path / "people.lance", MODEL, make_rows([]))
    people.write(make_rows([3, 1, 2]), np.ones((3, DIM), np.float32))
    (found,) = people.search(np.zeros((1, DIM)))
    np.testing.assert_array_equal(numbers(found), [1, 2, 3])


def test_writing_a_path_again_replaces_its_row(filled):
    people, features = filled
    people.write(make_rows([7, 50], modified=2), np.full((2, DIM), 9, np.float32))
    assert len(people) == 51
    (found,) = people.search(np.full((1, DIM), 9), top=3)
    assert sorted(numbers(found)[:2]) == [7, 50] and found.distance[2] > 1
    assert people.rows(["modified"], "path = '/people/7.jpg'").modified.tolist() == [2]
    np.testing.assert_array_equal(people.feature(["/people/50.jpg", Path("/people/8.jpg")])[1], features[8])
    with pytest.raises(InputError, match=r"people\.lance does not hold /people/none\.jpg\."):
        people.feature(["/people/8.jpg", "/people/none.jpg"])


def bytes_below(folder):
    return b"\0".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_what_is_removed_is_in_no_file_any_more(filled, tmp_path):
    people, features = filled
    people.tidy()  # one file, of which one row is too little for LanceDB to write it anew by itself
    assert features[7].tobytes() in bytes_below(tmp_path)
    assert people.remove("path = '/people/7.jpg'") == 1
    after = bytes_below(tmp_path)
    assert features[7].tobytes() not in after and b"/people/7.jpg" not in after
    assert features[8].tobytes() in after
    assert len(Database(people.path)) == 49
    assert people.remove("path = '/people/7.jpg'") == 0
    left = [i for i in range(31) if i % 3 != 1]
    assert people.remove("camid = 1 or time > timestamp '2026-11-24 08:30:00'") == 49 - len(left)
    assert numbers(people.rows(["path"])).tolist() == left
    assert Database(people.path).fingerprint == "aa"


def test_a_removal_that_was_interrupted_is_finished_by_the_same_call(filled, tmp_path, monkeypatch):
    people, features = filled
    people.tidy()
    with monkeypatch.context() as patch:
        patch.setattr(people._connection, "create_table", lambda *_, **__: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(InputError, match=r"Cannot write .*full"):
            people.remove("path = '/people/7.jpg'")
    assert features[7].tobytes() in bytes_below(tmp_path) and len(people) == 49
    assert Database(people.path).remove("path = '/people/7.jpg'") == 0
    assert features[7].tobytes() not in bytes_below(tmp_path)
    assert features[8].tobytes() in bytes_below(tmp_path)


def test_a_removal_that_was_interrupted_is_finished_by_whoever_tidies(filled, tmp_path, monkeypatch):
    people, features = filled
    people.tidy()
    assert people.tidied
    with monkeypatch.context() as patch, pytest.raises(InputError, match=r"Cannot write .*full"):
        patch.setattr(people._connection, "create_table", lambda *_, **__: (_ for _ in ()).throw(OSError("full")))
        people.remove("path = '/people/7.jpg'")
    assert not Database(people.path).tidied
    Database(people.path).tidy()
    after = bytes_below(tmp_path)
    assert features[7].tobytes() not in after and b"/people/7.jpg" not in after and features[8].tobytes() in after
    assert Database(people.path).tidied and len(Database(people.path)) == 49


def test_all_can_be_removed_and_the_database_still_be_used(filled):
    people, features = filled
    assert people.remove("true") == 50
    with pytest.raises(InputError, match="has no pictures"):
        people.search(features[:1])
    people.write(make_rows([0]), features[:1])
    assert len(people) == 1


def test_what_could_not_be_written_is_known_before_any_feature(tmp_path):
    people = Database.create(tmp_path / "people.lance", MODEL, make_rows([1]))
    assert Database.find(people.path, MODEL, make_rows([99])).path == people.path
    with pytest.raises(InputError, match=r"other types of columns than these pictures \(.*\): index them into another"):
        Database.find(people.path, MODEL, make_rows([99], camid="lobby"))
    with pytest.raises(InputError, match=r"other types of columns"):
        Database.find(people.path, MODEL, make_rows([99], camid=1.5))
    (tmp_path / "file.lance").write_text("no database")
    with pytest.raises(InputError, match=r"file\.lance"):
        Database.find(tmp_path / "file.lance", MODEL, make_rows([]))
    assert Database.find(tmp_path / "new.lance", MODEL, make_rows([])) is None
    with pytest.raises(InputError, match="A column cannot be kept in a database: size holds struct"):
        Database.find(tmp_path / "new.lance", MODEL, make_rows([1]).assign(size=[{"height": 1}]))


def test_there_may_be_more_to_find_than_there_is(filled):
    people, features = filled
    assert len(people.search(features[:1], top=2**40)[0]) == 50
    begun = people._all(["path"], None)  # as of a page, while another thread of it sees what is new
    Database(people.path).write(make_rows([60]), features[:1])
    people.refresh()
    assert begun.to_arrow().num_rows == 51


def test_what_is_open_goes_on_where_another_process_tidied(filled):
    people, features = filled
    copies = [Database(people.path) for _ in range(3)]
    for more in range(50, 80, 10):
        people.write(make_rows(range(more, more + 10)), make_features(10, seed=more))
        people.tidy()
        for use in (  # each by one that has not seen the new version yet
            lambda held: len(held.search(features[:1], "camid != 7", top=100)[0]),
            lambda held: len(held.rows(["path"])),
            lambda held: sum(len(paths) for paths, _ in held.features()),
        ):
            assert use(copies.pop()) == more + 10
        copies = [Database(people.path) for _ in range(3)]
        for copy in copies:
            copy.search(features[:1])


def test_another_model_in_its_place_is_not_searched_with_the_former_ones_features(filled):
    people, features = filled
    shutil.rmtree(people.path)
    other = Database.create(people.path, SimpleNamespace(name="b", fingerprint="bb", feature_dim=DIM), make_rows([]))
    for part in range(12):  # more versions than the former had
        other.write(make_rows([part]), features[[part]])
    for use in (
        people.refresh,
        lambda: people.search(features[:1]),
        lambda: people.write(make_rows([5]), features[:1]),
    ):
        with pytest.raises(InputError, match="is of another model than when it was opened: open it again"):
            use()
    assert len(other) == 12


def test_rows_that_were_never_known_are_kept_by_a_condition_on_them(tmp_path):
    rows = make_rows([0, 1, 2]).assign(camid=pd.array([1, None, 3], dtype="Int64"))
    people = Database.create(tmp_path / "people.lance", MODEL, rows)
    people.write(rows, make_features(3))
    assert people.remove("camid = 3") == 1
    assert numbers(people.rows(["path"])).tolist() == [0, 1]


def test_above_its_size_an_index_is_searched_which_also_has_what_came_later(filled, monkeypatch):
    monkeypatch.setattr(database, "EXACT_ROWS", 100)
    monkeypatch.setattr(database, "LISTS_SEARCHED", 0.4)  # of three lists one; much shorter ones LanceDB would join
    people, first = filled
    added = make_features(6000, seed=2)
    people.write(make_rows(range(100, 6100)), added)
    people.tidy()
    assert people._table.list_indices()
    queries = make_features(20, seed=3)
    exact = people.search(queries, exact=True)
    distances = np.linalg.norm(queries[:, None] - np.concatenate([first, added]), axis=-1)
    nearest = np.concatenate([np.arange(50), np.arange(100, 6100)])[np.argsort(distances)[:, :20]]
    assert [numbers(found).tolist() for found in exact] == nearest.tolist()
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


@pytest.mark.parametrize("among", [3, 40, 500])
def test_what_a_condition_leaves_is_found_wherever_it_is_in_the_index(filled, monkeypatch, among):
    monkeypatch.setattr(database, "EXACT_ROWS", 100)
    monkeypatch.setattr(database, "LISTS_SEARCHED", 0.4)  # of three lists one
    people, first = filled
    features = np.concatenate([first, make_features(6000, seed=2)])
    people.write(make_rows(range(50, 6050)), features[50:])
    people.tidy()
    assert people._table.list_indices()
    top = 100
    for seed, query in enumerate(make_features(20, seed=3)):
        chosen = np.random.default_rng(seed).choice(6050, among, replace=False)
        where = "path in ({})".format(", ".join(f"'/people/{i}.jpg'" for i in chosen))
        (found,) = people.search(query[None], where, top)
        distances = np.linalg.norm(features - query, axis=-1)
        assert numbers(found).tolist() == chosen[np.argsort(distances[chosen])][:top].tolist()
        np.testing.assert_allclose(found.distance, distances[numbers(found)], rtol=1e-4)


def test_a_calibration_is_kept_and_replaced_and_refused(filled):
    people, features = filled
    assert people.calibration is None
    made = Calibration(MODEL.fingerprint, 6.0, -4.0, "doors", 30, 90, 2000, 0.1)
    for calibration in (made, dataclasses.replace(made, dataset="halls")):
        people.calibrate(calibration)
        assert people.calibration == Database(people.path).calibration == calibration
    with pytest.raises(InputError, match=r"is of another network \(bb\) than this one \(aa\)"):
        people.calibrate(dataclasses.replace(made, fingerprint="bb"))
    people.write(make_rows([100]), features[:1])
    people.remove("path = '/people/1.jpg'")
    assert Database(people.path).calibration.dataset == "halls", "also after all rows were written anew"
    assert numbers(Database(people.path).search(features[:1], top=2)[0]).tolist() == [0, 100]
    text = '{"format": 9}'
    people._table.update_field_metadata({"path": "feature", "metadata": {database.CALIBRATION: text}})
    with pytest.raises(FormatError, match="is of format 9"):
        Database(people.path).calibration  # noqa: B018


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("camid ! 3", "The condition 'camid ! 3' cannot be used: it is not one whole condition at '!'"),
        ("camera = 3", "there is no column camera; the columns are path, bytes, modified, camid, time"),
        ("camid", "cannot be used"),
        ("path = 3 +", "cannot be used"),
        ("camid = 99", "has no pictures for which 'camid = 99' holds"),
        ("'", "cannot be used"),
    ],
)
def test_filters_that_cannot_be_used_or_leave_nothing(filled, where, words):
    people, features = filled
    with pytest.raises(InputError, match=words) as error:
        people.search(features[:1], where)
    assert "\n" not in str(error.value) and ".rs" not in str(error.value)
    if "99" not in where:
        with pytest.raises(InputError, match=words):
            people.remove(where)
        assert len(people) == 50


def test_the_features_of_another_network_are_refused(filled):
    people, _ = filled
    for other in ({"fingerprint": "bb"}, {"feature_dim": 16}):
        model = SimpleNamespace(**{**vars(MODEL), **other})
        with pytest.raises(InputError, match="holds features of runs/a"):
            Database.find(people.path, model, make_rows([]))
    assert len(Database.find(people.path, MODEL, make_rows([]))) == 50
    with pytest.raises(InputError, match="has the columns"):
        Database.find(people.path, MODEL, make_rows([], coat="red"))


def test_other_columns_or_types_are_refused(filled):
    people, features = filled
    with pytest.raises(InputError, match="has the columns path, bytes, modified, camid, time, and these pictures"):
        people.write(make_rows([1], coat="red"), features[:1])
    with pytest.raises(InputError, match="has other types of columns"):
        people.write(make_rows([1], camid="gate"), features[:1])
    assert len(people) == 50


def test_features_that_are_not_finite_are_refused(filled):
    people, _ = filled
    with pytest.raises(InputError, match="not finite"):
        people.write(make_rows([60]), np.full((1, DIM), np.nan, np.float32))
    with pytest.raises(InputError, match="not finite"):
        people.search(np.full((1, DIM), np.inf))
    assert len(people) == 50


def test_a_database_that_was_removed_meanwhile(filled):
    people, features = filled
    shutil.rmtree(people.path)
    for action in (people.refresh, lambda: people.search(features[:1]), lambda: people.rows(["path"])):
        with pytest.raises(InputError, match="cannot be read, or was removed") as error:
            action()
        assert ".rs" not in str(error.value)


def test_it_is_for_its_owner_alone_and_may_be_named_as_a_folder(filled):
    people, _ = filled
    assert Path(people.path).stat().st_mode & 0o077 == 0
    assert len(Database(f"{people.path}/")) == 50


def test_further_columns_keep_their_types(tmp_path):
    rows = make_rows([0, 1], coat=["red", None], height=[1.7, 1.8], pid=[4, 5], known=[True, False])
    people = Database.create(tmp_path / "people.lance", MODEL, rows)
    people.write(rows, make_features(2))
    assert people.columns == list(rows.columns)
    assert people.rows(["pid"]).pid.dtype == "Int64"
    assert people.rows(["coat"], "coat = 'red' and height < 1.75 and pid = 4 and known").coat.tolist() == ["red"]


@pytest.mark.parametrize("name", ["people", "people.db", "a b.lance", "'.lance", ".lance"])
def test_names_that_no_database_can_have(tmp_path, name):
    with pytest.raises(InputError, match=r"must end in \.lance"):
        Database.create(f"{tmp_path}/{name}", MODEL, make_rows([]))


def test_a_folder_that_is_no_database(tmp_path):
    with pytest.raises(InputError, match="is not a database of features: make one with"):
        Database(tmp_path / "none.lance")
    (tmp_path / "other.lance").mkdir()
    (tmp_path / "other.lance/thesis.tex").touch()
    with pytest.raises(InputError, match="is not a database of features"):
        Database(tmp_path / "other.lance")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"Cannot (open|make)"):
        Database.create(tmp_path / "file/people.lance", MODEL, make_rows([]))


def test_one_of_no_format_is_opened_and_one_of_a_newer_one_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "FORMAT", 2)
    Database.create(tmp_path / "newer.lance", MODEL, make_rows([]))
    monkeypatch.undo()
    with pytest.raises(FormatError, match=r"newer.lance is of format 2, and hacnn_tf .* reads formats up to 1: update"):
        Database(tmp_path / "newer.lance")
    with pytest.raises(FormatError):
        Database.find(tmp_path / "newer.lance", MODEL, make_rows([]))
    monkeypatch.setattr(database, "FORMAT_KEY", b"unknown")  # as of before there was one
    Database.create(tmp_path / "former.lance", MODEL, make_rows([]))
    monkeypatch.undo()
    assert Database(tmp_path / "former.lance").fingerprint == MODEL.fingerprint


def test_without_lancedb_it_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(lance, "lancedb", None)
    with pytest.raises(InputError, match=r'pip install -c constraints.txt -e "\.\[search\]"'):
        Database(tmp_path / "people.lance")


def test_writers_of_the_same_new_pictures_leave_one_row_of_each(tmp_path):
    rows, features = make_rows(np.arange(50)), make_features(50)
    Database.create(tmp_path / "people.lance", MODEL, rows)
    writers = [Database(tmp_path / "people.lance") for _ in range(4)]
    together = threading.Barrier(len(writers))

    def write(people):
        together.wait()
        people.write(rows, features)

    with ThreadPoolExecutor(len(writers)) as pool:
        list(pool.map(write, writers))
    assert sorted(Database(tmp_path / "people.lance").rows(["path"]).path) == sorted(rows.path)


def test_tidying_beside_writers_loses_nothing(tmp_path):
    Database.create(tmp_path / "people.lance", MODEL, make_rows([]))
    parts = np.split(np.arange(160), 16)

    def write(number):
        people = Database(tmp_path / "people.lance")
        for part in parts[number::2]:
            people.write(make_rows(part), make_features(len(part)))

    def tidy(_):
        people = Database(tmp_path / "people.lance")
        for _ in range(8):
            people.tidy()

    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(write, 0), pool.submit(write, 1), pool.submit(tidy, 2)]:
            done.result()
    found = Database(tmp_path / "people.lance").rows(["path", "feature"])
    assert sorted(found.path) == sorted(make_rows(np.arange(160)).path)


def test_a_write_waits_for_another_and_then_says_that_it_goes_on(filled, monkeypatch):
    people, _ = filled
    monkeypatch.setattr(lock, "WRITE_WAIT", 0.2)
    with ThreadPoolExecutor(1) as pool, writing(people.path):
        people.write(make_rows([50]), make_features(1))  # of the thread that holds it
        with pytest.raises(InputError, match=r"people\.lance is being written by process"):
            pool.submit(people.write, make_rows([51]), make_features(1)).result()
    people.write(make_rows([51]), make_features(1))
    assert len(people) == 52


def test_home_and_file_urls_are_one_place_for_lancedb_and_us(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for path, name in (("~/a.lance", "a.lance"), (f"file://{tmp_path}/b.lance", "b.lance")):
        made = Database.create(path, MODEL, make_rows([]))
        assert made.path == str(tmp_path / name)
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o700
        assert Database.find(path, MODEL, make_rows([])).path == made.path
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.lance", "b.lance"]
    assert check_path("s3://~/people.lance") == ("s3://~", "people")


def test_a_fork_is_told_at_once(filled):
    known, features = filled
    words = "was in use before this process was forked, and its threads did not come along: open models and databases"
    for call in (
        lambda: len(known),
        lambda: known.columns,
        known.refresh,
        known.tidy,
        lambda: known.tidied,
        lambda: known.rows(["path"]),
        lambda: known.feature(["/people/1.jpg"]),
        lambda: known.search(features[:1]),
        lambda: known.write(make_rows([1]), features[:1]),
        lambda: known.remove("camid = 1"),
    ):
        assert in_fork(call).startswith(f"InputError: The database {known.path} {words}")
    assert in_fork(lambda: Database(known.path)).startswith(f"InputError: LanceDB {words}")
    assert len(known) == 50


def test_arrays_that_came_from_another_process_may_lie_anywhere_in_memory(filled):
    people, _ = filled
    buffers: list[pickle.PickleBuffer] = []
    content = pickle.dumps((make_rows([50, 51]), make_features(2)), protocol=5, buffer_callback=buffers.append)
    moved = [memoryview(bytearray(b"x" + buffer.raw()))[1:] for buffer in buffers]
    rows, features = pickle.loads(content, buffers=moved)
    assert not features.flags.aligned
    people.write(rows, features)
    np.testing.assert_array_equal(people.feature(rows.path), features)


def test_numbers_with_gaps_are_the_same_texts(tmp_path):
    rows = make_rows([0, 1], camid=["north", "1"])
    people = Database.create(tmp_path / "people.lance", MODEL, rows)
    people.write(rows, make_features(2))
    people.write(make_rows([2, 3]).assign(camid=pd.array([1, None], "Int64")), make_features(2))
    assert people.count("camid = '1'") == 2


@pytest.mark.parametrize("shape", [(2, DIM // 2), (1, DIM), (2, DIM, 1), (DIM,)])
def test_features_of_another_shape_are_refused(filled, shape):
    people, _ = filled
    with pytest.raises(InputError, match=rf"2 pictures need features \(2, {DIM}\), not"):
        people.write(make_rows([60, 61]), np.zeros(shape, np.float32))
    assert len(people) == 50


def test_what_a_search_cannot_be(filled):
    people, features = filled
    for query, top in ((features[0], 5), (features[:1, :3], 5), (features[:1], 0)):
        with pytest.raises(InputError, match=rf"A search takes features \(q, {DIM}\) and a top of at least 1"):
            people.search(query, top=top)
    with pytest.raises(InputError, match=r"cannot be written twice at once: /people/7\.jpg"):
        people.write(make_rows([7, 8, 7]), features[:3])


def test_a_link_has_the_lock_of_what_it_leads_to(filled, tmp_path, monkeypatch):
    people, _ = filled
    monkeypatch.setattr(lock, "WRITE_WAIT", 0.1)
    (tmp_path / "link.lance").symlink_to("people.lance")
    with ThreadPoolExecutor(1) as pool, writing(people.path), pytest.raises(InputError, match="being written"):
        pool.submit(Database(tmp_path / "link.lance").write, make_rows([50]), make_features(1)).result()


def test_a_fork_meanwhile_does_not_keep_the_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "WRITE_WAIT", 0.2)
    with writing(tmp_path / "people.lance"):
        child = os.fork()
        if not child:
            time.sleep(5)
            os._exit(0)
    with writing(tmp_path / "people.lance"):
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
