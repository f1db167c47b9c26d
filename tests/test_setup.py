"""What pip would install."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parents[1]


@pytest.mark.network
def test_the_gpu_extra_resolves_under_the_constraints():
    """CUDA's libraries are not pinned: those that TensorFlow asks for are right, and none is tested without a GPU."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed"]
    done = subprocess.run([*command, "-c", "constraints.txt", "-e", ".[gpu]"], cwd=HERE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    planned = re.search(r"^Would install (.+)$", done.stdout, re.MULTILINE)[1].split()
    pinned = re.search(r"^tensorflow==(.+)$", (HERE / "constraints.txt").read_text(), re.MULTILINE)[1]
    assert f"tensorflow-{pinned}" in planned
    assert any(name.startswith("nvidia-cudnn-") for name in planned)
