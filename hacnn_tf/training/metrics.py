"""`metrics.json` of a run folder: what a finished training reaches."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hacnn_tf.evaluation import CMC_LENGTH, MEASURES, RATES, parts_of
from hacnn_tf.utils.errors import InputError

ADDED = {"mINP"}  # of `MEASURES`, what a file of an older revision does not have


def read_metrics(path: Path, branches: Sequence[str], epochs: int | None) -> dict[str, Any]:
    """The content of a `metrics.json`, checked.

    Args:
        path: of the file.
        branches: of the network, whose parts of the feature it must have.
        epochs: after which it must have been tested.

    Raises:
        InputError: it is not there, damaged, or of another epoch.
    """
    if not path.exists():
        raise InputError(f"{path.parent} is not finished (no {path.name}): repeat its command to go on with it.")
    try:
        content = json.loads(path.read_text())
        epoch, results = content["epoch"], content["results"]
        for parts in ({"single_query": None} | results).values():
            for part in parts_of(branches):
                _check_measures(parts[part])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        again = f"write it anew with python -m hacnn_tf.evaluate --run_dir {path.parent}"
        raise InputError(f"{path} is damaged ({error!r}): {again}.") from None
    if epoch != epochs:
        raise InputError(f"{path} is of epoch {epoch} of {epochs}: repeat the training's command to finish it.")
    return content


def _check_measures(measures: Mapping[str, Any]) -> None:
    """Raises `ValueError` or another if one is missing, cut or not a finite number."""
    if not all(math.isfinite(measures[name]) for name in MEASURES if name in measures or name not in ADDED):
        raise ValueError("a measure is not finite")
    if len(measures["cmc"]) != CMC_LENGTH:
        raise ValueError("the CMC curve is cut")
    for name in RATES.keys() & measures:
        _check_rates(measures[name], RATES[name])


def _check_rates(rates: Mapping[str, Any], name: str) -> None:
    """Raises `ValueError` or another if lists by false-accept rate are not equally long, or not of numbers and None."""
    for far, share, threshold in zip(rates["far"], rates[name], rates["threshold"], strict=True):
        if not all(math.isfinite(number) for number in (far, share, threshold) if number is not None):
            raise ValueError("a rate is not finite")
