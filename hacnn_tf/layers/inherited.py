"""What the layers within a layer take from it."""

from typing import Any

import keras


def inherited(layer: keras.layers.Layer) -> dict[str, Any]:
    """Arguments of the layers within `layer`: how they compute, and whether they are trained.

    Keras hands `trainable` down when it is set, but not when a layer is made with it, as from a file.
    """
    return {"dtype": layer.dtype_policy, "trainable": layer.trainable}
