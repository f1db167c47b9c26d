"""Options: fields of a dataclass that say their help and range, from which flags and checks follow."""

import dataclasses
import math
import operator
import types
import typing
from collections.abc import Sequence
from typing import Any

import numpy as np

from hacnn_tf.utils.errors import InputError

PRECISIONS = ["float32", "mixed_bfloat16", "mixed_float16"]  # Keras's dtype policies in which the network computes
BOUNDS = {  # of a number: what a sentence calls each, and when it holds
    "above": ("above", operator.gt),
    "low": ("at least", operator.ge),
    "below": ("below", operator.lt),
    "high": ("at most", operator.le),
}


def option(default: Any, text: str, group: str = "", values: Sequence[str] | None = None, **more: Any) -> Any:
    """A field of a dataclass that is a flag too, see `hacnn_tf.utils.cli.Command.define_options`.

    Args:
        default: what it is by default; None if that depends on others.
        text: its help.
        group: heading in `--help`.
        values: all that a str can be.
        more: bounds of a number, by names of `BOUNDS`; `flag`, its kind if another than its type's, as "path"; and what
            else there is to know of it, as metadata.
    """
    return dataclasses.field(default=default, metadata={"help": text, "group": group, "values": values, **more})


def options(cls: Any) -> list[dataclasses.Field]:
    """The fields of a dataclass, or of an instance, that are an `option`."""
    return [field for field in dataclasses.fields(cls) if "help" in field.metadata]


def kind(field: dataclasses.Field) -> type:
    """What the values of an option are: bool, int, float, str or tuple."""
    if isinstance(field.type, types.UnionType):  # of it and None
        return next(of for of in typing.get_args(field.type) if of is not types.NoneType)
    return typing.get_origin(field.type) or field.type  # type: ignore[return-value]  # no name of one


def check_options(instance: Any) -> None:
    """Makes NumPy's numbers Python's, in a dataclass.

    Raises:
        InputError: an option has a value that it cannot have; None is one only of those whose default it is.
    """
    for field in options(instance):
        value = getattr(instance, field.name)
        if isinstance(value, np.generic):
            value = value.item()
            fill(instance, **{field.name: value})
        left_open = value is None and field.default is None
        if not left_open and (said := _requirement(field, value)):
            raise InputError(f"--{field.name} must be {said}, not {str(value)[:60]}.")


def fill(instance: Any, **values: Any) -> None:
    """Sets fields of a frozen dataclass that is being made."""
    for name, value in values.items():
        object.__setattr__(instance, name, value)


def _requirement(field: dataclasses.Field, value: Any) -> str:
    """What an option must be, if this value is not that."""
    of, allowed = kind(field), field.metadata["values"]
    if of is bool:
        return "" if isinstance(value, bool) else "given or not"
    if allowed:
        return "" if value in allowed else f"one of {', '.join(allowed)}"
    if of not in (int, float):
        if value is None:
            return "given"
        return "" if of is tuple or isinstance(value, str) else "text"
    bounds = {name: bound for name, bound in field.metadata.items() if name in BOUNDS}
    number = isinstance(value, int if of is int else (int, float)) and not isinstance(value, bool)
    within = number and all(BOUNDS[name][1](value, bound) for name, bound in bounds.items())
    if within and (of is int or _in_float32(value)):
        return ""
    words = [f"{BOUNDS[name][0]} {bound}" for name, bound in bounds.items()]
    if of is float and not {"below", "high"} & bounds.keys():
        words.append("finite")
    return f"{'a whole number, ' * (of is int)}{' and '.join(words)}"


def _in_float32(value: float) -> bool:
    """Whether a number is finite in the network's arithmetic, and not 0 there unless it is."""
    try:
        with np.errstate(over="ignore", under="ignore"):
            narrow = float(np.float32(value))
    except OverflowError:  # a whole number beyond float64
        return False
    return math.isfinite(narrow) and bool(narrow) == bool(value)
