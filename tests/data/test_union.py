"""Unions: nobody and no camera of one dataset is taken for one of another."""

import dataclasses

import pandas as pd
import pytest

from hacnn_tf.data import dataset_names, read_dataset
from hacnn_tf.data.dataset import ReidDataset, make_table
from hacnn_tf.data.listing import LeftOut
from hacnn_tf.data.union import join_datasets
from hacnn_tf.utils.errors import InputError


def dataset(name, *rows, **more):
    """A dataset of (pid, camid) gallery images."""
    paths = [f"{name}/{i}.jpg" for i in range(len(rows))]
    return ReidDataset(name, make_table(paths, *zip(*rows, strict=True), "gallery"), **more)


def test_identities_and_cameras_are_kept_apart():
    parts = {
        "a": dataset("a", (5, 0), (9, 3), (-1, 0), (0, 3), (2, -1)),
        "b": dataset("b", (5, 0), (1, 1), (-1, 0), (0, 1), (1, -1), (5, -2)),
        "c": dataset("c", (1, 6), (5, 7), (7, -1), (-1, -2)),
    }
    table = join_datasets(parts).table
    assert len(table) == sum(len(part.table) for part in parts.values())
    for column, shared in (("pid", {-1, 0}), ("camid", set())):
        seen, known = {}, {}
        for part in parts.values():
            for path, before in zip(part.table.path, part.table[column], strict=True):
                (after,) = table[column][table.path == path]
                assert (after in shared) == (before in shared) and (after < 0) == (before < 0)
                if before not in shared:  # one number for one of a dataset, and no other for it
                    assert known.setdefault((part.name, before), after) == after
                    assert seen.setdefault(after, (part.name, before)) == (part.name, before)
    assert set(table[table.pid == -1].path) == {"a/2.jpg", "b/2.jpg", "c/3.jpg"}


def test_the_first_dataset_keeps_its_numbers_and_all_keep_their_splits(small_data_root):
    both = read_dataset("synthetic", small_data_root, allow_subset=True)
    again = dataclasses.replace(both, table=both.table.assign(path="again/" + both.table.path))
    union = join_datasets({"synthetic": both, "again": again})
    assert (union.table[:96].values == both.table.values).all()
    assert list(union.table.split) == 2 * list(both.table.split)
    assert union.name == "synthetic, detected boxes + synthetic, detected boxes"
    assert "gallery                8        64         8" in union.summary()


def test_splits_of_folders_with_names_alike_are_all_kept():
    names = ["folder:a/b", "folder:a_b", "folder:a b"]
    parts = {name: dataset(name, (1, 1), made_splits={"split.csv": pd.DataFrame({"path": [name]})}) for name in names}
    splits = join_datasets(parts).made_splits
    assert [*splits] == ["split-folder_a_b.csv", "split-folder_a_b-2.csv", "split-folder_a_b-3.csv"]
    assert [split.path[0] for split in splits.values()] == names


def test_tracks_of_one_name_are_kept_apart():
    parts = {name: dataset(name, (1, 1), (1, 1), (2, 1)) for name in "abc"}
    for name in "ab":
        parts[name].table["track"] = ["1", "1", None]
    tracks = join_datasets(parts).table.track
    assert tracks.notna().tolist() == [True, True, False, True, True, False, False, False, False]
    assert tracks[0] == tracks[1] != tracks[3] == tracks[4]


def test_single_shot_joins_no_other():
    with pytest.raises(InputError, match="a is tested single-shot, and no other dataset can join it"):
        join_datasets({"b": dataset("b", (1, 1)), "a": dataset("a", (1, 1), single_shot=True)})


@pytest.mark.parametrize("text", ["synthetic", "folder", "folder:my people", "cuhk03, folder:a ,folder:b,folder"])
def test_names(text):
    assert ",".join(dataset_names(text)) == text.replace(", ", ",").replace(" ,", ",")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "--dataset takes synthetic, .* not ''"),
        ("market", "not 'market'"),
        ("cuhk03,", "not ''"),
        ("folder:", "not 'folder:'"),
        ("folders", "not 'folders'"),
        ("cuhk03,synthetic,cuhk03", "--dataset names cuhk03 twice"),
    ],
)
def test_names_of_no_dataset(text, sentence):
    with pytest.raises(InputError, match=sentence):
        dataset_names(text)


def test_what_is_left_out_of_each_is_counted_together():
    one, two = LeftOut({"a/x.heic": ".heic"}, {"a/p": "p"}), LeftOut({"b/x.heic": ".heic", "b/y.txt": ".txt"})
    union = join_datasets({"a": dataset("a", (1, 1), left_out=one), "b": dataset("b", (1, 1), left_out=two)})
    assert union.left_out.lines() == ["left out: 2 .heic, 1 .txt", "identities without an image: 1 (p)"]


def test_nobody_is_two_for_a_folder_of_two_names(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "people")
    one, two = ({"a": dataset(f"{tmp_path}/{name}", (1, 1), (2, 1))} for name in ("people", "link"))
    with pytest.raises(InputError, match="a and b have images in common, whose people would be two each"):
        join_datasets(one | {"b": two["a"]})
