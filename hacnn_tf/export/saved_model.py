"""SavedModel: a program for TensorFlow and TensorFlow Serving, from pixels or from JPEG and PNG bytes to features."""

from pathlib import Path
from typing import TYPE_CHECKING

from hacnn_tf.export.extractor import Extractor, described, description
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.startup import load_tensorflow
from hacnn_tf.utils.types import Tensor

if TYPE_CHECKING:
    from hacnn_tf.models import HACNN

FILE = "saved_model"
ABOUT = "for TensorFlow; signatures images, and encoded (serving_default)"


def write(network: "HACNN", path: Path) -> None:
    """Writes the folder `path`. Its signatures:

    - `images`: `images`, uint8 `[N, H, W, 3]` in RGB, of any size -> `features`, float32 `[N, D]`;
    - `encoded`, also as `serving_default`: `encoded`, string `[N]`, bytes of JPEGs or PNGs -> `features`, float32
      `[N, D]`, and `status`, string `[N]`: "ok", or why there is no image; its features are zeros then.

    Images are resized as for training (antialiased bilinear). The weights are constants: it can be used, not trained.
    """
    import tensorflow as tf

    from hacnn_tf.evaluation import feature_function
    from hacnn_tf.export.decoding import decode_each, resize

    size = network.input_shape[1:3]
    extractor = feature_function(network)

    def extract(pixels: Tensor) -> Tensor:
        count = tf.shape(pixels)[0]
        none = tf.cast(tf.equal(count, 0), tf.int32)
        padded = tf.pad(pixels, [[0, none], [0, 0], [0, 0], [0, 0]])  # convs on some CPUs fail without an image
        return extractor(padded)[:count]

    def from_images(images: Tensor) -> dict[str, Tensor]:
        return {"features": extract(resize(images, size))}

    def from_encoded(encoded: Tensor) -> dict[str, Tensor]:
        pixels, status = decode_each(encoded, size)
        features = tf.where(tf.equal(status, "ok")[:, None], extract(pixels), 0)
        return {"features": features, "status": status}

    encoded = tf.function(from_encoded, [tf.TensorSpec((None,), tf.string, "encoded")], autograph=False)
    images = tf.function(from_images, [tf.TensorSpec((None, None, None, 3), tf.uint8, "images")], autograph=False)
    module = tf.Module()
    module.input_size = tf.Variable(size)
    said = description(network, network.dtype_policy.name)
    module.description = {name: tf.Variable(text) for name, text in said.items()}
    signatures = {"images": images, "encoded": encoded, "serving_default": encoded}
    try:
        tf.saved_model.save(module, str(path), signatures)
    except tf.errors.OpError as error:  # TensorFlow's own, where others have OSError
        raise InputError(f"Cannot write {path}: {error.message}.") from None


def load(path: Path) -> Extractor:
    """Opens the folder as an `Extractor`."""
    load_tensorflow()
    import tensorflow as tf

    program = tf.saved_model.load(str(path))
    images = program.signatures["images"]
    known = {name: text.numpy().decode() for name, text in program.description.items()}
    return Extractor(
        lambda batch: images(images=tf.constant(batch))["features"].numpy(),
        tuple(program.input_size.numpy().tolist()),
        images.structured_outputs["features"].shape[-1],
        **described(path, known),
    )
