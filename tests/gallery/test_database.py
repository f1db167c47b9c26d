"""The database: one transaction a write, columns that keep their types, and bad input refused before it is written."""

import dataclasses
import pickle
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from hacnn_tf.evaluation.calibration import Calibration
from hacnn_tf.utils.errors import FormatError, InputError
from tests.gallery.conftest import DIM, MODEL, make_features, make_rows, numbers

pytest.importorskip("lancedb", reason='needs the extra "search"')

from hacnn_tf.gallery import Database, database, lance


def test_a_model_that_was_moved_is_asked_for(tmp_path):
    (tmp_path / "run").mkdir()
    model = SimpleNamespace(name=str(tmp_path / "run"), fingerprint="aa", feature_dim=DIM, precision="float32")
    people = Database.create(tmp_path / "people.lance", model, make_rows([]))
    (tmp_path / "run").rmdir()
    with pytest.raises(InputError, match=f"was indexed with {tmp_path}/run, which is not there: .* with --model"):
        people.load_model()


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


def test_what_could_not_be_written_is_known_before_any_feature(tmp_path):
    people = Database.create(tmp_path / "people.lance", MODEL, make_rows([1]))
    assert Database.find(people.path, MODEL, make_rows([99])).path == people.path
    with pytest.raises(InputError, match=r"other types of columns than these images \(.*\): index them into another"):
        Database.find(people.path, MODEL, make_rows([99], camid="lobby"))
    with pytest.raises(InputError, match=r"other types of columns"):
        Database.find(people.path, MODEL, make_rows([99], camid=1.5))
    (tmp_path / "file.lance").write_text("no database")
    with pytest.raises(InputError, match=r"file\.lance"):
        Database.find(tmp_path / "file.lance", MODEL, make_rows([]))
    assert Database.find(tmp_path / "new.lance", MODEL, make_rows([])) is None
    with pytest.raises(InputError, match="A column cannot be kept in a database: size holds struct"):
        Database.find(tmp_path / "new.lance", MODEL, make_rows([1]).assign(size=[{"height": 1}]))


def test_rows_that_were_never_known_are_kept_by_a_condition_on_them(tmp_path):
    rows = make_rows([0, 1, 2]).assign(camid=pd.array([1, None, 3], dtype="Int64"))
    people = Database.create(tmp_path / "people.lance", MODEL, rows)
    people.write(rows, make_features(3))
    assert people.remove("camid = 3") == 1
    assert numbers(people.rows(["path"])).tolist() == [0, 1]


def test_a_calibration_is_kept_and_replaced_and_refused(filled):
    people, features = filled
    assert people.calibration is None
    made = Calibration(MODEL.fingerprint, 6.0, -4.0, "doors", 30, 90, 2000, 0.1)
    for calibration in (made, dataclasses.replace(made, dataset="halls")):
        people.keep_calibration(calibration)
        assert people.calibration == Database(people.path).calibration == calibration
    with pytest.raises(InputError, match=r"is of another network \(bb\) than this one \(aa\)"):
        people.keep_calibration(dataclasses.replace(made, fingerprint="bb"))
    people.write(make_rows([100]), features[:1])
    people.remove("path = '/people/1.jpg'")
    assert Database(people.path).calibration.dataset == "halls", "also after all rows were written anew"
    assert numbers(Database(people.path).search(features[:1], top=2)[0]).tolist() == [0, 100]
    text = '{"format": 9}'
    people._table.lance.update_field_metadata({"path": "feature", "metadata": {database.CALIBRATION: text}})
    with pytest.raises(FormatError, match="is of format 9"):
        Database(people.path).calibration  # noqa: B018


def test_the_features_of_another_network_are_refused(filled):
    people, _ = filled
    for other in ({"fingerprint": "bb"}, {"feature_dim": 16}):
        model = SimpleNamespace(**{**vars(MODEL), **other})
        with pytest.raises(InputError, match="holds features of runs/a"):
            Database.find(people.path, model, make_rows([]))
    assert len(Database.find(people.path, MODEL, make_rows([]))) == 50
    with pytest.raises(InputError, match="has the columns"):
        Database.find(people.path, MODEL, make_rows([], coat="red"))


