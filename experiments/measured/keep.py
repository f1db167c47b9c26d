"""Keeps the records of finished trainings beside this file: their run folders, without checkpoints and places.

    python experiments/measured/keep.py runs/RUN ...

Each goes into the folder of its dataset. Writes README.md anew, a line a run.
"""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pandas as pd

from hacnn_tf.paper.run_folders import RunFolders
from hacnn_tf.paper.table import markdown
from hacnn_tf.training.run_folder import COLUMNS, RunFolder
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import write_json, write_text
from hacnn_tf.utils.text import as_file_name

HERE = Path(__file__).parent
MEASURES = {
    "Rank-1": "rank1",
    "5": "rank5",
    "10": "rank10",
    "20": "rank20",
    "mAP": "mAP",
    "trapezoid": "mAP_trapezoid",
    "mINP": "mINP",
}
HEAD = """# Measured runs

The records behind [docs/results](../../docs/results): run folders ([their contents](../../docs/run_folder.md)) without
checkpoints and local paths. `config.json` has all settings, versions and the revision, `log.csv` the losses by epoch,
`metrics.json` every measure. `python experiments/measured/keep.py runs/RUN` adds one and writes this page,
`python -m experiments.pages` the pages of docs/results. A `config.json` without a `format` uses the former names of
recipes: `constant` is now `paper`, and `paper` is now `adamw`; the folders have the present names. The settings are
flags of `python -m hacnn_tf.train`.

On the test set, or with `validation` in the name on held-out training identities, with `folder_cuhk01` on CUHK01; joint
feature, single query, in percent. Hours are of training alone, on one or two shared cores of an AMD EPYC with
AVX512-BF16 (72b784c, be7401a, cb0c6dc, 60 epochs of `nospatial-nochannel` and `nochannel-noregional`, seeds 1 and 2 of
`nochannel-nolocal` and `nospatial-nolocal`, and seed 2 of `noregional-nointeraction`: an Intel Xeon with AMX; 9c5d2ad:
one without), and compare only roughly. Runs with `"xla": "on"` were trained on an NVIDIA H200 through
[programs.py](../../benchmarks/gpu/programs.py), from initial weights that Keras drew under JAX. Up to revision cd1c7d0
JPEGs were decoded by TensorFlow's faster, less exact method, in training and test alike.

"""


def place(settings):
    """Where the record of a run of these settings is, below this folder."""
    return Path(as_file_name(settings.dataset.replace(",", "+")), settings.run_name)


def keep(path):
    """Copies what there is to know of a finished run; says so if it replaces what another revision measured.

    Raises `InputError` if it is not finished, or cannot be read.
    """
    run = RunFolder(path)
    revisions = [code["revision"] for code in run.code]
    for revision in (*revisions, run.read_test()[1] or revisions[-1]):
        if not revision or "-dirty" in revision:
            raise InputError(f"{path} is not of a committed revision ({revision}): it cannot be reproduced.")
    folder = HERE / place(run.settings)
    before = RunFolder(folder) if (folder / "config.json").exists() else run
    if others := before.settings.differences(run.settings):
        raise InputError(f"{folder} is of a run with another {', '.join(others)}: it is kept, and {path} is not.")
    config = json.loads((run.path / "config.json").read_text())
    with tempfile.TemporaryDirectory(dir=HERE, prefix=".") as new:
        tested = [path.name for path in run.path.glob("metrics*.json")]  # on its own dataset, and on others
        for name in (*tested, *(f"{rows}.csv" for rows in COLUMNS)):
            shutil.copy(run.path / name, new)
        write_json(Path(new) / "config.json", config | {"places": {}})
        folder.mkdir(parents=True, exist_ok=True)
        for file in Path(new).iterdir():
            file.replace(folder / file.name)
    if before.revision != run.revision:
        print(f"{folder.name}, of revision {run.revision}, replaces that of {before.revision}")


def records():
    """The `RunFolder`s that are kept, by dataset and name."""
    return [run for folder in sorted(filter(Path.is_dir, HERE.iterdir())) for run in RunFolders(folder).all()]


def page():
    """README.md: a line a run."""
    return f"{HEAD}{runs_table(records(), HERE).drop(columns='seed').pipe(markdown)}\n"


def runs_table(runs, place):
    """A line a run, with a link to its record from a page in the folder `place`: its length, seed and measures."""
    rows = {}
    for run in runs:
        joint = run.read_metrics()["single_query"]["joint"]
        rows[f"[{run.path.name}]({os.path.relpath(run.path, place)}/config.json)"] = {
            "epochs": str(run.settings.epochs),
            "seed": str(run.settings.seed),
            "hours": f"{hours(run):.2f}",
            **{name: f"{joint[measure]:.1f}" for name, measure in MEASURES.items()},
            "revision": run.revision,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("run")


def hours(run):
    """How long a run trained, without evaluations and checkpoints."""
    log, speed = (run.read_rows(rows, run.settings.epochs) for rows in ("log", "speed"))
    images = int(log[-1]["step"]) / len(log) * run.settings.batch_size  # of an epoch
    speeds = [float(row["images_per_second"]) for row in speed]
    return sum(images / images_per_second for images_per_second in speeds if images_per_second) / 3600


def main(paths):
    try:
        for path in paths:
            keep(path)
    finally:  # those before one that cannot be kept are on the page too
        write_text(HERE / "README.md", page())


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (InputError, OSError) as error:
        sys.exit(str(error))
