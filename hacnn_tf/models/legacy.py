"""Weights as hacnn_tf 0.2.0 saved them, with several 1×1 convs of an Inception in one kernel and one batch norm.

Each conv had its part of the output channels. Checkpoints and presets in that layout are split as they are read.
Fingerprints are still computed in it, so that databases and exports of before keep their network.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import h5py
import keras
import numpy as np
from numpy.typing import NDArray

FORMER = {  # in paths of variables, a conv now: the one that it was part of. Adam writes "_" for "/"
    r"(inception_a[/_])stream\d_1x1[/_](conv|norm)": r"\1\2_1x1",
    r"(inception_b[/_])stream[12]_1x1": r"\1conv_1x1",
}
VARIABLES = {  # names of a layer's variables, by how many it has
    0: (),
    1: ("kernel",),
    2: ("kernel", "bias"),
    4: ("gamma", "beta", "moving_mean", "moving_variance"),
}


def merge(weights: Iterable[keras.Variable]) -> list[NDArray]:
    """A network's weights as arrays, in the layout and order of 0.2.0."""
    arrays = {weight.path: np.asarray(weight) for weight in weights}
    return [np.concatenate([arrays[path] for path in parts], axis=-1) for parts in _by_former(arrays).values()]


def split(arrays: Mapping[str, NDArray], paths: Iterable[str]) -> dict[str, NDArray]:
    """Of saved arrays, those that held several of these paths in 0.2.0, as one for each path."""
    return {
        path: part
        for former, parts in _by_former(paths).items()
        if len(parts) > 1 and former in arrays
        for path, part in zip(parts, np.split(arrays[former], len(parts), axis=-1), strict=True)
    }


def load_weights(model: keras.Model, path: Path) -> None:
    """Does `model.load_weights(path)`, also if the file is one of 0.2.0."""
    with h5py.File(path) as file:
        arrays = _read(file["layers"]) if "layers/inception_a/conv" in file else None
    if arrays is None:
        return model.load_weights(path)
    arrays |= split(arrays, [weight.path for weight in model.weights])
    for weight in model.weights:
        weight.assign(arrays[weight.path])


def _by_former(paths: Iterable[str]) -> dict[str, list[str]]:
    """Groups paths of variables by the path of the variable that held them in 0.2.0."""
    groups: dict[str, list[str]] = {}
    for path in paths:
        former = path
        for now, then in FORMER.items():
            former = re.sub(now, then, former)
        groups.setdefault(former, []).append(path)
    return groups


def _read(layers: h5py.Group, place: str = "") -> dict[str, NDArray]:
    """All arrays below a group of layers, by the paths of their variables."""
    arrays: dict[str, NDArray] = {}
    for key, group in layers.items():
        if key == "vars":
            arrays |= {place + name: group[str(i)][()] for i, name in enumerate(VARIABLES[len(group)])}
        else:
            arrays |= _read(group, f"{place}{group['vars'].attrs['name']}/")
    return arrays
