"""Validation identities never come from the test set, and never stay in training."""

import pandas as pd
import pytest

from hacnn_tf.data import read_dataset
from hacnn_tf.data.dataset import ReidDataset, make_table
from hacnn_tf.data.validation import hold_out
from hacnn_tf.utils.errors import InputError


def check(dataset, count):
    held = hold_out(dataset, count)
    test = dataset.table[dataset.table.split != "train"]
    train, query, gallery = (held.split(split) for split in ("train", "query", "gallery"))
    assert not set(held.table.path) & set(test.path)
    assert not set(held.table.pid) & set(test.pid)
    assert set(held.table.path) == set(dataset.split("train").path) and not held.table.path.duplicated().any()
    assert not set(train.pid) & (set(query.pid) | set(gallery.pid))
    assert query.pid.nunique() == count
    assert not query.duplicated(["pid", "camid"]).any()  # one an identity and camera, and of each camera that saw it
    seen = dataset.split("train").drop_duplicates(["pid", "camid"])
    assert len(query) == seen.pid.isin(query.pid).sum()
    pd.testing.assert_frame_equal(held.table, hold_out(dataset, count).table)
    return held


def test_the_synthetic_dataset(small_data_root):
    held = check(read_dataset("synthetic", small_data_root, allow_subset=True), 2)
    assert held.name.endswith(", 2 training identities for validation")
    assert set(held.table.split) == {"train", "query", "gallery"}


def test_cuhk03_in_full(shared_data):
    held = check(read_dataset("cuhk03", shared_data), 100)
    assert held.split("train").pid.nunique() == 667 and len(held.split("query")) == 200


def dataset_of(*rows):
    paths = [f"{i}.jpg" for i in range(len(rows))]
    train = make_table(paths, [pid for pid, _ in rows], [camid for _, camid in rows], "train")
    return ReidDataset("toy", train, single_shot=True)


SEEN_TWICE = [(pid, camid) for pid in (1, 2, 3) for camid in (1, 1, 2)]


def test_identities_that_cannot_be_searched_for_stay_in_training():
    once_each, one_camera = [(8, 1), (8, 2)], [(9, 1), (9, 1)]
    held = check(dataset_of(*SEEN_TWICE, *once_each, *one_camera), 3)
    assert set(held.split("train").pid) == {8, 9} and not held.single_shot


@pytest.mark.parametrize(
    ("rows", "count", "sentence"),
    [
        ([(1, 1), (1, 1), (2, 2), (2, 2)], 1, "toy has 0 of them, and 2 to train on in all; this dataset cannot be"),
        ([], 1, "toy has 0 of them, and 0 to train on in all; this dataset cannot be validated on"),
        (SEEN_TWICE, 4, "--validation 4 .* has 3 of them, and 3 to train on in all; name 1 at most"),
        (SEEN_TWICE, 2, "--validation 2 .* name 1 at most"),  # one would be left, whom nobody is told from
        ([*SEEN_TWICE[:3], (8, 1), (9, 1)], 2, "name 1 at most"),
        (SEEN_TWICE, -1, "--validation -1 "),
    ],
)
def test_too_many(rows, count, sentence):
    with pytest.raises(InputError, match=sentence):
        hold_out(dataset_of(*rows), count)
