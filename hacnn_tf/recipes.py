"""Recipes: what a training does beside its network and its data."""

import dataclasses
from typing import Any

import numpy as np

from hacnn_tf.errors import InputError

SCHEDULES = ["constant", "step", "exponential", "cosine"]


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A named way to train. Its options are flags of `python -m hacnn_tf.train`.

    Attributes:
        name: the one of `RECIPES` that it is, or began from.
        learning_rate: Adam's at its height.
        schedule: how it goes on from there, one of `SCHEDULES`; see `hacnn_tf.training.schedule`.
        drops: when "step" divides the rate by ten, as shares of the training; ascending, in (0, 1).
        final_rate: what "exponential" and "cosine" end at, as a share of `learning_rate`, from 1e-6 to 1; 0.01 if it is
            None, which it is for the others.
        warmup: for how long the rate first rises from 0, as a share of the training; in [0, 1).
        weight_decay: a step takes so much times the learning rate of each kernel off it (AdamW), but for those of
            spatial and hard attention; 0: none.
        label_smoothing: share of each label that is spread over all identities, in [0, 1).
        flip: mirror half of the images.
        crop_padding: pixels of padding on each side, out of which an image of the old size is cropped; 0: none.
        erasing: probability that a random rectangle of an image is erased.
        batch_identities: P of batches with P identities × K images each; 0: images in random order.
        triplet: weight of the batch-hard triplet loss beside each branch's cross-entropy; needs two
            `batch_identities` or more.

    Raises:
        InputError: an option is out of its range, or contradicts another.
    """

    name: str
    learning_rate: float = 5e-4
    schedule: str = "constant"
    drops: tuple[float, ...] = ()
    final_rate: float | None = None
    warmup: float = 0.0
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    flip: bool = False
    crop_padding: int = 0
    erasing: float = 0.0
    batch_identities: int = 0
    triplet: float = 0.0

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "drops", tuple(map(float, self.drops)))  # of a flag or of JSON
        except ValueError:
            raise InputError(
                f"--drops takes numbers separated by commas, not {','.join(map(str, self.drops))}."
            ) from None
        if self.final_rate is None and self.schedule in ("exponential", "cosine"):
            object.__setattr__(self, "final_rate", 0.01)
        self._check_ranges()
        self._check_agreement()

    def _check_ranges(self) -> None:
        least, most = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
        below_one = float(np.nextafter(1, 0))
        for name, text, low, high in (
            ("learning_rate", "above 0 and finite", least, most),
            ("final_rate", "a share from 1e-6 to 1", 1e-6, 1),
            ("warmup", "a share, at least 0 and below 1", 0, below_one),
            ("weight_decay", "at least 0 and finite", 0, most),
            ("label_smoothing", "a share, at least 0 and below 1", 0, below_one),
            ("erasing", "a probability, from 0 to 1", 0, 1),
            ("triplet", "at least 0 and finite", 0, most),
        ):
            if (value := getattr(self, name)) is not None and not low <= value <= high:
                raise InputError(f"--{name} must be {text}, not {value}.")
        for name in ("crop_padding", "batch_identities"):
            if not isinstance(value := getattr(self, name), int) or value < 0:
                raise InputError(f"--{name} must be a whole number, at least 0, not {value}.")
        if self.schedule not in SCHEDULES or not isinstance(self.flip, bool):
            raise InputError(f"--schedule must be one of {', '.join(SCHEDULES)}, and --flip given or not.")
        if not all(0 < drop < 1 for drop in self.drops) or list(self.drops) != sorted(set(self.drops)):
            raise InputError(
                "--drops are shares of the training between 0 and 1, in ascending order, as in 0.6,0.9, not "
                f"{spelled(self.drops)}: at 0 it would drop before it begins, at 1 and beyond after its end."
            )

    def _check_agreement(self) -> None:
        if self.schedule == "step" and not self.drops:
            raise InputError("--schedule step needs --drops, as in --drops 0.6,0.9.")
        if self.schedule != "step" and self.drops:
            raise InputError(f"--drops needs --schedule step, and it is {self.schedule}: leave one of them out.")
        if self.schedule in ("step", "constant") and self.final_rate is not None:
            raise InputError(f"--final_rate needs exponential or cosine, and --schedule is {self.schedule}.")
        if self.triplet and self.batch_identities < 2:
            raise InputError(
                "--triplet compares images of one identity with those of another in a batch: it needs "
                "--batch_identities of two or more."
            )

    @property
    def augments(self) -> bool:
        """Whether images differ from epoch to epoch."""
        return bool(self.flip or self.crop_padding or self.erasing)

    def options(self) -> dict[str, Any]:
        """Dict of all but the name."""
        return {name: getattr(self, name) for name in OPTIONS}

    def replaced(self, **options: Any) -> "Recipe":
        """This recipe with other options; another schedule leaves behind what belongs to the former one.

        Raises:
            InputError: as the class.
        """
        if options.get("schedule", self.schedule) != self.schedule:
            options = {"drops": (), "final_rate": None} | options
        return dataclasses.replace(self, **options)

    def __str__(self) -> str:
        """The name, and the options that are not that recipe's."""
        return " ".join([self.name, *(f"--{name} {spelled(value)}" for name, value in self.changes().items())])

    def changes(self) -> dict[str, Any]:
        """Dict of the options that are not those of the recipe of this name, without what its schedule has not."""
        usual = RECIPES[self.name].options()
        return {name: v for name, v in self.options().items() if v != usual[name] and v not in (None, ())}


def spelled(value: Any) -> str:
    """A flag's value as it is typed; "none" if it has none."""
    if value in (None, ()):
        return "none"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


OPTIONS = [field.name for field in dataclasses.fields(Recipe)][1:]
RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("paper"),
        Recipe("adamw", schedule="cosine", weight_decay=8.0),
        Recipe(
            "strong",
            schedule="cosine",
            warmup=0.05,
            weight_decay=8.0,
            label_smoothing=0.1,
            flip=True,
            crop_padding=8,
            erasing=0.5,
        ),
    )
}


def usual_recipe(dataset: str) -> str:
    """The name of the recipe that a dataset is trained by if none is given.

    In the embedded dataset's few epochs a falling rate or a weight decay did worse (docs/studies/search.md).
    """
    return "paper" if dataset == "synthetic" else "adamw"
