"""Images of one's own in folders: every layout, the split that is drawn, and what cannot be used."""

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hacnn_tf.data import read_dataset
from hacnn_tf.data.custom import read_custom
from hacnn_tf.data.dataset import WITHOUT_CAMERAS
from hacnn_tf.data.validation import hold_out
from hacnn_tf.evaluation import rank_matches
from hacnn_tf.utils.errors import InputError
from tests.data.conftest import people, touch


def cameras_of(dataset):
    """Dict from camera to the set of what it was called, if that is the part of a path after "cam"."""
    return {
        camid: {Path(path).as_posix().split("cam")[-1][0] for path in rows.path}
        for camid, rows in dataset.table.groupby("camid")
    }


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("{pid}/cam{cam}/{i}.jpg", None),
        ("{pid}/x_cam{cam}_{i}.png", "_cam([0-9])_"),
        ("{pid}/y/x_cam{cam}_{i}.JPEG", "cam(.)"),
    ],
)
def test_folders_of_identities(name, pattern, tmp_path):
    people(tmp_path / "cam", 4, name)
    touch(tmp_path / "cam", ".hidden/1.jpg", "p1/.2.jpg", "p1/notes.txt", "notes.txt")
    dataset = read_custom(tmp_path / "cam", camera_pattern=pattern)
    assert len(dataset.table) == 4 * 3 * 2
    assert cameras_of(dataset) == {1: {"0"}, 2: {"1"}, 3: {"2"}}
    table = dataset.table.assign(
        name=[Path(path).relative_to(tmp_path / "cam").parts[0] for path in dataset.table.path]
    )
    trained, tested = (sorted(set(table.name[table.split == split])) for split in ("train", "gallery"))
    assert len(trained) == len(tested) == 2
    numbers = {name: i for i, name in enumerate([*trained, *tested], 1)}
    assert table.pid.tolist() == [numbers[name] for name in table.name]


def names_of(dataset, root):
    """The names of identities' folders, of all that are in the table."""
    return {Path(path).relative_to(root).parts[0] for path in dataset.table.path}


def test_images_of_all_kinds_are_images(tmp_path):
    kinds = [".webp", ".bmp", ".tif", ".TIFF", ".gif", ".jp2"]
    for number, kind in enumerate(kinds, 1):
        people(tmp_path, number, "{pid}/{cam}_{i}" + kind)
    people(tmp_path / ".hidden", 9)
    dataset = read_custom(touch(tmp_path, "p1/notes.txt", "p2/a.heic", "p2/b.heic", "p3/Thumbs.db", "p3/._0_0.gif"))
    assert names_of(dataset, tmp_path) == {f"p{i}" for i in range(1, 7)}
    assert dataset.summary().splitlines()[-2] == "left out: 2 .heic, 1 .txt"
    assert not dataset.left_out.identities


def test_an_identity_none_of_whose_files_are_read_is_named(tmp_path):
    root = people(tmp_path / "people", 6)
    touch(root, "p94/a.heic", "p94/door/b.heic", "p94/notes.txt", "p95/.DS_Store")
    (root / "p96").symlink_to(tmp_path / "gone")
    (root / "p97").symlink_to("p97")
    (root / "up").symlink_to("..")
    dataset = read_custom(root)
    assert dataset.left_out.identities == {
        f"{root}/p94": "identity p94 has no image, only 2 .heic, 1 .txt",
        f"{root}/p95": "identity p95 has no image: its folder is empty",
        f"{root}/p96": "identity p96 has no image, only 1 broken link",
        f"{root}/p97": "identity p97 has no image, only 1 broken link",
    }
    lines = dataset.summary().splitlines()
    assert "left out: 2 .heic, 2 broken links, 1 .txt, 1 circular link" in lines
    assert "identities without an image: 4 (p94, p95, p96 and 1 more)" in lines
    assert hold_out(dataset, 1).left_out == dataset.left_out


