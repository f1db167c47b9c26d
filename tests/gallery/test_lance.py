"""LanceDB's table: what is none, what others do to one that is open, and nothing left of what was removed."""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from hacnn_tf.utils import files, startup
from hacnn_tf.utils.errors import FormatError, InputError
from tests.conftest import in_fork
from tests.gallery.conftest import DIM, MODEL, bytes_below, make_features, make_rows, numbers

pytest.importorskip("lancedb", reason='needs the extra "search"')

from hacnn_tf.gallery import Database, database, lance
from hacnn_tf.gallery.database import MOST_VERSIONS
from hacnn_tf.gallery.naming import check_path


@pytest.mark.parametrize("name", ["people", "people.db", "a b.lance", "'.lance", ".lance"])
def test_names_that_no_database_can_have(tmp_path, name):
    with pytest.raises(InputError, match=r"must end in \.lance"):
        Database.create(f"{tmp_path}/{name}", MODEL, make_rows([]))


def test_a_folder_that_is_no_database(tmp_path):
    with pytest.raises(InputError, match="is not a database of features: make one with"):
        Database(tmp_path / "none.lance")
    (tmp_path / "other.lance").mkdir()
    (tmp_path / "other.lance/thesis.tex").touch()
    for opened in (Database, lambda path: Database.find(path, MODEL, make_rows([]))):
        with pytest.raises(InputError, match="is not a database of features"):
            opened(tmp_path / "other.lance")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"Cannot (open|make)"):
        Database.create(tmp_path / "file/people.lance", MODEL, make_rows([]))


def test_one_of_no_format_is_opened_and_one_of_a_newer_one_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(lance, "FORMAT", 2)
    Database.create(tmp_path / "newer.lance", MODEL, make_rows([]))
    monkeypatch.undo()
    with pytest.raises(FormatError, match=r"newer.lance is of format 2, and hacnn_tf .* reads formats up to 1: update"):
        Database(tmp_path / "newer.lance")
    with pytest.raises(FormatError):
        Database.find(tmp_path / "newer.lance", MODEL, make_rows([]))
    monkeypatch.setattr(lance, "FORMAT_KEY", b"unknown")  # as of before there was one
    Database.create(tmp_path / "former.lance", MODEL, make_rows([]))
    monkeypatch.undo()
    assert Database(tmp_path / "former.lance").fingerprint == MODEL.fingerprint


def test_one_that_does_not_say_how_images_were_read_is_of_the_first_version(tmp_path, monkeypatch):
    assert Database.create(tmp_path / "now.lance", MODEL, make_rows([])).outdated is None
    monkeypatch.setattr(lance, "DECODER", b"unknown")  # as of before it did
    Database.create(tmp_path / "former.lance", MODEL, make_rows([]))
    monkeypatch.undo()
    assert "decoded JPEGs less exactly" in Database(tmp_path / "former.lance").outdated


def test_without_lancedb_it_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(lance, "lancedb", None)
    with pytest.raises(InputError, match=r'pip install -c constraints.txt -e "\.\[search\]"'):
        Database(tmp_path / "people.lance")
    monkeypatch.setattr(startup, "CHECKOUT", tmp_path)  # no checkout, as of a wheel
    with pytest.raises(InputError, match=r"needs: install hacnn_tf with its extra \[search\]\."):
        Database(tmp_path / "people.lance")


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


def test_it_is_for_its_owner_alone_and_may_be_named_as_a_folder(filled):
    people, _ = filled
    assert Path(people.path).stat().st_mode & 0o077 == 0
    assert len(Database(f"{people.path}/")) == 50


def test_a_fork_is_told_at_once(filled):
    known, features = filled
    words = "was in use before this process was forked, and its threads did not come along: open models and databases"
    for call in (
        lambda: len(known),
        lambda: known.columns,
        known.refresh,
        known.tidy,
        lambda: known.untidy,
        lambda: known.rows(["path"]),
        lambda: known.feature(["/people/1.jpg"]),
        lambda: known.search(features[:1]),
        lambda: known.write(make_rows([1]), features[:1]),
        lambda: known.remove("camid = 1"),
    ):
        assert in_fork(call).startswith(f"InputError: The database {known.path} {words}")
    assert in_fork(lambda: Database(known.path)).startswith(f"InputError: LanceDB {words}")
    assert len(known) == 50


def test_there_may_be_more_to_find_than_there_is(filled):
    people, features = filled
    assert len(people.search(features[:1], top=2**40)[0]) == 50
    begun = people._table.query(["path"])  # as of a page, while another thread of it sees what is new
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


def test_what_is_read_may_be_tidied_away_time_and_again(filled):
    people, _ = filled
    table, other, fails = people._table, Database(people.path), [OSError("gone")] * 4

    def read():
        if fails:
            other.write(make_rows([60 + len(fails)]), make_features(1))
            raise fails.pop()
        return 5

    assert table.read(read) == 5
    fails += [OSError("gone")] * 5
    with pytest.raises(InputError, match=r"people\.lance cannot be read, or was removed: gone"):
        table.read(read)


def test_what_cannot_be_read_is_not_tried_again_where_nothing_is_new(filled):
    tried = []

    def read():
        tried.append(1)
        raise OSError("bad")

    with pytest.raises(InputError, match="bad"):
        filled[0]._table.read(read)
    assert len(tried) == 2


