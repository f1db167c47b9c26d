"""Removing rows: nothing of them is left in the files, whatever stopped it or wrote meanwhile."""

import numpy as np
import pytest

from hacnn_tf.utils.errors import InputError
from tests.gallery.conftest import bytes_below, make_features, make_rows, numbers

pytest.importorskip("lancedb", reason='needs the extra "search"')

from hacnn_tf.gallery import Database, database, lance


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


def test_what_another_process_has_written_is_removed_too(filled):
    people, features = filled
    Database(people.path).write(make_rows([60, 61]), features[:2])
    assert people.remove("path in ('/people/7.jpg', '/people/60.jpg')") == 2
    assert sorted(numbers(Database(people.path).rows(["path"]))) == [*range(7), *range(8, 50), 61]


def interrupt_removal(people, monkeypatch):
    """Removes an image while the disk is full."""

    def full(*_, **__):
        raise OSError("full")

    with (
        monkeypatch.context() as patch,
        pytest.raises(InputError, match=r"are still in its files; make as much room again and repeat: full"),
    ):
        patch.setattr(people._table._connection, "create_table", full)
        people.remove("path = '/people/7.jpg'")


def test_a_removal_that_was_interrupted_is_finished_by_the_same_call(filled, tmp_path, monkeypatch):
    people, features = filled
    people.tidy()
    interrupt_removal(people, monkeypatch)
    assert features[7].tobytes() in bytes_below(tmp_path) and len(people) == 49
    assert Database(people.path).remove("path = '/people/7.jpg'") == 0
    assert features[7].tobytes() not in bytes_below(tmp_path)
    assert features[8].tobytes() in bytes_below(tmp_path)


def test_a_removal_that_was_interrupted_is_finished_by_whoever_tidies(filled, tmp_path, monkeypatch):
    people, features = filled
    people.tidy()
    assert not people.removing
    interrupt_removal(people, monkeypatch)
    assert Database(people.path).removing and Database(people.path).untidy
    Database(people.path).tidy()
    after = bytes_below(tmp_path)
    assert features[7].tobytes() not in after and b"/people/7.jpg" not in after and features[8].tobytes() in after
    assert not Database(people.path).removing and len(Database(people.path)) == 49


def test_a_removal_that_was_interrupted_under_0_3_0_is_finished_too(filled, tmp_path):
    people, features = filled
    people.tidy()

    def unmark():  # as 0.3.0 left it
        people._table.lance.update_field_metadata({"path": lance.FEATURE, "metadata": {lance.REMOVING: None}})

    unmark()
    people._table.lance.delete("path = '/people/7.jpg'")
    assert Database(people.path).removing and features[7].tobytes() in bytes_below(tmp_path)
    Database(people.path).tidy()
    assert features[7].tobytes() not in bytes_below(tmp_path) and len(Database(people.path)) == 49
    people = Database(people.path)
    people.write(make_rows([8]), make_features(1))  # which replaces a row, and is no removal
    assert not people.removing and not Database(people.path).removing


def test_a_removal_that_was_interrupted_in_a_bucket_is_finished_too(filled, tmp_path, monkeypatch):
    people, features = filled
    for module in (lance, database):
        monkeypatch.setattr(module, "in_bucket", lambda _: True)
    people.tidy()
    interrupt_removal(people, monkeypatch)
    assert Database(people.path).removing and features[7].tobytes() in bytes_below(tmp_path)
    Database(people.path).tidy()
    assert features[7].tobytes() not in bytes_below(tmp_path) and not Database(people.path).removing


def test_a_removal_that_was_interrupted_before_former_versions_went_is_finished_too(filled, tmp_path, monkeypatch):
    people, features = filled
    table, optimize = type(people._table.lance), type(people._table.lance).optimize

    def prune_fails(self, *args, cleanup_older_than, **kwargs):
        if not cleanup_older_than:
            raise OSError("killed")
        return optimize(self, *args, cleanup_older_than=cleanup_older_than, **kwargs)

    with monkeypatch.context() as patch, pytest.raises(InputError, match="killed"):
        patch.setattr(table, "optimize", prune_fails)
        people.remove("path = '/people/7.jpg'")
    assert features[7].tobytes() in bytes_below(tmp_path) and Database(people.path).removing
    Database(people.path).tidy()
    assert features[7].tobytes() not in bytes_below(tmp_path) and not Database(people.path).removing


def test_what_was_killed_while_it_wrote_leaves_nothing(filled, tmp_path):
    people, features = filled
    (tmp_path / "people.lance/data/.tmpn1RcFz").write_bytes(b"left")  # as LanceDB calls what it is writing
    (tmp_path / "people.lance/.tmpabc").mkdir()
    (tmp_path / "people.lance/.tmpabc/spill").write_bytes(b"left")
    assert people.remove("path = '/people/7.jpg'") == 1
    assert b"left" not in bytes_below(tmp_path) and not list(tmp_path.rglob(".tmp*"))
    np.testing.assert_array_equal(people.feature(["/people/8.jpg"])[0], features[8])


def test_of_a_bucket_nothing_is_taken_that_another_may_be_writing(filled, monkeypatch):
    people, asked = filled[0], []
    table = type(people._table.lance)
    optimize = table.optimize

    def remember(lance_table, **how):
        asked.append(how.get("delete_unverified"))
        return optimize(lance_table, **how)

    monkeypatch.setattr(table, "optimize", remember)
    people.tidy()
    for module in (lance, database):
        monkeypatch.setattr(module, "in_bucket", lambda _: True)
    people.tidy()
    assert asked == [None, True, None, False]


def test_a_clock_that_was_ahead_is_said_and_not_that_all_is_gone(filled, monkeypatch):
    people, _ = filled
    people.tidy()
    ahead = [*range(2)]  # versions, as of writes that are later than now
    monkeypatch.setattr(type(people._table.lance), "list_versions", lambda _: ahead)
    with pytest.raises(InputError, match=r"is still in its files, which a clock that was ahead has dated"):
        people.remove("path = '/people/7.jpg'")
    monkeypatch.undo()
    assert people.remove("path = '/people/7.jpg'") == 0


def test_all_can_be_removed_and_the_database_still_be_used(filled):
    people, features = filled
    assert people.remove("true") == 50
    with pytest.raises(InputError, match="has no images"):
        people.search(features[:1])
    people.write(make_rows([0]), features[:1])
    assert len(people) == 1
