"""What the formats share: an export as it is when opened, and what every file says of itself."""

import dataclasses
import importlib
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import tensorflow as tf

import hacnn_tf
from hacnn_tf.errors import InputError
from hacnn_tf.evaluation import feature_function, fingerprint
from hacnn_tf.models import HACNN
from hacnn_tf.types import Extract, Pixels, Size

# Layers whose arithmetic stays float in int8: soft attention, positions of regions, lengths of features. They cost
# little, and in int8 they take a third of the Rank-1 with them.
KEPT_FLOAT = ("attention", "regions", "unit_norm")


@dataclasses.dataclass(frozen=True)
class Export:
    """An exported network, opened.

    Attributes:
        extract: function from `(n, *input_size, 3)` uint8 images, an array in RGB, to `(n, feature_dim)` float32
            features; threads may share it.
        input_size: (height, width) in pixels.
        feature_dim: numbers in a feature.
        fingerprint: of the weights that were exported, see `hacnn_tf.evaluation.fingerprint`.
        precision: that of its arithmetic or weights, as in "int8".
        network: the `HACNN`, if it is one that can be computed with in Keras; None for a program of another runtime.
    """

    extract: Extract
    input_size: Size
    feature_dim: int
    fingerprint: str
    precision: str
    network: HACNN | None = None

    @classmethod
    def of_network(cls, network: HACNN) -> "Export":
        """A `HACNN`, by TensorFlow."""
        size = tuple(network.input_shape[1:3])
        function = tf.function(
            feature_function(network), [tf.TensorSpec((None, *size, 3), tf.uint8)], autograph=False
        ).get_concrete_function()
        return cls(
            lambda images: function(tf.constant(images)).numpy(),
            size,
            function.output_shapes[-1],
            fingerprint(network),
            network.dtype_policy.name,
            network,
        )


def description(network: HACNN, precision: str) -> dict[str, str]:
    """What a file says of itself, as texts by name."""
    height, width = network.input_shape[1:3]
    features = network.feature_extractor().output_shape[-1]
    return {
        "fingerprint": fingerprint(network),
        "precision": precision,
        "hacnn_tf_version": hacnn_tf.__version__,
        "input": f"images: uint8 [N, {height}, {width}, 3], RGB, 0 to 255",
        "output": f"features: float32 [N, {features}], the global and the local one, each of length 1",
    }


def needed(*names: str) -> list[ModuleType]:
    """The modules of these names.

    Raises:
        InputError: one is not installed.
    """
    try:
        return [importlib.import_module(name) for name in names]
    except ImportError as error:
        raise InputError(
            f"{error.name or names[0]} is not installed, which this format needs: "
            'pip install -c constraints.txt -e ".[export]".'
        ) from None


def single_images(images: Pixels) -> Iterator[Pixels]:
    """Images as batches of one, as calibrations take them."""
    return (image[None] for image in np.asarray(images))
