"""HA-CNN, the Harmonious Attention network for person re-identification (CVPR 2018), in TensorFlow and Keras.

Importing it makes the network and its layers known to `keras.saving.load_model`.
"""

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.startup import anywhere, command_start, starts_command

if TYPE_CHECKING:
    from hacnn_tf.reid import ReID

with command_start() if starts_command() else nullcontext(), anywhere():
    import hacnn_tf.models  # noqa: F401

__all__ = ["InputError", "ReID"]
__version__ = "0.3.0"


def __getattr__(name: str) -> Any:
    if name == "ReID":  # late, because it needs TensorFlow, and the network under another backend of Keras does not
        from hacnn_tf.reid import ReID

        return ReID
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
