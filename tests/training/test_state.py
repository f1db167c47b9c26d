"""The state of a training as arrays: all of it comes back, and no part is passed over."""

import keras
import numpy as np
import pytest

from hacnn_tf.training.state import TrainingState
from hacnn_tf.utils.errors import InputError
from tests.training.tiny import TinyNetwork


def fresh():
    model = TinyNetwork(3)
    optimizer = keras.optimizers.Adam(name="adam")
    optimizer.build(model.trainable_variables)
    return TrainingState(model, optimizer)


@pytest.mark.parametrize("part", ["model", "optimizer"])
def test_arrays_that_lack_something_are_of_another_version(part):
    arrays = fresh().to_arrays()
    fresh().load_arrays(arrays, "a.npz")
    name = next(name for name in arrays if name.startswith(f"{part}/") and np.ndim(arrays[name]))
    for other in ({}, {name: arrays[name][..., :-1]}):
        changed = {key: value for key, value in arrays.items() if key != name} | other
        with pytest.raises(InputError, match=r"a\.npz was written by another version of hacnn_tf or Keras"):
            fresh().load_arrays(changed, "a.npz")
