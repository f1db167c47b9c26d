"""What the paper's tables of accuracy hold, and which trainings each needs (Tables 2 to 7)."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from hacnn_tf.training.recipes import RECIPES
from hacnn_tf.training.settings import Settings
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.options import PRECISIONS, check_options, option

MARKET1501 = {"dataset": "market1501"}
DUKEMTMC = {"dataset": "dukemtmc"}
NAMES = {"synthetic": "Synthetic", "cuhk03": "CUHK03", "market1501": "Market-1501", "dukemtmc": "DukeMTMC-ReID"}
WITH_BOXES = ("synthetic", "cuhk03")
FROM_FRESH = [name for name in RECIPES if name != "finetune"]  # the trainings of tables begin from fresh weights


@dataclasses.dataclass(frozen=True)
class Row:
    """A row that is measured.

    Attributes:
        name: as the published table has it.
        switches: the network's switches, as in `Settings`.
        part: of the feature: "joint", "global" or "local".
    """

    name: str
    switches: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    part: str = "joint"


@dataclasses.dataclass(frozen=True)
class Column:
    """A dataset and setting under which R1 and mAP are measured.

    Attributes:
        name: as the published table has it, or of our own where it has no such column.
        data: the dataset, as in `Settings`.
        query: "single_query" or "multi_query".
    """

    name: str
    data: Mapping[str, Any]
    query: str = "single_query"


@dataclasses.dataclass(frozen=True)
class AccuracyLayout:
    """One of Tables 2 to 7.

    Attributes:
        title: what it shows.
        rows: the `Row`s to measure.
        columns: the `Column`s that are published.
    """

    title: str
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]

    @property
    def datasets(self) -> list[str]:
        """The datasets of the published table."""
        return list(dict.fromkeys(column.data["dataset"] for column in self.columns))

    def columns_on(self, dataset: str, boxes: str | None = None) -> list[Column]:
        """The columns to measure on a dataset; those of the paper, if it has any.

        Args:
            dataset: as in `Settings`.
            boxes: "detected" or "labelled", where a dataset has both and the table doesn't say.
        """
        own = [column for column in self.columns if column.data["dataset"] == dataset]
        if own and (dataset not in WITH_BOXES or "boxes" in own[0].data):
            return own
        if dataset not in WITH_BOXES:
            return [Column(NAMES[dataset], {"dataset": dataset})]
        asked = [column.data["boxes"] for column in self.columns if "boxes" in column.data] or [boxes or "detected"]
        return [Column(f"{NAMES[dataset]}, {b}", {"dataset": dataset, "boxes": b}) for b in asked]


ALL = Row("All")
MARKET1501_AND_DUKEMTMC = (Column("Market-1501", MARKET1501), Column("DukeMTMC-ReID", DUKEMTMC))
TABLES = {
    "table2": AccuracyLayout(
        "Market-1501 evaluation",
        (Row("HA-CNN"),),
        (Column("Single-Query", MARKET1501), Column("Multi-Query", MARKET1501, "multi_query")),
    ),
    "table3": AccuracyLayout("DukeMTMC-ReID evaluation", (Row("HA-CNN"),), (Column("", DUKEMTMC),)),
    "table4": AccuracyLayout(
        "CUHK03 evaluation, 767/700 split",
        (Row("HA-CNN"),),
        tuple(Column(boxes.title(), {"dataset": "cuhk03", "boxes": boxes}) for boxes in ("labelled", "detected")),
    ),
    "table5": AccuracyLayout(
        "Individual types of attention: soft spatial (SSA), soft channel (SCA), hard regional (HRA)",
        (
            Row("No Attention", {"spatial": False, "channel": False, "regional": False}),
            Row("SSA", {"channel": False, "regional": False}),
            Row("SCA", {"spatial": False, "regional": False}),
            Row("SSA+SCA", {"regional": False}),
            Row("HRA", {"spatial": False, "channel": False}),
            ALL,
        ),
        MARKET1501_AND_DUKEMTMC,
    ),
    "table6": AccuracyLayout(
        "Cross-attention interaction learning (CAIL)",
        (Row("w/o CAIL", {"interaction": False}), Row("w/ CAIL")),
        MARKET1501_AND_DUKEMTMC,
    ),
    "table7": AccuracyLayout(
        "Global and local features",
        (Row("Global", part="global"), Row("Local", part="local"), Row("Global+Local")),
        MARKET1501_AND_DUKEMTMC,
    ),
}

# What is no table of accuracy, of the paper's three datasets.
PER_DATASET = AccuracyLayout(
    "the whole network", (ALL,), (Column("CUHK03", {"dataset": "cuhk03"}), *MARKET1501_AND_DUKEMTMC)
)
TRAINED = {**TABLES, "figure6": PER_DATASET, "ranking": PER_DATASET, "curves": PER_DATASET}  # what needs a training
EXPERIMENTS = ["table1", *TABLES, "table8", "figure5", "figure6", "ranking", "curves", "augmentation"]


@dataclasses.dataclass(frozen=True)
class Selection:
    """What a user asks of the tables: options that the commands which make them share.

    Raises:
        InputError: there is no such dataset, or an option has a value that it cannot have.
    """

    dataset: tuple[str, ...] = option((), f"{', '.join(NAMES)}, with commas; the paper's by default", "Runs")
    boxes: str | None = option(
        None,
        f"boxes of {' and '.join(WITH_BOXES)} where the table doesn't say; detected by default",
        "Runs",
        ["detected", "labelled"],
    )
    allow_subset: bool = option(False, "the datasets are parts", "Runs")
    validation: int = option(0, "trainings hold out so many training identities and are tested on those", "Runs", low=0)
    epochs: int | None = option(None, "of the trainings; as in hacnn_tf.train by default", "Runs", low=1)
    recipe: str | None = option(None, "of the trainings; as in hacnn_tf.train by default", "Runs", FROM_FRESH)
    precision: str = option("float32", "of the trainings", "Runs", PRECISIONS)

    def __post_init__(self) -> None:
        object.__setattr__(self, "dataset", tuple(listed(self.dataset)))
        check_options(self)
        if unknown := [name for name in self.dataset if name not in NAMES]:
            raise InputError(f"Unknown dataset {unknown[0]!r}: {', '.join(NAMES)} are known.")

    def columns(self, table: AccuracyLayout) -> list[Column]:
        """The columns of an `AccuracyLayout` to measure; on validation identities none of them is the paper's."""
        columns = [
            column for dataset in self.dataset or table.datasets for column in table.columns_on(dataset, self.boxes)
        ]
        if not self.validation:
            return columns
        what = f"{self.validation} validation identities"
        return [dataclasses.replace(column, name=f"{column.name}, {what}".strip(", ")) for column in columns]

    def settings(self, row: Row, column: Column, seed: int = 0) -> Settings:
        """The `Settings` of the training behind a cell."""
        training: dict[str, Any] = {"epochs": self.epochs, "recipe": self.recipe and RECIPES[self.recipe]}
        return Settings(
            **column.data,
            **row.switches,
            **training,
            precision=self.precision,
            allow_subset=self.allow_subset,
            validation=self.validation,
            seed=seed,
        )


def listed(items: Iterable[str]) -> list[str]:
    """The items of a list flag, without empty ones and the spaces around them."""
    return [item.strip() for item in items if item.strip()]
