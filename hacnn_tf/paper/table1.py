"""Table 1: the protocols, counted from the datasets."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from hacnn_tf.data.dataset import DISTRACTOR, SPLITS, ReidDataset
from hacnn_tf.paper.published import read_published
from hacnn_tf.paper.table import NOTHING, Table

PUBLISHED_AS = {"cuhk03": "CUHK03", "market1501": "Market-1501", "dukemtmc": "DukeMCMT-ReID"}  # the paper's spelling


def protocol_table(datasets: Mapping[str, tuple[str, ReidDataset]]) -> Table:
    """Table 1 of the paper beside what the datasets hold.

    Args:
        datasets: dict from what it is, for people, to (name as in `Settings`, `ReidDataset`); without a name, it stands
            in a row of its own and not in the paper's.

    Returns:
        A `Table`; its data has a line a dataset: identities in all, of training and of the queries, and images of each
        split.
    """
    published = read_published("table1")
    data = pd.DataFrame([_count(PUBLISHED_AS.get(name, what), dataset) for what, (name, dataset) in datasets.items()])
    rows = list(dict.fromkeys([*published.index, *data.row]))
    shown = published.reindex(rows, fill_value=NOTHING)
    for column in data.columns[2:]:
        counts = dict(zip(data.row, data[column].map("{:,}".format), strict=True))
        shown[f"{column} measured"] = [counts.get(row, NOTHING) for row in rows]
    notes = [
        "TS: test setting; SS: single-shot; SQ, MQ: single- and multi-query.",
        "Identities in all: those of training and of the queries. Further identities in a gallery are distractors.",
        "The paper's images of Market-1501 are those of training and gallery, without the 3,368 queries; "
        "those of the other two include the queries. Its 1,402 identities of DukeMTMC-reID are 702 + 702 = 1,404.",
        f"Counted: {'; '.join(data.dataset)}.",
    ]
    return Table("table1", "Table 1. Re-id evaluation protocol", data, shown, notes)


def _count(row: str, dataset: ReidDataset) -> dict[str, Any]:
    splits = {split: dataset.split(split) for split in SPLITS}
    identities = {split: set(rows.pid[rows.pid > DISTRACTOR]) for split, rows in splits.items()}
    images = {f"{split} images".replace("_", "-"): len(rows) for split, rows in splits.items()}
    return {
        "row": row,
        "dataset": dataset.name,
        "IDs": len(identities["train"] | identities["query"]),
        "training IDs": len(identities["train"]),
        "test IDs": len(identities["query"]),
        **images,
    }
