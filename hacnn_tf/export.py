"""Exports a trained run: a SavedModel from pixels or JPEG bytes to features, and the Keras model.

    python -m hacnn_tf.export --run_dir runs/synthetic-detected-seed0 --output exports/synthetic

OUTPUT/saved_model needs TensorFlow alone. Its signatures:
    images   images: uint8 [N, H, W, 3], RGB, any size      -> features: float32 [N, 1024]
    encoded  encoded: string [N], JPEG or PNG bytes         -> features: float32 [N, 1024]
OUTPUT/hacnn.keras is the whole network: import hacnn_tf, then keras.saving.load_model.
"""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from hacnn_tf import cli
from hacnn_tf.data.images import decode, resize
from hacnn_tf.errors import InputError
from hacnn_tf.evaluation import feature_function, fingerprint
from hacnn_tf.files import aside, check_new_path
from hacnn_tf.training.run_folder import RunFolder
from hacnn_tf.training.settings import define_precision_flag

COMMAND = cli.Command(__doc__, "hacnn_tf.export")
COMMAND.define("string", "run_dir", None, "the run folder")
COMMAND.define("string", "output", None, "folder to make; must not exist yet")
COMMAND.group("Run")
define_precision_flag(COMMAND)
COMMAND.group("Network")


def main(flags):
    cli.require(flags, "run_dir", "output")
    check_new_path(flags.output)
    model, epoch = RunFolder(flags.run_dir).load_model(flags.precision)
    export_model(model, flags.output)
    print(f"{flags.run_dir}, epoch {epoch}, exported:")
    print(f"  {flags.output}/saved_model  signatures images and encoded")
    print(f"  {flags.output}/hacnn.keras  the network")


def export_model(model, folder):
    """Writes `saved_model/` and `hacnn.keras` below `folder`, whole or not at all.

    Features are those of `HACNN.feature_extractor` on images resized as for training (antialiased bilinear). The
    SavedModel holds the weights as constants: it can be used, not trained; `hacnn.keras` can be both.

    Args:
        model: a `hacnn_tf.models.HACNN`.
        folder: to be made.

    Raises:
        InputError: it cannot be written.
    """
    size = model.input_shape[1:3]
    extractor = feature_function(model)

    def from_images(images):
        return {"features": extractor(resize(images, size))}

    def from_encoded(encoded):
        pixels = tf.map_fn(
            lambda x: resize(decode(x), size), encoded, fn_output_signature=tf.TensorSpec((*size, 3), tf.uint8)
        )
        return {"features": extractor(pixels)}

    signatures = {
        "images": tf.function(from_images, [tf.TensorSpec((None, None, None, 3), tf.uint8, "images")]),
        "encoded": tf.function(from_encoded, [tf.TensorSpec((None,), tf.string, "encoded")]),
    }
    module = tf.Module()
    module.fingerprint, module.input_size = tf.Variable(fingerprint(model)), tf.Variable(size)
    with aside(folder) as part:
        try:
            tf.saved_model.save(module, str(part / "saved_model"), signatures)
        except tf.errors.OpError as error:  # TensorFlow's own, where others have OSError
            raise InputError(f"Cannot write {folder}: {error.message}.") from None
        model.save(part / "hacnn.keras")


@dataclasses.dataclass(frozen=True)
class Export:
    """An exported network.

    Attributes:
        images: function from `(n, height, width, 3)` uint8 images to `(n, d)` float32 features.
        input_size: (height, width) in pixels, to which it resizes them.
        fingerprint: of its weights, see `hacnn_tf.evaluation.fingerprint`.
    """

    images: Callable
    input_size: tuple
    fingerprint: str


def load_export(folder):
    """The exported network in a SavedModel's folder, as an `Export`.

    Raises:
        InputError: `folder` is not a SavedModel that `export_model` wrote.
    """
    try:
        export = tf.saved_model.load(str(folder))
        images = export.signatures["images"]
        images(images=tf.zeros((1, 1, 1, 3), tf.uint8))["features"]
        size, digest = tuple(export.input_size.numpy().tolist()), export.fingerprint.numpy().decode()
    except Exception:  # whatever TensorFlow raises for a folder of another kind, or a damaged one
        raise InputError(
            f"{folder} is not an exported network of this version of hacnn_tf, or damaged: make one with "
            "python -m hacnn_tf.export."
        ) from None
    return Export(lambda batch: images(images=batch)["features"], size, digest)


if __name__ == "__main__":
    COMMAND.run(main)
