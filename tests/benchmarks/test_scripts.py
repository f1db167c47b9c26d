"""Scripts of benchmarks and studies begin: whatever they import is there."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ELSEWHERE = {"peer.py", "peer_gpu.py", "ours.py"}  # in the peers' environment, or asked by another script
SCRIPTS = sorted(
    path
    for folder in ("benchmarks", "benchmarks/gpu", "experiments/studies", "tests/stress")
    for path in (ROOT / folder).glob("*.py")
    if "__main__" in path.read_text() and path.name not in ELSEWHERE and not path.name.startswith("test_")
)


@pytest.mark.slow
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_help(path):
    done = subprocess.run([sys.executable, path, "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout, done.stderr[-2000:]
