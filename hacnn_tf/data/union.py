"""Several datasets as one."""

import itertools
import os
from collections.abc import Mapping

import pandas as pd

from hacnn_tf.data.dataset import DISTRACTOR, NO_CAMERA, ReidDataset
from hacnn_tf.data.listing import LeftOut
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.text import as_file_name


def join_datasets(datasets: Mapping[str, ReidDataset]) -> ReidDataset:
    """The union of datasets: one training set, and one gallery for all queries.

    Nobody is in two of them, no camera and no track: identities and cameras of a dataset are numbered after those of
    the datasets before it, and tracks are named after theirs. Junk and distractors stay what they are.

    Args:
        datasets: dict from how a dataset is called, as in `--dataset`, to its `ReidDataset`.

    Returns:
        A `ReidDataset`.

    Raises:
        InputError: one is single-shot, with a gallery of another kind; or an image is in two of them.
    """
    if single_shot := [dataset.name for dataset in datasets.values() if dataset.single_shot]:
        raise InputError(f"{single_shot[0]} is tested single-shot, and no other dataset can join it: name it alone.")
    _check_apart(datasets)
    tables, pids, cameras, unknown = [], 0, 0, 0
    for called, dataset in datasets.items():
        pid, camid = dataset.table.pid, dataset.table.camid
        pid = pid.where(pid <= DISTRACTOR, pid + pids)
        camid = (camid + cameras).where(camid > NO_CAMERA, camid + unknown)
        pids, cameras, unknown = max(pids, pid.max()), max(cameras, camid.max() + 1), min(unknown, camid.min())
        tables.append(dataset.table.assign(pid=pid, camid=camid))
        if "track" in dataset.table:
            tables[-1]["track"] = f"{called} " + dataset.table.track
    return ReidDataset(
        " + ".join(dataset.name for dataset in datasets.values()),
        pd.concat(tables, ignore_index=True),
        left_out=LeftOut(
            {path: kind for dataset in datasets.values() for path, kind in dataset.left_out.files.items()},
            {path: text for dataset in datasets.values() for path, text in dataset.left_out.identities.items()},
            tuple(dict.fromkeys(name for dataset in datasets.values() for name in dataset.left_out.columns)),
        ),
        made_splits=_named_splits(datasets),
    )


def _check_apart(datasets: Mapping[str, ReidDataset]) -> None:
    """Raises `InputError` if two datasets have an image in common, as of one folder by two names."""
    owners: dict[str, str] = {}
    for called, dataset in datasets.items():
        paths = [os.path.realpath(path) for path in dataset.table.path]
        if owner := next((owners[path] for path in paths if path in owners), None):
            raise InputError(
                f"{owner} and {called} have images in common, whose people would be two each: name one of them."
            )
        owners |= dict.fromkeys(paths, called)


def _named_splits(datasets: Mapping[str, ReidDataset]) -> dict[str, pd.DataFrame]:
    """The splits that were drawn, by names of files; folders whose names only differ in other signs get numbers."""
    splits: dict[str, pd.DataFrame] = {}
    for called, dataset in datasets.items():
        for split in dataset.made_splits.values():
            name, numbers = f"split-{as_file_name(called)}", itertools.count(2)
            while f"{name}.csv".casefold() in map(str.casefold, splits):  # one name where letters' cases are one
                name = f"split-{as_file_name(called)}-{next(numbers)}"
            splits[f"{name}.csv"] = split
    return splits
