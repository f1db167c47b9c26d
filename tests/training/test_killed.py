"""A training that is killed at random instants, also while a checkpoint is being written."""

import subprocess
import time

import numpy as np
import pytest

from benchmarks import kill_resume


@pytest.mark.slow
def test_killed_at_random_it_ends_as_if_it_had_not_been(small_data_root, tmp_path):
    whole, killed = (kill_resume.command(small_data_root, tmp_path / name) for name in ("whole", "killed"))
    started = time.monotonic()
    subprocess.run(whole, check=True)
    instants = np.random.default_rng().uniform(0, time.monotonic() - started, 3)
    print("killed after", instants)  # shown if it fails
    kill_resume.kill(killed, instants, tmp_path / "killed")
    assert kill_resume.differences(tmp_path / "whole", tmp_path / "killed") == []
