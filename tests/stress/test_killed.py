"""A training that is killed at random instants, and while a checkpoint is being written."""

import signal
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import of_one_branch
from tests.stress import kill_resume

KILLED_WRITING = """
import os, signal, sys
import numpy as np
from hacnn_tf import train

savez, count = np.savez, 0

def savez_and_die(path, **arrays):
    global count
    savez(path, **arrays)
    count += 1
    if count == 3:
        os.truncate(path, os.path.getsize(path) // 2)
        os.kill(os.getpid(), signal.SIGKILL)

np.savez = savez_and_die
train.COMMAND.run(train.main)
"""


@pytest.mark.slow
def test_killed_at_random_it_ends_as_if_it_had_not_been(left_alone, small_data_root, tmp_path):
    run_dir, seconds = left_alone
    instants = np.random.default_rng().uniform(0, seconds, 2)
    print("killed after", instants)  # shown if it fails
    kill_resume.kill(of_one_branch(small_data_root, tmp_path), instants, tmp_path)
    assert kill_resume.differences(run_dir, tmp_path) == []


@pytest.mark.slow
def test_killed_while_it_writes_a_checkpoint(left_alone, small_data_root, tmp_path):
    command = of_one_branch(small_data_root, tmp_path)
    killed = subprocess.run([sys.executable, "-c", KILLED_WRITING, *command[3:]])
    assert killed.returncode == -signal.SIGKILL
    half_written = [path for path in tmp_path.rglob(".*.part*")]
    assert len(half_written) == 1
    subprocess.run(command, check=True)
    assert not half_written[0].exists()
    assert kill_resume.differences(left_alone[0], tmp_path) == []
