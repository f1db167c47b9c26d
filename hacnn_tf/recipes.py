"""Recipes: what a training does beside its network and its data."""

import dataclasses
import math

from hacnn_tf.errors import InputError

SCHEDULES = ["constant", "step", "exponential", "cosine"]


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A named way to train. Its parts are flags of `python -m hacnn_tf.train`.

    Attributes:
        name: one of `RECIPES`; with another part than that recipe's it says what was begun from.
        learning_rate: Adam's at its height.
        schedule: how it goes on from there, one of `SCHEDULES`; see `hacnn_tf.training.schedule`.
        drops: when "step" divides the rate by ten, as shares of the training; ascending, in (0, 1).
        final_rate: what "exponential" and "cosine" end at, as a share of `learning_rate`; in (0, 1].
        warmup: for how long the rate first rises from 0, as a share of the training; in [0, 1).
        weight_decay: share of each kernel that a step takes away, times the learning rate (AdamW); 0: none.
        label_smoothing: share of each label that is spread over all identities, in [0, 1).
        flip: mirror half of the images.
        crop_padding: pixels of padding on each side, out of which an image of the old size is cropped; 0: none.
        erasing: probability that a random rectangle of an image is erased.
        batch_identities: P of batches with P identities × K images each; 0: images in random order.
        triplet: weight of the batch-hard triplet loss beside each branch's cross-entropy; needs `batch_identities`.

    Raises:
        InputError: a part is out of its range, or contradicts another.
    """

    name: str
    learning_rate: float = 5e-4
    schedule: str = "constant"
    drops: tuple = ()
    final_rate: float = 0.01
    warmup: float = 0.0
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    flip: bool = False
    crop_padding: int = 0
    erasing: float = 0.0
    batch_identities: int = 0
    triplet: float = 0.0

    def __post_init__(self):
        try:
            object.__setattr__(self, "drops", tuple(map(float, self.drops)))  # of a flag or of JSON
        except ValueError:
            raise InputError(f"--drops takes numbers separated by commas, not {','.join(self.drops)}.") from None
        if not 0 < self.learning_rate < math.inf:
            raise InputError(f"--learning_rate must be above 0 and finite, not {self.learning_rate}.")
        for name in ("warmup", "label_smoothing"):
            if not 0 <= (value := getattr(self, name)) < 1:
                raise InputError(f"--{name} is a share: at least 0 and below 1, not {value}.")
        for name in ("weight_decay", "triplet"):
            if not 0 <= (value := getattr(self, name)) < math.inf:
                raise InputError(f"--{name} must be at least 0 and finite, not {value}.")
        if not 0 < self.final_rate <= 1:
            raise InputError(f"--final_rate is a share of --learning_rate: above 0, at most 1, not {self.final_rate}.")
        if not 0 <= self.erasing <= 1:
            raise InputError(f"--erasing is a probability, from 0 to 1, not {self.erasing}.")
        if not all(0 < drop < 1 for drop in self.drops) or list(self.drops) != sorted(set(self.drops)):
            raise InputError(
                "--drops are shares of the training between 0 and 1, in ascending order, as in 0.6,0.9, not "
                f"{_text(self.drops)}: at 0 it would drop before it begins, at 1 and beyond after its end."
            )
        if self.schedule == "step" and not self.drops:
            raise InputError("--schedule step needs --drops, as in --drops 0.6,0.9.")
        if self.schedule != "step" and self.drops:
            raise InputError(f"--drops needs --schedule step, and it is {self.schedule}: leave one of them out.")
        if self.triplet and not self.batch_identities:
            raise InputError("--triplet compares images of one identity in a batch: it needs --batch_identities.")

    @property
    def augments(self):
        """Whether images differ from epoch to epoch."""
        return bool(self.flip or self.crop_padding or self.erasing)

    def parts(self):
        """Dict of all but the name."""
        return {name: getattr(self, name) for name in PARTS}

    def replaced(self, **parts):
        """This recipe with other parts; another schedule leaves its drops behind.

        Raises:
            InputError: as the class.
        """
        if parts.get("schedule", "step") != "step":
            parts = {"drops": ()} | parts
        return dataclasses.replace(self, **parts)

    def __str__(self):
        """The name, and the parts that are not that recipe's."""
        return " ".join([self.name, *(f"--{name} {_text(value)}" for name, value in self.changes().items())])

    def changes(self):
        """Dict of the parts that are not those of the recipe of this name."""
        usual = RECIPES[self.name].parts()
        return {name: value for name, value in self.parts().items() if value != usual[name]}


PARTS = [field.name for field in dataclasses.fields(Recipe)][1:]
RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("paper", schedule="step", drops=(0.6, 0.9)),
        Recipe("constant"),
        Recipe("strong", schedule="cosine", warmup=0.05, flip=True, crop_padding=8, erasing=0.5, label_smoothing=0.1),
    )
}


def usual_recipe(dataset):
    """The name of the recipe that a dataset is trained by if nothing is said.

    The embedded dataset's few epochs end before a rate that drops would pay (REPRODUCE.md, "The search").
    """
    return "constant" if dataset == "synthetic" else "paper"


def _text(value):
    return ",".join(f"{item:g}" for item in value) if isinstance(value, tuple) else str(value)
