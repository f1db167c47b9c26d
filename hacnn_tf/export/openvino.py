"""OpenVINO, for Intel's and other CPUs."""

import functools
import logging
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hacnn_tf.export import onnx
from hacnn_tf.export.extractor import KEPT_FLOAT, Extractor, described, description, needed, single_images
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.types import Pixels

if TYPE_CHECKING:
    from hacnn_tf.models import HACNN

FILE = "hacnn.xml"  # and hacnn.bin beside it
ABOUT = "for OpenVINO, with hacnn.bin"
NEEDS = ["openvino", *onnx.NEEDS]  # to be written
INT8_NEEDS = ["nncf"]
HINTS = {"float32": "f32", "mixed_bfloat16": "bf16"}  # arithmetic under a policy


def write(network: "HACNN", path: Path, precision: str, images: Pixels | None = None) -> None:
    """Writes `path` and its `.bin`: float32, its weights halved ("float16"), or calibrated on `images` ("int8")."""
    openvino = _openvino()
    model = _core(openvino).read_model(onnx.convert(network).SerializeToString())
    if precision == "int8":
        assert images is not None, "int8 needs images"
        model = _quantized(model, images)
    for name, text in description(network, precision).items():
        model.set_rt_info(text, ["hacnn_tf", name])
    try:
        openvino.save_model(model, path, compress_to_fp16=precision == "float16")
    except RuntimeError as error:  # OpenVINO's own, where others have OSError
        raise InputError(f"Cannot write {path}: {error}.") from None


def load(path: Path, precision: str | None = None) -> Extractor:
    """Opens the file as an `Extractor`, on the CPU, to compute in float32 or under "mixed_bfloat16"."""
    openvino = _openvino()
    core = _core(openvino)
    model = core.read_model(path)
    # By itself it would take bfloat16 wherever the processor has it.
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": HINTS[precision or "float32"]})
    told = ("format", "fingerprint", "precision", "branches")
    places = {name: ["hacnn_tf", name] for name in told if model.has_rt_info(["hacnn_tf", name])}
    known = {name: model.get_rt_info(place).value for name, place in places.items()}
    if precision and known["precision"] != "int8":  # whose distances differ, whatever computes them
        known["precision"] = precision
    shape = model.inputs[0].partial_shape
    return Extractor(
        lambda batch: compiled.create_infer_request().infer([batch])[0],  # a request is one thread's
        (shape[1].get_length(), shape[2].get_length()),
        model.outputs[0].partial_shape[1].get_length(),
        **described(path, known),
    )


def _openvino() -> ModuleType:
    """The package, without the one that reports each import to its makers, from a fork, which LanceDB warns of."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # as import takes it: not there
    (openvino,) = needed("openvino")
    return openvino


@functools.cache
def _core(openvino: ModuleType) -> Any:
    """The one `Core` of this process.

    Each gives the thread a stack for signals, and puts back the one before when it goes. Of two that overlap, the one
    that goes last puts back that of the first, which is gone: the next Ctrl-C is a segmentation fault (2026.4.1).
    """
    return openvino.Core()


def _quantized(model: Any, images: Pixels) -> Any:
    (nncf,) = needed("nncf")
    nncf.set_log_level(logging.ERROR)  # it tells of every operation that stays float
    kept = nncf.IgnoredScope(patterns=[f".*{word}.*" for word in KEPT_FLOAT], validate=False)
    return nncf.quantize(model, nncf.Dataset(list(single_images(images))), subset_size=len(images), ignored_scope=kept)
