"""LanceDB's table: what is none, what others do to one that is open, and nothing left of what was removed."""

import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from hacnn_tf.utils import files, packages
from hacnn_tf.utils.errors import FormatError, InputError
from tests.conftest import in_fork
from tests.gallery.conftest import DIM, MODEL, make_features, make_rows, numbers

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
    monkeypatch.setattr(lance, "_missing", ModuleNotFoundError(name="nowhere"))
    with pytest.raises(InputError, match=r'pip install -c constraints.txt -e "\.\[search\]"'):
        Database(tmp_path / "people.lance")
    monkeypatch.setattr(packages, "CHECKOUT", tmp_path)  # no checkout, as of a wheel
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


def test_a_folder_that_was_there_is_for_its_owner_alone(tmp_path):
    (tmp_path / "people.lance").mkdir(mode=0o755)
    Database.create(tmp_path / "people.lance", MODEL, make_rows([]))
    assert (tmp_path / "people.lance").stat().st_mode & 0o777 == 0o700


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


def test_threads_that_tidy_have_temporary_folders_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    start = threading.Barrier(4)

    def tidy(name):
        (tmp_path / name).mkdir()
        start.wait()
        with lance.own_temporary(str(tmp_path / name)):
            before = os.environ["TMPDIR"]
            time.sleep(0.05)
            return before, os.environ["TMPDIR"]

    with ThreadPoolExecutor(4) as pool:
        for name, (before, after) in zip("abcd", pool.map(tidy, "abcd"), strict=True):
            assert before == after and Path(before).parent == tmp_path / name
    assert os.environ["TMPDIR"] == str(tmp_path)
