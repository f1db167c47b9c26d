"""A run folder: the record of one training.

`config.json` format, settings, versions, revisions; `log.csv` one row an epoch; `speed.csv` how fast each was;
`evaluations.csv` Rank-1 and mAP whenever it was evaluated; `tensorboard/` all three as events; `checkpoints/` the last
two; `metrics.json` the evaluation of the finished training; `metrics-DATASET.json` those on other test sets;
`calibration.json` the curve from distance to probability, if it was calibrated;
`split.csv` the split of a folder's images, if it was drawn (`split-NAME.csv` with several datasets); `not_finite.csv`
the batch that ended it, if one did; `lock` who trains, `.metrics.lock` who writes either of the metrics.
"""

import contextlib
import csv
import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hacnn_tf.data.dataset_options import DatasetOptions
from hacnn_tf.evaluation import PARTS
from hacnn_tf.training.checkpoints import Checkpoints
from hacnn_tf.training.code import code_revision
from hacnn_tf.training.metrics import read_metrics
from hacnn_tf.training.run_config import RunConfig, go_on, write_config
from hacnn_tf.training.settings import Settings
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import (
    check_new_path,
    expanded,
    locked,
    read_if_whole,
    sweep,
    write_csv,
    write_json,
)
from hacnn_tf.utils.startup import load_keras
from hacnn_tf.utils.text import as_file_name, preview
from hacnn_tf.utils.types import BRANCHES, TEST_SPLITS, FilePath, Results

if TYPE_CHECKING:
    import pandas as pd

    from hacnn_tf.data.dataset import ReidDataset
    from hacnn_tf.models import HACNN
    from hacnn_tf.training.state import TrainingState

EVALUATED = ["rank1", "mAP"]  # what `evaluations.csv` has of each part of the feature
COLUMNS = {  # the columns of its .csv files, which have a row an epoch
    "log": ["epoch", "step", "global_loss", "local_loss", "identity_accuracy"],
    "speed": ["epoch", "images_per_second"],  # not in the log, which is the same to the last bit each time
    "evaluations": ["epoch", *(f"{part}_{measure}" for part in PARTS for measure in EVALUATED)],
}
LOCK = "lock"
METRICS_LOCK, METRICS_WAIT = ".metrics.lock", 60  # of trainings and evaluations that end at once; seconds


