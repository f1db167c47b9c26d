"""Trains what the paper's tables and figures need, and makes them.

    python -m hacnn_tf.reproduce --experiment table5 --dataset synthetic --seeds 0,1,2

Says first what it will train and about how long that takes. Trainings that are finished are not repeated, and an
interrupted one goes on where it was.
"""

import math
import statistics
import subprocess
import sys
from pathlib import Path

import tensorflow as tf

from hacnn_tf import cli
from hacnn_tf.data import MissingDatasetError
from hacnn_tf.data.pipeline import steps_per_epoch
from hacnn_tf.errors import InputError
from hacnn_tf.paper.accuracy import accuracy_sheet
from hacnn_tf.paper.experiments import ALL, ONE_RUN, TABLES, TRAINED
from hacnn_tf.paper.figures import attention_figure, curves_figure, pairs_figure, ranking_figure
from hacnn_tf.paper.networks import networks_sheet
from hacnn_tf.paper.protocol import protocol_sheet
from hacnn_tf.paper.runs import RunFolders
from hacnn_tf.tables import define_selection, selection
from hacnn_tf.training.run_folder import RunFolder

EXPERIMENTS = ["table1", *TABLES, "table8", "figure5", "figure6", "ranking", "curves"]
BENCHMARKS = ("cuhk03", "market1501", "dukemtmc")  # of Table 1 and Figure 5
SHOW_ONE_SEED = ("figure6", "ranking")
CPU_IMAGES_PER_SECOND = 28  # on two cores, benchmarks/README.md; only for the estimate

COMMAND = cli.Command(__doc__, "hacnn_tf.reproduce")
COMMAND.define("list", "experiment", None, f"which, separated by commas: {', '.join(EXPERIMENTS)}")
COMMAND.group("Experiment")
define_selection(COMMAND)
COMMAND.define("string", "data_root", "data", "folder that holds the datasets")
COMMAND.define("list", "seeds", ["0"], "train with each of these; figures show the first")
COMMAND.define("boolean", "skip_missing", False, "do without the datasets that are not there")
COMMAND.group("Training")
COMMAND.define("integer", "examples", 6, "pairs, images or queries in a figure", lower_bound=1)
COMMAND.define("list", "images", [], "image files for figure6, instead of random queries")
COMMAND.group("Figures")


def main(flags):
    cli.require(flags, "experiment")
    unknown = [name for name in flags.experiment if name not in EXPERIMENTS]
    if unknown:
        raise InputError(f"There is no {unknown[0]!r}: --experiment takes {', '.join(EXPERIMENTS)}.")
    if not flags.seeds or not all(seed.isdecimal() for seed in flags.seeds):
        raise InputError(f"--seeds takes whole numbers from 0, separated by commas, not {','.join(flags.seeds)!r}.")
    shelf = _Shelf(flags.data_root)
    todo = _plan(flags, shelf)
    for i, (settings, path) in enumerate(todo, start=1):
        print(f"\n[{i}/{len(todo)}] {path}", flush=True)
        _train(settings, path, flags.data_root)
    for name in flags.experiment:
        if made := _make(name, flags, shelf):
            paths = made.write(flags.results_dir)
            print(f"\n{made.markdown()}" + ", ".join(map(str, paths)), flush=True)
    if shelf.missing and not flags.skip_missing:
        raise InputError(" ".join(shelf.missing))
    for sentence in shelf.missing:
        print(f"Left out: {sentence}")


class _Shelf:
    """The datasets, each read once.

    Attributes:
        missing: a sentence for each dataset that was asked for and is not there.
    """

    def __init__(self, data_root):
        self._data_root, self._datasets, self.missing = data_root, {}, []

    def dataset(self, settings):
        """The `ReidDataset` of some `Settings`, or None if it is not there."""
        key = (settings.dataset, settings.boxes)
        if key not in self._datasets:
            try:
                self._datasets[key] = settings.read_dataset(self._data_root)
            except MissingDatasetError as error:
                self._datasets[key] = None
                if str(error) not in self.missing:
                    self.missing.append(str(error))
        return self._datasets[key]


