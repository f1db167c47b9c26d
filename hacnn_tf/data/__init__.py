"""Datasets as tables, images as pixels, batches as tf.data."""

from typing import TYPE_CHECKING

from hacnn_tf.utils.lazy import lazy

if TYPE_CHECKING:
    from hacnn_tf.data.dataset import ReidDataset
    from hacnn_tf.data.dataset_options import dataset_names
    from hacnn_tf.data.read import read_dataset

__all__ = ["ReidDataset", "dataset_names", "read_dataset"]
__getattr__, __dir__ = lazy(__name__, dataset=["ReidDataset"], dataset_options=["dataset_names"], read=["read_dataset"])
