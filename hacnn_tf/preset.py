"""Where trained networks lie, what `ReID.from_preset` opens: run folders, exports, and presets' own folders."""

import dataclasses
import enum
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import hacnn_tf
from hacnn_tf.export import Extractor, find_export, load_export
from hacnn_tf.export.extractor import CALIBRATION
from hacnn_tf.utils.errors import FormatError, InputError, device_failure
from hacnn_tf.utils.files import check_format, expanded, read_if_whole
from hacnn_tf.utils.startup import load_keras
from hacnn_tf.utils.types import FilePath

if TYPE_CHECKING:
    from hacnn_tf.models import HACNN

WEIGHTS, CONFIG, METADATA = "model.weights.h5", "config.json", "metadata.json"  # of a preset, as Keras Hub calls them
FORMAT = 1  # of a preset; raised when older code would misread a newer one
SHIPPED = Path(__file__).parent / "presets"
FOR_USE = "hacnn_person"  # of these, for who names none


class Kind(enum.Enum):
    """What a trained network lies in."""

    PRESET = "preset"
    RUN = "run"
    EXPORT = "export"


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a trained network lies.

    Attributes:
        kind: a `Kind`.
        path: of the run or preset, its folder; of an export, as it was given.
        calibration: where its calibration is kept, in the folder that it lies in.
    """

    kind: Kind
    path: Path
    calibration: Path

    @property
    def trained_on(self) -> dict[str, str]:
        """The dataset of a preset's training, as flags name it, if it says that; else empty."""
        trained_on = read_if_whole(self.path / METADATA).get("trained_on") if self.kind is Kind.PRESET else None
        return trained_on if isinstance(trained_on, dict) else {}  # of a damaged one, opening it says what is wrong


def find_model(preset: FilePath) -> Place:
    """Where a trained network lies; nothing is opened.

    Args:
        preset: as in `ReID.from_preset`.

    Raises:
        InputError: it is nothing that can be opened.
    """
    path = Path(expanded(preset))
    if (path / WEIGHTS).exists():
        return Place(Kind.PRESET, path, path / CALIBRATION)
    if (path / CONFIG).exists():
        return Place(Kind.RUN, path, path / CALIBRATION)
    if found := find_export(path):
        return Place(Kind.EXPORT, path, found[1].parent / CALIBRATION)
    if (SHIPPED / path / WEIGHTS).exists():
        return Place(Kind.PRESET, SHIPPED / path, SHIPPED / path / CALIBRATION)
    shipped = ", ".join(sorted(folder.name for folder in SHIPPED.glob("*/"))) or "none"
    raise InputError(
        f"{path} is not a run folder, preset or export, nor a preset that comes with hacnn_tf ({shipped}): "
        "make one with hacnn_tf.train or hacnn_tf.export."
    )


def load_model(preset: FilePath, precision: str | None = None) -> Extractor:
    """Opens a trained network.

    Args:
        preset, precision: as in `ReID.from_preset`.

    Returns:
        An `Extractor`, which knows what it was opened from.

    Raises:
        InputError: as `ReID.from_preset`.
    """
    place = find_model(preset)
    read = {Kind.PRESET: _read_preset, Kind.RUN: _read_run, Kind.EXPORT: load_export}[place.kind]
    extractor = read(place.path, precision)
    return dataclasses.replace(extractor, source=extractor.source or (from_anywhere(preset), precision))


def from_anywhere(preset: FilePath) -> str:
    """What a preset is called in every folder: its path in full, or the name of one that comes with hacnn_tf."""
    name = expanded(preset)
    try:
        return name if find_model(name).path == SHIPPED / name else os.path.abspath(name)
    except InputError:
        return name


def write_preset(folder: Path, network: "HACNN", fingerprint: str, dtype: str) -> None:
    """Makes a preset's folder of a network, without its classifiers; `dtype` is that of the weights in the file."""
    import keras

    from hacnn_tf.models import HACNN

    config = {name: value for name, value in network.get_config().items() if name not in ("name", "trainable")}
    config |= {"dtype": network.dtype_policy.name, "num_identities": 1}  # classifiers are of no use to others
    stored = HACNN(**(config | {"dtype": dtype})).feature_extractor()
    stored.set_weights(network.feature_extractor().get_weights())
    versions = {"hacnn_tf_version": hacnn_tf.__version__, "keras_version": keras.__version__}
    metadata = {"format": FORMAT, **versions, "parameter_count": stored.count_params(), "fingerprint": fingerprint}
    folder.mkdir()
    (folder / CONFIG).write_text(json.dumps({"class_name": "HACNN", "config": config}, indent=1) + "\n")
    (folder / METADATA).write_text(json.dumps(metadata, indent=1) + "\n")
    stored.save_weights(folder / WEIGHTS)


def _read_run(path: Path, precision: str | None) -> Extractor:
    """A run folder's network, opened as an `Extractor`; of a training that is not finished, standard error says so."""
    from hacnn_tf.training.run_folder import RunFolder

    run = RunFolder(path)
    network, epoch, step = run.load_checkpoint(precision)
    if epoch != run.settings.epochs:
        done = f"epoch {epoch}{f' and {step} steps' if step else ''} of {run.settings.epochs}"
        print(f"The training in {path} is not finished: these are its weights after {done}.", file=sys.stderr)
    return Extractor.of_network(network)


def _read_preset(path: Path, precision: str | None) -> Extractor:
    """A preset's folder, opened as an `Extractor`."""
    load_keras()
    from hacnn_tf.models import HACNN, legacy

    try:
        metadata = json.loads((path / METADATA).read_text())
        check_format(path, metadata.get("format"), FORMAT)
        config = json.loads((path / CONFIG).read_text())["config"]
        network = HACNN(**(config | ({"dtype": precision} if precision else {})))
        legacy.load_weights(network.feature_extractor(), path / WEIGHTS)
        extractor = Extractor.of_network(network)
        if extractor.fingerprint != metadata["fingerprint"]:
            raise ValueError(f"its weights are not those of {METADATA}")
        return extractor
    except FormatError:
        raise
    except Exception as error:  # whatever a damaged file makes its reader raise
        if said := device_failure(error):
            raise InputError(said) from None
        raise InputError(f"{path} is not a preset, or damaged ({error}).") from None
