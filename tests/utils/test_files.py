"""Files: whole or not at all, also when the disk is full; locks that die with their process."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hacnn_tf.data import read_dataset
from hacnn_tf.data.custom import read_custom
from hacnn_tf.data.dataset import find_folder
from hacnn_tf.data.load import load_images
from hacnn_tf.paper.run_folders import RunFolders
from hacnn_tf.training.run_folder import RunFolder
from hacnn_tf.utils import files
from hacnn_tf.utils.errors import InputError


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_a_path_is_expanded_as_a_shell_does(home, monkeypatch):
    monkeypatch.chdir(home)
    for typed in ("~", "~/a b/x", "~root/x", "a/~/x", "./~/x", "x~", "/~", ""):
        shell = subprocess.run(["bash", "-c", f"echo {typed.replace(' ', '^')}"], capture_output=True, text=True)
        assert files.expanded(typed) == shell.stdout.rstrip("\n").replace("^", " "), typed
        assert files.expanded(Path(typed)) == files.expanded(str(Path(typed)))
    for other in ("s3://bucket/~/x.lance", "$HOME/x", "~x.jpg", "s3+ddb://b/x.lance?ddbTableName=t"):
        assert files.expanded(other) == other
    assert files.expanded("file:///tmp/a%20b.lance") == files.expanded("file:/tmp/a%20b.lance") == "/tmp/a b.lance"


def test_nobodys_home_is_no_folder_to_make(home, monkeypatch):
    monkeypatch.chdir(home)
    with pytest.raises(InputError, match="~nobody-of-that-name/x: ~nobody-of-that-name is nobody's home folder here"):
        files.expanded("~nobody-of-that-name/x")
    (home / "~nobody-of-that-name").mkdir()
    assert files.expanded("~nobody-of-that-name/x") == "~nobody-of-that-name/x"


def test_what_writes_expands(home):
    files.write_text("~/new/text", "there")
    assert (home / "new/text").read_text() == "there"
    with files.locked("~/new/lock"):
        assert (home / "new/lock").exists()
    with pytest.raises(InputError, match=f"{home}/new exists"):
        files.check_new_path("~/new")
    with pytest.raises(InputError, match=f"{home}/new/text is not a folder"):
        files.check_folder("~/new/text")


def test_what_reads_expands(small_data_root, small_run, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(small_data_root))
    whole = read_dataset("synthetic", small_data_root, allow_subset=True)
    assert read_dataset("synthetic", "~", allow_subset=True).table.equals(whole.table)
    people = read_dataset("folder:synthetic/detected", "~")
    assert people.table.equals(read_custom("~/synthetic/detected").table) and len(people.table) == 96
    assert find_folder(Path("~"), ["synthetic"], "", "") == small_data_root / "synthetic"
    monkeypatch.setenv("HOME", str(small_run.parent))
    run = RunFolder("~/small")
    assert run.path == small_run
    assert RunFolder.find("~/small", run.settings, run.read_dataset(small_data_root)).path == small_run
    assert [run.path for run in RunFolders("~").all()] == [small_run]
    monkeypatch.setenv("HOME", str(tmp_path))
    load_images(whole.split("query").path, (160, 64), cache_dir="~/cache")
    assert len(list(tmp_path.glob("cache/*.npy"))) == 1


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "file.txt"
    with files.atomic_write(path) as part:
        part.write_text("text")
        assert not path.exists()
    assert path.read_text() == "text"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


def test_a_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("before")
    with pytest.raises(RuntimeError), files.atomic_write(path) as part:
        part.write_text("half")
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]
    assert path.read_text() == "before"


def test_a_full_disk_is_one_sentence(tmp_path):
    def write():
        with files.atomic_write(tmp_path / "file.txt") as part:
            part.write_text("half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(InputError, match=r"Cannot write .*file.txt: No space left on device\."):
        write()
    assert not list(tmp_path.iterdir())


@pytest.fixture
def calls(monkeypatch):
    """What has been written to the disk or renamed, in order."""
    done, fsync, replace = [], os.fsync, os.replace

    def synced(file):
        done.append(("fsync", Path(os.readlink(f"/proc/self/fd/{file}")).name))
        fsync(file)

    def replaced(source, target):
        done.append(("replace", Path(target).name))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    return done


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads /proc")
def test_what_is_written_has_reached_the_disk_before_it_takes_its_place(tmp_path, calls):
    with files.atomic_write(tmp_path / "new/folder") as part:
        part.mkdir()
        (part / "inner.txt").write_text("text")
    names = {(kind, "part" if ".part" in name else name) for kind, name in calls[:2]}
    assert names == {("fsync", "part"), ("fsync", "inner.txt")}
    assert calls[2:] == [("replace", "folder"), ("fsync", "new")]


def test_leftovers_of_killed_processes_are_swept(tmp_path):
    script = (
        "import os, signal, sys; from hacnn_tf.utils import files\n"
        "with files.atomic_write(sys.argv[1]) as part: part.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    path = tmp_path / "file.txt"
    done = subprocess.run([sys.executable, "-c", script, path])
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1 and not path.exists()
    files.sweep(tmp_path, {"other"})
    assert len(list(tmp_path.iterdir())) == 1
    files.sweep(tmp_path, {"file"})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("url", ["file://users", "file://srv/users", "file:///users#1", "file:///users?1", "file://"])
def test_a_file_url_that_names_no_file_here_is_refused(url):
    with pytest.raises(InputError, match="is no file of this machine: write its path, or file:///PATH"):
        files.expanded(url)


def test_a_url_is_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for output in ("s3://bucket/run", Path("s3://bucket/run")):
        with pytest.raises(InputError, match="is a URL, and only databases may lie at one"):
            files.check_new_path(output)
    files.check_new_path(f"file://{tmp_path}/run")
    files.check_new_path("odd:name/run")
    assert not list(tmp_path.iterdir())


HOLDER = """
import sys, time
from hacnn_tf.utils import files
with files.locked(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_is_held_by_one_and_freed_by_its_death(tmp_path):
    lock = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, lock], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=f"is being written by process {holder.pid} on "), files.locked(lock):
            pass
    finally:
        holder.kill()
        holder.wait()
    with files.locked(lock) as still_ours:
        assert still_ours()
        lock.rename(tmp_path / "other")
        assert not still_ours()
        lock.touch()
        assert not still_ours()


def test_a_lock_is_made_through_no_link(tmp_path):
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="lock is a link, which no lock may be"), files.locked(tmp_path / "lock"):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_disk_that_has_no_locks(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr("fcntl.flock", refuse)
    sentence = r"Cannot lock .*lock: .*; name a folder on another disk"
    with pytest.raises(InputError, match=sentence), files.locked(tmp_path / "lock"):
        pass


def test_a_file_that_has_gone_is_one_sentence(home):
    (home / "a.jpg").write_bytes(b"a")
    assert files.read_bytes("~/a.jpg") == b"a"
    with pytest.raises(InputError, match=r"~/b\.jpg cannot be read any more \(No such file or directory\): choose it"):
        files.read_bytes("~/b.jpg")