def test_such_identities_in_a_flat_folder(tmp_path):
    names = [f"{pid:04d}_c{cam}_{i}.jpg" for pid in (2, 7) for cam in (1, 3) for i in range(2)]
    left_out = ["0007_c1_9.heic", "0009_c1_1.heic", "0009_c1_1.txt", "-1_c1_1.heic", "0000_c1_1.heic"]
    dataset = read_custom(touch(tmp_path, *names, *left_out))
    assert dataset.left_out.identities == {
        f"{tmp_path}/0009_c1_1.heic": "identity 9 has no image, only 1 .heic, 1 .txt"
    }


def test_folders_of_identities_that_are_links(tmp_path):
    """Two names for one folder are two identities, which the same split is drawn of as of two folders."""
    store = people(tmp_path / "store", 4)
    links, copies = tmp_path / "links" / "x", tmp_path / "copies" / "x"
    for root in (links, copies):
        people(root, 2)
    for name, folder in (("p3", "p3"), ("p4", "p4"), ("twin", "p4")):
        (links / name).symlink_to(store / folder)
        shutil.copytree(store / folder, copies / name)
    (links / "p1" / "up").symlink_to(links)
    linked, copied = read_custom(links), read_custom(copies)
    assert names_of(linked, links) == {"p1", "p2", "p3", "p4", "twin"}
    ours, theirs = (
        d.table.assign(path=[os.path.relpath(path, root) for path in d.table.path])
        for d, root in ((linked, links), (copied, copies))
    )
    pd.testing.assert_frame_equal(ours, theirs)
    assert linked.left_out.files == {f"{links}/p1/up": "circular link"}


def test_a_name_written_in_two_ways_is_one(tmp_path):
    """macOS's disks took ö apart: copied from there and from elsewhere, one person's folders differ in their bytes."""
    people(tmp_path / "one", 3, "zo\u00eb{pid}/{cam}/\u00fc{i}.jpg")
    people(tmp_path / "two", 3, "zoe\u0308{pid}/{cam}/u\u0308{i}.jpg")
    one, two = (read_custom(tmp_path / name) for name in ("one", "two"))
    columns = ["pid", "camid", "split"]
    pd.testing.assert_frame_equal(one.table[columns], two.table[columns])
    assert one.fingerprint() == two.fingerprint()
    shutil.copytree(tmp_path / "one" / "zo\u00ebp1" / "0", tmp_path / "two" / "zo\u00ebp1" / "0")
    both = read_custom(tmp_path / "two")
    assert both.table.pid.nunique() == 3 and len(both.table) == len(two.table) + 2


def test_names_like_market1501s_say_the_camera_before_folders_do(tmp_path):
    people(tmp_path / "x", 2, "{pid}/cam/0002_c{cam}s1_{i}.jpg")
    assert sorted(set(read_custom(tmp_path / "x").table.camid)) == [0, 1, 2]
    touch(tmp_path / "x", "p1/cam/holiday.jpg")
    assert set(read_custom(touch(tmp_path / "x", "p1/cam2/h.jpg", "p2/cam2/h.jpg")).table.camid) == {1, 2}
    people(tmp_path / "y", 2, "{pid}/0002_c{cam}s1_{i}.jpg")
    with pytest.raises(InputError, match=r"names of \d+ images, as c1 in 0002_c1, and none in those of 1 \(p1/h"):
        read_custom(touch(tmp_path / "y", "p1/holiday.jpg"))


def test_a_flat_folder_of_names_like_market1501s(tmp_path):
    names = [f"{pid:04d}_c{cam}s1_{i:06d}_00.jpg" for pid in (2, 7, 11) for cam in (1, 3) for i in range(3)]
    nobody = ["-1_c1s1_000001_00.jpg", "0000_c1s1_000001_00.jpg", "0000_c3s1_000001_00.jpg"]
    dataset = read_custom(touch(tmp_path / "flat", *names, *nobody), test_share=0.4)
    assert set(dataset.table.pid) == {-1, 0, 2, 7, 11} and set(dataset.table.camid) == {1, 3}
    assert {Path(path).name for path in dataset.table.path[dataset.table.pid <= 0]} == set(nobody)
    assert set(dataset.table.split[dataset.table.pid <= 0]) == {"gallery"}
    assert dataset.name == "flat 2/1, split seed 0"