def test_int8_is_not_mixed_with_others(filled, tmp_path, monkeypatch):
    int8 = SimpleNamespace(**{**vars(MODEL), "precision": "int8"})
    with pytest.raises(InputError, match="indexed in float32, and runs/a computes in int8, whose distances differ"):
        Database.find(filled[0].path, int8, make_rows([]))
    monkeypatch.setattr(lance, "PRECISION", b"unknown")  # as of before it was kept
    former = Database.create(tmp_path / "former.lance", MODEL, make_rows([]))
    monkeypatch.undo()
    assert Database.find(former.path, int8, make_rows([])).precision == ""
    shutil.rmtree(former.path)
    Database.create(former.path, SimpleNamespace(**{**vars(int8), "name": "runs/b"}), make_rows([]))
    former.refresh()
    assert former.precision == "int8" and former.preset.endswith("runs/b"), "it was made anew while it was open"
    with pytest.raises(InputError, match="indexed in int8, and runs/a computes in float32"):
        former.check_precision(MODEL)


def test_one_without_rows_is_one_too(tmp_path):
    path, rows = tmp_path / "people.lance", make_rows([])
    assert Database.find(path, MODEL, rows) is None and Database.create(path, MODEL, rows)
    assert (Database.find(path, MODEL, rows) or Database.create(path, MODEL, rows)).count() == 0


def test_what_a_caller_gets_wrong_is_not_said_of_the_database(filled):
    people, features = filled
    pd.testing.assert_frame_equal(people.rows("path"), people.rows(["path"]))
    pd.testing.assert_frame_equal(people.rows(("path", "camid")), people.rows(["path", "camid"]))
    assert people.feature([]).shape == (0, DIM)
    for call, sentence in (
        (lambda: people.rows(["path", "door"]), "has no column door: it has path, bytes, modified, camid, time"),
        (lambda: people.search(features[:1], 5), "A condition is a text, as 'camid != 3', not 5"),
        (lambda: people.search(features[:1], top=2.5), "and a whole number from 1 as top, not .* and 2.5"),
    ):
        with pytest.raises(InputError, match=sentence):
            call()


@pytest.mark.parametrize("name", ["distance", "feature", "_distance", "_rowid"])
def test_columns_of_its_own_are_refused(tmp_path, name):
    for make in (Database.create, Database.find):
        with pytest.raises(InputError, match=f"The table has a column {name}, (which|and such names are LanceDB's)"):
            make(tmp_path / "people.lance", MODEL, make_rows([]).assign(**{"x": 1}).rename(columns={"x": name}))
    make(tmp_path / "people.lance", MODEL, make_rows([], images=1))
    with pytest.raises(InputError, match="The table has a column images, which a database has itself"):
        make(tmp_path / "people.lance", MODEL, make_rows([], images=1, track="a"))


def test_other_columns_or_types_are_refused(filled):
    people, features = filled
    with pytest.raises(InputError, match="has the columns path, bytes, modified, camid, time, and these images"):
        people.write(make_rows([1], coat="red"), features[:1])
    with pytest.raises(InputError, match="has other types of columns"):
        people.write(make_rows([1], camid="gate"), features[:1])
    assert len(people) == 50


@pytest.mark.parametrize("time", [1_795_000_000, 1_795_000_000.5, np.int64(1_795_000_000_000)])
def test_seconds_are_no_times(filled, time):
    rows = make_rows([60, 61])
    for times in (pd.Series([time] * 2), pd.Series([time] * 2, dtype=object), pd.Series([time, pd.NaT], dtype=object)):
        with pytest.raises(
            InputError, match=r"time holds numbers: pandas\.to_datetime with a unit makes times of them"
        ):
            filled[0].write(rows.assign(time=times), make_features(2))
    filled[0].write(rows.assign(time=pd.Series([pd.NaT] * 2, dtype=object)), make_features(2))


