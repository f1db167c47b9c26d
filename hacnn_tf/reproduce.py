"""Trains what the paper's tables and figures need, and makes them.

    python -m hacnn_tf.reproduce --experiment table5 --dataset synthetic --seeds 0,1,2
    python -m hacnn_tf.reproduce --experiment all --dataset synthetic                     and one page with all of them

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
from hacnn_tf.data.images import load_images
from hacnn_tf.data.pipeline import steps_per_epoch
from hacnn_tf.errors import InputError
from hacnn_tf.models import INPUT_SIZE
from hacnn_tf.paper.accuracy import accuracy_sheet
from hacnn_tf.paper.experiments import ALL, EXPERIMENTS, PER_DATASET, TABLES, TRAINED, Selection, listed
from hacnn_tf.paper.networks import networks_sheet
from hacnn_tf.paper.protocol import protocol_sheet
from hacnn_tf.paper.runs import RunFolders, data_key
from hacnn_tf.report import write_report
from hacnn_tf.training.run_folder import RunFolder

SHOW_ONE_SEED = ("figure6", "ranking")
CPU_IMAGES_PER_SECOND = 28  # on two cores, benchmarks/README.md; only for the estimate

COMMAND = cli.Command(__doc__, "hacnn_tf.reproduce")
COMMAND.define("list", "experiment", None, f"which, separated by commas: {', '.join(EXPERIMENTS)}; or all")
COMMAND.group("Experiment")
Selection.define_flags(COMMAND)
COMMAND.define("string", "data_root", "data", "folder that holds the datasets")
COMMAND.define("list", "seeds", ["0"], "train with each of these; figures show the first")
COMMAND.define("boolean", "skip_missing", False, "do without the datasets that cannot be read")
COMMAND.group("Training")
COMMAND.define("integer", "examples", 6, "pairs, images or queries in a figure", lower_bound=1)
COMMAND.define("list", "images", [], "image files for figure6, instead of random queries")
COMMAND.group("Figures")
COMMAND.define("string", "runs_dir", "runs", "folder that holds the run folders")
COMMAND.define("string", "results_dir", "results", "where tables and figures go")
COMMAND.group("Places")


def main(flags):
    cli.require(flags, "experiment")
    workshop = _Workshop(flags)
    todo = workshop.plan()
    for i, (settings, path) in enumerate(todo, start=1):
        print(f"\n[{i}/{len(todo)}] {path}", flush=True)
        _train(settings, path, flags.data_root)
    made = [name for name in workshop.experiments if workshop.make(name)]
    if "all" in flags.experiment:
        print(write_report(flags.results_dir, flags.runs_dir, made))
    if workshop.missing and not flags.skip_missing:
        raise InputError(" ".join(workshop.missing))


class _Workshop:
    """Plans the trainings that were asked for, and makes tables and figures of them.

    Attributes:
        experiments: their names.
        missing: a sentence for each dataset that was asked for and cannot be read.
    """

    def __init__(self, flags):
        self._flags, self._selection, self.missing = flags, Selection.from_flags(flags), []
        asked = listed(flags.experiment)
        self.experiments = EXPERIMENTS if "all" in asked else asked
        unknown = [name for name in self.experiments if name not in EXPERIMENTS]
        if unknown or not asked:
            raise InputError(f"--experiment takes {', '.join(EXPERIMENTS)} or all, not {','.join(unknown)!r}.")
        seeds = listed(flags.seeds)
        if not seeds or not all(seed.isdecimal() and int(seed) < 2**32 for seed in seeds):
            raise InputError(f"--seeds takes whole numbers below 2**32, separated by commas, not {','.join(seeds)!r}.")
        self._seeds = [int(seed) for seed in seeds]
        self._images = listed(flags.images)
        if self._images:
            load_images(self._images, INPUT_SIZE)  # can they be read? better known before the training than after it
        self._datasets, self._fingerprints = {}, {}

    def plan(self):
        """Says what is to be trained, and gives it: a list of (`Settings`, path of the run folder)."""
        runs_dir, lines, todo, images = Path(self._flags.runs_dir), [], [], 0
        for settings in self._trainings():
            dataset = self._dataset(settings)
            if dataset is None:
                continue
            trained = [run for run, _ in self._runs().select(settings)] if runs_dir.is_dir() else []
            if found := [run for run in trained if run.settings.seed == settings.seed]:
                lines.append(f"  {found[0].path}: trained")
                continue
            path = runs_dir / settings.run_name
            run = RunFolder.find(path, settings, dataset)
            done = len(run.read_log(settings.epochs)) if run else 0
            epoch_images = settings.batch_size * steps_per_epoch(len(dataset.split("train")), settings.batch_size)
            images += (settings.epochs - done) * epoch_images
            todo.append((settings, path))
            lines.append(f"  {path}: {settings.epochs} epochs" + (f", {done} of them done" if done else ""))
        print(f"{', '.join(self.experiments)}: {len(todo)} of {len(lines)} trainings to do", *lines, sep="\n")
        for sentence in self.missing:
            print(f"Without this dataset: {sentence}")
        if todo:
            print(_estimate(images, runs_dir))
        sys.stdout.flush()
        return todo

    def make(self, name):
        """Makes a table or figure and says where it is; False if none of its datasets can be read."""
        made = self._make(name)
        if made is None:
            return False
        paths = made.write(self._flags.results_dir)
        print(f"\n{made.markdown()}" + ", ".join(map(str, paths)), flush=True)
        return True

    def _make(self, name):
        if name == "table8":
            return networks_sheet()
        columns = self._selection.columns(TRAINED.get(name, PER_DATASET))
        found = {c.name: d for c in columns if (d := self._dataset(self._selection.settings(ALL, c)))}
        if not found:
            return None
        if name == "table1":
            return protocol_sheet({c.name: (c.data["dataset"], found[c.name]) for c in columns if c.name in found})
        if name in TABLES:
            return accuracy_sheet(name, self._selection, self._runs())
        return self._figure(name, columns, found)

    def _figure(self, name, columns, datasets):
        try:
            from hacnn_tf.paper import figures
        except ImportError as error:
            raise InputError(f'Figures need matplotlib ({error}): pip install -e ".[plot]".') from None
        if name == "figure5":
            return figures.pairs_figure(datasets, self._flags.examples)
        runs = self._runs()
        selected = {c.name: runs.select(self._selection.settings(ALL, c)) for c in columns if c.name in datasets}
        if name == "curves":
            return figures.curves_figure(selected, runs.left_out)
        shown = {
            what: (run, datasets[what])
            for what, found in selected.items()
            for run, _ in found
            if run.settings.seed == self._seeds[0]
        }
        if name == "figure6":
            return figures.attention_figure(shown, self._images, self._flags.examples)
        return figures.ranking_figure(shown, self._flags.examples)

    def _trainings(self):
        """The `Settings` of all trainings that were asked for, each once."""
        return dict.fromkeys(
            self._selection.settings(row, column, seed)
            for name in self.experiments
            if name in TRAINED
            for seed in (self._seeds[:1] if name in SHOW_ONE_SEED else self._seeds)
            for column in self._selection.columns(TRAINED[name])
            for row in TRAINED[name].rows
        )

    def _dataset(self, settings):
        """The `ReidDataset` of some `Settings`, read once; None if it cannot be."""
        key = data_key(settings)
        if key not in self._datasets:
            try:
                self._datasets[key] = settings.read_dataset(self._flags.data_root)
                self._fingerprints[key] = self._datasets[key].fingerprint()
            except InputError as error:
                self._datasets[key] = None
                if str(error) not in self.missing:
                    self.missing.append(str(error))
        return self._datasets[key]

    def _runs(self):
        return RunFolders(self._flags.runs_dir, self._fingerprints)


def _estimate(images, runs_dir):
    """About how long it takes to train on so many images, at the speed of the runs already there."""
    rates = []
    for run in RunFolders(runs_dir).all() if runs_dir.is_dir() else []:
        try:
            rates += [float(row["images_per_second"]) for row in run.read_log(run.settings.epochs)]
        except InputError:
            continue  # only an estimate
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


if __name__ == "__main__":
    COMMAND.run(main)
