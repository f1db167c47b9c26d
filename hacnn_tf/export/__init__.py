"""Trained networks as files for other runtimes. A module for each format writes it and opens it."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from hacnn_tf.export import keras_file, litert, onnx, openvino, saved_model
from hacnn_tf.export.extractor import CALIBRATION, NEEDED_BY, Extractor
from hacnn_tf.utils.errors import InputError, device_failure
from hacnn_tf.utils.files import atomic_write, expanded
from hacnn_tf.utils.options import PRECISIONS
from hacnn_tf.utils.packages import check_installed
from hacnn_tf.utils.startup import check_tensorflow
from hacnn_tf.utils.types import FilePath, Pixels
from hacnn_tf.utils.waiting import announced

if TYPE_CHECKING:
    from hacnn_tf.evaluation.calibration import Calibration
    from hacnn_tf.models import HACNN

__all__ = ["FORMATS", "WEIGHT_PRECISIONS", "Extractor", "check_export", "export_model", "find_export", "load_export"]

FORMATS = {"keras": keras_file, "saved_model": saved_model, "onnx": onnx, "openvino": openvino, "litert": litert}
POLICIES = ("keras", "saved_model")  # they are written under a dtype policy
WEIGHT_PRECISIONS = ["float32", "float16", "int8"]  # those of the others


def check_formats(formats: Sequence[str], precision: str | None) -> None:
    """Raises `InputError` unless all of these formats are known, and can be written in this precision, here."""
    if not formats:
        raise InputError(f"No format is named: --format takes {', '.join(FORMATS)}, with commas.")
    for name in formats:
        if name not in FORMATS:
            raise InputError(f"There is no format {name!r}: --format takes {', '.join(FORMATS)}, with commas.")
        allowed = PRECISIONS if name in POLICIES else WEIGHT_PRECISIONS
        if precision and precision not in allowed:
            raise InputError(f"{name} is not written in {precision}, but in {', '.join(allowed)}: export it by itself.")
    if set(formats) != {"keras"}:  # TensorFlow makes the others
        check_tensorflow()
    programs = [FORMATS[name] for name in formats if name not in POLICIES]
    modules = [name for form in programs for name in form.NEEDS + form.INT8_NEEDS * (precision == "int8")]
    check_installed(modules, *NEEDED_BY)


def export_model(
    network: "HACNN",
    folder: FilePath,
    formats: Sequence[str] = ("saved_model", "keras"),
    precision: str | None = None,
    images: Pixels | None = None,
    calibration: "Calibration | None" = None,
) -> None:
    """Writes a network into a new folder in some formats, whole or not at all.

    All of them take any number of images and give the features of `HACNN.feature_extractor`, normalisation included.
    Each file says what it is: shapes, precision, version, and the fingerprint of the weights.

    Args:
        network: a `hacnn_tf.models.HACNN`.
        folder: to be made.
        formats: names of `FORMATS`; of one, the name alone will do.
        precision: for "saved_model" and "keras" the dtype policy to compute in, by default the network's; for the
            others "float32" (the default), "float16" (weights in half the room, arithmetic in float32) or "int8".
        images: `(n, height, width, 3)` uint8 images of the network's input size to calibrate "int8" on; some hundred.
        calibration: of the network's distances, kept beside them; not for "int8", whose distances differ.

    Raises:
        InputError: an unknown format, a precision that it does not have, a converter that is not installed, "int8"
            without images or with others, a folder that cannot be written; or Keras is set to another backend than
            TensorFlow, which writes all but "keras".
    """
    formats = [formats] if isinstance(formats, str) else formats
    check_formats(formats, precision)
    if precision == "int8":
        _check_calibration_images(images, network.input_shape[1:])
    with atomic_write(folder) as part:
        part.mkdir()
        for name in formats:
            form = FORMATS[name]
            with announced(f"Writing {form.FILE}"):
                if name in POLICIES:
                    form.write(network.with_dtype(precision or network.dtype_policy.name), part / form.FILE)
                else:
                    form.write(network.with_dtype("float32"), part / form.FILE, precision or "float32", images)
        if calibration:
            calibration.write(part / CALIBRATION)


def _check_calibration_images(images: Pixels | None, shape: tuple[int, ...]) -> None:
    if images is None or not len(images):
        raise InputError("int8 needs images to be calibrated on: give some hundred of the kind that it will see.")
    if images.dtype != np.uint8 or images.shape[1:] != shape:  # a runtime would make [0, 1] black, in silence
        size = ", ".join(map(str, shape))
        raise InputError(
            f"int8 is calibrated on uint8 images (n, {size}), and these are {images.dtype} {images.shape}."
        )


def find_export(path: FilePath) -> tuple[ModuleType, Path] | None:
    """The format, a module, and the file of an export: the path, or the first of `FORMATS` in that folder; or None."""
    path = Path(expanded(path))
    if (path / "saved_model.pb").exists():
        return saved_model, path
    for form in FORMATS.values():
        if path.is_dir() and (path / form.FILE).exists():
            return form, path / form.FILE
        if path.is_file() and path.suffix and path.suffix == Path(form.FILE).suffix:
            return form, path
    return None


def check_export(path: FilePath, precision: str | None = None) -> tuple[ModuleType, Path]:
    """As `find_export`; raises `InputError` if it is none, or has its own precision. Opens nothing."""
    found = find_export(path)
    if not found:
        raise InputError(f"{path} is not an exported network: make one with python -m hacnn_tf.export.")
    form, file = found
    allowed = {keras_file: PRECISIONS, openvino: list(openvino.HINTS)}.get(form, [])
    if precision and precision not in allowed:
        raise InputError(f"{path} has its own precision: leave precision out, or give it to the export.")
    return form, file


def load_export(path: FilePath, precision: str | None = None) -> Extractor:
    """Opens an exported network, and tries it.

    Args:
        path: a file or SavedModel that `export_model` wrote, or its folder, of which it takes the first of `FORMATS`.
        precision: dtype policy to compute in, for "keras" any, for "openvino" "float32" or "mixed_bfloat16";
            others have their own.

    Returns:
        An `Extractor`.

    Raises:
        InputError: it is none, damaged, or not one for the runtime that is installed, which may be missing; or it has
            its own precision.
    """
    form, file = check_export(path, precision)
    try:
        export = form.load(file, precision) if precision else form.load(file)
        features = export.extract(np.zeros((2, *export.input_size, 3), np.uint8))
        if features.shape != (2, export.feature_dim) or features.dtype != np.float32 or not np.isfinite(features).all():
            raise ValueError(f"it gives {features.dtype} {features.shape} for two images")
    except InputError:
        raise
    except Exception as error:  # whatever a runtime raises for a file of another kind, or a damaged one
        if said := device_failure(error):
            raise InputError(said) from None
        said = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        reason = " ".join(said.split())[:200] or type(error).__name__
        raise InputError(
            f"{path} is not an exported network of this version of hacnn_tf, damaged, or not for the runtime that is "
            f"installed ({reason}): make one with python -m hacnn_tf.export."
        ) from None
    return dataclasses.replace(export, source=(os.path.abspath(file), precision))
