"""A Keras file: the whole network, with classifiers, to go on working with."""

from hacnn_tf.export.exported import Export
from hacnn_tf.utils.startup import require_tensorflow

FILE = "hacnn.keras"
ABOUT = "the network, for Keras: import hacnn_tf.models, then keras.saving.load_model"


def write(network, path, precision):
    """Writes the file `path`."""
    network.save(path)


def load(path, precision=None):
    """Opens the file as an `Export`, to compute under a dtype policy, by default its own."""
    require_tensorflow()
    import keras

    from hacnn_tf.models import HACNN

    network = keras.saving.load_model(path, compile=False)
    if not isinstance(network, HACNN):
        raise TypeError(f"it holds a {type(network).__name__}")
    return Export.of_network(network.with_dtype(precision or network.dtype_policy.name))
