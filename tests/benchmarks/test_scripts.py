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

def help_of(path):
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        said = io.StringIO()
        try:
            sys.argv, sys.path[0] = [path, "--help"], os.path.dirname(path)
            with contextlib.redirect_stdout(said):
                runpy.run_path(path, run_name="__main__")
        except SystemExit as stopped:
            if stopped.code:
                said = io.StringIO()
        os.write(writing, said.getvalue().encode())
        os._exit(0)
    os.close(writing)
    with open(reading) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return text

json.dump({path: help_of(path) for path in sys.argv[2:]}, open(sys.argv[1], "w"))
"""


@pytest.mark.slow
def test_help(tmp_path):
    """Each in a fork of one process, as most of them need TensorFlow."""
    paths = list(map(str, SCRIPTS))
    subprocess.run([sys.executable, "-c", FORKED, tmp_path / "said.json", *paths], cwd=ROOT, check=True)
    said = json.loads((tmp_path / "said.json").read_text())
    assert len(said) > 20 and not [path for path in paths if not said[path]]
