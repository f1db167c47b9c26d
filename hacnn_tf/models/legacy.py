"""Weights as hacnn_tf 0.2.0 kept them: an Inception's 1×1 convs that read its input, side by side in one kernel.

Each had its part of that kernel's output channels, and of one batch norm's. Checkpoints and presets of then are read by
this; and fingerprints are still of that layout, so that databases and exports of then keep their network.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import h5py
import keras
import numpy as np
from numpy.typing import NDArray

FORMER = {  # a conv's name now: that of the one which it was a part of. Adam's variables have "_" where paths have "/"
    r"(inception_a[/_])stream\d_1x1[/_](conv|norm)": r"\1\2_1x1",
    r"(inception_b[/_])stream[12]_1x1": r"\1conv_1x1",
}
VARIABLES = {  # of a layer, by their number
    0: (),
    1: ("kernel",),
    2: ("kernel", "bias"),
    4: ("gamma", "beta", "moving_mean", "moving_variance"),
}


def merge(weights: Iterable[keras.Variable]) -> list[NDArray]:
    """The arrays, in their order, that `get_weights` of a network with these weights gave in 0.2.0."""
    arrays = {weight.path: np.asarray(weight) for weight in weights}
    return [np.concatenate([arrays[path] for path in parts], axis=-1) for parts in _by_former(arrays).values()]


def split(arrays: Mapping[str, NDArray], paths: Iterable[str]) -> dict[str, NDArray]:
    """What was saved of variables of these paths, if it was by 0.2.0 in arrays that hold several of them."""
    return {
        path: part
        for former, parts in _by_former(paths).items()
        if len(parts) > 1 and former in arrays
        for path, part in zip(parts, np.split(arrays[former], len(parts), axis=-1), strict=True)
    }


def load_weights(model: keras.Model, path: Path) -> None:
    """As `model.load_weights(path)`, of a `.weights.h5` that may be of 0.2.0."""
    with h5py.File(path) as file:
        arrays = _read(file["layers"]) if "layers/inception_a/conv" in file else None
    if arrays is None:
        return model.load_weights(path)
    arrays |= split(arrays, [weight.path for weight in model.weights])
    for weight in model.weights:
        weight.assign(arrays[weight.path])


def _by_former(paths: Iterable[str]) -> dict[str, list[str]]:
    """Paths of variables, of each that 0.2.0 had those that it held."""
    groups: dict[str, list[str]] = {}
    for path in paths:
        former = path
        for now, then in FORMER.items():
            former = re.sub(now, then, former)
        groups.setdefault(former, []).append(path)
    return groups


def _read(layers: h5py.Group, place: str = "") -> dict[str, NDArray]:
    """All arrays below a group of layers, by Keras's paths of their variables."""
    arrays: dict[str, NDArray] = {}
    for key, group in layers.items():
        if key == "vars":
            arrays |= {place + name: group[str(i)][()] for i, name in enumerate(VARIABLES[len(group)])}
        else:
            arrays |= _read(group, f"{place}{group['vars'].attrs['name']}/")
    return arrays
