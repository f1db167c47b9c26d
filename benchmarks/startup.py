"""What a user waits for before anything happens: starts of commands, of this checkout and of another in turns.

    python benchmarks/startup.py --before ../before/.venv/bin/python [--rounds 5]

--before is the interpreter of an environment in which another revision is installed; left out, this one is measured
alone. Makes an ONNX export of the bundled weights and indexes the synthetic dataset by it and by the weights first.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from compare import spread

from hacnn_tf.data.synthetic import make_synthetic
from hacnn_tf.utils import cli
from hacnn_tf.utils.errors import InputError

COMMAND = cli.Command(__doc__, "startup")
COMMAND.group("Measurement")
COMMAND.define("path", "before", None, "interpreter of another revision's environment")
COMMAND.define("integer", "rounds", 5, "of each", lower_bound=1)
COMMAND.define("integer", "port", 7861, "for the page", lower_bound=1, upper_bound=65535)

ELSEWHERE = tempfile.gettempdir()  # in a checkout, Python would import what is there
PRESET = "hacnn_cuhk03_detected"
FIRST_FEATURE = "import sys; from hacnn_tf import ReID; ReID.from_preset(sys.argv[1]).embed(sys.argv[2])"


def main(flags):
    if flags.before and not os.access(flags.before, os.X_OK):
        raise InputError(f"--before {flags.before} is not an interpreter.")
    with tempfile.TemporaryDirectory() as folder:
        waits = prepare(Path(folder), flags.port)
        sides = {"now": sys.executable} | ({"before": os.path.abspath(flags.before)} if flags.before else {})
        seconds = {what: {side: [] for side in sides} for what in waits}
        for _ in range(flags.rounds):
            for what, (args, code) in waits.items():
                for side, python in sides.items():
                    seconds[what][side].append(wait(python, args, code))
    columns = [f"{side}, s" for side in sides] + ["before / now"] * (len(sides) > 1)
    print(f"| what | {' | '.join(columns)} |\n|---{'|---' * len(columns)}|")
    for what, found in seconds.items():
        cells = [spread(values) for values in found.values()]
        if len(sides) > 1:
            cells.append(spread([a / b for a, b in zip(found["before"], found["now"], strict=True)]))
        print(f"| {what} | {' | '.join(cells)} |")


def prepare(folder, port):
    """Dict from what a user waits for to the arguments of Python that do it, and the exit code that they end with."""
    make_synthetic(folder / "synthetic")
    images = folder / "synthetic/detected/bounding_box_test"
    query = str(min(images.glob("*.jpg")))
    run(sys.executable, command("export", run_dir=PRESET, output=folder / "onnx", format="onnx"))
    for name, model in {"onnx": folder / "onnx/hacnn.onnx", "weights": PRESET}.items():
        run(sys.executable, command("index", model=model, images=images, database=folder / f"{name}.lance"))
    onnx, weights = folder / "onnx.lance", folder / "weights.lance"
    count = len(list(images.glob("*.jpg")))
    return {
        "`--help`": (["-m", "hacnn_tf.train", "--help"], 0),
        "a mistyped flag": (["-m", "hacnn_tf.train", "--epoch=3"], 1),
        "a missing run folder": (command("evaluate", run_dir=folder / "none"), 1),
        "a missing dataset": (command("train", dataset="market1501", data_root=folder / "none"), 1),
        f"`search` through ONNX Runtime, {count} images": (command("search", database=onnx, query=query), 0),
        f"`search` through bundled weights, {count} images": (command("search", database=weights, query=query), 0),
        "import, ONNX export, first feature": (["-c", FIRST_FEATURE, str(folder / "onnx/hacnn.onnx"), query], 0),
        "page through ONNX Runtime": (command("app", database=onnx, port=port), 0),
        "page through bundled weights": (command("app", database=weights, port=port), 0),
    }


def command(name, **flags):
    return ["-m", f"hacnn_tf.{name}", *(f"--{flag}={value}" for flag, value in flags.items())]


def wait(python, args, code):
    """Seconds until it has ended, or until the page can be searched."""
    begin = time.perf_counter()
    if "hacnn_tf.app" not in args:
        run(python, args, code)
        return time.perf_counter() - begin
    with subprocess.Popen([python, *args], cwd=ELSEWHERE, stdout=subprocess.PIPE, text=True) as page:
        said = page.stdout.readline()
        seconds = time.perf_counter() - begin
        page.terminate()
    if "http" not in said:
        raise InputError("The page does not start.")
    return seconds


def run(python, args, code=0):
    done = subprocess.run([python, *args], cwd=ELSEWHERE, capture_output=True, text=True)
    if done.returncode != code:
        raise InputError(f"{' '.join(args)} ended with {done.returncode}: {done.stderr.strip()[-200:]}")


if __name__ == "__main__":
    COMMAND.run(main)
