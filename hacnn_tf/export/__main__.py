"""Exports a trained network for TensorFlow, Keras, ONNX Runtime, OpenVINO or LiteRT.

    python -m hacnn_tf.export --run_dir runs/synthetic-detected-seed0 --output exports/synthetic
    python -m hacnn_tf.export --run_dir RUN --output exports/onnx --format onnx,openvino,litert
    python -m hacnn_tf.export --run_dir RUN --output exports/int8 --format onnx --precision int8

OUTPUT will hold, by format:
    saved_model  saved_model/   needs TensorFlow alone; its signatures take pixels of any size, or JPEG and PNG bytes
    keras        hacnn.keras    the whole network: import hacnn_tf.models, then keras.saving.load_model
    onnx         hacnn.onnx
    openvino     hacnn.xml and hacnn.bin
    litert       hacnn.tflite
The last three take images, uint8 [N, 160, 64, 3] in RGB, normalise them, and give features, float32 [N, 1024] ([N, 512]
without the local branch). Each file says so itself. int8 is calibrated on the run's training images, or on images of
your own. The run's distance calibration (python -m hacnn_tf.calibrate), if any, is copied, except to int8, whose
distances differ.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl.flags import FlagValues

from hacnn_tf.data.listing import count_kinds, list_images, only
from hacnn_tf.data.load import load_images
from hacnn_tf.export import FORMATS, WEIGHT_PRECISIONS, check_formats, export_model
from hacnn_tf.reid import ReID
from hacnn_tf.training.run_folder import RunFolder
from hacnn_tf.utils import cli
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import check_new_path
from hacnn_tf.utils.options import PRECISIONS
from hacnn_tf.utils.types import Pixels, Size

INT8_IMAGES = 256  # to calibrate int8 on
FEWEST_IMAGES = 16  # of those that are named

COMMAND = cli.Command(__doc__, "hacnn_tf.export")
COMMAND.group("Run")
COMMAND.define("path", "run_dir", None, "run, preset or Keras file")
COMMAND.group("Export")
COMMAND.define("path", "output", None, "folder to make; must not exist yet")
COMMAND.define("list", "format", ["saved_model", "keras"], f"which of {','.join(FORMATS)}")
COMMAND.define(
    "enum",
    "precision",
    None,
    "a dtype policy to compute in for saved_model and keras, the training's if not given; for the others float32, "
    "float16 (weights in half the room) or int8",
    enum_values=[*WEIGHT_PRECISIONS, *PRECISIONS[1:]],
)
COMMAND.group("Calibration")
COMMAND.define("path", "data_root", "data", "folder that holds the run's dataset, on which int8 is calibrated")
COMMAND.define("path", "calibration_images", None, "a folder of images of people to calibrate on instead")
COMMAND.require("run_dir", "output")


def main(flags: FlagValues) -> None:
    formats = list(dict.fromkeys(flags.format))
    check_new_path(flags.output)
    if Path(flags.output).suffix in {Path(form.FILE).suffix for form in FORMATS.values()} - {""}:
        raise InputError(f"--output {flags.output} is a folder to make, in which the files have names of their own.")
    check_formats(formats, flags.precision)
    if flags.calibration_images and flags.precision != "int8":
        raise InputError("--calibration_images is for --precision int8: leave it out, or add that.")
    if flags["data_root"].present and (flags.calibration_images or flags.precision != "int8"):
        raise InputError("--data_root is for --precision int8 on the run's own images: leave it out.")
    paths = _calibration_paths(flags) if flags.precision == "int8" else None
    model = ReID.from_preset(flags.run_dir)
    network = model.network
    if network is None:
        raise InputError(f"{flags.run_dir} is an export already: export its run folder.")
    calibration = None if flags.precision == "int8" else model.calibration_of_copy()  # its distances are others
    images = None
    if paths:
        images = calibration_images(paths, network.input_shape[1:3])
        print(f"int8 is calibrated on {len(images):,} of {len(paths):,} images.", flush=True)
    export_model(network, flags.output, formats, flags.precision, images, calibration)
    print(f"{flags.run_dir} exported:")
    for name in formats:
        print(f"  {flags.output}/{FORMATS[name].FILE}  {FORMATS[name].ABOUT}")


def calibration_images(paths: Sequence[str], size: Size) -> Pixels:
    """Up to `INT8_IMAGES` images, evenly out of a list of paths, resized to (height, width)."""
    chosen = np.unique(np.linspace(0, len(paths) - 1, INT8_IMAGES).round().astype(int))
    return load_images([paths[i] for i in chosen], size)


def _calibration_paths(flags: FlagValues) -> list[str]:
    """The images of the folder that was named, or those that the run was trained on."""
    if flags.calibration_images:
        images, left_out = list_images(flags.calibration_images)
        if not images:
            raise InputError(f"--calibration_images {flags.calibration_images} holds no images{only(left_out)}.")
        if left_out:
            print(f"{flags.calibration_images}: {len(images):,} images; left out: {count_kinds(left_out)}.")
        if len(images) < FEWEST_IMAGES:
            raise InputError(
                f"--calibration_images {flags.calibration_images} holds {len(images)} images, too few to tell the "
                f"ranges of activations: give {FEWEST_IMAGES} or more, best {INT8_IMAGES}."
            )
        return list(map(str, images))
    if not (Path(flags.run_dir) / "checkpoints").is_dir():
        raise InputError(
            f"int8 needs images to be calibrated on, and {flags.run_dir} has none: name a folder of images with "
            "--calibration_images."
        )
    return RunFolder(flags.run_dir).read_dataset(flags.data_root).split("train").path.tolist()


if __name__ == "__main__":
    COMMAND.run(main)
