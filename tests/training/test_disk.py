"""A training on a disk that is full, then read-only, then as it should be: a file system of its own, 50 MB large."""

import subprocess

import pytest

from hacnn_tf.training.checkpoints import Checkpoints
from tests.stress import kill_resume


def mount(*args):
    done = subprocess.run(["mount", *args], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"file systems cannot be mounted here: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk"
    path.mkdir()
    mount("-t", "tmpfs", "-o", "size=50m", "tmpfs", str(path))
    yield path
    subprocess.run(["umount", str(path)], check=True)


@pytest.mark.slow
def test_a_disk_that_is_full_and_then_read_only(disk, small_data_root, tmp_path):
    run_dir = disk / "run"
    train = kill_resume.command(small_data_root, run_dir)

    def fails():
        done = subprocess.run(train, capture_output=True, text=True)
        assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
        assert not list(run_dir.rglob(".*.part*"))
        path, _ = Checkpoints(run_dir / "checkpoints").newest()
        assert path.name == "epoch0000-step00001.npz"  # 35 MB; there is no room for another
        return done.stderr.splitlines()[-1]

    wanted = f"hacnn_tf.train: Cannot write {run_dir / 'checkpoints' / 'epoch0000-step00002.npz'}: "
    assert fails() == wanted + "No space left on device."
    assert fails() == wanted + "No space left on device."  # and it went on from the first checkpoint
    mount("-o", "remount,ro", str(disk))
    assert fails() == f"hacnn_tf.train: Cannot write {run_dir / 'lock'}: Read-only file system."
    mount("-o", "remount,rw,size=300m", str(disk))
    subprocess.run(train, check=True)
    subprocess.run(kill_resume.command(small_data_root, tmp_path / "whole"), check=True)
    assert kill_resume.differences(tmp_path / "whole", run_dir) == []
