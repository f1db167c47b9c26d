"""HA-CNN, the Harmonious Attention network for person re-identification (CVPR 2018), in TensorFlow and Keras.

Importing it loads neither: `ReID` opens an export for ONNX Runtime, OpenVINO or LiteRT without them. Keras knows the
network and its layers, as `keras.saving.load_model` needs it, after `import hacnn_tf.models`.
"""

import sys
from typing import TYPE_CHECKING

if sys.platform == "win32":  # said in a sentence, without a traceback in a command
    raise (SystemExit if sys.argv[:1] == ["-m"] else ImportError)(
        "hacnn_tf runs on Linux and macOS: under Windows install it in WSL 2, which TensorFlow needs for GPUs too."
    )

from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.lazy import lazy
from hacnn_tf.utils.startup import prepare_command, running_command

if TYPE_CHECKING:
    from hacnn_tf.reid import ReID

__all__ = ["InputError", "ReID"]
__version__ = "0.4.0.dev0"
__getattr__, __dir__ = lazy(__name__, reid=["ReID"])

if running_command():
    prepare_command()
