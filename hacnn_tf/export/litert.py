"""LiteRT, once TensorFlow Lite: for phones and small computers."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hacnn_tf.data.parallel import available_cores
from hacnn_tf.export.extractor import KEPT_FLOAT, Extractor, described, description, needed, single_images
from hacnn_tf.utils.types import Features, Pixels

if TYPE_CHECKING:
    from hacnn_tf.models import HACNN

FILE = "hacnn.tflite"
ABOUT = "for LiteRT (TensorFlow Lite)"
NEEDS: list[str] = []  # to be written, beside TensorFlow
INT8_NEEDS = ["ai_edge_litert"]
METADATA = "hacnn_tf"  # JSON of the `description`


def write(network: "HACNN", path: Path, precision: str, images: Pixels | None = None) -> None:
    """Writes the file `path`: float32, its weights halved ("float16"), or calibrated on `images` ("int8")."""
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.convert_bytearray_to_object(_converted(network, precision, images))
    known = description(network, precision)
    model.description = f"HA-CNN. {known['input']}; {known['output']}."
    flatbuffer = type(model.buffers[0])()
    flatbuffer.data = list(json.dumps(known).encode())
    entry = type(model.metadata[0])()
    entry.name, entry.buffer = METADATA, len(model.buffers)
    model.buffers.append(flatbuffer)
    model.metadata.append(entry)
    path.write_bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def load(path: Path) -> Extractor:
    """Opens the file as an `Extractor`."""
    (interpreter,) = needed("ai_edge_litert.interpreter")
    runner = interpreter.Interpreter(str(path), num_threads=available_cores()).get_signature_runner()
    lock = threading.Lock()  # an interpreter has its tensors once

    def extract(batch: Pixels) -> Features:
        with lock:
            return runner(images=batch)["features"]

    known = _read_description(path)
    (images,), (features,) = runner.get_input_details().values(), runner.get_output_details().values()
    size, dim = tuple(images["shape"][1:3].tolist()), int(features["shape"][-1])
    return Extractor(extract, size, dim, **described(path, known))


def _converted(network: "HACNN", precision: str, images: Pixels | None) -> bytes:
    import tensorflow as tf

    from hacnn_tf.evaluation import feature_function

    extract = feature_function(network)
    spec = tf.TensorSpec((None, *network.input_shape[1:3], 3), tf.uint8, "images")
    function = tf.function(lambda images: {"features": extract(images)}, [spec], autograph=False)
    concrete = function.get_concrete_function()
    owner = tf.Module()
    owner.function = function

    def converter() -> Any:
        made = tf.lite.TFLiteConverter.from_concrete_functions([concrete], owner)
        if precision != "float32":
            made.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            made.target_spec.supported_types = [tf.float16]
        if precision == "int8":
            made.representative_dataset = calibration
        return made

    def calibration() -> Iterator[list[Pixels]]:
        assert images is not None, "int8 needs images"
        return ([image] for image in single_images(images))

    if precision != "int8":
        return converter().convert()
    (interpreter,) = needed("ai_edge_litert.interpreter")
    tensors = interpreter.Interpreter(model_content=_converted(network, "float32", None)).get_tensor_details()
    kept = [tensor["name"] for tensor in tensors if any(word in tensor["name"] for word in KEPT_FLOAT)]
    lite = tf.lite.experimental
    options = lite.QuantizationDebugOptions(denylisted_nodes=kept)
    return lite.QuantizationDebugger(
        converter=converter(), debug_dataset=calibration, debug_options=options
    ).get_nondebug_quantized_model()


def _read_description(path: Path) -> dict[str, str]:
    (flatbuffer_utils,) = needed("ai_edge_litert.tools.flatbuffer_utils")
    model = flatbuffer_utils.read_model(str(path))
    (entry,) = (entry for entry in model.metadata if entry.name.decode() == METADATA)
    return json.loads(bytes(model.buffers[entry.buffer].data))
