"""What turns images into features, opened from whatever file; and what every export says of itself."""

import dataclasses
import importlib
import os
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

import hacnn_tf
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import check_format
from hacnn_tf.utils.forks import check_process
from hacnn_tf.utils.packages import not_imported
from hacnn_tf.utils.types import BRANCHES, Extract, Features, FilePath, Pixels, Size

if TYPE_CHECKING:
    from hacnn_tf.models import HACNN

# Layers whose arithmetic stays float in int8: soft attention, positions of regions, lengths of features. They cost
# little, and in int8 they take a third of the Rank-1 with them.
KEPT_FLOAT = ("attention", "regions", "unit_norm")
FORMAT = 1  # of an export; raised when older code would misread a newer one
CALIBRATION = "calibration.json"  # of a network's distances, beside it
NEEDED_BY = "this format", "export"  # what needs a module that is missing, and the extra that brings it


@dataclasses.dataclass(frozen=True)
class Extractor:
    """A network that extracts features, opened from an export, run or preset, or in memory.

    Attributes:
        compute: the runtime's function from at least one image to features, as `extract`; threads may share it.
        input_size: (height, width) in pixels.
        feature_dim: numbers in a feature.
        fingerprint: of the weights that were exported, see `hacnn_tf.evaluation.fingerprint`.
        precision: that of its arithmetic or weights, as in "int8".
        network: the `HACNN`, if it is one that can be computed with in Keras; None for a program of another runtime.
        branches: whose features stand side by side in a feature, see `HACNN.branches`.
        source: what `ReID.from_preset` takes to open the same again, in any process: a path (or a preset's name) and a
            precision; None if it was made of something in memory.
        process: the one that opened it.
    """

    compute: Extract
    input_size: Size
    feature_dim: int
    fingerprint: str
    precision: str
    network: "HACNN | None" = None
    branches: tuple[str, ...] = BRANCHES
    source: tuple[str, str | None] | None = None
    process: int = dataclasses.field(default_factory=os.getpid)

    def extract(self, images: Pixels) -> Features:
        """Features of images.

        Runtimes do not survive every input: after a batch of no images LiteRT gives wrong features and OpenVINO errors,
        a list corrupts OpenVINO's memory, and one image without a batch axis is one to some of them.

        Args:
            images: `(n, *input_size, 3)` uint8 array in RGB; n may be 0.

        Returns:
            `(n, feature_dim)` float32 array.

        Raises:
            InputError: images of another shape or type; or this process was forked after the network was opened.
        """
        self.check_process()
        images = np.asarray(images)
        if images.shape[1:] != (*self.input_size, 3) or images.dtype != np.uint8:
            height, width = self.input_size
            raise InputError(f"Images must be uint8 (n, {height}, {width}, 3), not {images.dtype} {images.shape}.")
        return self.compute(images) if len(images) else np.zeros((0, self.feature_dim), np.float32)

    def check_process(self) -> None:
        """Raises `InputError` in a process that was forked after this was opened: runtimes would wait for ever."""
        check_process("The network", self.process)

    @classmethod
    def of_network(cls, network: "HACNN") -> "Extractor":
        """A `HACNN`, by Keras's backend."""
        from hacnn_tf.evaluation import array_function, fingerprint

        return cls(
            array_function(network),
            tuple(network.input_shape[1:3]),
            network.feature_extractor().output_shape[-1],
            fingerprint(network),
            network.dtype_policy.name,
            network,
            network.branches,
        )


def description(network: "HACNN", precision: str) -> dict[str, str]:
    """What a file says of itself, as texts by name."""
    from hacnn_tf.evaluation import fingerprint

    height, width = network.input_shape[1:3]
    features = network.feature_extractor().output_shape[-1]
    parts = " and ".join(f"the {branch}" for branch in network.branches)
    lengths = "each of length 1" if len(network.branches) > 1 else "of length 1"
    return {
        "format": str(FORMAT),
        "fingerprint": fingerprint(network),
        "precision": precision,
        "hacnn_tf_version": hacnn_tf.__version__,
        "input": f"images: uint8 [N, {height}, {width}, 3], RGB, 0 to 255",
        "output": f"features: float32 [N, {features}], {parts} one, {lengths}",
        "branches": ",".join(network.branches),
    }


def described(path: FilePath, known: Mapping[str, str]) -> dict[str, Any]:
    """What `Extractor` takes of a file's `description`. Raises `FormatError` if a newer version wrote it."""
    check_format(path, known.get("format"), FORMAT)
    branches = known.get("branches")  # files of before there was a choice say nothing, and have both
    return {
        "fingerprint": known["fingerprint"],
        "precision": known["precision"],
        "branches": tuple(branches.split(",")) if branches else BRANCHES,
    }


def needed(*names: str) -> list[ModuleType]:
    """The modules of these names.

    Raises:
        InputError: one is not installed, or cannot be loaded.
    """
    try:
        return [importlib.import_module(name) for name in names]
    except ImportError as error:
        raise not_imported(error, *NEEDED_BY) from None


def single_images(images: Pixels) -> Iterator[Pixels]:
    """Images as batches of one, as calibrations take them."""
    return (image[None] for image in np.asarray(images))
