"""Datasets distributed as folders of images whose names say who and where: Market-1501, DukeMTMC-reID, CUHK03-NP."""

import os
import re
from pathlib import Path

import pandas as pd

from hacnn_tf.data.table import ReidDataset, check_counts, find_folder, make_table
from hacnn_tf.errors import InputError, listing

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test", "multi_query": "gt_bbox"}
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png"}
FILE_NAME = re.compile(r"(-?\d+)_c(\d+)")  # 0002_c1s1_000451_03.jpg, 0005_c2_f0046985.jpg, 0003_c1_1.png


def read_market1501(data_root, allow_subset=False):
    """Market-1501: 12,936 training images of 751 identities, six cameras; `gt_bbox` serves multi-query, if there.

    Args:
        data_root: folder that holds `Market-1501-v15.09.15` or `market1501`.
        allow_subset: accept a part of the dataset.

    Returns:
        A `ReidDataset`.

    Raises:
        InputError: missing, incomplete, or with names that do not parse.
    """
    folder = find_folder(
        data_root,
        ["Market-1501-v15.09.15", "market1501"],
        "Market-1501",
        "get Market-1501-v15.09.15.zip as data/README.md says and unpack it there",
    )
    dataset = ReidDataset("Market-1501", read_folders(folder))
    check_counts(dataset, folder, {"train": 12936, "query": 3368, "gallery": 19732}, allow_subset)
    return dataset


def read_dukemtmc(data_root, allow_subset=False):
    """DukeMTMC-reID: 16,522 training images of 702 identities, eight cameras. Arguments as `read_market1501`."""
    folder = find_folder(
        data_root,
        ["DukeMTMC-reID", "dukemtmc-reid"],
        "DukeMTMC-reID",
        "its makers withdrew it, see data/README.md; unpack a copy you may use there",
    )
    dataset = ReidDataset("DukeMTMC-reID", read_folders(folder))
    check_counts(dataset, folder, {"train": 16522, "query": 2228, "gallery": 17661}, allow_subset)
    return dataset


def read_folders(folder):
    """The table of a folder that holds `bounding_box_train`, `query`, `bounding_box_test` and perhaps `gt_bbox`.

    No image is opened. Rows are in the order of the file names. Of `gt_bbox` only the images of a query's identity and
    camera are kept.

    Raises:
        InputError: a part is missing, or file names do not begin with `IDENTITY_cCAMERA`.
    """
    folder = Path(folder)
    parts = []
    for split, name in FOLDERS.items():
        if (folder / name).is_dir():
            parts.append(_read_folder(folder / name, split))
        elif split != "multi_query":
            raise InputError(
                f"{folder} is not a whole dataset of this kind: its folder {name} is missing; unpack it again."
            )
    table = pd.concat(parts, ignore_index=True)
    asked = pd.MultiIndex.from_frame(table.loc[table.split == "query", ["pid", "camid"]])
    keep = (table.split != "multi_query") | pd.MultiIndex.from_frame(table[["pid", "camid"]]).isin(asked)
    return table[keep].reset_index(drop=True)


def _read_folder(folder, split):
    names = sorted(name for name in os.listdir(folder) if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES)
    found = [FILE_NAME.match(name) for name in names]
    unparsable = [name for name, match in zip(names, found, strict=True) if match is None]
    if unparsable:
        raise InputError(
            f"In {folder}, identity and camera cannot be read from {listing(unparsable)}: "
            "a name begins like 0002_c1 (identity 2, camera 1); rename these files or take them out."
        )
    return make_table(
        [str(folder / name) for name in names], [int(m[1]) for m in found], [int(m[2]) for m in found], split
    )
