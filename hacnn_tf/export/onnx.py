"""ONNX, for ONNX Runtime and others."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hacnn_tf.export.extractor import KEPT_FLOAT, Extractor, described, description, needed, single_images
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.types import Pixels

if TYPE_CHECKING:
    from onnx import ModelProto

    from hacnn_tf.models import HACNN

FILE = "hacnn.onnx"
ABOUT = "for ONNX Runtime"
NEEDS = ["onnx", "tf2onnx"]  # to be written
INT8_NEEDS = ["onnxruntime"]
OPSET = 18
# In int8: what computes, and what only passes on, so that a map isn't changed to float and back between two convs.
QUANTIZED = ["Conv", "MatMul", "Gemm", "Relu", "MaxPool", "AveragePool", "Concat"]
QUANTIZED += ["Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice"]
# The averaging streams of Inception-A stay float too: ONNX Runtime averages 8 bits one value at a time, which took a
# quarter of the time. With their conv, for before one in 8 bits it would fuse the rounding with the average.
KEPT = (*KEPT_FLOAT, "stream4")


def write(network: "HACNN", path: Path, precision: str, images: Pixels | None = None) -> None:
    """Writes the file `path`: float32, its weights halved ("float16"), or QDQ calibrated on `images` ("int8")."""
    (onnx,) = needed("onnx")
    model = convert(network)
    if precision == "float16":
        _halve(model)
    elif precision == "int8":
        assert images is not None, "int8 needs images"
        model = _quantized(model, images)
    for name, text in description(network, precision).items():
        model.metadata_props.add(key=name, value=text)
    onnx.save(model, path)


def convert(network: "HACNN") -> "ModelProto":
    """The network in float32 as an `onnx.ModelProto`, its nodes named after the layers that they come from."""
    import tensorflow as tf

    (tf2onnx,) = needed("tf2onnx")
    images = tf.TensorSpec((None, *network.input_shape[1:3], 3), tf.uint8, "images")
    # `from_function` would leave the weights among the inputs.
    model, _ = tf2onnx.convert.from_keras(network.feature_extractor(), [images], opset=OPSET)
    graph = model.graph
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    for node in graph.node:
        if node.op_type == "Conv":  # the converter numbers them, but their kernels have kept their names
            node.name = f"{node.input[1].partition('/convolution')[0]}/{node.name}"
    return model


def load(path: Path) -> Extractor:
    """Opens the file as an `Extractor`, on the CPU."""
    (onnxruntime,) = needed("onnxruntime")
    content = path.read_bytes()
    if b"location" in content:  # as ONNX has of weights in other files, which may be any that this user can read
        raise InputError(f"{path} takes weights from other files, which no export here does: do not trust it.")
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (images,), (features,) = session.get_inputs(), session.get_outputs()
    known = session.get_modelmeta().custom_metadata_map
    return Extractor(
        lambda batch: session.run([features.name], {images.name: batch})[0],
        tuple(images.shape[1:3]),
        features.shape[-1],
        **described(path, known),
    )


def _halve(model: "ModelProto") -> None:
    """Stores all kernels in half precision, to be cast as the file is opened: CPUs compute in float32."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for kernel in model.graph.initializer:
        if kernel.data_type == TensorProto.FLOAT and len(kernel.dims) > 1:
            name, half = kernel.name, numpy_helper.to_array(kernel).astype(np.float16)
            kernel.CopyFrom(numpy_helper.from_array(half, f"{name}/float16"))
            casts.append(helper.make_node("Cast", [kernel.name], [name], f"{name}/cast", to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _quantized(model: "ModelProto", images: Pixels) -> "ModelProto":
    needed("onnx", "onnxruntime.quantization")
    import onnx
    from onnxruntime import quantization

    class Calibration(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self._batches = single_images(images)

        def get_next(self) -> dict[str, Pixels] | None:
            batch = next(self._batches, None)
            return None if batch is None else {"images": batch}

    with tempfile.TemporaryDirectory() as folder:
        before, after = f"{folder}/float.onnx", f"{folder}/int8.onnx"
        onnx.save(model, before)
        quantization.quant_pre_process(before, before, skip_symbolic_shape=True)
        nodes = onnx.load(before).graph.node
        quantization.quantize_static(
            before,
            after,
            Calibration(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=QUANTIZED,
            nodes_to_exclude=[node.name for node in nodes if any(word in node.name for word in KEPT)],
            per_channel=True,
            weight_type=quantization.QuantType.QInt8,
            activation_type=quantization.QuantType.QUInt8,
        )
        return onnx.load(after)
