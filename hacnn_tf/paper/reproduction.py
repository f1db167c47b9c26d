"""From what was asked for to what must be trained, and from run folders to tables and figures."""

import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import tensorflow as tf

from hacnn_tf.data.dataset import ReidDataset
from hacnn_tf.data.load import load_images
from hacnn_tf.data.pipeline import steps_per_epoch
from hacnn_tf.models import INPUT_SIZE
from hacnn_tf.paper.accuracy import accuracy_table
from hacnn_tf.paper.layouts import ALL, PER_DATASET, TABLES, TRAINED, Column, Selection
from hacnn_tf.paper.run_folders import Data, RunFolders, data_key
from hacnn_tf.paper.table import Table
from hacnn_tf.paper.table1 import protocol_table
from hacnn_tf.paper.table8 import networks_table
from hacnn_tf.training.run_folder import RunFolder
from hacnn_tf.training.settings import Settings
from hacnn_tf.utils.cli import print_line
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import check_folder
from hacnn_tf.utils.packages import check_installed
from hacnn_tf.utils.types import TEST_SPLITS, FilePath

if TYPE_CHECKING:
    from hacnn_tf.paper.figures import Figure

TABLES_OF_THE_PAPER = (*TABLES, "table1", "table8")
SHOW_ONE_SEED = ("figure6", "ranking")
CPU_IMAGES_PER_SECOND = 36  # on two cores, benchmarks/README.md; only for the estimate


class Reproduction:
    """Plans the trainings that tables and figures need, and makes them.

    Args:
        experiments: names of `EXPERIMENTS`.
        selection: a `Selection`.
        seeds: ints; tables and curves need a training for each, other figures one for the first.
        images: files for Figure 6; none: random queries.
        examples: pairs, images or queries in a figure.
        data_root, runs_dir, results_dir: folders that hold the datasets and the runs, and where results go.

    Attributes:
        missing: a sentence for each dataset that was asked for and cannot be read.

    Raises:
        InputError: one of the images cannot be read, the results could not be written, or what they are made with is
            not there.
    """

    def __init__(
        self,
        experiments: Sequence[str],
        selection: Selection,
        seeds: Sequence[int],
        images: Sequence[str],
        examples: int,
        data_root: FilePath,
        runs_dir: FilePath,
        results_dir: FilePath,
    ) -> None:
        self.missing: list[str] = []
        self._experiments, self._selection, self._seeds = experiments, selection, seeds
        self._images, self._examples = images, examples
        self._data_root, self._runs_dir, self._results_dir = data_root, Path(runs_dir), results_dir
        self._datasets: dict[Data, ReidDataset | None] = {}
        self._fingerprints: dict[Data, tuple[str, str]] = {}
        # What would be refused after the trainings is refused before them.
        if images:
            load_images(images, INPUT_SIZE)
        check_folder(results_dir)
        if set(experiments) - set(TABLES_OF_THE_PAPER):
            check_installed(["matplotlib"], "a figure", "plot")
            import hacnn_tf.paper.figures  # noqa: F401  # or what else is in its way would be said after them

    def plan(self) -> list[tuple[Settings, Path]]:
        """Says what is to be trained, and gives it: a list of (`Settings`, path of the run folder)."""
        lines: list[str] = []
        todo: list[tuple[Settings, Path]] = []
        images = 0
        trainings = [(each, dataset) for each in self._trainings(self._experiments) if (dataset := self._dataset(each))]
        runs = self._runs() if self._runs_dir.is_dir() else None
        for settings, dataset in trainings:
            trained = [run for run, _ in runs.select(settings)] if runs else []
            if found := [run for run in trained if run.settings.seed == settings.seed]:
                lines.append(f"  {found[0].path}: trained")
                continue
            path = self._runs_dir / settings.run_name
            run = RunFolder.find(path, settings, dataset)
            done = len(run.read_rows("log")) if run else 0
            epoch_images = settings.batch_size * steps_per_epoch(len(dataset.split("train")), settings.batch_size)
            images += (settings.epochs - done) * epoch_images
            todo.append((settings, path))
            lines.append(f"  {path}: {settings.epochs} epochs" + (f", {done} of them done" if done else ""))
        print(f"{', '.join(self._experiments)}: {len(todo)} of {len(lines)} trainings to do", *lines, sep="\n")
        for sentence in self.missing:
            print(f"Without this dataset: {sentence}")
        if todo:
            print(_estimate(images, self._runs_dir))
        sys.stdout.flush()
        return todo

    def make(self, name: str) -> bool:
        """Makes a table or figure and says where it is; False if none of its datasets can be read."""
        made = self._make(name)
        if made is None:
            return False
        paths = made.write(self._results_dir)
        print_line(f"\n{made.markdown()}" + ", ".join(map(str, paths)))
        return True

    def _make(self, name: str) -> "Table | Figure | None":
        if name == "table8":
            return networks_table()
        columns = self._selection.columns(TRAINED.get(name, PER_DATASET))
        found = {c.name: d for c in columns if (d := self._dataset(self._selection.settings(ALL, c)))}
        if not found:
            return None
        if name == "table1":
            # Of validation identities the paper says nothing, so that they are of no dataset of its table.
            of = {c.name: "" if self._selection.validation else c.data["dataset"] for c in columns}
            return protocol_table({name: (of[name], dataset) for name, dataset in found.items()})
        if name in TABLES:
            return accuracy_table(name, self._selection, self._runs())
        return self._figure(name, columns, found)

    def _figure(self, name: str, columns: Sequence[Column], datasets: Mapping[str, ReidDataset]) -> "Figure":
        from hacnn_tf.paper import figures

        if name == "figure5":
            return figures.pairs_figure(datasets, self._examples)
        if name == "augmentation":
            return figures.augmentation_figure(datasets, self._examples)
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
            return figures.attention_figure(shown, self._images, self._examples)
        return figures.ranking_figure(shown, self._examples)

    @property
    def found_any(self) -> bool:
        """Whether one of the datasets that were asked for could be read."""
        return any(dataset is not None for dataset in self._datasets.values())

    def needs(self, name: str) -> set[Path]:
        """Where the trainings go that a table or figure needs."""
        return {self._runs_dir / settings.run_name for settings in self._trainings([name])}

    def _trainings(self, names: Sequence[str]) -> dict[Settings, None]:
        """The `Settings` of all trainings that experiments need, each once."""
        return dict.fromkeys(
            self._selection.settings(row, column, seed)
            for name in names
            if name in TRAINED
            for seed in (self._seeds[:1] if name in SHOW_ONE_SEED else self._seeds)
            for column in self._selection.columns(TRAINED[name])
            for row in TRAINED[name].rows
        )

    def _dataset(self, settings: Settings) -> ReidDataset | None:
        """The `ReidDataset` of some `Settings`, read once; None if it cannot be."""
        key = data_key(settings)
        if key not in self._datasets:
            try:
                dataset = settings.read_dataset(self._data_root)
                self._datasets[key] = dataset
                self._fingerprints[key] = dataset.fingerprint(), dataset.fingerprint(TEST_SPLITS)
            except InputError as error:
                self._datasets[key] = None
                if str(error) not in self.missing:
                    self.missing.append(str(error))
        return self._datasets[key]

    def _runs(self) -> RunFolders:
        return RunFolders(self._runs_dir, self._fingerprints)


def _estimate(images: int, runs_dir: Path) -> str:
    """About how long it takes to train on so many images, at the speed of the runs already there."""
    rates = []
    for run in RunFolders(runs_dir).all() if runs_dir.is_dir() else []:
        try:
            rates += [float(row["images_per_second"]) for row in run.read_rows("speed")]
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
