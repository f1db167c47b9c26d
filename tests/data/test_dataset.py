"""Tables of images: which queries can be found, what a fingerprint is of, and what a summary counts."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from hacnn_tf.data.dataset import ReidDataset, make_table, matched
from hacnn_tf.utils.errors import InputError


def test_many_images_of_few_people_take_no_room():
    """A thousand queries of a person, each with a thousand matches, are no table of a million rows."""
    rows = pd.DataFrame({"pid": np.repeat([1, 2, 3], 1000), "camid": np.tile([1, 2], 1500)})
    tracemalloc.start()
    assert matched(rows, rows.iloc[:2000]).tolist() == [True] * 2000 + [False] * 1000
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()


def test_matches_equal_a_slow_search():
    rng = np.random.default_rng(0)
    for _ in range(100):
        query, gallery = (pd.DataFrame(rng.integers(-1, 4, (9, 2)), columns=["pid", "camid"]) for _ in range(2))
        expected = [any((gallery.pid == q.pid) & (gallery.camid != q.camid)) for q in query.itertuples()]
        assert matched(query, gallery).tolist() == expected


def test_more_cameras_than_identities_are_pointed_out():
    rows = make_table([f"{i}.jpg" for i in range(6)], [1, 1, 1, 2, 2, 2], [1, 2, 3, 1, 2, 3], "query")
    assert "\n3 cameras and 2 identities: is one taken for the other?" in ReidDataset("toy", rows).summary()
    assert "taken for" not in ReidDataset("toy", rows.assign(camid=[1, 2, 2, 1, 2, 2])).summary()


def test_a_track_is_of_one_person_and_camera():
    table = make_table(["a.jpg", "b.jpg"], [1, 2], [1, 2], "query").assign(track="0001")
    with pytest.raises(InputError, match="toy has 1 tracks with more than one identity, 0001"):
        ReidDataset("toy", table)
    with pytest.raises(InputError, match="more than one camera, 0001"):
        ReidDataset("toy", table.assign(pid=1))
    ReidDataset("toy", table.assign(pid=1, camid=[-1, -2]))  # cameras that are not known


def test_unknown_cameras_are_not_one_camera():
    table = make_table(["a.jpg", "b.jpg"], [1, 1], [-1, -1], "query")
    with pytest.raises(InputError, match="needs a negative number of its own"):
        ReidDataset("toy", table)
    ReidDataset("toy", pd.concat([table[:1], table[:1].assign(split="gallery")]))  # the same image, in two splits


def test_a_fingerprint_is_of_identities_and_cameras_too():
    table = make_table(["a.jpg", "b.jpg"], [1, 2], [1, 2], "train")
    tables = (table, table.assign(pid=[2, 1]), table.assign(camid=[2, 1]))
    assert len({ReidDataset("toy", rows).fingerprint() for rows in tables}) == 3


def test_queries_without_further_images_are_counted():
    table = pd.concat(
        [
            make_table(["a.jpg", "b.jpg", "c.jpg"], [1, 1, 2], [1, 2, 1], "query"),
            make_table(["d.jpg", "e.jpg", "f.jpg"], [1, 1, 2], [1, 1, 2], "multi_query"),
        ]
    )
    lines = ReidDataset("toy", table).summary().splitlines()
    assert "queries without multi_query images, left out of that setting: 2" in lines
    assert not any("without multi_query" in line for line in ReidDataset("toy", table[:3]).summary().splitlines())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda table: table.drop(columns=["pid", "split"]), "has no column pid, split"),
        (lambda table: table.assign(camid="1"), "The camid in the table of toy are .*, not integers"),
        (lambda table: table.assign(pid=1.5), "The pid in the table of toy are float64, not integers alone"),
        (
            lambda table: table.assign(split="test"),
            "toy has a split test: train, query, ",
        ),
        (lambda table: table.assign(pid=0), "toy has images outside of the gallery of identity 0 or below"),
    ],
)
def test_a_table_that_is_none_is_one_sentence(change, words):
    table = make_table(["a.jpg", "b.jpg"], [1, 1], [1, 2], "gallery")
    table.loc[0, "split"] = "query"
    assert len(ReidDataset("toy", table).split("query")) == 1
    with pytest.raises(InputError, match=words):
        ReidDataset("toy", change(table))
