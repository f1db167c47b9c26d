"""What pip would install."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parents[1]


@pytest.mark.skipif(not (HERE / ".git").exists(), reason="not a checkout, which says what belongs to it")
def test_an_installed_package_has_all_that_it_reads(tmp_path):
    """Every file below hacnn_tf that git knows."""
    command = [
        sys.executable,
        "setup.py",
        "--quiet",
        "build",
        f"--build-base={tmp_path}",
        f"--build-lib={tmp_path}/lib",
    ]
    subprocess.run([*command, "egg_info", f"--egg-base={tmp_path}"], cwd=HERE, check=True, capture_output=True)
    listed = subprocess.run(["git", "ls-files", "hacnn_tf"], cwd=HERE, check=True, capture_output=True, text=True)
    known = {path for path in listed.stdout.split() if (HERE / path).exists()}
    assert known <= {str(path.relative_to(tmp_path / "lib")) for path in (tmp_path / "lib").rglob("*.*")}


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
