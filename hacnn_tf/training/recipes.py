"""Recipes: what a training does beside its network and its data."""

import dataclasses
from typing import Any

from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.options import check_options, option, options

SCHEDULES = ["constant", "step", "exponential", "cosine"]
GROUP = "Recipe (each flag overrides --recipe's)"


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A named way to train: §4, and what may be done beside it. Its options are flags of `python -m hacnn_tf.train`.

    Raises:
        InputError: an option is out of its range, or contradicts another.
    """

    name: str
    learning_rate: float = option(5e-4, "peak learning rate of Adam", GROUP, above=0)
    schedule: str = option("constant", "course of the learning rate after its peak", GROUP, SCHEDULES)
    drops: tuple[float, ...] = option((), "when step divides it by ten, as shares of the training: 0.6,0.9", GROUP)
    final_rate: float | None = option(
        None,
        "what exponential and cosine end at, a share of --learning_rate; 0.01 by default",
        GROUP,
        low=1e-6,
        high=1,
    )
    warmup: float = option(0.0, "share of the training in which the rate rises from 0", GROUP, low=0, below=1)
    weight_decay: float = option(
        0.0, "AdamW's, times the learning rate; spares spatial and hard attention", GROUP, low=0
    )
    label_smoothing: float = option(0.0, "share of each label that all identities get", GROUP, low=0, below=1)
    flip: bool = option(False, "mirror half of the images", GROUP, augments=True)
    crop_padding: int = option(0, "pad by so many pixels and crop at random", GROUP, low=0, high=32, augments=True)
    erasing: float = option(
        0.0, "probability that a rectangle of an image is erased", GROUP, low=0, high=1, augments=True
    )
    grey: float = option(
        0.0, "probability that an image loses its colours, as at night", GROUP, low=0, high=1, augments=True
    )
    batch_identities: int = option(0, "P: batches of P identities, equally many images of each", GROUP, low=0)
    triplet: float = option(0.0, "weight of the batch-hard triplet loss of each branch", GROUP, low=0, compares=True)

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "drops", tuple(map(float, self.drops)))  # of a flag or of JSON
        except (TypeError, ValueError):
            raise InputError(f"--drops takes a list of numbers, as in 0.6,0.9, not {self.drops!r}.") from None
        if self.final_rate is None and self.schedule in ("exponential", "cosine"):
            object.__setattr__(self, "final_rate", 0.01)
        check_options(self)
        self._check_drops()
        self._check_agreement()

    def _check_drops(self) -> None:
        if not all(0 < drop < 1 for drop in self.drops) or list(self.drops) != sorted(set(self.drops)):
            raise InputError(
                "--drops are shares of the training between 0 and 1, in ascending order, as in 0.6,0.9, not "
                f"{format_flag(self.drops)}: at 0 it would drop before it begins, at 1 and beyond after its end."
            )

    def _check_agreement(self) -> None:
        if self.schedule == "step" and not self.drops:
            raise InputError("--schedule step needs --drops, as in --drops 0.6,0.9.")
        if self.schedule != "step" and self.drops:
            raise InputError(f"--drops needs --schedule step, and it is {self.schedule}: leave one of them out.")
        if self.schedule in ("step", "constant") and self.final_rate is not None:
            raise InputError(f"--final_rate needs exponential or cosine, and --schedule is {self.schedule}.")
        if self.batch_identities == 1:
            raise InputError("--batch_identities must be 0, or two or more: of one person there is nobody to tell.")
        if self.comparing and self.batch_identities < 2:
            raise InputError(
                f"--{self.comparing[0]} compares images of one identity with those of another in a batch: it needs "
                "--batch_identities of two or more."
            )

    @property
    def augments(self) -> bool:
        """Whether images differ from epoch to epoch."""
        return any(getattr(self, field.name) for field in options(self) if field.metadata.get("augments"))

    @property
    def comparing(self) -> list[str]:
        """The options in use whose loss compares the images of a batch with each other."""
        return [field.name for field in options(self) if field.metadata.get("compares") and getattr(self, field.name)]

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
        return " ".join([self.name, *(f"--{name} {format_flag(value)}" for name, value in self.changes().items())])

    def changes(self) -> dict[str, Any]:
        """Dict of the options that are not those of the recipe of this name, without what its schedule has not."""
        usual = RECIPES.get(self.name, Recipe(self.name)).options()
        return {name: v for name, v in self.options().items() if v != usual[name] and v not in (None, ())}


def format_flag(value: Any) -> str:
    """A flag's value as it is typed; "none" if it has none."""
    if value in (None, ()):
        return "none"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


OPTIONS = [field.name for field in options(Recipe)]
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
        Recipe("finetune", learning_rate=5e-5, schedule="cosine"),  # see docs/training.md
    )
}


def usual_recipe(dataset: str, init_from: str | None = None) -> str:
    """The name of the recipe that a dataset is trained by if none is given, from fresh weights or trained ones.

    In the synthetic dataset's few epochs a falling rate or a weight decay did worse (docs/studies/search.md).
    """
    if init_from:
        return "finetune"
    return "paper" if dataset == "synthetic" else "adamw"
