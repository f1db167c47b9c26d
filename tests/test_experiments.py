"""The scripts of the tables and figures, run as a user runs them: in a fresh clone, with two steps a training."""

import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
import venv
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
NO_EXPERIMENT = {"setup", "reproduce", "quickstart", "all"}
SCRIPTS = sorted(path.stem for path in (ROOT / "experiments").glob("*.sh") if path.stem not in NO_EXPERIMENT)
TRAININGS = 8  # Table 5's six, Table 6's other one, and labelled boxes for Table 4

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clone(once):
    """What git would clone, with an environment that looks installed: the packages are those of these tests."""
    return once("clone", make_clone)


def make_clone(folder):
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("these tests do not run from a git checkout")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    venv.create(folder / ".venv")
    (packages,) = (folder / ".venv").glob("lib/python*/site-packages")
    (packages / "these.pth").write_text("\n".join(path for path in sys.path if path.endswith("-packages")))
    stamp = f"Python {platform.python_version()} {folder}\n"
    stamp += (folder / "pyproject.toml").read_text() + (folder / "constraints.txt").read_text()
    (folder / ".venv" / "installed-plot").write_text(stamp)


def environment(data_root):
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return env | {"DATASET": "synthetic", "DATA_ROOT": str(data_root), "ALLOW_SUBSET": "1", "EPOCHS": "2"}


def script(clone, data_root, name, *args, **variables):
    """Runs a script of `experiments/`; gives what it printed and its exit code."""
    done = subprocess.run(
        ["bash", f"experiments/{name}.sh", *args],
        cwd=clone,
        env=environment(data_root) | variables,
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout + done.stderr, done.returncode


@pytest.fixture(scope="module")
def everything(clone, small_data_root, once):
    """What `all.sh` printed, after it had been stopped by Ctrl-C in its first training."""
    return once("all.txt", lambda path: path.write_text(run_all(clone, small_data_root))).read_text()


def run_all(clone, small_data_root):
    begun = subprocess.Popen(
        ["bash", "experiments/all.sh"],
        cwd=clone,
        env=environment(small_data_root),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not list(clone.glob("runs/*/log.csv")):
        assert begun.poll() is None, begun.stderr.read()
        time.sleep(0.1)
    os.killpg(begun.pid, signal.SIGINT)
    assert "Traceback" not in begun.communicate()[1]
    assert begun.returncode == 130
    said, code = script(clone, small_data_root, "all")
    assert code == 0, said
    return said


def test_all_trains_what_is_left_and_ends_with_the_report(everything, clone):
    assert f"{TRAININGS} of {TRAININGS} trainings to do" in everything
    assert "2 epochs, 1 of them done" in everything or "2 epochs, 2 of them done" in everything  # not yet evaluated
    assert everything.splitlines()[-1] == "results/report.html"
    report = (clone / "results" / "report.html").read_text()
    assert re.findall(r'<h2 id="(\w+)"', report) == [
        *(f"table{n}" for n in range(1, 9)),
        "figure5",
        "figure6",
        "ranking",
        "curves",
        "augmentation",
        "runs",
    ]
    assert report.count("<img ") == report.count("data:image/") == 6  # of the curves two: rates beside them
    assert len(list((clone / "runs").iterdir())) == TRAININGS


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_script_makes_what_it_is_called(name):
    """`all` makes each, by the same lines."""
    last = (ROOT / "experiments" / f"{name}.sh").read_text().splitlines()[-1]
    assert last == f'source "$(dirname "${{BASH_SOURCE[0]}}")/reproduce.sh" {name} "$@"'


@pytest.mark.parametrize("name", ["table4", "table5", "curves", "ranking"])
def test_a_script_makes_its_table_or_figure_and_trains_nothing_twice(everything, clone, small_data_root, name):
    for path in (clone / "results").glob(f"{name}[-.]*"):
        path.unlink()
    said, code = script(clone, small_data_root, name)
    assert code == 0, said
    assert f"{name}: 0 of " in said
    made = {path.suffix for path in (clone / "results").glob(f"{name}[-.]*")}
    if name.startswith("table"):
        assert made == {".csv", ".md", ".html"}
        assert (clone / "results" / f"{name}.md").read_text() in said
    else:
        assert made == {".html", ".png" if name == "curves" else ".jpg"}


def test_figure6_of_chosen_images(everything, clone, small_data_root, tmp_path):
    Image.new("RGB", (70, 170), "green").save(tmp_path / "green.png")
    said, code = script(clone, small_data_root, "figure6", f"--images={tmp_path / 'green.png'}", RESULTS=str(tmp_path))
    assert code == 0 and "green.png" in said
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    said, code = script(clone, small_data_root, "figure6", f"--images={tmp_path / 'broken.jpg'}", RESULTS=str(tmp_path))
    assert code == 1
    assert re.search(r"1 of 1 images cannot be read: \S+broken\.jpg", said.splitlines()[-1])


def test_a_missing_dataset_ends_a_script_with_one_sentence(clone, tmp_path):
    said, code = script(clone, tmp_path, "table3", DATASET="")
    assert code == 1
    assert "DukeMTMC-reID not found" in said.splitlines()[-1] and "data/README.md" in said
