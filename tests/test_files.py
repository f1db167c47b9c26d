"""Files: whole or not at all, also when the disk is full; locks that die with their process."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from hacnn_tf import files
from hacnn_tf.errors import InputError


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "file.txt"
    with files.aside(path) as part:
        part.write_text("text")
        assert not path.exists()
    assert path.read_text() == "text"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


def test_a_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("before")
    with pytest.raises(RuntimeError), files.aside(path) as part:
        part.write_text("half")
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]
    assert path.read_text() == "before"


def test_a_full_disk_is_one_sentence(tmp_path):
    def write():
        with files.aside(tmp_path / "file.txt") as part:
            part.write_text("half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(InputError, match=r"Cannot write .*file.txt: No space left on device\."):
        write()
    assert not list(tmp_path.iterdir())


def test_leftovers_of_killed_processes_are_swept(tmp_path):
    script = (
        "import os, signal, sys; from hacnn_tf import files\n"
        "with files.aside(sys.argv[1]) as part: part.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    path = tmp_path / "file.txt"
    done = subprocess.run([sys.executable, "-c", script, path])
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1 and not path.exists()
    files.sweep(tmp_path)
    assert not list(tmp_path.iterdir())


HOLDER = """
import sys, time
from hacnn_tf import files
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


def test_some_of_many():
    assert files.some([]) == ""
    assert files.some(["a", 2, "c"]) == "a, 2, c"
    assert files.some(range(2800)) == "0, 1, 2 and 2,797 more"
    assert files.some(["a\nb", "x" * 1000], 1) == r"'a\nb' and 1 more"
    assert len(files.some(["x" * 1000])) == 300
    assert files.some(dict.fromkeys("abcd"), 4, "; ") == "a; b; c; d"
