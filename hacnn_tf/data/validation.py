"""Identities that become a test set: for validation, without looking at the test set, or where there is none."""

import dataclasses

import numpy as np
import pandas as pd

from hacnn_tf.data.dataset import NO_CAMERA, ReidDataset
from hacnn_tf.utils.errors import InputError

SEED = 0  # of which identities and queries: the same for every training, so that trainings can be compared


def hold_out(dataset: ReidDataset, identities: int) -> ReidDataset:
    """A dataset with training identities in the place of its test set, see `split_off`.

    Args:
        dataset: a `ReidDataset`.
        identities: how many to hold out.

    Returns:
        A `ReidDataset` without any image of the test set.

    Raises:
        InputError: there are not so many, or fewer than two would be left to train on.
    """
    rows = dataset.split("train")
    candidates, everybody = searchable(rows), rows.pid.nunique()
    most = min(len(candidates), everybody - 2)
    if not 0 < identities <= most:
        raise InputError(
            f"--validation {identities} holds out training identities seen by at least two cameras, and not only once "
            f"by each: {dataset.name} has {len(candidates)} of them, and {everybody} to train on in all; "
            + (f"name {most} at most." if most > 0 else "this dataset cannot be validated on.")
        )
    return dataclasses.replace(
        dataset,
        name=f"{dataset.name}, {identities} training identities for validation",
        table=split_off(rows, identities, SEED),
        single_shot=False,
    )


def searchable(rows: pd.DataFrame) -> pd.Index:
    """The identities that can be tested on, whose queries leave something to find.

    They were seen by at least two cameras, and not only once by each; where cameras are not known, on two images.

    Args:
        rows: table of images; columns `pid` and `camid`.

    Returns:
        `pandas.Index` of identities, ascending.
    """
    by_pid = _cameras(rows).groupby("pid")
    images, seen, lowest = by_pid.size(), by_pid.camid.nunique(), by_pid.camid.min()
    return seen.index[((seen > 1) | (lowest == NO_CAMERA)) & (images > seen)]


def split_off(rows: pd.DataFrame, identities: int, seed: int) -> pd.DataFrame:
    """Makes some of the searchable identities a test set, and leaves the others to train on.

    Of each of them and each of its cameras a random image becomes a query, and the others the gallery; where cameras
    are not known, one image in all becomes a query.

    Args:
        rows: table of images, as `ReidDataset.table`.
        identities: how many.
        seed: of which identities, and which queries.

    Returns:
        Table with the same images, and their `split`.
    """
    rng = np.random.default_rng(seed)
    tested = rows[rows.pid.isin(rng.permutation(searchable(rows))[:identities])]
    queries = _cameras(tested).groupby(["pid", "camid"]).sample(1, random_state=seed).sort_index().index
    parts = {
        "train": rows[~rows.pid.isin(tested.pid)],
        "query": tested.loc[queries],
        "gallery": tested.drop(queries),
    }
    return pd.concat([part.assign(split=split) for split, part in parts.items()], ignore_index=True)


def _cameras(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with all cameras that are not known as one."""
    return rows.assign(camid=rows.camid.clip(lower=NO_CAMERA))
