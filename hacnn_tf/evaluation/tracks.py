"""Tracks: many images of one person from one camera, as a tracker gives them, as one feature."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hacnn_tf.evaluation.features import feature_part
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.types import BRANCHES, Features, Integers

if TYPE_CHECKING:
    import pandas as pd


def pool_tracks(features: Features, tracks: Integers, branches: Sequence[str] = BRANCHES) -> Features:
    """One feature a track: the mean of its images' features, in which that of each branch has length 1 again.

    The median, and weighting by sharpness, were not better (docs/protocols.md).

    Args:
        features: `(n, d)` float32 array.
        tracks: `(n,)` int array, the track of each image: 0 to m − 1, each at least once.
        branches: whose features stand side by side in a feature, as `HACNN.branches` names them.

    Returns:
        `(m, d)` float32 array.

    Raises:
        InputError: tracks are not one for each image, leave a number out, or are no whole numbers.
    """
    tracks = np.asarray(tracks)
    if len(tracks) and tracks.dtype.kind not in "iu":
        raise InputError(f"Tracks are numbers from 0, not {tracks.dtype}: pandas.factorize makes them of names.")
    numbers = np.unique(tracks)
    if len(tracks) != len(features) or not np.array_equal(numbers, np.arange(len(numbers))):
        raise InputError(
            f"{len(features):,} images need as many tracks, numbered from 0 without a gap, not {np.shape(tracks)} of "
            f"{len(numbers):,} numbers from {numbers.min(initial=0)} to {numbers.max(initial=0)}."
        )
    sums = np.zeros((len(numbers), features.shape[1]), np.float32)
    add_features(sums, features, tracks)
    return unit_branches(sums, branches)


def add_features(sums: Features, features: Features, tracks: Integers) -> None:
    """Adds features of images `(n, d)` to those of their tracks `(m, d)`, in place; `tracks` is as in `pool_tracks`."""
    for track, feature in zip(tracks, features, strict=True):  # ten times as fast as numpy.add.reduceat
        sums[track] += feature


def unit_branches(features: Features, branches: Sequence[str] = BRANCHES) -> Features:
    """Features `(n, d)`, whose parts of each branch get length 1, in place; those of length 0 stay."""
    for branch in branches:
        part = feature_part(features, branch, branches)  # a view
        part /= _lengths(part)
    return features


def _lengths(features: Features) -> Features:
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return np.where(lengths > 0, lengths, 1)


def track_numbers(rows: "pd.DataFrame") -> Integers:
    """The tracks of images as numbers from 0, in order of appearance; an image without one is its own.

    Args:
        rows: table of images; column `track`, which may have gaps, as in `ReidDataset.table`.

    Returns:
        `(len(rows),)` int array.
    """
    import pandas as pd  # ReID, which pools tracks too, does without

    numbers, names = pd.factorize(rows.track)
    alone = numbers < 0
    numbers[alone] = len(names) + np.arange(alone.sum())
    return pd.factorize(numbers)[0]
