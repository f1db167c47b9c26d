"""Features of many images."""

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hacnn_tf.utils.types import BRANCHES, Features, Pixels, Tensor
from hacnn_tf.utils.waiting import bar

if TYPE_CHECKING:
    from hacnn_tf.models import HACNN

EXTRACTION_BATCH = 64
PARTS = ("joint", *BRANCHES)


def feature_function(model: "HACNN", xla: bool = False) -> Callable[[Tensor], Tensor]:
    """The graph from a batch of images to the features that a `HACNN` gives now, for `extract_features`.

    The weights are constants in it, so that TensorFlow folds what depends on them alone: every batch norm goes into
    the conv before it. Training that goes on does not change it.

    Args:
        model: a `HACNN`.
        xla: compile it.

    Returns:
        Function from `(n, height, width, 3)` uint8 or float images to `(n, d)` float32 features.
    """
    import tensorflow as tf  # nothing else here needs it

    extractor = model.feature_extractor()
    weights = [
        [np.asarray(v) for v in part] for part in (extractor.trainable_variables, extractor.non_trainable_variables)
    ]
    return tf.function(lambda images: extractor.stateless_call(*weights, images)[0], jit_compile=xla, autograph=False)


def fingerprint(model: "HACNN") -> str:
    """A hex digest of the weights that a `HACNN`'s features depend on: features of another one cannot be compared.

    It is that of the weights in half precision, so that it stays when they are stored so, and in the layout of 0.2.0,
    so that databases and exports of before keep their network.
    """
    from hacnn_tf.models import legacy  # needs Keras, and nothing else here does

    digest = hashlib.sha256()
    for weight in legacy.merge(model.feature_extractor().weights):
        digest.update(np.asarray(weight, np.float16).tobytes())
    return digest.hexdigest()[:16]


def extract_features(function: Callable[[Pixels], Tensor], images: Pixels) -> Features:
    """Features of all images, in batches of one size, so that `function` is traced (and compiled) once.

    Args:
        function: from `(EXTRACTION_BATCH, height, width, 3)` uint8 images to `(EXTRACTION_BATCH, d)` features.
        images: `(n, height, width, 3)` uint8 array, n at least 1.

    Returns:
        `(n, d)` float32 array.
    """
    features = []
    starts = range(0, len(images), EXTRACTION_BATCH)
    for start in bar(starts, "Extracting features", unit="batch"):
        part = images[start : start + EXTRACTION_BATCH]
        batch = np.zeros((EXTRACTION_BATCH, *images.shape[1:]), np.uint8)
        batch[: len(part)] = part
        features.append(np.asarray(function(batch))[: len(part)])
    return np.concatenate(features).astype(np.float32, copy=False)


def parts_of(branches: Sequence[str]) -> tuple[str, ...]:
    """The parts of a feature that are measured (Table 7): all of it, "joint", and that of each branch."""
    return ("joint", *branches)


def feature_part(features: Features, part: str, branches: Sequence[str] = BRANCHES) -> Features:
    """One of the `parts_of` features `(n, d)`, in which those of the branches stand side by side, equally wide."""
    if part == "joint":
        return features
    place = list(branches).index(part)
    width = features.shape[1] // len(branches)
    return features[:, place * width : (place + 1) * width]