def test_market1501s_folders(tmp_path):
    for part, pid in (("bounding_box_train", 3), ("query", 5), ("bounding_box_test", 5)):
        touch(tmp_path / "x" / part, *(f"{pid:04d}_c{cam}s1_{part}.jpg" for cam in (1, 2)))
    dataset = read_custom(tmp_path / "x")
    assert dataset.name == "x" and set(dataset.split("train").pid) == {3} and set(dataset.split("query").pid) == {5}
    with pytest.raises(InputError, match="has a split of its own: leave --test_share and --split_seed out"):
        read_custom(tmp_path / "x", split_seed=0)


def check_split(dataset, identities, share):
    """What a drawn split promises, checked row by row."""
    train, query, gallery = (dataset.split(split) for split in ("train", "query", "gallery"))
    assert len(dataset.table) == len(train) + len(query) + len(gallery)
    assert not dataset.table.path.duplicated().any()
    assert query.pid.nunique() == int(share * identities) and train.pid.nunique() == identities - query.pid.nunique()
    assert not set(train.pid) & set(gallery.pid) and set(query.pid) == set(gallery.pid)
    assert not query.duplicated(["pid", "camid"]).any()
    for row in query.itertuples():
        assert ((gallery.pid == row.pid) & (gallery.camid != row.camid)).any()


@pytest.mark.parametrize("share", [0.25, 0.5, 1])
def test_a_split_that_is_drawn(share, tmp_path):
    rng = np.random.default_rng(0)
    names = {f"{pid}/{rng.integers(3)}/{i}.jpg" for pid in range(40) for i in range(9)}
    dataset = read_custom(touch(tmp_path / "a", *names), share)
    check_split(dataset, 40, share)
    assert len(dataset.table) == len(names)
    shutil.copytree(tmp_path / "a", tmp_path / "elsewhere" / "a")
    again = read_custom(tmp_path / "elsewhere" / "a", share)
    assert list(again.table.split) == list(dataset.table.split) and again.fingerprint() == dataset.fingerprint()
    other = read_custom(tmp_path / "a", share, split_seed=1)
    check_split(other, 40, share)
    one, another = ({Path(path).parts[-3] for path in d.split("query").path} for d in (dataset, other))
    assert (one == another) == (share == 1), "other identities are tested on"
    assert set(other.split("query").path) != set(dataset.split("query").path)


def test_no_query_is_left_without_a_match(tmp_path):
    """Of 1: two images before one camera, one before the other: the latter's query leaves the former's none."""
    names = [f"{pid}/{name}.jpg" for pid in "ab" for name in ("0/1", "0/2", "1/3")]
    dataset = read_custom(touch(tmp_path, *names))
    assert [path.split("/")[-2] for path in dataset.split("query").path] == ["1"]
    assert len(dataset.split("gallery")) == 2


def test_without_cameras_nothing_is_left_out(tmp_path):
    dataset = read_custom(people(tmp_path, 6, "{pid}/{cam}_{i}.jpg"))
    check_split(dataset, 6, 0.5)
    assert len(dataset.split("query")) == 3  # one an identity
    assert (dataset.table.camid < 0).all() and not dataset.table.camid.duplicated().any()
    assert (
        dataset.summary().endswith(WITHOUT_CAMERAS)
        and "query                  3         3         -" in dataset.summary()
    )
    query, gallery = dataset.split("query"), dataset.split("gallery")
    features = [np.random.default_rng(0).random((len(rows), 4), np.float32) for rows in (query, gallery)]
    matches = rank_matches(*features, *(rows[c].to_numpy() for c in ("pid", "camid") for rows in (query, gallery)))
    assert list(matches.counts) == [5, 5, 5]
    held = hold_out(dataset, 1)
    assert len(held.split("query")) == 1 and len(held.split("gallery")) == 5
    assert not list(dataset.made_splits["split.csv"].filter(["camid"]))


