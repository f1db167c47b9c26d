"""Validation identities: choosing without looking at the test set."""

import dataclasses

import numpy as np
import pandas as pd

from hacnn_tf.errors import InputError

SEED = 0  # of which identities and queries: the same for every training, so that trainings can be compared


def hold_out(dataset, identities):
    """A dataset with training identities in the place of its test set.

    So many of the identities that were seen by two cameras or more are taken out of training. Of each of them and each
    of its cameras a random image becomes a query, and the others the gallery.

    Args:
        dataset: a `ReidDataset`.
        identities: how many to hold out.

    Returns:
        A `ReidDataset` without any image of the test set.

    Raises:
        InputError: there are not so many, or none would be left to train on.
    """
    rows = dataset.split("train")
    seen = rows.groupby("pid").camid.nunique()
    searchable = seen.index[(seen > 1) & (rows.groupby("pid").size() > seen)]  # a query must leave something to find
    most = min(len(searchable), len(seen) - 1)
    if not isinstance(identities, int) or not 0 < identities <= most:
        raise InputError(
            f"--validation {identities} holds out training identities seen by at least two cameras, and not only once "
            f"by each: {dataset.name} has {len(searchable)} of them, and {len(seen)} to train on in all; "
            + (f"name {most} at most." if most else "this dataset cannot be validated on.")
        )
    rng = np.random.default_rng(SEED)
    held_out = rows[rows.pid.isin(rng.permutation(searchable)[:identities])]
    queries = held_out.groupby(["pid", "camid"]).sample(1, random_state=SEED).sort_index()
    parts = {
        "train": rows[~rows.pid.isin(held_out.pid)],
        "query": queries,
        "gallery": held_out.drop(queries.index),
    }
    table = pd.concat([part.assign(split=split) for split, part in parts.items()], ignore_index=True)
    return dataclasses.replace(
        dataset, name=f"{dataset.name}, {identities} training identities for validation", table=table, single_shot=False
    )
