"""Scripts of benchmarks and studies begin: whatever they import is there."""

import json
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
FORKED = """
import contextlib, io, json, os, runpy, sys
import keras, tensorflow  # once for all
from tests.conftest import in_fork

def help_of(path):
    said = io.StringIO()
    sys.argv, sys.path[0] = [path, "--help"], os.path.dirname(path)
    try:
        with contextlib.redirect_stdout(said):
            runpy.run_path(path, run_name="__main__")
    except SystemExit as stopped:
        assert not stopped.code, stopped.code
    assert said.getvalue()

json.dump({path: in_fork(lambda: help_of(path)) for path in sys.argv[2:]}, open(sys.argv[1], "w"))
"""


@pytest.mark.slow
def test_help(tmp_path):
    """Each in a fork of one process, as most of them need TensorFlow."""
    paths = list(map(str, SCRIPTS))
    subprocess.run([sys.executable, "-c", FORKED, tmp_path / "said.json", *paths], cwd=ROOT, check=True)
    said = json.loads((tmp_path / "said.json").read_text())
    assert len(said) > 20 and said == dict.fromkeys(paths, "None")