def _plan(flags, shelf):
    """Says what is to be trained; gives a list of (`Settings`, run folder)."""
    lines, todo, images = [], [], 0
    for settings in _trainings(flags):
        dataset = shelf.dataset(settings)
        if dataset is None:
            continue
        path = Path(flags.runs_dir) / settings.run_name
        run = RunFolder.find(path, settings, dataset)
        if run and _is_finished(run):
            lines.append(f"  {path}: trained")
            continue
        done = len(run.read_log(settings.epochs)) if run else 0
        epoch_images = settings.batch_size * steps_per_epoch(len(dataset.split("train")), settings.batch_size)
        images += (settings.epochs - done) * epoch_images
        todo.append((settings, path))
        lines.append(f"  {path}: {settings.epochs} epochs" + (f", {done} of them done" if done else ""))
    print(f"{', '.join(flags.experiment)}: {len(todo)} of {len(lines)} trainings to do", *lines, sep="\n")
    if todo:
        print(_estimate(images, Path(flags.runs_dir)))
    sys.stdout.flush()
    return todo


def _trainings(flags):
    """The `Settings` of all trainings that were asked for, each once."""
    chosen = selection(flags)
    return dict.fromkeys(
        chosen.settings(row, column, int(seed))
        for name in flags.experiment
        if name in TRAINED
        for seed in (flags.seeds[:1] if name in SHOW_ONE_SEED else flags.seeds)
        for column in chosen.columns(TRAINED[name])
        for row in TRAINED[name].rows
    )


def _is_finished(run):
    try:
        return bool(run.read_metrics())
    except InputError:
        return False


def _estimate(images, runs_dir):
    """About how long it takes to train on so many images, at the speed of the runs already there."""
    runs = RunFolders(runs_dir).all() if runs_dir.is_dir() else []
    rates = [float(row["images_per_second"]) for run in runs for row in run.read_log(run.settings.epochs)]
    rates = [rate for rate in rates if rate > 0]  # an epoch of one step has none
    if not rates and tf.config.list_physical_devices("GPU"):
        return "How long that takes on this GPU, the first training's progress will say."
    rate = statistics.median(rates) if rates else CPU_IMAGES_PER_SECOND
    source = f"as the runs in {runs_dir}" if rates else "as on two CPU cores"
    minutes = images / rate / 60
    length = f"{math.ceil(minutes)} min" if minutes < 120 else f"{minutes / 60:.0f} h"
    return f"About {length}, at {rate:.0f} images/s {source}."


def _train(settings, path, data_root):
    args = [f"--data_root={data_root}", f"--run_dir={path}", *settings.as_flags()]
    code = subprocess.run([sys.executable, "-m", "hacnn_tf.train", *args]).returncode
    if code:
        raise InputError(f"The training of {path} ended with exit code {code}; the same command goes on from there.")


def _make(name, flags, shelf):
    """The `Sheet` or `Figure` of an experiment, or None if none of its datasets is there."""
    chosen = selection(flags)
    if name == "table8":
        return networks_sheet()
    if name in ("table1", "figure5"):
        columns = [ONE_RUN.columns_on(dataset, chosen.boxes)[0] for dataset in chosen.datasets or BENCHMARKS]
        settings = [chosen.settings(ALL, column) for column in columns]
        found = {s.dataset: dataset for s in settings if (dataset := shelf.dataset(s))}
        if not found:
            return None
        return protocol_sheet(found) if name == "table1" else pairs_figure(found, flags.examples)
    columns = [column for column in chosen.columns(TRAINED[name]) if shelf.dataset(chosen.settings(ALL, column))]
    if not columns:
        return None
    runs = RunFolders(flags.runs_dir)
    if name in TABLES:
        return accuracy_sheet(name, chosen, runs)
    found = {column.name: runs.select(chosen.settings(ALL, column)) for column in columns}
    if name == "curves":
        return curves_figure(found)
    shown = {
        what: (run, shelf.dataset(run.settings))
        for what, selected in found.items()
        for run, _ in selected
        if run.settings.seed == int(flags.seeds[0])
    }
    if name == "figure6":
        return attention_figure(shown, flags.images, flags.examples)
    return ranking_figure(shown, flags.examples)


if __name__ == "__main__":
    COMMAND.run(main)
