"""Options: one line of a dataclass is a flag with its help, and a range that is checked."""

import dataclasses

import numpy as np
import pytest

from hacnn_tf.utils.cli import Command, given_options, parse
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.options import check_options, kind, option, options


@dataclasses.dataclass(frozen=True)
class Lens:
    """Options of every kind."""

    name: str = "none"
    length: float = option(50.0, "in millimetres", "Lens", above=0)
    opening: float | None = option(None, "as a share", "Lens", low=0, below=1)
    leaves: int = option(8, "of the shutter", "Shutter", low=3, high=12)
    shape: str = option("round", "of the opening", "Shutter", ["round", "star"])
    coated: bool = option(True, "against reflections", "Lens")
    marks: tuple[str, ...] = option((), "on the barrel", "Lens")

    def __post_init__(self):
        check_options(self)


@pytest.fixture
def command():
    command = Command("Takes images.", "take")
    command.define_options(Lens, leaves=5)
    return command


def test_each_is_a_flag_of_its_kind(command):
    assert [kind(field) for field in options(Lens)] == [float, float, int, str, bool, tuple]
    argv = ["take", "--length=35", "--nocoated", "--marks=a,b", "--shape=star"]
    lens = given_options(Lens, parse(command.values, argv))
    assert lens == Lens("none", 35.0, None, 5, "star", False, ["a", "b"])
    for argv in (["--length=far"], ["--shape=square"], ["--leaves=2.5"], ["--name=mine"]):
        with pytest.raises(InputError):
            parse(command.values, ["take", *argv])


def test_help_has_each_under_its_heading(command):
    lens, shutter = command.help().split("\n\n")[1:]
    assert lens.splitlines()[0] == "Lens:" and "--length           in millimetres [50.0]" in lens
    assert "--opening          as a share\n" in lens and "--[no]coated" in lens
    assert "--leaves           of the shutter [5]" in shutter and "<round|star>" in shutter


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"length": 0}, "--length must be above 0 and finite, not 0."),
        ({"length": float("nan")}, "--length must be above 0 and finite, not nan."),
        ({"length": 1e39}, "--length must be above 0 and finite"),  # float32 has no such number
        ({"length": 1e-60}, "--length must be above 0 and finite"),
        ({"length": "long"}, "--length must be above 0 and finite, not long."),
        ({"opening": 1}, "--opening must be at least 0 and below 1, not 1."),
        ({"leaves": 13}, "--leaves must be a whole number, at least 3 and at most 12, not 13."),
        ({"leaves": 4.5}, "--leaves must be a whole number, at least 3 and at most 12, not 4.5."),
        ({"shape": "square"}, "--shape must be one of round, star, not square."),
        ({"coated": "yes"}, "--coated must be given or not, not yes."),
        ({"coated": None}, "--coated must be given or not, not None."),
        ({"length": None}, "--length must be above 0 and finite, not None."),
        ({"length": 10**400}, "--length must be above 0 and finite, not 1000"),
        ({"leaves": 4.0}, "--leaves must be a whole number, at least 3 and at most 12, not 4.0."),
        ({"leaves": 10**400}, "--leaves must be a whole number, at least 3 and at most 12, not 1000"),
        ({"leaves": True}, "--leaves must be a whole number, at least 3 and at most 12, not True."),
    ],
)
def test_what_one_cannot_be_is_a_sentence(values, sentence):
    with pytest.raises(InputError) as error:
        Lens(**values)
    assert str(error.value).startswith(sentence)


def test_the_bounds_themselves():
    for name, values in {"opening": (0, 0.999), "leaves": (3, 12), "length": (1e-37, 3e38)}.items():
        for value in values:
            assert getattr(Lens(**{name: value}), name) == value


def test_numpys_numbers_are_pythons():
    lens = Lens(length=np.float32(0.5), leaves=np.int64(7), coated=np.bool_(False))
    assert lens == Lens(length=0.5, leaves=7, coated=False)
    assert [type(value) for value in (lens.length, lens.leaves, lens.coated)] == [float, int, bool]
