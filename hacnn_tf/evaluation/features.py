"""Features of many images."""

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.types import BRANCHES, Extract, Features, Pixels, Tensor
from hacnn_tf.utils.waiting import bar

if TYPE_CHECKING:
    from hacnn_tf.models import HACNN

EXTRACTION_BATCH = 64
PARTS = ("joint", *BRANCHES)


def feature_function(model: "HACNN") -> Callable[[Tensor], Tensor]:
    """The program from a batch of images to the features that a `HACNN` gives now, for `extract_features`.

    It has the weights of now: training that goes on does not change it. Under TensorFlow they are constants of a graph,
    so that what depends on them alone is folded: every batch norm goes into the conv before it. Under JAX it is
    compiled for each number of images, and under PyTorch not compiled at all.

    Args:
        model: a `HACNN`.

    Returns:
        Function from `(n, height, width, 3)` uint8 or float images to `(n, d)` float32 features of Keras's backend,
        which `np.asarray` takes.
    """
    import keras  # nothing else here needs it, nor its backends

    extractor = model.feature_extractor()
    weights = [
        [keras.ops.convert_to_numpy(v) for v in part]
        for part in (extractor.trainable_variables, extractor.non_trainable_variables)
    ]
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        def features(images: Tensor) -> Tensor:
            return extractor.stateless_call(*weights, images)[0]

        return tf.function(features, autograph=False)

    # As tensors that stay on the device; constants of a program would only make XLA compile for longer.
    tensors = [[keras.ops.convert_to_tensor(w) for w in part] for part in weights]
    if keras.backend.backend() == "jax":
        import jax

        compiled = jax.jit(lambda weights, images: extractor.stateless_call(*weights, images)[0])
        return lambda images: compiled(tensors, images)

    import torch

    def without_gradients(images: Tensor) -> Tensor:
        with torch.inference_mode():
            return extractor.stateless_call(*tensors, images)[0].cpu()

    return without_gradients


def array_function(model: "HACNN") -> Extract:
    """As `feature_function`, but for any number of images: it is not traced or compiled anew for each.

    Args:
        model: a `HACNN`.

    Returns:
        Function from `(n, height, width, 3)` uint8 arrays of the model's input size, n at least 1, to `(n, d)` float32
        arrays.
    """
    import keras

    function = feature_function(model)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        images = tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8)
        graph = tf.function(function, [images], autograph=False).get_concrete_function()

        def extract(images: Pixels) -> Features:
            return graph(tf.constant(images)).numpy()

        return _filled_up(extract) if tf.config.list_physical_devices("GPU") else extract

    if keras.backend.backend() == "jax":
        return _filled_up(lambda images: np.asarray(function(images)))
    return lambda images: np.asarray(function(images))


def _filled_up(extract: Extract) -> Extract:
    """Fills images up to a power of two: JAX compiles for each number, and on a GPU cuDNN tries its kernels anew."""

    def filled_up(images: Pixels) -> Features:
        batch = np.zeros((1 << (len(images) - 1).bit_length(), *images.shape[1:]), np.uint8)
        batch[: len(images)] = images
        return extract(batch)[: len(images)]

    return filled_up


def fingerprint(model: "HACNN") -> str:
    """A hex digest of the weights that a `HACNN`'s features depend on: features of another one cannot be compared.

    It is that of the weights in half precision, so that it stays when they are stored so, and in the layout of 0.2.0,
    so that databases and exports of before keep their network.
    """
    from hacnn_tf.models import legacy  # needs Keras, and nothing else here does

    digest = hashlib.sha256()
    with np.errstate(all="ignore"):  # small weights are 0 in half precision, whatever the program does about that
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

    Raises:
        InputError: the images are not uint8.
    """
    if images.dtype != np.uint8:
        raise InputError(f"Images are uint8 from 0 to 255, not {images.dtype}: convert them, or let `function` do so.")
    features = []
    starts = range(0, len(images), EXTRACTION_BATCH)
    for start in bar(starts, "Extracting features", unit="batch"):
        part = images[start : start + EXTRACTION_BATCH]
        batch = np.zeros((EXTRACTION_BATCH, *images.shape[1:]), np.uint8)
        batch[: len(part)] = part
        features.append(np.asarray(function(batch))[: len(part)])
    return np.concatenate(features).astype(np.float32, copy=False)


def parts_of(branches: Sequence[str]) -> tuple[str, ...]:
    """The parts of a feature that are measured (Table 7): all of it, "joint", and that of each branch.

    Raises:
        InputError: `branches` is a text, whose letters would be branches.
    """
    if isinstance(branches, str):
        raise InputError(f"Branches are a sequence of names, as ('global', 'local'), not the text {branches!r}.")
    return ("joint", *branches)


def feature_part(features: Features, part: str, branches: Sequence[str] = BRANCHES) -> Features:
    """One of the `parts_of` features `(n, d)`, in which those of the branches stand side by side, equally wide.

    Raises:
        InputError: d is not a multiple of the number of branches; or as `parts_of`.
    """
    place = parts_of(branches).index(part) - 1
    if place < 0:
        return features
    width, rest = divmod(features.shape[1], len(branches))
    if rest:
        raise InputError(f"Features of {features.shape[1]} numbers are not those of {len(branches)} equal branches.")
    return features[:, place * width : (place + 1) * width]
