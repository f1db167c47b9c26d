"""A Keras file: the whole network, with classifiers, to go on working with."""

from pathlib import Path
from typing import TYPE_CHECKING

from hacnn_tf.export.extractor import Extractor
from hacnn_tf.utils.startup import load_keras

if TYPE_CHECKING:
    from hacnn_tf.models import HACNN

FILE = "hacnn.keras"
ABOUT = "the network, for Keras: import hacnn_tf.models, then keras.saving.load_model"


def write(network: "HACNN", path: Path) -> None:
    """Writes the file `path`."""
    network.save(path)


def load(path: Path, precision: str | None = None) -> Extractor:
    """Opens the file as an `Extractor`, to compute under a dtype policy, by default its own."""
    load_keras()
    import keras

    from hacnn_tf.models import HACNN

    network = keras.saving.load_model(path, compile=False)
    if not isinstance(network, HACNN):
        raise TypeError(f"it holds a {type(network).__name__}")
    return Extractor.of_network(network.with_dtype(precision or network.dtype_policy.name))
