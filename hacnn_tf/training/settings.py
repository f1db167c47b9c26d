"""The settings of a training."""

import dataclasses
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hacnn_tf.data.dataset_options import DatasetOptions, dataset_names
from hacnn_tf.training.recipes import OPTIONS, RECIPES, Recipe, format_flag, usual_recipe
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.options import PRECISIONS, fill, option
from hacnn_tf.utils.text import as_file_name
from hacnn_tf.utils.types import BRANCHES, FilePath

if TYPE_CHECKING:
    from hacnn_tf.data.dataset import ReidDataset
    from hacnn_tf.models import HACNN

PAPER_EPOCHS = 150
SYNTHETIC_EPOCHS = 4  # enough for the synthetic dataset
FINETUNE_EPOCHS = 20  # from trained weights
STRATEGIES = ["auto", "one", "mirrored", "multi_worker"]  # see `hacnn_tf.training.multi_worker.open_devices`


@dataclasses.dataclass(frozen=True)
class Settings(DatasetOptions):
    """What a training does, places aside. All but `recipe`, a `Recipe`, are flags.

    What is left open, or None, is filled in for the dataset, the network and the weights to begin from.

    Raises:
        InputError: one has a value that it cannot have, or some contradict one another.
    """

    validation: int = option(
        0,
        "training identities to hold out and test on instead, to choose without the test set",
        "Dataset",
        low=0,
    )
    spatial: bool = option(True, "soft spatial attention (Table 5's SSA)", "Network")
    channel: bool = option(True, "soft channel attention (Table 5's SCA)", "Network")
    local: bool = option(
        True,
        "local branch; off: the global branch, its loss and its feature alone, and --noregional --nointeraction",
        "Network",
    )
    regional: bool = option(
        None, "hard regional attention (Table 5's HRA); off: fixed stripes; as --local by default", "Network"
    )
    interaction: bool = option(None, "cross-attention interaction (Table 6); as --local by default", "Network")
    num_regions: int = option(4, "T, the number of local streams", "Network", low=1, high=80)
    epochs: int = option(
        None,
        f"{PAPER_EPOCHS} by default, {FINETUNE_EPOCHS} with --init_from, {SYNTHETIC_EPOCHS} for synthetic",
        "Training",
        low=1,
    )
    init_from: str | None = option(
        None, "begin from the weights of this preset, run or Keras file; classifiers are new", "Training", flag="path"
    )
    batch_size: int = option(32, "images a step", "Training", low=2)
    recipe: Recipe = dataclasses.field(default=None)  # type: ignore[assignment]  # filled in
    precision: str = option("float32", "dtype policy", "Training", PRECISIONS)
    xla: str = option("auto", "compile the step; auto: on one GPU", "Training", ["auto", "on", "off"])
    seed: int = option(0, "fixes initial weights, order and augmentation", "Training", low=0, below=2**32)
    eval_every: int = option(
        0, "epochs between evaluations; 0: only at the end, and of trained weights first", "Run", low=0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.init_from, str):  # the same folder with and without a slash
            fill(self, init_from=self.init_from.rstrip("/") or self.init_from)
        for name in ("regional", "interaction", "num_regions"):
            if not self.local and getattr(self, name) not in (False, getattr(Settings, name)):
                raise InputError(f"--{name} needs the local branch: leave it out, or --nolocal.")
        for name in ("regional", "interaction"):
            if getattr(self, name) is None:
                fill(self, **{name: self.local})
        recipe: Any = self.recipe or RECIPES[usual_recipe(self.dataset, self.init_from)]
        if not isinstance(recipe, Recipe):
            raise InputError(f"recipe takes a Recipe, as RECIPES['adamw'], not {recipe!r}.")
        fill(self, recipe=recipe, epochs=self.epochs or self._usual_epochs)
        identities = recipe.batch_identities
        if identities and (self.batch_size % identities or self.batch_size < 2 * identities):
            raise InputError(
                f"--batch_identities {identities} does not fill --batch_size {self.batch_size} with equally many "
                "images of each, two or more: take a divisor of it, at most half."
            )

    @property
    def _tests_nobody(self) -> bool:
        return super()._tests_nobody and not self.validation

    @property
    def _usual_epochs(self) -> int:
        if self.dataset == "synthetic":
            return SYNTHETIC_EPOCHS
        return FINETUNE_EPOCHS if self.init_from else PAPER_EPOCHS

    @classmethod
    def from_flags(cls, flags: Mapping[str, Any]) -> "Settings":
        """The settings that flags give.

        Args:
            flags: dict from flag to value: the fields, `recipe` (a name), and the options of a recipe that are to be
                other than its own; None for what was not given.

        Raises:
            InputError: there is no such dataset, a value is out of its range, or options contradict each other.
        """
        dataset = ",".join(dataset_names(flags["dataset"]))
        recipe = RECIPES[flags["recipe"] or usual_recipe(dataset, flags.get("init_from"))]
        options = {name: flags[name] for name in OPTIONS if flags.get(name) is not None}
        fields = {name: value for name, value in flags.items() if name not in (*OPTIONS, "recipe")}
        return cls(**fields, recipe=recipe.replaced(**options))

    def to_flags(self) -> dict[str, Any]:
        """A dict from flag to value, of which `from_flags` makes these settings."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return fields | {"recipe": self.recipe.name} | self.recipe.options()

    def differences(self, other: "Settings") -> dict[str, tuple[str, str]]:
        """Dict from flag to (its value here, its value in `other`), as text, of the flags whose values differ.

        Of a recipe only what tells it from others counts: its name, and what was changed in it.
        """
        here, there = self.to_flags(), other.to_flags()
        untold = set(OPTIONS) - {*self.recipe.changes(), *other.recipe.changes()}
        differing = [name for name in here if here[name] != there[name] and name not in untold]
        return {name: (format_flag(here[name]), format_flag(there[name])) for name in differing}

    @property
    def branches(self) -> tuple[str, ...]:
        """`HACNN.branches` of the network."""
        return BRANCHES if self.local else ("global",)

    @property
    def run_name(self) -> str:
        """What its run folder is called if nothing is said: data, and what is not as usual, and the seed."""
        switches = ["spatial", "channel", "local", *(["regional", "interaction"] if self.local else [])]
        off = [f"no{name}" for name in switches if not getattr(self, name)]
        batch = None if self.batch_size == Settings.batch_size else f"batch{self.batch_size}"
        regions = None if self.num_regions == Settings.num_regions else f"regions{self.num_regions}"
        length = None if self.epochs == self._usual_epochs else f"epochs{self.epochs}"
        recipe = None if self.recipe.name == usual_recipe(self.dataset, self.init_from) else self.recipe.name
        changes = [f"{name}{format_flag(value)}" for name, value in self.recipe.changes().items()]
        validation = f"validation{self.validation}" if self.validation else None
        dataset = as_file_name(self.dataset.replace(",", "+"))
        share, drawn, cameras = self.test_share, self.split_seed, self.camera_pattern
        own = [share and f"share{share}", drawn and f"split{drawn}", cameras and "cameras"]
        where = [dataset, self.split, self.testset, self.boxes, *own, validation]
        precision = None if self.precision == Settings.precision else self.precision
        begun = self.init_from and f"from-{as_file_name(os.path.basename(os.path.normpath(self.init_from)))}"
        parts = [*where, *off, regions, begun, recipe, *changes, batch, precision, length, f"seed{self.seed}"]
        return "-".join(str(part) for part in parts if part)

    def as_flags(self) -> list[str]:
        """The flags of `python -m hacnn_tf.train` that give these settings."""
        given = {name: value for name, value in self.to_flags().items() if value not in (None, ())}
        return [
            f"--{'' if value else 'no'}{name}" if isinstance(value, bool) else f"--{name}={format_flag(value)}"
            for name, value in given.items()
        ]

    def evaluates_after(self, epoch: int) -> bool:
        """Whether the network is tested after that many epochs: the last, every `eval_every`, 0 of trained weights."""
        if not epoch:
            return bool(self.init_from)
        return epoch == self.epochs or bool(self.eval_every and epoch % self.eval_every == 0)

    def read_dataset(self, data_root: FilePath) -> "ReidDataset":
        """The `ReidDataset` trained and tested on; with `validation`, tested on identities held out of training."""
        from hacnn_tf.data.read import read_options
        from hacnn_tf.data.validation import hold_out

        dataset = read_options(self, data_root)
        return hold_out(dataset, self.validation) if self.validation else dataset

    def build_model(self, num_identities: int) -> "HACNN":
        """A `HACNN` with fresh weights."""
        from hacnn_tf.models import HACNN

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
