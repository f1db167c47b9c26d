"""The settings of a training."""

import dataclasses
import math

from hacnn_tf.data import read_dataset
from hacnn_tf.errors import InputError
from hacnn_tf.models import HACNN

PAPER_EPOCHS = 150
PRECISIONS = ["float32", "mixed_bfloat16", "mixed_float16"]
SYNTHETIC_EPOCHS = 4  # enough for the embedded dataset


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a training does, places aside; the defaults are the paper's (§4).

    Attributes are the flags of `python -m hacnn_tf.train`, which documents them.
    """

    dataset: str = "synthetic"
    split: str | None = None
    boxes: str | None = None
    testset: int | None = None
    allow_subset: bool = False
    spatial: bool = True
    channel: bool = True
    regional: bool = True
    interaction: bool = True
    num_regions: int = 4
    epochs: int | None = None
    batch_size: int = 32
    learning_rate: float = 5e-4
    precision: str = "float32"
    xla: str = "auto"
    seed: int = 0
    eval_every: int = 0

    def completed(self):
        """These settings with what was left open filled in for the dataset.

        Raises:
            InputError: settings that contradict one another.
        """
        filled = {}
        for name, default, allowed in (
            ("split", "767_700", self.dataset == "cuhk03"),
            ("boxes", "detected", self.dataset in ("cuhk03", "synthetic")),
            ("testset", 1, self.split == "1367_100"),
        ):
            value = getattr(self, name)
            if value is not None and not allowed:
                needed = {"split": "cuhk03", "boxes": "cuhk03 or synthetic", "testset": "cuhk03 --split 1367_100"}[name]
                raise InputError(f"--{name} needs --dataset {needed}: leave it out.")
            filled[name] = default if value is None and allowed else value
        if not 0 < self.learning_rate < math.inf:
            raise InputError(f"--learning_rate must be above 0 and finite, not {self.learning_rate}.")
        if self.epochs is None:
            filled["epochs"] = SYNTHETIC_EPOCHS if self.dataset == "synthetic" else PAPER_EPOCHS
        return dataclasses.replace(self, **filled)

    @property
    def run_name(self):
        """What its run folder is called if nothing is said: data, switches that are off, unusual length, and seed."""
        off = [f"no{name}" for name in ("spatial", "channel", "regional", "interaction") if not getattr(self, name)]
        usual = self.epochs == dataclasses.replace(self, epochs=None).completed().epochs
        length = None if usual else f"epochs{self.epochs}"
        parts = [self.dataset, self.split, self.testset, self.boxes, *off, length, f"seed{self.seed}"]
        return "-".join(str(part) for part in parts if part)

    def as_flags(self):
        """The flags of `python -m hacnn_tf.train` that give these settings."""
        given = {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
        return [
            f"--{'' if value else 'no'}{name}" if isinstance(value, bool) else f"--{name}={value}"
            for name, value in given.items()
        ]

    def read_dataset(self, data_root):
        """The `ReidDataset` trained and tested on."""
        places = {name: value for name in ("split", "boxes", "testset") if (value := getattr(self, name)) is not None}
        return read_dataset(self.dataset, data_root, allow_subset=self.allow_subset, **places)

    def build_model(self, num_identities):
        """A `HACNN` with fresh weights."""
        return HACNN(
            num_identities,
            spatial=self.spatial,
            channel=self.channel,
            regional=self.regional,
            interaction=self.interaction,
            num_regions=self.num_regions,
            dtype=self.precision,
        )
