"""Datasets as tables, images as pixels, batches as tf.data."""

from hacnn_tf.data.cuhk03 import read_cuhk03
from hacnn_tf.data.folders import read_dukemtmc, read_market1501
from hacnn_tf.data.synthetic import read_synthetic
from hacnn_tf.data.table import ReidDataset

__all__ = ["ReidDataset", "read_dataset"]


def read_dataset(name, data_root="data", split="767_700", boxes="detected", testset=1, allow_subset=False):
    """Reads a dataset by name.

    Args:
        name: "synthetic", "cuhk03", "market1501" or "dukemtmc". The first is made if it is not there.
        data_root: folder that holds the datasets under the names they are distributed by.
        split, testset: of CUHK03, see `read_cuhk03`.
        boxes: "detected" or "labelled", for synthetic and CUHK03.
        allow_subset: accept a part of the dataset.

    Returns:
        A `ReidDataset`.

    Raises:
        InputError: missing, incomplete or malformed; says what and what to do.
    """
    if name == "synthetic":
        return read_synthetic(data_root, boxes, allow_subset)
    if name == "cuhk03":
        return read_cuhk03(data_root, split, boxes, testset, allow_subset)
    if name == "market1501":
        return read_market1501(data_root, allow_subset)
    if name == "dukemtmc":
        return read_dukemtmc(data_root, allow_subset)
    raise ValueError(f"Unknown dataset {name!r}: synthetic, cuhk03, market1501 or dukemtmc.")
