"""What pip would install."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

HERE = Path(__file__).parents[1]


@pytest.mark.network
def test_an_installed_package_has_all_that_it_reads(tmp_path):
    """Every file below hacnn_tf that git knows."""
    wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", f"--wheel-dir={tmp_path}", HERE]
    subprocess.run(wheel, check=True, capture_output=True)
    (built,) = tmp_path.glob("*.whl")
    listed = subprocess.run(["git", "ls-files", "hacnn_tf"], cwd=HERE, check=True, capture_output=True, text=True)
    assert set(listed.stdout.split()) <= set(zipfile.ZipFile(built).namelist())


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
