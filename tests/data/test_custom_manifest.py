"""Manifests of images of one's own: how they are numbered and split, and what lies beside them."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hacnn_tf.data.custom import read_custom
from hacnn_tf.data.dataset import WITHOUT_CAMERAS
from hacnn_tf.data.manifest import UNLISTED
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import write_csv
from tests.data.conftest import people, touch


def manifest(folder, *lines):
    (folder / "manifest.csv").write_text("\n".join(lines))
    return folder


def test_tracks_of_a_manifest_are_kept_with_its_split(tmp_path):
    people(tmp_path / "cam", 4)
    paths = sorted(path.relative_to(tmp_path / "cam") for path in (tmp_path / "cam").rglob("*.jpg"))
    lines = [f"{path},{path.parts[0]},{path.parts[1]}" for path in paths]
    tracks = ["" if path.parts[0] == "p2" else "-".join(path.parts[:2]) for path in paths]
    manifest = tmp_path / "cam/manifest.csv"
    manifest.write_text("path,pid,camid\n" + "\n".join(lines) + "\n")
    without = read_custom(manifest)
    manifest.write_text("path,pid,camid,track\n" + "\n".join(map(",".join, zip(lines, tracks, strict=True))) + "\n")
    dataset = read_custom(manifest)
    assert dict(zip(dataset.table.path, dataset.table.track.fillna(""), strict=True)) == {
        str(tmp_path / "cam" / path): track for path, track in zip(paths, tracks, strict=True)
    }
    assert dataset.table.drop(columns="track").equals(without.table)
    assert dataset.fingerprint() == without.fingerprint()
    split = dataset.made_splits["split.csv"]
    write_csv(tmp_path / "split.csv", list(split), split.to_dict("records"))
    assert read_custom(tmp_path / "split.csv").table.equals(dataset.table)
    with pytest.raises(InputError, match=r"manifest.csv says the cameras in its column camid: leave --camera_pattern"):
        read_custom(manifest, camera_pattern="(.)[.]jpg")
    rows = [f"{path},{path.parts[0]},{track}" for path, track in zip(paths, tracks, strict=True)]
    manifest.write_text("path,pid,track\n" + "\n".join(rows) + "\n")
    with pytest.raises(InputError, match="with the cameras of --camera_pattern, 9 tracks with more than one camera"):
        read_custom(manifest, camera_pattern="(.)[.]jpg")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_identities_and_cameras_after_a_gap_in_pandas(suffix, tmp_path):
    """-1.0 is nobody in particular and a camera that is not known, whatever else is in the column."""
    rows = pd.DataFrame(
        {
            "path": [f"{i}.jpg" for i in range(6)],
            "pid": [None, 5, 5, 5, 12, 12],
            "camid": [1, 2, 1, None, 2, 1],
            "split": ["gallery", "query", "gallery", "gallery", "train", "train"],
        }
    ).fillna(-1)
    expected = read_custom(
        manifest(touch(tmp_path, *rows.path), rows.astype({"pid": int, "camid": int}).to_csv(index=False))
    )
    (tmp_path / "manifest.csv").unlink()
    assert rows.pid.dtype == rows.camid.dtype == float
    path = tmp_path / f"manifest.{suffix}"
    rows.to_csv(path, index=False) if suffix == "csv" else rows.to_parquet(path)
    pd.testing.assert_frame_equal(read_custom(path).table, expected.table)
    assert expected.table.pid.tolist() == [-1, 2, 2, 2, 1, 1] and expected.table.camid[3] < 0
    path.unlink()
    lines = [f"{row.path},{row.pid},{row.camid},{row.split}" for row in rows.itertuples()]
    mixed = read_custom(manifest(tmp_path, "path,pid,camid,split", *lines[:4], "4.jpg,alice,door,train", *lines[5:]))
    assert mixed.table.pid[0] == -1 and mixed.table.camid[3] < 0


def test_a_split_is_a_manifest(tmp_path):
    people(tmp_path / "people", 6)
    dataset = read_custom(tmp_path / "people", split_seed=3)
    (split,) = dataset.made_splits.values()
    assert set(split.pid) == {f"p{i}" for i in range(1, 7)} and set(split.camid) == {"cam0", "cam1", "cam2"}
    split.to_csv(tmp_path / "split.csv", index=False)
    again = read_custom(tmp_path / "split.csv")
    order = ["path", "pid", "camid", "split"]
    ours, theirs = (d.table.sort_values("path", ignore_index=True)[order] for d in (dataset, again))
    pd.testing.assert_frame_equal(ours, theirs)


def test_identities_and_cameras_of_a_manifest_are_numbered_in_order(tmp_path):
    touch(tmp_path, *(f"{i}.jpg" for i in range(8)))
    pids, cameras = ["10", "b", "9", "-1", "a", "9", "0", "09"], list("BABABAAB")
    splits = ["train", "train", "query", "gallery", "train", "gallery", "train", "train"]
    lines = [f"{i}.jpg,{p},{c},{s}" for i, (p, c, s) in enumerate(zip(pids, cameras, splits, strict=True))]
    dataset = read_custom(manifest(tmp_path, "path,pid,camid,split", *lines))
    numbers = {"0": 1, "09": 2, "10": 3, "a": 4, "b": 5, "9": 6, "-1": -1}  # nobody trains on 9
    assert list(dataset.table.pid) == [numbers[pid] for pid in pids]
    assert list(dataset.table.camid) == [{"A": 1, "B": 2}[camera] for camera in cameras]
    shuffled = read_custom(manifest(tmp_path, "path,pid,camid,split", *reversed(lines)))
    pd.testing.assert_frame_equal(shuffled.table, dataset.table)


def test_an_image_is_its_own_camera_in_two_splits_too(tmp_path):
    touch(tmp_path, "a.jpg", "b.jpg")
    dataset = read_custom(
        manifest(tmp_path, "path,pid,split", *(f"{i}.jpg,1,{s}" for i in "ab" for s in ("query", "gallery")))
    )
    camids = dataset.table.groupby("path").camid.agg(set)
    assert [len(c) for c in camids] == [1, 1] and camids.iloc[0] != camids.iloc[1]


def test_a_test_set_alone(tmp_path):
    touch(tmp_path, "a.jpg", "b.jpg")
    dataset = read_custom(manifest(tmp_path, "path,pid,split", "a.jpg,1,query", "b.jpg,1,gallery"))
    assert dataset.split("train").empty and dataset.fingerprint()


def test_junk_is_only_in_the_gallery(tmp_path):
    touch(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    lines = ["a.jpg,1,query", "b.jpg,1,gallery", "c.jpg,-1,train"]
    with pytest.raises(InputError, match=r"has images outside of the gallery of identity 0 or below"):
        read_custom(manifest(tmp_path, "path,pid,split", *lines))


def test_a_camera_of_minus_1_is_not_known(tmp_path):
    """Each such image is its own camera, with a split and without."""
    touch(tmp_path, *"abcdef")
    names = [f"{name},{i // 2},-1" for i, name in enumerate("abcdef", 2)]
    drawn = read_custom(manifest(tmp_path, "path,pid,camid", *names))
    assert drawn.table.camid.nunique() == 6 and drawn.table.camid.max() == -1
    assert len(drawn.split("query")) and WITHOUT_CAMERAS in drawn.summary()
    lines = ["a,1,-1,query", "b,1,-1,gallery", "c,1,4,gallery"]
    given = read_custom(manifest(tmp_path, "path,pid,camid,split", *lines))
    assert given.table.camid.tolist()[:2] == [-1, -2] and given.table.camid[2] > 0


@pytest.mark.parametrize("columns", ["path,pid,split", "path,pid,camid,split"])
def test_training_images_keep_their_numbers_when_others_come(columns, tmp_path):
    def read(*lines):
        touch(tmp_path, *(line.split(",")[0] for line in lines))
        lines = [line if "camid" in columns else ",".join(np.array(line.split(","))[[0, 1, 3]]) for line in lines]
        return read_custom(manifest(tmp_path, columns, *lines)).fingerprint()

    lines = ["m.jpg,max,door,train", "n.jpg,nia,gate,train", "q.jpg,zoe,door,query", "r.jpg,zoe,gate,gallery"]
    before = read(*lines)
    assert read(*lines, "a.jpg,ada,attic,gallery") == before
    assert read(*lines, "a.jpg,ada,attic,train") != before


def test_a_manifest_with_a_split_needs_queries_that_can_be_found(tmp_path):
    touch(tmp_path, "a.jpg", "b.jpg")
    with pytest.raises(InputError, match="no query images in"):
        read_custom(manifest(tmp_path, "path,pid,split", "a.jpg,1,train", "b.jpg,2,gallery"))
    with pytest.raises(InputError, match="no query has a match in the gallery"):
        read_custom(manifest(tmp_path, "path,pid,split", "a.jpg,1,query", "b.jpg,2,gallery"))


def test_multi_queries_of_a_manifest_are_those_of_its_queries(tmp_path):
    touch(tmp_path, *(f"{name}.jpg" for name in "abcd"))
    rows = ["a.jpg,1,1,query", "b.jpg,1,2,gallery", "c.jpg,1,1,multi_query", "d.jpg,2,1,multi_query"]
    dataset = read_custom(manifest(tmp_path, "path,pid,camid,split", *rows))
    assert [Path(path).name for path in dataset.split("multi_query").path] == ["c.jpg"]
    assert "left out: 1 unasked multi_query image" in dataset.summary()
    rows = ["a.jpg,1,1,query", "b.jpg,1,2,gallery", "c.jpg,2,1,query", "d.jpg,2,1,multi_query"]
    with pytest.raises(InputError, match="no multi_query has a match in the gallery"):
        read_custom(manifest(tmp_path, "path,pid,camid,split", *rows))


def test_images_beside_a_manifest_that_does_not_list_them_are_counted(tmp_path):
    touch(tmp_path, *(f"{pid}{i}.jpg" for pid in "ab" for i in range(2)), "new/c.jpg", "new/d.jpg", ".hidden/e.jpg")
    lines = [f"{pid}{i}.jpg,{pid},{'query' if i else 'gallery'}" for pid in "ab" for i in range(2)]
    dataset = read_custom(manifest(tmp_path, "path,pid,split", *lines))
    assert dataset.left_out.files == dict.fromkeys([f"{tmp_path}/new/c.jpg", f"{tmp_path}/new/d.jpg"], UNLISTED)
    assert "left out: 2 unlisted images" in dataset.summary()
    assert read_custom(tmp_path / "manifest.csv").left_out.files == {}  # nobody named the folder
    (tmp_path / "link").symlink_to(".")
    manifest(tmp_path, "path,pid,split", *(f"link/{line}" for line in lines))
    assert len(read_custom(tmp_path).left_out.files) == 2
    (tmp_path / os.fsdecode(b"old\xff.jpg")).touch()
    assert read_custom(tmp_path).left_out.files == {}  # it cannot be listed, and need not be