class RunFolder:
    """Opens a run folder.

    Args:
        path: the folder.

    Attributes:
        path: `pathlib.Path` of the folder.
        settings: the `Settings` of its training.
        dataset_name: of the dataset trained on, for people.
        trained: fingerprint of its training images, see `ReidDataset.fingerprint`.
        tested: that of its test images when it began; None if it does not say.
        num_identities: number of training identities.
        initial: fingerprint of the weights that it began from; None if those were fresh.
        data_root: where its dataset was read from, as typed; None if it does not say.
        init_from: what it began from, by its path in full; None if that was nothing, or it does not say.
        code: what computed it, a dict for each stretch of the training by other code, or on another device, than
            before: `versions`, `revision` (git's, or None), `pixels` (`DECODER_VERSION`) and `device` (both None if it
            does not say), and of all but the first the `epoch` and `step` after which it began.
        revision: the git revisions it was trained with, for people, as "a1b2c3d" or "a1b2c3d, then e4f5a6b"; or None.

    Raises:
        InputError: it is not a run folder, its `config.json` is damaged, or its format is newer than this code's.
    """

    def __init__(self, path: FilePath) -> None:
        self.path = Path(expanded(path))
        self._checkpoints = Checkpoints(self.path / "checkpoints")
        self._still_ours: Callable[[], bool] = lambda: True  # held by nobody unless it is `opened`
        config = self.path / "config.json"
        if not config.exists():
            raise InputError(
                f"{path} is not a run folder: it has no config.json; train one with python -m hacnn_tf.train."
            )
        content = RunConfig.read(config)
        self.settings, self.num_identities = content.settings, content.num_identities
        self.dataset_name, self.trained, self.tested = content.dataset_name, content.fingerprint, content.tested
        self.initial, self.data_root, self.init_from = content.initial, content.data_root, content.init_from
        self.code, self.revision = content.code, content.revision

    @classmethod
    def find(cls, path: FilePath, settings: Settings, dataset: "ReidDataset") -> "RunFolder | None":
        """The run in a folder, if it is one of these settings; None if the folder is still to be made, and can be.

        Raises:
            InputError: the folder holds something else, or a run with other settings (names them) or data.
        """
        path = Path(expanded(path))
        if not (path / "config.json").exists():
            others = list(path.iterdir()) if path.is_dir() else []
            if any(other.name != LOCK and not other.name.startswith(".") for other in others):
                raise InputError(f"{path} exists and is not a run folder: name another with --run_dir.")
            check_new_path(path / "config.json")
            return None
        run = cls(path)
        differences = run.settings.differences(settings).items()
        if differences:
            named = preview([f"--{name} {there} there, {now} now" for name, (there, now) in differences], 10, "; ")
            raise InputError(
                f"{path} holds a run with other flags ({named}): repeat those, and --run_dir {path}, to go on with it, "
                "or name another folder with --run_dir (RUNS, for the scripts)."
            )
        run.check_dataset(dataset)
        return run

    @classmethod
    @contextlib.contextmanager
    def opened(
        cls, path: FilePath, settings: Settings, dataset: "ReidDataset", initial: str | None = None, **places: Any
    ) -> Iterator["RunFolder"]:
        """The run folder to train in, found or made anew, and kept from other processes while the context lasts.

        Args:
            path, settings, dataset: as in `find`.
            initial: fingerprint of the weights to begin from; None if they are fresh, or it has begun.
            places: flags of no consequence for the result, kept for the record.

        Raises:
            InputError: as `find`; or another process is training in it, it cannot be written, or it was to begin from
                other weights.
        """
        with locked(Path(path) / LOCK) as still_ours:
            run = cls.find(path, settings, dataset)
            if settings.init_from and not (initial or (run and run.begun)):  # it had begun when that was asked
                raise InputError(f"{path} was removed while images were read: repeat the command.")
            run = run or cls.create(path, settings, dataset, initial, **places)
            if initial and initial != run.initial:
                raise InputError(
                    f"The weights in {settings.init_from} have changed since {path} was set up ({run.initial}, now "
                    f"{initial}): restore them, or name another folder with --run_dir."
                )
            run._still_ours = still_ours
            splits = {Path(name).stem for name in dataset.made_splits}
            sweep(run.path, {"config", "not_finite", *splits, *COLUMNS})  # evaluate and export take no lock
            sweep(run.path / "checkpoints")
            yield run

    @classmethod
    def create(
        cls, path: FilePath, settings: Settings, dataset: "ReidDataset", initial: str | None = None, **places: Any
    ) -> "RunFolder":
        """Starts a run folder, see `opened`."""
        write_config(Path(expanded(path)) / "config.json", settings, dataset, initial, places)
        return cls(path)

    def go_on(self, epoch: int, step: int) -> None:
        """Says in `config.json` that from here on this code trains, if it is other than before.

        Args:
            epoch: whole epochs done.
            step: steps done of the next.

        Raises:
            InputError: as `save`.
        """
        self._check_present()
        self.code = go_on(self.path / "config.json", self.code, epoch, step)

    def save(self, state: "TrainingState") -> None:
        """Writes a checkpoint of a `TrainingState`.

        Raises:
            InputError: it cannot be written, or the folder is gone; earlier ones stay.
        """
        self._check_present()
        self._checkpoints.save(state.epoch, state.step, state.to_arrays())

    @property
    def begun(self) -> bool:
        """Whether there is a checkpoint, be it damaged."""
        return bool(self._checkpoints)

    def restore(self, state: "TrainingState") -> bool:
        """Takes a `TrainingState` from the newest whole checkpoint, and says whether there is one.

        Raises:
            InputError: all checkpoints are damaged, or it is one of another network.
        """
        newest = self._checkpoints.newest()
        if newest:
            path, arrays = newest
            state.load_arrays(arrays, path)
        return newest is not None

    def load_model(self, precision: str | None = None) -> "tuple[HACNN, int]":
        """The trained network, from the newest whole checkpoint.

        Args:
            precision: dtype policy to compute in; by default the one that it was trained in.

        Returns:
            The `HACNN`, and how many whole epochs (int) it was trained for.

        Raises:
            InputError: no checkpoint, all are damaged, or it is one of another network.
        """
        return self.load_checkpoint(precision)[:2]

    def load_checkpoint(self, precision: str | None = None) -> "tuple[HACNN, int, int]":
        """As `load_model`, and how many steps (int) it was trained beyond these epochs."""
        newest = self._checkpoints.newest()
        if newest is None:
            raise InputError(f"{self.path} has no checkpoint yet: train it with python -m hacnn_tf.train.")
        load_keras()
        from hacnn_tf.training.state import load_network

        path, arrays = newest
        settings = dataclasses.replace(self.settings, precision=precision or self.settings.precision)
        model = settings.build_model(self.num_identities)
        load_network(model, arrays, path)
        return model, int(arrays["epoch"]), int(arrays["step"])

    def read_dataset(self, data_root: FilePath) -> "ReidDataset":
        """The dataset it was trained on, read below `data_root`. Raises `InputError` if it cannot be, or is another."""
        dataset = self.settings.read_dataset(data_root)
        self.check_dataset(dataset)
        return dataset

    def check_dataset(self, dataset: "ReidDataset") -> None:
        """Raises `InputError` if `dataset` does not have the training images of this run."""
        if (dataset.name, dataset.fingerprint()) != (self.dataset_name, self.trained):
            raise InputError(
                f"{self.path} was trained on other images of {self.dataset_name} than those of {dataset.name} here: "
                "restore the data (--data_root says where it is), or name another folder with --run_dir."
            )

    def tests_others(self, tested: str) -> bool:
        """Whether test images of this fingerprint are others than when it began, as far as that is known."""
        return self.tested not in (None, tested)

    @property
    def columns(self) -> dict[str, list[str]]:
        """`COLUMNS`, without those of a branch that its network does not have."""
        lacking = tuple(f"{branch}_" for branch in BRANCHES if branch not in self.settings.branches)
        return {name: [c for c in columns if not c.startswith(lacking)] for name, columns in COLUMNS.items()}

    def write_rows(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Replaces `NAME.csv`; `name` is one of `COLUMNS`, `rows` are dicts of its columns. Raises as `save`."""
        self._check_present()
        write_csv(self.path / f"{name}.csv", self.columns[name], rows)

    def read_rows(self, name: str, last_epoch: float = math.inf) -> list[dict[str, str]]:
        """The rows of `NAME.csv`, or those up to an epoch, as dicts of strings; none if there is no such file.

        Raises:
            InputError: it is damaged.
        """
        path = self.path / f"{name}.csv"
        if not path.exists():
            return []
        try:
            with open(path, newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            for row in rows:
                [float(row[column]) for column in self.columns[name]]
            return [row for row in rows if int(row["epoch"]) <= last_epoch]
        except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
            raise InputError(f"{path} is damaged ({error!r}): restore it, or remove it.") from None

    def write_not_finite(self, rows: "pd.DataFrame") -> Path:
        """Writes `not_finite.csv`, the batch after which the loss is not finite; raises as `save`."""
        self._check_present()
        path = self.path / "not_finite.csv"
        write_csv(path, ["path", "pid"], rows[["path", "pid"]].to_dict("records"))
        return path

    def write_metrics(self, results: Results, epoch: int, tested: str | None, revision: str | None = None) -> bool:
        """Writes `metrics.json`, unless it is of a later epoch already, and says whether it did.

        Args:
            results: of `evaluate_features`.
            epoch: after how many it was evaluated.
            tested: fingerprint of the test images; None if they are not known.
            revision: git revision of the code that tested; this code's if not given.

        Raises:
            InputError: as `save`, the folder holds another training by now, or another process does not end writing
                within `METRICS_WAIT` seconds.
        """
        self._check_same()
        how = {"tested": tested, "revision": revision or code_revision(), "epoch": epoch}
        with locked(self.path / METRICS_LOCK, self.path, METRICS_WAIT):
            sweep(self.path, {"metrics"})
            later = read_if_whole(self.path / "metrics.json").get("epoch")
            if isinstance(later, int) and epoch < later <= self.settings.epochs:  # else another training's
                return False
            write_json(self.path / "metrics.json", {"dataset": self.dataset_name, **how, "results": results})
        return True

    def write_other_metrics(
        self, dataset: "ReidDataset", options: DatasetOptions, results: Results, epoch: int
    ) -> Path:
        """Writes `metrics-DATASET.json`, results on the test set of another `ReidDataset`, and gives its path.

        If that is of other images of a dataset of this name, their fingerprint comes behind it. Raises as
        `write_metrics`.
        """
        self._check_same()
        tested = dataset.fingerprint(TEST_SPLITS)
        path = self.path / f"metrics-{as_file_name(dataset.name)}.json"
        how = {"tested": tested, "revision": code_revision(), "epoch": epoch}
        names = {"trained_on": self.dataset_name, "tested_on": dataset.name, "options": dataclasses.asdict(options)}
        with locked(self.path / METRICS_LOCK, self.path, METRICS_WAIT):
            if read_if_whole(path).get("tested") not in (None, tested):
                path = path.with_name(f"{path.stem}-{tested}.json")
            write_json(path, {**names, **how, "results": results})
        return path

    def read_metrics(self) -> Results:
        """The results of `evaluate_features` for the finished training; older ones lack some measures (`ADDED`).

        Raises:
            InputError: the training is not finished, or `metrics.json` is damaged.
        """
        return self._read_metrics()["results"]

    def read_test(self) -> tuple[str | None, str | None]:
        """What `metrics.json` says of the test: the fingerprint of its images, and the git revision of the code.

        None each if it does not say; raises `InputError` as `read_metrics`.
        """
        content = self._read_metrics()
        return content.get("tested"), content.get("revision")

    def _read_metrics(self) -> dict[str, Any]:
        return read_metrics(self.path / "metrics.json", self.settings.branches, self.settings.epochs)

    def _check_present(self) -> None:
        if not (self.path / "config.json").exists() or not self._still_ours():
            raise InputError(f"{self.path} was removed while it was in use: repeat the command to begin anew.")

    def _check_same(self) -> None:
        """Raises `InputError` if the folder is gone, or another training's by now, whose results these are not."""
        self._check_present()
        now = RunConfig.read(self.path / "config.json")
        if (now.settings, now.fingerprint, now.initial) != (self.settings, self.trained, self.initial):
            raise InputError(f"{self.path} holds another training than when it was opened: repeat the command.")
