"""Datasets distributed as folders of images whose names say who and where: Market-1501, DukeMTMC-reID, CUHK03-NP."""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from hacnn_tf.data.dataset import (
    DISTRACTOR,
    Counts,
    ReidDataset,
    check_counts,
    find_folder,
    make_table,
    without_unasked,
)
from hacnn_tf.data.listing import NESTED, LeftOut, list_images, no_image
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.text import preview
from hacnn_tf.utils.types import FilePath

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test", "multi_query": "gt_bbox"}
BOXES_FOLDERS = {"detected": "detected", "labelled": "labeled"}  # as CUHK03 and CUHK03-NP spell them
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
    dataset = read_folders(folder, "Market-1501")
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
    dataset = read_folders(folder, "DukeMTMC-reID")
    check_counts(dataset, folder, DUKEMTMC_COUNTS, allow_subset)
    return dataset


def read_folders(folder: FilePath, name: str) -> ReidDataset:
    """The dataset in a folder that holds `bounding_box_train`, `query`, `bounding_box_test` and perhaps `gt_bbox`.

    Of `gt_bbox` only the images of a query's identity and camera are kept; others, as Market-1501 has them of training
    identities, do not count as left out.

    Args:
        folder: path of the folder.
        name: of the dataset.

    Returns:
        A `ReidDataset`, rows in the order of the file names.

    Raises:
        InputError: as `list_folders`.
    """
    everything, left_out = list_folders(folder)
    table, _ = without_unasked(everything)
    return ReidDataset(name, table, left_out=LeftOut(left_out, identities_left_out(left_out, table.pid)))


def list_folders(folder: FilePath) -> tuple[pd.DataFrame, dict[str, str]]:
    """The images in a folder as of `read_folders`, also those that no query asks for.

    No image is opened. Images must lie in these folders themselves: what is in folders inside them is left out.

    Args:
        folder: path of the folder.

    Returns:
        A table as a `ReidDataset` has it, and what is left out, as `LeftOut.files`.

    Raises:
        InputError: a part is missing, or file names do not begin with `IDENTITY_cCAMERA`.
    """
    parts = {split: Path(folder) / name for split, name in FOLDERS.items()}
    missing = [path.name for split, path in parts.items() if split != "multi_query" and not path.is_dir()]
    if missing:
        raise InputError(
            f"{folder} is not a whole dataset of this kind: {' and '.join(missing)} missing; unpack it again."
        )
    left_out: dict[str, str] = {}
    tables, unparsable = [], []
    for split, part in parts.items():
        found, others = list_images(part) if part.is_dir() else ([], {})
        paths = [path for path in found if path.parent == part]
        left_out |= others | {str(path): NESTED for path in found if path.parent != part}
        names = [FILE_NAME.match(path.name) for path in paths]
        unparsable += [path for path, match in zip(paths, names, strict=True) if not match]
        pids, camids = ([int(match[i]) if match else 0 for match in names] for i in (1, 2))
        tables.append(make_table(map(str, paths), pids, camids, split))
    if unparsable:
        raise InputError(
            f"Identity and camera cannot be read from the names of {len(unparsable):,} images ({preview(unparsable)}): "
            "a name begins like 0002_c1 (identity 2, camera 1); rename these files or take them out."
        )
    return pd.concat(tables, ignore_index=True), left_out


def identities_left_out(left_out: Mapping[str, str], pids: Iterable[int]) -> dict[str, str]:
    """The identities that only names of files that are left out say, as `LeftOut.identities`.

    Args:
        left_out: dict from path to kind, as `list_images` gives it.
        pids: the identities of images.
    """
    files: dict[int, dict[str, str]] = {}
    known = set(pids)
    for path, kind in left_out.items():
        match = FILE_NAME.match(os.path.basename(path))
        if match and int(match[1]) > DISTRACTOR and int(match[1]) not in known:
            files.setdefault(int(match[1]), {})[path] = kind
    return {next(iter(found)): no_image(str(pid), found) for pid, found in files.items()}
