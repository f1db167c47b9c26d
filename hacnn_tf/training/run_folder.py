"""A run folder: the record of one training.

`config.json` settings, versions, revision; `log.csv` one row an epoch; `tensorboard/` the same as events;
`checkpoints/` the last two epochs; `metrics.json` the evaluation of the finished training.
"""

import csv
import dataclasses
import json
import math
import platform
import subprocess
from pathlib import Path

import h5py
import keras
import numpy as np
import tensorflow as tf

import hacnn_tf
from hacnn_tf.errors import InputError
from hacnn_tf.evaluation import CMC_LENGTH, MEASURES, PARTS
from hacnn_tf.files import aside, check_new_path, write_json
from hacnn_tf.training.settings import Settings

LOG_COLUMNS = ["epoch", "step", "global_loss", "local_loss", "identity_accuracy", "images_per_second"]
CHECKPOINTS_KEPT = 2


class RunFolder:
    """Opens a run folder.

    Args:
        path: the folder.

    Attributes:
        path: `pathlib.Path` of the folder.
        settings: the `Settings` of its training.
        dataset_name: of the dataset trained on, for people.
        fingerprint: of its training images, see `ReidDataset.fingerprint`.
        num_identities: number of training identities.
        versions: dict of the versions it was trained with.
        revision: the git revision it was trained with, or None.

    Raises:
        InputError: it is not a run folder, or its `config.json` is damaged or of another version.
    """

    def __init__(self, path):
        self.path = Path(path)
        config = self.path / "config.json"
        if not config.exists():
            raise InputError(
                f"{path} is not a run folder: it has no config.json; train one with python -m hacnn_tf.train."
            )
        try:
            content = json.loads(config.read_text())
            self.settings = Settings(**content["settings"])
            self.num_identities = content["num_identities"]
            self.dataset_name = content["dataset"]
            self.fingerprint = content["fingerprint"]
            self.versions = {name: content["versions"][name] for name in _versions()}
            self.revision = content["revision"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{config} is damaged or of another version of hacnn_tf: {error}.") from None

    @classmethod
    def find(cls, path, settings, dataset):
        """The run in a folder, if it is one of these settings; None if the folder is still to be made, and can be.

        Raises:
            InputError: the folder holds something else, or a run with other settings (names them) or data.
        """
        path = Path(path)
        if not (path / "config.json").exists():
            if path.is_dir() and any(path.iterdir()):
                raise InputError(f"{path} exists and is not a run folder: name another with --run_dir.")
            check_new_path(path / "config.json")
            return None
        run = cls(path)
        now = dataclasses.asdict(settings)
        differences = [
            f"--{name} {_flag(there)} there, {_flag(now[name])} now"
            for name, there in dataclasses.asdict(run.settings).items()
            if there != now[name]
        ]
        if differences:
            raise InputError(
                f"{path} holds a run with other flags ({'; '.join(differences)}): "
                "repeat those to go on with it, or name another folder with --run_dir (RUNS, for the scripts)."
            )
        run.check_dataset(dataset)
        return run

    @classmethod
    def create(cls, path, settings, dataset, **places):
        """Starts a run folder; `places` are flags of no consequence for the result, kept for the record."""
        write_json(
            Path(path) / "config.json",
            {
                "settings": dataclasses.asdict(settings),
                "places": places,
                "dataset": dataset.name,
                "fingerprint": dataset.fingerprint(),
                "num_identities": dataset.split("train").pid.nunique(),
                "versions": _versions(),
                "revision": _revision(),
            },
        )
        return cls(path)

    def checkpoints(self, model, **objects):
        """A `tf.train.CheckpointManager` in this folder, over a network, what describes it, and other objects."""
        network = tf.Variable(_description(model))
        return tf.train.CheckpointManager(
            tf.train.Checkpoint(model=model, network=network, **objects),
            str(self.path / "checkpoints"),
            max_to_keep=CHECKPOINTS_KEPT,
        )

    def load_model(self):
        """The trained network, from the newest checkpoint.

        Returns:
            The `HACNN`, and the epoch (int) it was saved after.

        Raises:
            InputError: no checkpoint, or one of another network.
        """
        model, epoch = self.settings.build_model(self.num_identities), tf.Variable(0, dtype=tf.int64)
        checkpoints = self.checkpoints(model, epoch=epoch)
        if checkpoints.latest_checkpoint is None:
            raise InputError(f"{self.path} has no checkpoint yet: train it with python -m hacnn_tf.train.")
        self.restore(checkpoints).expect_partial()
        return model, int(epoch)

    def restore(self, checkpoints):
        """Restores the newest of `checkpoints`, if there is any, and gives TensorFlow's load status.

        Raises:
            InputError: it is of another network, or damaged.
        """
        newest = checkpoints.latest_checkpoint
        if newest is None:
            return None
        try:
            saved = tf.train.load_checkpoint(newest).get_tensor("network/.ATTRIBUTES/VARIABLE_VALUE")
            if saved != checkpoints.checkpoint.network.numpy():
                raise ValueError("another network")
            status = checkpoints.checkpoint.restore(newest)
            status.assert_existing_objects_matched()
        except (AssertionError, IndexError, ValueError, tf.errors.OpError):  # what TensorFlow raises for such files
            raise InputError(
                f"{newest} is damaged, or not of the network that {self.path / 'config.json'} describes: "
                "restore the run folder's own files."
            ) from None
        return status

    def check_dataset(self, dataset):
        """Raises `InputError` if `dataset` does not have the training images of this run."""
        if (dataset.name, dataset.fingerprint()) != (self.dataset_name, self.fingerprint):
            raise InputError(
                f"{self.path} was trained on other images of {self.dataset_name} than those of {dataset.name} here: "
                "restore the data (--data_root says where it is), or name another folder with --run_dir."
            )

    def write_log(self, rows):
        """Replaces `log.csv`; `rows` are dicts of `LOG_COLUMNS`."""
        with aside(self.path / "log.csv") as part, open(part, "w", newline="") as file:
            writer = csv.DictWriter(file, LOG_COLUMNS)
            writer.writeheader()
            writer.writerows(rows)

    def read_log(self, last_epoch):
        """The rows of `log.csv` up to an epoch, as dicts of strings. Raises `InputError` if it is damaged."""
        path = self.path / "log.csv"
        if not path.exists():
            return []
        try:
            with open(path, newline="") as file:
                rows = list(csv.DictReader(file))
            for row in rows:
                [float(row[column]) for column in LOG_COLUMNS]
            return [row for row in rows if int(row["epoch"]) <= last_epoch]
        except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
            raise InputError(f"{path} is damaged ({error!r}): restore it, or remove it.") from None

    def write_metrics(self, results, epoch):
        """Writes `metrics.json`: the dataset's name, the epoch, and the results of `evaluate_features`."""
        write_json(self.path / "metrics.json", {"dataset": self.dataset_name, "epoch": epoch, "results": results})

    def read_metrics(self):
        """The results of `evaluate_features` for the finished training.

        Raises:
            InputError: the training is not finished, or `metrics.json` is damaged or of another version.
        """
        path = self.path / "metrics.json"
        if not path.exists():
            raise InputError(f"{self.path} is not finished (no metrics.json): repeat its command to go on with it.")
        again = f"write it anew with python -m hacnn_tf.evaluate --run_dir {self.path}"
        try:
            content = json.loads(path.read_text())
            epoch, results = content["epoch"], content["results"]
            for parts in ({"single_query": None} | results).values():
                for measures in (parts[part] for part in PARTS):
                    if not all(math.isfinite(measures[name]) for name in MEASURES):
                        raise ValueError("a measure is not finite")
                    if len(measures["cmc"]) != CMC_LENGTH:
                        raise ValueError("the CMC curve is cut")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path} is damaged or of another version of hacnn_tf ({error!r}): {again}.") from None
        if epoch != self.settings.epochs:
            raise InputError(
                f"{path} is of epoch {epoch} of {self.settings.epochs}: repeat the training's command to finish it."
            )
        return results


def _flag(value):
    return "not given" if value is None else value


def _description(model):
    """A network as text: its arguments, without what does not change its weights."""
    config = model.get_config()
    return json.dumps({key: config[key] for key in config.keys() - {"name", "dtype", "trainable"}}, sort_keys=True)


def _versions():
    return {
        "hacnn_tf": hacnn_tf.__version__,
        "python": platform.python_version(),
        **{module.__name__: module.__version__ for module in (tf, keras, np, h5py)},
    }


def _revision():
    """The git revision of the code, or None where it is not in a git checkout."""
    folder = Path(__file__).parent
    found = subprocess.run(["git", "-C", folder, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return found.stdout.strip() or None
