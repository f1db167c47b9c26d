"""The state of a training: all that its future depends on."""

import inspect
import json
from collections.abc import Mapping, Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from hacnn_tf.models import HACNN, legacy
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.types import FilePath

# Of arguments that a checkpoint of before they were there does not name.
DEFAULTS = {
    name: p.default for name, p in inspect.signature(HACNN.__init__).parameters.items() if p.default is not p.empty
}


class TrainingState:
    """A network, its optimizer, and how far they have come.

    The order of an epoch's images follows from the seed and the epoch, so its position is a number of steps.

    Args:
        model: a `HACNN`.
        optimizer: a built `keras.optimizers.Optimizer`.

    Attributes:
        epoch: whole epochs done.
        step: steps done of the next epoch.
        totals: `(len(model.branches) + 1,)` float64 array, sums over these steps of each branch's loss and of identity
            accuracy.
    """

    def __init__(self, model: HACNN, optimizer: keras.optimizers.Optimizer) -> None:
        self.model, self.optimizer = model, optimizer
        self.epoch = 0
        self._begin_epoch()

    def _begin_epoch(self) -> None:
        self.step = 0
        self.totals: NDArray[np.float64] = np.zeros(len(self.model.branches) + 1)

    def count_step(self, results: NDArray[np.float32]) -> None:
        """Counts a step; `results` are `(branches + 1,)` float32, as `make_train_step` gives them."""
        self.step += 1
        self.totals += results

    def count_epoch(self) -> NDArray[np.float64]:
        """Turns to the next epoch, and gives the last one's means: `(branches + 1,)` of losses in nats, accuracy."""
        means = self.totals / self.step
        self.epoch += 1
        self._begin_epoch()
        return means

    def finite(self) -> bool:
        """Whether all weights are."""
        return all(np.isfinite(weight).all() for weight in self.model.get_weights())

    def to_arrays(self) -> dict[str, NDArray]:
        """The state as a dict of arrays: `epoch`, `step`, `totals`, `network`, and each variable by its path."""
        return {
            "network": np.array(describe(self.model)),
            "epoch": np.array(self.epoch),
            "step": np.array(self.step),
            "totals": self.totals,
            **{f"model/{v.path}": np.asarray(v) for v in self.model.variables},
            **{f"optimizer/{v.path}": np.asarray(v) for v in self.optimizer.variables},
        }

    def load_arrays(self, arrays: Mapping[str, NDArray], source: FilePath) -> None:
        """Takes the state from what `to_arrays` gave. Raises `InputError` as `load_network`."""
        load_network(self.model, arrays, source)
        _assign(self.optimizer.variables, "optimizer", arrays, source)
        self.epoch, self.step, self.totals = int(arrays["epoch"]), int(arrays["step"]), arrays["totals"].copy()


def load_network(model: HACNN, arrays: Mapping[str, NDArray], source: FilePath) -> None:
    """Gives a `HACNN` the weights in `arrays`, of `TrainingState.to_arrays`.

    Raises:
        InputError: they are those of another network; names `source`.
    """
    network = json.loads(str(arrays["network"]))
    if DEFAULTS | network != DEFAULTS | json.loads(describe(model)):
        raise InputError(f"{source} is of another network than its run folder's config.json describes: restore both.")
    _assign(model.variables, "model", arrays, source)


def describe(model: HACNN) -> str:
    """A network as text: its arguments, without what does not change its weights."""
    config = model.get_config()
    return json.dumps({key: config[key] for key in config.keys() - {"name", "dtype", "trainable"}}, sort_keys=True)


def _assign(variables: Sequence[keras.Variable], part: str, arrays: Mapping[str, NDArray], source: FilePath) -> None:
    arrays = {**arrays, **legacy.split(arrays, [f"{part}/{v.path}" for v in variables])}
    found = [(variable, arrays.get(f"{part}/{variable.path}")) for variable in variables]
    if any(array is None or array.shape != tuple(variable.shape) for variable, array in found):
        raise InputError(f"{source} was written by another version of hacnn_tf or Keras: train with that, or anew.")
    for variable, array in found:
        variable.assign(array)
