"""A dataset by its name."""

from pathlib import Path

from hacnn_tf.data.cuhk03 import read_cuhk03
from hacnn_tf.data.custom import read_custom
from hacnn_tf.data.dataset import ReidDataset
from hacnn_tf.data.dataset_options import DatasetOptions, dataset_names
from hacnn_tf.data.folders import read_dukemtmc, read_market1501
from hacnn_tf.data.synthetic import read_synthetic
from hacnn_tf.data.union import join_datasets
from hacnn_tf.utils.files import expanded
from hacnn_tf.utils.types import FilePath


def read_dataset(
    name: str,
    data_root: FilePath = "data",
    split: str | None = None,
    boxes: str | None = None,
    testset: int | None = None,
    allow_subset: bool = False,
    test_share: float | None = None,
    split_seed: int | None = None,
    camera_pattern: str | None = None,
) -> ReidDataset:
    """Reads a dataset by name, or the union of several.

    Args:
        name: as in `dataset_names`. "synthetic" is made if it is not there; "folder" is read from `data_root` itself,
            "folder:NAME" from NAME in it, see `read_custom`; for several see `join_datasets`.
        data_root: folder that holds the datasets under the names they are distributed by.
        split: of CUHK03, "767_700" (by default), "1367_100", or "all" to train on everybody and test on what else is
            named.
        boxes: "detected" (by default) or "labelled", for synthetic and CUHK03.
        testset: of CUHK03's 1367_100, see `read_cuhk03`; 1 by default.
        allow_subset: accept a part of the dataset.
        test_share, split_seed, camera_pattern: of folders, see `read_custom`.

    Returns:
        A `ReidDataset`.

    Raises:
        InputError: missing, incomplete or malformed, or an argument is not one of this dataset's; says what and what
            to do.
    """
    options = DatasetOptions(name, split, boxes, testset, allow_subset, test_share, split_seed, camera_pattern)
    return read_options(options, data_root)


def read_options(options: DatasetOptions, data_root: FilePath) -> ReidDataset:
    """The `ReidDataset` below `data_root` that options name. Raises `InputError` as `read_dataset`."""
    datasets = {name: read_one(name, options, data_root) for name in dataset_names(options.dataset)}
    return join_datasets(datasets) if len(datasets) > 1 else next(iter(datasets.values()))


def read_one(name: str, options: DatasetOptions, data_root: FilePath) -> ReidDataset:
    """The `ReidDataset` of this name alone, as `read_options`; the options may be those of several."""
    split, boxes, testset = options.split or "767_700", options.boxes or "detected", options.testset or 1
    if name == "synthetic":
        return read_synthetic(data_root, boxes, options.allow_subset)
    if name == "cuhk03":
        return read_cuhk03(data_root, split, boxes, testset, options.allow_subset)
    if name == "market1501":
        return read_market1501(data_root, options.allow_subset)
    if name == "dukemtmc":
        return read_dukemtmc(data_root, options.allow_subset)
    place = Path(expanded(data_root)) / name.removeprefix("folder").removeprefix(":")
    return read_custom(place, options.test_share, options.split_seed, options.camera_pattern)