@pytest.mark.parametrize(
    ("names", "flags", "sentence"),
    [
        ([], {}, r"holds no images: make a folder for each person's images"),
        (["a.heic", "b.txt", "Thumbs.db"], {}, r"holds no images, only 1 .heic, 1 .txt: make a folder"),
        (["1.5/a.jpg", "b/b.jpg"], {}, "has folders of identities called 1.5: write names or whole numbers"),
        (["NA/a.jpg", "b/b.jpg"], {}, "identities called NA, which is written where nothing is known: rename it"),
        (["a/1.5/a.jpg", "b/2/b.jpg"], {}, "has folders of cameras called 1.5: write"),
        (["a/a1.5.jpg"], {"camera_pattern": r"a(.*)\.jpg"}, "finds the camera 1.5: write"),
        (["a/a.jpg"], {"camera_pattern": "a(b*)"}, "finds no camera in 1 of 1 names"),
        (["a.jpg", "b.jpg"], {}, "does not say who 2 images show .a.jpg, b.jpg.: make a folder for each"),
        (["0001_c1.jpg", "bob/b.jpg"], {}, "holds images beside folders of images .0001_c1.jpg."),
        (["a/b/c/d.jpg"], {}, "deeper than IDENTITY/CAMERA/IMAGE"),
        (
            ["Train/alice/1.jpg", "test/bob/1.jpg"],
            {},
            r"called like splits, not like identities \(Train, test\)",
        ),
        (
            [f"{split}/0002/0002_c1s1.jpg" for split in ("train_all", "multi-query", "query", "zoe")],
            {},
            r"like splits, .* \(multi-query, query, train_all\): name one of them, or say",
        ),
        (
            ["detected/query/0002_c1.jpg", "labeled/bounding_box_test/0002_c2.jpg"],
            {},
            r"whole datasets, not identities \(detected, labeled\): name one",
        ),
        (["cam_a/000_45.bmp", "cam_b/000_90.bmp"], {}, r"called like cameras, not like identities \(cam_a, cam_b\)"),
        (["cam1/1/1.jpg", "Camera_2/1/1.jpg"], {}, r"called like cameras, not like identities \(Camera_2, cam1\)"),
        (["0001_c3_1.jpg", "0001_c3_2.jpg", "0002_c3_1.jpg"], {}, "are of one camera, .* a manifest without a column"),
        (["a/1/a.jpg", "a/1/b.jpg"], {}, "are of one camera, and a match is counted under another"),
        (["a/1/a.jpg", "b/b.jpg"], {}, "folders of cameras for some of the images and none for 1 .b/b.jpg."),
        (["a/a.jpg", "a/b.jpg"], {}, "--test_share 0.5 of the 1 identities in .* are 0 to test on"),
        (["a/a.jpg", "b/b.jpg"], {}, "are 1 to test on; there must be one, and 0 at most"),
        (["a/a.jpg", "b/b.jpg"], {"test_share": 1.5}, "--test_share is a share of the identities, .* not 1.5"),
        (["a/a.jpg", "b/b.jpg"], {"test_share": float("nan")}, "above 0 and up to 1, not nan"),
        (["a/a.jpg"], {"camera_pattern": "("}, r"--camera_pattern \( is no regular expression"),
        (["a/a.jpg"], {"camera_pattern": "a"}, "--camera_pattern a has 0 groups"),
        (["a/a.jpg"], {"camera_pattern": "(a)(b)"}, "has 2 groups"),
        (["a/a.jpg", "a/b.jpg"], {"camera_pattern": "(a)"}, "finds no camera in 1 of 2 names: .*/a/b.jpg"),
        (["manifest.csv", "manifest.parquet"], {}, "holds manifest.csv and manifest.parquet"),
        (["Manifest.CSV"], {}, "lacks the columns path and pid"),
        (["manifest.csv"], {}, "lacks the columns path and pid"),
        (["bounding_box_train/0001_c1.jpg"], {}, "query and bounding_box_test missing"),
    ],
)
def test_what_cannot_be_used(names, flags, sentence, tmp_path):
    with pytest.raises(InputError, match=sentence) as error:
        read_custom(touch(tmp_path, *names), **flags)
    assert "\n" not in str(error.value)


