"""A training on a disk that is full, then read-only, then as it should be: a small file system of its own."""

import subprocess

import pytest

from hacnn_tf.training.checkpoints import Checkpoints
from tests.conftest import of_one_branch
from tests.stress import kill_resume


def mount(*args):
    done = subprocess.run(["mount", *args], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"file systems cannot be mounted here: {done.stderr.strip()}")


@pytest.fixture
def disk(left_alone, tmp_path):
    """There is room on it for a checkpoint, and not for two."""
    path = tmp_path / "disk"
    path.mkdir()
    newest, _ = Checkpoints(left_alone[0] / "checkpoints").newest()
    mount("-t", "tmpfs", "-o", f"size={int(1.5 * newest.stat().st_size)}", "tmpfs", str(path))
    yield path
    subprocess.run(["umount", str(path)], check=True)


@pytest.mark.slow
def test_a_disk_that_is_full_and_then_read_only(disk, left_alone, small_data_root):
    run_dir = disk / "run"
    train = of_one_branch(small_data_root, run_dir)

    def fails():
        done = subprocess.run(train, capture_output=True, text=True)
        assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
        assert not list(run_dir.rglob(".*.part*"))
        path, _ = Checkpoints(run_dir / "checkpoints").newest()
        assert path.name == "epoch0000-step00001.npz"
        return done.stderr.splitlines()[-1]

    wanted = f"hacnn_tf.train: Cannot write {run_dir / 'checkpoints' / 'epoch0000-step00002.npz'}: "
    assert fails() == wanted + "No space left on device."
    assert fails() == wanted + "No space left on device."  # and it went on from the first checkpoint
    mount("-o", "remount,ro", str(disk))
    assert fails() == f"hacnn_tf.train: Cannot write {run_dir / 'lock'}: Read-only file system."
    mount("-o", "remount,rw,size=300m", str(disk))
    subprocess.run(train, check=True)
    assert kill_resume.differences(left_alone[0], run_dir) == []
