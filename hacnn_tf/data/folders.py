"""Datasets distributed as folders of images whose names say who and where: Market-1501, DukeMTMC-reID, CUHK03-NP."""

import os
import re
from pathlib import Path

import pandas as pd

from hacnn_tf.data.table import Counts, ReidDataset, check_counts, find_folder, make_table, without_unasked
from hacnn_tf.errors import InputError
from hacnn_tf.files import some
from hacnn_tf.types import FilePath

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test", "multi_query": "gt_bbox"}
BOXES_FOLDERS = {"detected": "detected", "labelled": "labeled"}  # as CUHK03 and CUHK03-NP spell them
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png"}
MARKET1501_COUNTS = {
    "train": Counts(12936, 751),
    "query": Counts(3368, 750),
    "gallery": Counts(19732, 750, junk=3819, distractors=2798),
}
DUKEMTMC_COUNTS = {"train": Counts(16522, 702), "query": Counts(2228, 702), "gallery": Counts(17661)}
# As in 0002_c1s1_000451_03.jpg, 0005_c2_f0046985.jpg, 0003_c1_1.png.
FILE_NAME = re.compile(r"(-?[0-9]{1,9})_c([0-9]{1,9})(?![0-9])")


def read_market1501(data_root: FilePath, allow_subset: bool = False) -> ReidDataset:
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
    check_counts(dataset, folder, MARKET1501_COUNTS, allow_subset)
    return dataset


def read_dukemtmc(data_root: FilePath, allow_subset: bool = False) -> ReidDataset:
    """DukeMTMC-reID: 16,522 training images of 702 identities, eight cameras.

    Args:
        data_root: folder that holds `DukeMTMC-reID` or `dukemtmc-reid`.
        allow_subset: accept a part of the dataset.

    Returns:
        A `ReidDataset`.

    Raises:
        InputError: missing, incomplete, or with names that do not parse.
    """
    folder = find_folder(
        data_root,
        ["DukeMTMC-reID", "dukemtmc-reid"],
        "DukeMTMC-reID",
        "its makers withdrew it, see data/README.md; unpack a copy you may use there",
    )
    dataset = ReidDataset("DukeMTMC-reID", read_folders(folder))
    check_counts(dataset, folder, DUKEMTMC_COUNTS, allow_subset)
    return dataset


def read_folders(folder):
    """The table of a folder that holds `bounding_box_train`, `query`, `bounding_box_test` and perhaps `gt_bbox`.

    No image is opened. Of `gt_bbox` only the images of a query's identity and camera are kept.

    Args:
        folder: path of the folder.

    Returns:
        `pandas.DataFrame` as `ReidDataset.table`, rows in the order of the file names.

    Raises:
        InputError: a part is missing, or file names do not begin with `IDENTITY_cCAMERA`.
    """
    parts = {split: Path(folder) / name for split, name in FOLDERS.items()}
    missing = [path.name for split, path in parts.items() if split != "multi_query" and not path.is_dir()]
    if missing:
        raise InputError(
            f"{folder} is not a whole dataset of this kind: {' and '.join(missing)} missing; unpack it again."
        )
    tables, unparsable = [], []
    for split, path in parts.items():
        names = _image_names(path) if path.is_dir() else []
        found = [FILE_NAME.match(name) for name in names]
        unparsable += [str(path / name) for name, match in zip(names, found, strict=True) if not match]
        pids, camids = ([int(match[i]) if match else 0 for match in found] for i in (1, 2))
        tables.append(make_table([str(path / name) for name in names], pids, camids, split))
    if unparsable:
        raise InputError(
            f"Identity and camera cannot be read from the names of {len(unparsable):,} images ({some(unparsable)}): "
            "a name begins like 0002_c1 (identity 2, camera 1); rename these files or take them out."
        )
    table = pd.concat(tables, ignore_index=True)
    check_names(table.path)
    return without_unasked(table)


def check_names(paths):
    """Raises `InputError` if the names of files are not all in UTF-8: they go into records that are."""
    if undecodable := [path for path in map(str, paths) if not _is_utf8(path)]:
        raise InputError(
            f"The names of {len(undecodable):,} images are not in UTF-8: {some(undecodable)}; rename them."
        )


def _is_utf8(text):
    try:
        return bool(text.encode())
    except UnicodeEncodeError:
        return False


def _image_names(folder):
    return sorted(name for name in os.listdir(folder) if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES)