def test_another_model_in_its_place_is_not_searched_with_the_former_ones_features(filled):
    people, features = filled
    shutil.rmtree(people.path)
    other = Database.create(
        people.path, SimpleNamespace(name="b", fingerprint="bb", feature_dim=DIM, precision="float32"), make_rows([])
    )
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


def test_one_that_was_made_anew_with_fewer_versions_is_seen(filled):
    """As of a backup: the number of the version says nothing then."""
    people, features = filled
    for part in range(12):
        people.write(make_rows([part]), features[[part]])
    people.search(features[:1])
    shutil.rmtree(people.path)
    other = Database.create(people.path, MODEL, make_rows([]))
    other.write(make_rows([70]), features[:1])
    assert numbers(people.rows(["path"])).tolist() == [70]
    people.refresh()
    assert numbers(people.search(features[:1])[0]).tolist() == [70]
    people.write(make_rows([71]), features[:1])
    assert len(people) == len(Database(people.path)) == 2


def test_a_database_that_was_removed_meanwhile(filled):
    people, features = filled
    shutil.rmtree(people.path)
    for action in (people.refresh, lambda: people.search(features[:1]), lambda: people.rows(["path"])):
        with pytest.raises(InputError, match="cannot be read, or was removed") as error:
            action()
        assert ".rs" not in str(error.value)


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


def test_what_does_not_fit_in_memory_is_for_its_owner_alone(filled, monkeypatch):
    """LanceDB makes files that everybody may read, where an environment variable tells it to."""
    people, _ = filled
    monkeypatch.setattr("hacnn_tf.gallery.nearest.EXACT_ROWS", 10)
    made, build = [], database.build_index

    def building(table):
        folder = os.environ["TMPDIR"]
        made.append((folder, os.stat(folder).st_mode & 0o777))
        build(table)

    monkeypatch.setattr(database, "build_index", building)
    before = os.environ.get("TMPDIR")
    people.tidy()
    ((folder, mode),) = made
    assert folder.startswith(people.path) and mode == 0o700
    assert os.environ.get("TMPDIR") == before and not os.path.exists(folder)


def test_tidying_is_due_after_many_writes_and_leaves_one_version(filled):
    people, features = filled
    people.tidy()
    assert people._table.versions == 1 and not people.untidy
    for part in range(MOST_VERSIONS):
        assert not people.untidy
        people.write(make_rows([part]), features[[part]])
    assert people.untidy and not people.removing
    people.tidy()
    assert people._table.versions == 1 and not people.untidy and len(people) == 50


def test_what_is_written_is_on_the_disk_before_what_was_there_goes(filled, monkeypatch):
    """Or a power cut could leave neither."""
    people, features = filled
    people.tidy()
    kept, gone = set(), []
    to_disk = files._to_disk
    monkeypatch.setattr(files, "_to_disk", lambda path: (kept.add(Path(path)), to_disk(path)))
    optimize = type(people._table.lance).optimize

    def prune(self, *args, cleanup_older_than, **kwargs):
        if not cleanup_older_than:
            there = {path for path in Path(people.path).rglob("*") if path.is_file()}
            gone.append(there - kept - before)
        return optimize(self, *args, cleanup_older_than=cleanup_older_than, **kwargs)

    monkeypatch.setattr(type(people._table.lance), "optimize", prune)
    for use in (
        lambda: people.write(make_rows([60]), features[:1]),
        people.tidy,
        lambda: people.remove("path = '/people/7.jpg'"),
    ):
        before = {path for path in Path(people.path).rglob("*") if path.is_file()}
        use()
        now = {path for path in Path(people.path).rglob("*") if path.is_file()}
        assert now - before <= kept and now - before
    assert gone == [set(), set()]


def test_a_clock_that_was_ahead_is_said_and_not_that_all_is_gone(filled, monkeypatch):
    people, _ = filled
    people.tidy()
    ahead = [*range(2)]  # versions, as of writes that are later than now
    monkeypatch.setattr(type(people._table.lance), "list_versions", lambda _: ahead)
    with pytest.raises(InputError, match=r"is still in its files, which a clock that was ahead has dated"):
        people.remove("path = '/people/7.jpg'")
    monkeypatch.undo()
    assert people.remove("path = '/people/7.jpg'") == 0


def test_one_that_is_half_made_is_for_its_owner_alone_too(tmp_path, monkeypatch):
    modes = []

    def killed(*_, **__):
        modes.append((tmp_path / "people.lance").stat().st_mode & 0o777)
        raise OSError("killed")

    connection, _ = lance.connect(tmp_path / "people.lance")
    monkeypatch.setattr(type(connection), "create_table", killed)
    with pytest.raises(InputError, match="Cannot make"):
        Database.create(tmp_path / "people.lance", MODEL, make_rows([]))
    assert modes == [0o700]
    monkeypatch.undo()
    assert Database.find(tmp_path / "people.lance", MODEL, make_rows([])) is None
    assert len(Database.create(tmp_path / "people.lance", MODEL, make_rows([]))) == 0


def test_all_can_be_removed_and_the_database_still_be_used(filled):
    people, features = filled
    assert people.remove("true") == 50
    with pytest.raises(InputError, match="has no images"):
        people.search(features[:1])
    people.write(make_rows([0]), features[:1])
    assert len(people) == 1
