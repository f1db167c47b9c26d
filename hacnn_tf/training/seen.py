"""Whether a run was trained on the persons that somebody is about to test on."""

import os
import sys
from typing import TYPE_CHECKING

import pandas as pd

from hacnn_tf.data.dataset import DISTRACTOR
from hacnn_tf.training.run_folder import RunFolder
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import expanded
from hacnn_tf.utils.types import FilePath

if TYPE_CHECKING:
    from hacnn_tf.data.dataset import ReidDataset


def persons_seen(run: RunFolder, dataset: "ReidDataset", data_root: FilePath) -> tuple[int, int]:
    """How many persons of a dataset's queries and gallery a run was trained on, by the files of their images.

    Args:
        run: a `RunFolder`.
        dataset: a `ReidDataset`.
        data_root: where the run's dataset is, if it is not where it was.

    Returns:
        How many of them, and of how many.

    Raises:
        InputError: it cannot be known: the run's images are elsewhere, or others now.
    """
    trained = {os.path.realpath(path) for path in _training_paths(run, data_root)}
    tested = dataset.table[dataset.table.split.isin(["query", "gallery"]) & (dataset.table.pid > DISTRACTOR)]
    seen = tested.path.map(os.path.realpath).isin(trained)
    return tested.pid[seen].nunique(), tested.pid.nunique()


def persons_seen_or_told(run_dir: FilePath, dataset: "ReidDataset", data_root: FilePath) -> tuple[int, int]:
    """As `persons_seen`, of the run in a folder; if it cannot be known, says so on standard error, and 0 of 0."""
    try:
        return persons_seen(RunFolder(run_dir), dataset, data_root)
    except InputError as error:
        print(error, file=sys.stderr)
        return 0, 0


def _training_paths(run: RunFolder, data_root: FilePath) -> list[str]:
    """The paths of a run's training images: as they are read again, or else as the split that it drew names them."""
    problem = f"{run.data_root or data_root} is not there."
    for root in dict.fromkeys((run.data_root or data_root, data_root)):
        try:
            if os.path.exists(expanded(root)):  # or the embedded dataset would be made there
                return list(run.read_dataset(root).split("train").path)
        except InputError as error:
            problem = str(error)
    if drawn := sorted(run.path.glob("split*.csv")):
        rows = pd.concat([pd.read_csv(split, dtype=str) for split in drawn])
        return list(rows.path[rows.split == "train"])
    raise InputError(f"Whether {run.path} was trained on persons who are tested here is not known. {problem}")