def test_what_is_not_there(tmp_path):
    with pytest.raises(InputError, match="nowhere is not there"):
        read_dataset("folder:nowhere", tmp_path)


@pytest.mark.parametrize(
    "options", [{"split_seed": -1}, {"split_seed": 1.5}, {"test_share": "half"}, {"camera_pattern": 7}]
)
def test_what_an_argument_cannot_be_is_a_sentence(options, tmp_path):
    with pytest.raises(InputError, match=f"--{next(iter(options))} must be "):
        read_dataset("folder", tmp_path, **options)


def test_persons_are_not_numbered_from_0(tmp_path):
    """0 is a distractor's: two datasets with a person 0 would make one person of both."""
    for folder in ("bounding_box_train", "query", "bounding_box_test"):
        touch(tmp_path / folder, "0000_c1_1.jpg", "0001_c2_1.jpg", "0001_c1_1.jpg")
    with pytest.raises(
        InputError, match=r"has images outside of the gallery of identity 0 or below, .* number people from 1. 2 in all"
    ):
        read_custom(tmp_path)


def test_a_share_is_not_rounded_down_by_what_floats_lack(tmp_path):
    """0.29 * 100 is 28.999999999999996."""
    names = [f"{pid:04d}_c{camera}_{i}.jpg" for pid in range(1, 101) for camera in (1, 2) for i in (1, 2)]
    dataset = read_custom(touch(tmp_path, *names), test_share=0.29)
    assert dataset.split("query").pid.nunique() == 29


def test_names_that_are_not_utf8(tmp_path):
    (tmp_path / "a").mkdir()
    try:
        open(bytes(tmp_path) + b"/a/\xff.jpg", "w").close()
    except OSError:
        pytest.skip("this file system has UTF-8 names alone")
    with pytest.raises(InputError, match=r"The names of 1 images are not in UTF-8: '.*\\udcff\.jpg'"):
        read_custom(tmp_path)
    for folder in ("bounding_box_train", "query", "bounding_box_test"):
        touch(tmp_path / "b" / folder, "0001_c1_1.jpg")
    open(bytes(tmp_path) + b"/b/query/0001_c1_\xff.jpg", "w").close()
    with pytest.raises(InputError, match="The names of 1 images are not in UTF-8"):
        read_custom(tmp_path / "b")


@pytest.mark.parametrize(("one", "other"), [("1", "1.0"), ("anna", "anna ")])
def test_two_folders_of_one_name_are_not_one_person(one, other, tmp_path):
    for name in (one, other, "bob"):
        for camera in (1, 2):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / f"0001_c{camera}_1.jpg").touch()
    with pytest.raises(InputError, match=r"has folders of identities called '.*' and '.*', which are one name: rename"):
        read_custom(tmp_path)


def test_multi_query_images_that_no_query_asks_for_are_counted_by_the_cameras_of_the_pattern(tmp_path):
    names = [
        "query/0001_c1_camA_1.jpg",
        "bounding_box_test/0001_c2_camB_1.jpg",
        "bounding_box_train/0002_c1_camA_1.jpg",
    ]
    touch(tmp_path, *names, "gt_bbox/0001_c2_camA_2.jpg", "gt_bbox/0001_c1_camB_3.jpg")
    for pattern, asked in ((None, "0001_c1_camB_3.jpg"), ("_cam(.)_", "0001_c2_camA_2.jpg")):
        dataset = read_custom(tmp_path, camera_pattern=pattern)
        assert [Path(path).name for path in dataset.split("multi_query").path] == [asked]
        assert "left out: 1 unasked multi_query image" in dataset.summary()