def test_features_that_are_not_finite_are_refused(filled):
    people, _ = filled
    with pytest.raises(InputError, match="not finite"):
        people.write(make_rows([60]), np.full((1, DIM), np.nan, np.float32))
    with pytest.raises(InputError, match="not finite"):
        people.search(np.full((1, DIM), np.inf))
    assert len(people) == 50


def test_rows_without_what_every_database_has_are_refused(tmp_path):
    for name in ("path", "camid", "time"):
        with pytest.raises(InputError, match=f"have no {name}: give each column, if empty"):
            Database.create(tmp_path / "less.lance", MODEL, make_rows([]).drop(columns=name))
        assert not list(tmp_path.glob("less*"))
    people = Database.create(tmp_path / "people.lance", MODEL, make_rows([]))
    with pytest.raises(InputError, match="path"):
        people.write(make_rows([60]).drop(columns="path"), make_features(1))


def test_further_columns_keep_their_types(tmp_path):
    rows = make_rows([0, 1], coat=["red", None], height=[1.7, 1.8], pid=[4, 5], known=[True, False])
    people = Database.create(tmp_path / "people.lance", MODEL, rows)
    people.write(rows, make_features(2))
    assert people.columns == list(rows.columns)
    assert people.rows(["pid"]).pid.dtype == "Int64"
    assert people.rows(["coat"], "coat = 'red' and height < 1.75 and pid = 4 and known").coat.tolist() == ["red"]


def test_writers_of_the_same_new_images_leave_one_row_of_each(tmp_path):
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


def test_arrays_that_came_from_another_process_may_lie_anywhere_in_memory(filled):
    people, _ = filled
    buffers: list[pickle.PickleBuffer] = []
    content = pickle.dumps((make_rows([50, 51]), make_features(2)), protocol=5, buffer_callback=buffers.append)
    moved = [memoryview(bytearray(b"x" + buffer.raw()))[1:] for buffer in buffers]
    rows, features = pickle.loads(content, buffers=moved)
    assert not features.flags.aligned
    people.write(rows, features)
    np.testing.assert_array_equal(people.feature(rows.path), features)


def test_one_that_took_01_for_a_number_goes_on_to(tmp_path):
    """As it was until a pattern's 01 became a name, beside 1."""
    people = Database.create(tmp_path / "people.lance", MODEL, make_rows([0]))
    rows = make_rows([0, 1, 2]).assign(camid=["01", "2", None])
    assert people.as_kept(rows).camid.tolist() == [1, 2, pd.NA]
    people.write(rows, make_features(3))
    assert people.count("camid = 1") == 1 and people.count("camid is null") == 1
    with pytest.raises(InputError, match="other types of columns"):
        people.write(make_rows([3]).assign(camid=["door"]), make_features(1))


def test_numbers_with_gaps_are_the_same_texts(tmp_path):
    rows = make_rows([0, 1], camid=["north", "1"])
    people = Database.create(tmp_path / "people.lance", MODEL, rows)
    people.write(rows, make_features(2))
    people.write(make_rows([2, 3]).assign(camid=pd.array([1, None], "Int64")), make_features(2))
    assert people.count("camid = '1'") == 2


@pytest.mark.parametrize("shape", [(2, DIM // 2), (1, DIM), (2, DIM, 1), (DIM,)])
def test_features_of_another_shape_are_refused(filled, shape):
    people, _ = filled
    with pytest.raises(InputError, match=rf"2 images need features \(2, {DIM}\), not"):
        people.write(make_rows([60, 61]), np.zeros(shape, np.float32))
    assert len(people) == 50


def test_one_path_cannot_be_written_twice_at_once(filled):
    people, features = filled
    with pytest.raises(InputError, match=r"cannot be written twice at once: /people/7\.jpg"):
        people.write(make_rows([7, 8, 7]), features[:3])
    assert len(people) == 50
