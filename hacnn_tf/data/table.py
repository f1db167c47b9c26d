"""The table that every reader gives: one row an image."""

import dataclasses
from pathlib import Path

import pandas as pd

from hacnn_tf.errors import InputError

SPLITS = ["train", "query", "gallery", "multi_query"]
JUNK, DISTRACTOR = -1, 0  # identities of gallery images that show nobody in particular


@dataclasses.dataclass(frozen=True)
class ReidDataset:
    """A person re-identification dataset.

    Attributes:
        name: what it is, for people: "CUHK03 767/700, detected boxes".
        table: `pandas.DataFrame`, one row an image, with the columns
            `path` (str, see `hacnn_tf.data.images`), `pid` (int identity; -1 junk, 0 distractor), `camid` (int camera),
            `split` ("train", "query", "gallery", or "multi_query": further images of the queries' persons and cameras).
        single_shot: evaluate against one random gallery image an identity, over repeats.
    """

    name: str
    table: pd.DataFrame
    single_shot: bool = False

    def split(self, split):
        """The rows of one split, as a `pandas.DataFrame` with a fresh index."""
        return self.table[self.table.split == split].reset_index(drop=True)

    def summary(self):
        """What re-id people look at first: the identities, images and cameras of each subset, as text."""
        lines = [self.name, f"{'subset':<12}{'identities':>12}{'images':>10}{'cameras':>10}"]
        for split in SPLITS:
            rows = self.split(split)
            if len(rows):
                identities = rows.pid[rows.pid > DISTRACTOR].nunique()
                lines.append(f"{split:<12}{identities:>12,}{len(rows):>10,}{rows.camid.nunique():>10,}")
        return "\n".join(lines)


def make_table(paths, pids, camids, split):
    """A table of one split from equally long columns."""
    return pd.DataFrame({"path": paths, "pid": pids, "camid": camids, "split": split}).astype(
        {"path": str, "pid": int, "camid": int}
    )


def check_counts(dataset, folder, images, allow_subset):
    """Checks a dataset against the number of images it is distributed with.

    Args:
        dataset: a `ReidDataset`.
        folder: where it was read from, for the message.
        images: dict from split to the published number of images; splits that are not in it may have any but 0.
        allow_subset: accept fewer images.

    Raises:
        InputError: a split is empty, or differs from what it should hold and `allow_subset` is off.
    """
    found = {split: int((dataset.table.split == split).sum()) for split in ("train", "query", "gallery")}
    empty = [split for split, count in found.items() if not count]
    if empty:
        raise InputError(f"{dataset.name}: no {' or '.join(empty)} images in {folder}.")
    wrong = [
        f"{found[split]:,} {split} images instead of {images[split]:,}"
        for split in images
        if found[split] != images[split]
    ]
    if wrong and not allow_subset:
        raise InputError(
            f"{dataset.name} in {folder} holds {' and '.join(wrong)}: "
            "get the rest, or pass --allow_subset to use this part of it."
        )


def find_folder(data_root, names, dataset, source):
    """The first of `names` that exists below `data_root`.

    Raises:
        InputError: none does; says which were tried and where to get the dataset.
    """
    for name in names:
        if (folder := Path(data_root) / name).is_dir():
            return folder
    tried = " or ".join(f"{Path(data_root) / name}" for name in names)
    raise InputError(f"{dataset} not found: tried {tried}; {source}, or name its parent folder with --data_root.")
