"""Weights of 0.2.0: arrays that hold the convs of several streams, put together here under the names of then."""

import re

import h5py
import numpy as np
import pytest

from hacnn_tf.export import Extractor
from hacnn_tf.models import HACNN
from hacnn_tf.reid import ReID

SMALL = {"widths": (16, 32, 48), "feature_dim": 24, "input_size": (80, 32)}
VARIABLES = {"conv": ["kernel"], "norm": ["gamma", "beta", "moving_mean", "moving_variance"]}


def former_checkpoint(arrays):
    """The arrays of a checkpoint as 0.2.0 saved them."""
    arrays = dict(arrays)
    inceptions = [(f"level{i}_inception_a", 4, {"conv": "conv_1x1", "norm": "norm_1x1"}) for i in (1, 2, 3)]
    inceptions += [
        (f"level{i}_{branch}inception_b", 2, {"conv": "conv_1x1/conv", "norm": "conv_1x1/norm"})
        for i in (1, 2, 3)
        for branch in ("", "local_")
    ]

    def merge(name, streams, former):
        parts = [arrays.pop(name.format(f"stream{i}_1x1"), None) for i in range(1, streams + 1)]
        if all(part is not None for part in parts):  # averages have no moments
            arrays[former] = np.concatenate(parts, axis=-1)

    for inception, streams, layers in inceptions:
        for layer, former in layers.items():
            for variable in VARIABLES[layer]:
                merge(f"model/{inception}/{{}}/{layer}/{variable}", streams, f"model/{inception}/{former}/{variable}")
                for moment in ("momentum", "velocity"):
                    ending = f"{variable}_{moment}"
                    merge(
                        f"optimizer/adam/{inception}_{{}}_{layer}_{ending}",
                        streams,
                        f"optimizer/adam/{inception}_{former.replace('/', '_')}_{ending}",
                    )
    return arrays


def make_former(path):
    """Turns a `.weights.h5` into one of 0.2.0, which has layers by their attributes, and their names beside them."""
    with h5py.File(path, "r+") as file:
        for key, layer in file["layers"].items():
            if not key.startswith("inception"):
                continue
            count, place = (4, "") if key.startswith("inception_a") else (2, "reduce/")
            streams = [f"stream{i}_1x1" for i in range(1, count + 1)]
            for part, variables in VARIABLES.items():
                for i in range(len(variables)):
                    arrays = [layer[f"{stream}/{part}/vars/{i}"] for stream in streams]
                    layer[f"{place}{part}/vars/{i}"] = np.concatenate(arrays, axis=-1)
                layer[f"{place}{part}/vars"].attrs["name"] = part if place else f"{part}_1x1"
            if place:
                layer.create_group(f"{place}vars").attrs["name"] = "conv_1x1"
            for name in [name for name in layer if name.startswith("stream")]:
                if name in streams:
                    del layer[name]
                else:
                    layer.move(name, "pool" if name.endswith("pool") else re.sub("_.x.", "", name))


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float16", marks=pytest.mark.slow)])
@pytest.mark.parametrize("local", [True, False])
def test_a_preset_of_0_2_0(local, dtype, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (4, 80, 32, 3), dtype=np.uint8)
    network = HACNN(7, local=local, **SMALL)
    network(images, training=True)  # moves the batch norms' averages
    ReID("it", Extractor.of_network(network)).save_to_preset(tmp_path / "preset", dtype)
    expected = ReID.from_preset(tmp_path / "preset")
    make_former(tmp_path / "preset/model.weights.h5")
    with h5py.File(tmp_path / "preset/model.weights.h5") as file:
        assert file["layers/inception_a_1/conv/vars/0"].shape == (1, 1, 16, 32)
    found = ReID.from_preset(tmp_path / "preset")
    assert found.fingerprint == expected.fingerprint
    np.testing.assert_array_equal(found.extract(images), expected.extract(images))
