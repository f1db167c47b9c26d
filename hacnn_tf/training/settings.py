"""The settings of a training."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from hacnn_tf.data import ReidDataset, dataset_names, read_dataset
from hacnn_tf.data.flags import DATASET_FLAGS
from hacnn_tf.data.validation import hold_out
from hacnn_tf.models import BRANCHES, HACNN
from hacnn_tf.training.recipes import OPTIONS, RECIPES, Recipe, spelled, usual_recipe
from hacnn_tf.utils.cli import Command
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import as_file_name
from hacnn_tf.utils.types import FilePath

PAPER_EPOCHS = 150
PRECISIONS = ["float32", "mixed_bfloat16", "mixed_float16"]
SYNTHETIC_EPOCHS = 4  # enough for the embedded dataset


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a training does, places aside; the defaults are the paper's (§4).

    Attributes are the flags of `python -m hacnn_tf.train`, which documents them, but for `recipe`, a `Recipe`.
    """

    dataset: str = "synthetic"
    split: str | None = None
    boxes: str | None = None
    testset: int | None = None
    allow_subset: bool = False
    test_share: float | None = None
    split_seed: int | None = None
    camera_pattern: str | None = None
    validation: int = 0
    spatial: bool = True
    channel: bool = True
    local: bool = True
    regional: bool | None = None
    interaction: bool | None = None
    num_regions: int = 4
    epochs: int | None = None
    batch_size: int = 32
    recipe: Recipe | None = None
    precision: str = "float32"
    xla: str = "auto"
    seed: int = 0
    eval_every: int = 0

    def completed(self) -> "Settings":
        """These settings with what was left open filled in for the dataset.

        Raises:
            InputError: settings that contradict one another.
        """
        names = dataset_names(self.dataset)
        filled: dict[str, Any] = {"dataset": ",".join(names)}
        own = any(name.startswith("folder") for name in names)
        for name, default, allowed, needed in (
            ("split", "767_700", "cuhk03" in names, "cuhk03"),
            ("boxes", "detected", "cuhk03" in names or "synthetic" in names, "cuhk03 or synthetic"),
            ("testset", 1, self.split == "1367_100", "cuhk03 --split 1367_100"),
            ("test_share", None, own, "folder"),
            ("split_seed", None, own, "folder"),
            ("camera_pattern", None, own, "folder"),
        ):
            value = getattr(self, name)
            if value is not None and not allowed:
                raise InputError(f"--{name} needs --dataset {needed}: leave it out.")
            filled[name] = default if value is None and allowed else value
        for name in ("regional", "interaction", "num_regions"):
            if not self.local and getattr(self, name) not in (False, getattr(Settings, name)):
                raise InputError(f"--{name} needs the local branch: leave it out, or --nolocal.")
        for name in ("regional", "interaction"):
            filled[name] = self.local if getattr(self, name) is None else getattr(self, name)
        filled["recipe"] = recipe = self.recipe or RECIPES[usual_recipe(self.dataset)]
        identities = recipe.batch_identities
        if identities and (self.batch_size % identities or self.batch_size < 2 * identities):
            raise InputError(
                f"--batch_identities {identities} does not fill --batch_size {self.batch_size} with equally many "
                "images of each, two or more: take a divisor of it, at most half."
            )
        if self.epochs is None:
            filled["epochs"] = SYNTHETIC_EPOCHS if self.dataset == "synthetic" else PAPER_EPOCHS
        return dataclasses.replace(self, **filled)

    @classmethod
    def from_flags(cls, flags: Mapping[str, Any]) -> "Settings":
        """The settings that flags give.

        Args:
            flags: dict from flag to value: the fields, `recipe` (a name), and the options of a recipe that are to be
                other than its own; None for what was not given.

        Raises:
            InputError: a contradiction in the recipe.
        """
        recipe = RECIPES[flags["recipe"] or usual_recipe(flags["dataset"])]
        options = {name: flags[name] for name in OPTIONS if flags.get(name) is not None}
        fields = {name: value for name, value in flags.items() if name not in (*OPTIONS, "recipe")}
        return cls(**fields, recipe=recipe.replaced(**options))

    def to_flags(self) -> dict[str, Any]:
        """A dict from flag to value, of which `from_flags` makes these settings; they must be completed."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return fields | {"recipe": self._recipe.name} | self._recipe.options()

    def differences(self, other: "Settings") -> dict[str, tuple[str, str]]:
        """Dict from flag to (its value here, its value in `other`), as text, of the flags whose values differ.

        Of a recipe only what tells it from others counts: its name, and what was changed in it.
        """
        here, there = self.to_flags(), other.to_flags()
        untold = set(OPTIONS) - {*self._recipe.changes(), *other._recipe.changes()}
        differing = [name for name in here if here[name] != there[name] and name not in untold]
        return {name: (spelled(here[name]), spelled(there[name])) for name in differing}

    @property
    def branches(self) -> tuple[str, ...]:
        """`HACNN.branches` of the network."""
        return BRANCHES if self.local else ("global",)

    @property
    def _recipe(self) -> Recipe:
        assert self.recipe, "these settings are not completed"
        return self.recipe

    @property
    def run_name(self) -> str:
        """What its run folder is called if nothing is said: data, and what is not as usual, and the seed."""
        switches = ["spatial", "channel", "local", *(["regional", "interaction"] if self.local else [])]
        off = [f"no{name}" for name in switches if not getattr(self, name)]
        usual = self.epochs == dataclasses.replace(self, epochs=None).completed().epochs
        length = None if usual else f"epochs{self.epochs}"
        recipe = None if self._recipe.name == usual_recipe(self.dataset) else self._recipe.name
        changes = [f"{name}{spelled(value)}" for name, value in self._recipe.changes().items()]
        validation = f"validation{self.validation}" if self.validation else None
        dataset = as_file_name(self.dataset.replace(",", "+"))
        share, drawn, cameras = self.test_share, self.split_seed, self.camera_pattern
        own = [share and f"share{share}", drawn and f"split{drawn}", cameras and "cameras"]
        where = [dataset, self.split, self.testset, self.boxes, *own, validation]
        precision = None if self.precision == Settings.precision else self.precision
        parts = [*where, *off, recipe, *changes, precision, length, f"seed{self.seed}"]
        return "-".join(str(part) for part in parts if part)

    def as_flags(self) -> list[str]:
        """The flags of `python -m hacnn_tf.train` that give these settings."""
        given = {name: value for name, value in self.to_flags().items() if value not in (None, ())}
        return [
            f"--{'' if value else 'no'}{name}" if isinstance(value, bool) else f"--{name}={spelled(value)}"
            for name, value in given.items()
        ]

    def evaluates_after(self, epoch: int) -> bool:
        """Whether the network is tested after that many epochs: after the last, and every `eval_every`."""
        return epoch == self.epochs or bool(epoch and self.eval_every and epoch % self.eval_every == 0)

    def read_dataset(self, data_root: FilePath) -> ReidDataset:
        """The `ReidDataset` trained and tested on; with `validation`, tested on identities held out of training."""
        asked = {name: value for name in DATASET_FLAGS[1:] if (value := getattr(self, name)) is not None}
        dataset = read_dataset(self.dataset, data_root, **asked)
        return hold_out(dataset, self.validation) if self.validation else dataset

    def build_model(self, num_identities: int) -> HACNN:
        """A `HACNN` with fresh weights."""
        return HACNN(
            num_identities,
            spatial=self.spatial,
            channel=self.channel,
            local=self.local,
            regional=self.regional,
            interaction=self.interaction,
            num_regions=self.num_regions,
            dtype=self.precision,
        )


FLAGS = [field.name for field in dataclasses.fields(Settings)] + OPTIONS


def dataset_settings(flags: Any) -> Settings:
    """The `Settings` of the dataset that the flags of `hacnn_tf.data.flags.define_dataset_flags` name, completed."""
    return Settings(**{name: flags[name].value for name in DATASET_FLAGS}).completed()


def define_precision_flag(command: Command) -> None:
    """Defines `--precision` of a `cli.Command` that computes with a trained network."""
    text = "dtype policy to compute in; if not given the training's, float32 for presets that come along"
    command.define("enum", "precision", None, text, enum_values=PRECISIONS)
