"""Folder datasets: full-size layouts of empty files, since no image is opened to build a table."""

import shutil

import pytest

from hacnn_tf.data import read_dataset
from hacnn_tf.data.folders import read_folders
from hacnn_tf.utils.errors import InputError


def touch(folder, names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def market_names(pids, count, cameras=6):
    """`count` file names spread evenly over identities and cameras."""
    return [
        f"{pids[i % len(pids)]:0{4 if pids[0] >= 0 else 1}d}_c{i // len(pids) % cameras + 1}s1_{i:06d}_00.jpg"
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    folder = root / "Market-1501-v15.09.15"
    test = range(751, 1501)
    gallery = [*market_names(test, 13115), *market_names([-1], 3819), *market_names([0], 2798)]
    touch(folder / "bounding_box_train", [*market_names(range(1, 752), 12936), "Thumbs.db"])
    touch(folder / "query", [*market_names(test, 3368), "Thumbs.db", "._0001_c1s1_000001_00.jpg"])
    touch(folder / "bounding_box_test", [*gallery, "Thumbs.db"])
    touch(folder / "gt_bbox", [*market_names(test, 6000), *market_names(range(1, 752), 3000)])
    return root


def test_market1501_full_size(market):
    dataset = read_dataset("market1501", market)
    counts = dataset.table.split.value_counts()
    assert counts[["train", "query", "gallery"]].to_dict() == {"train": 12936, "query": 3368, "gallery": 19732}
    assert dataset.split("train").pid.nunique() == 751
    gallery = dataset.split("gallery")
    assert (gallery.pid == -1).sum() == 3819
    assert (gallery.pid == 0).sum() == 2798
    assert "gallery              750    19,732         6" in dataset.summary()
    assert "gallery images of nobody who is searched for: 3,819 junk (-1), 2,798 distractors (0)" in dataset.summary()
    assert "left out" not in dataset.summary()


def test_multi_query_has_the_queries_persons_and_cameras_only(market):
    dataset = read_dataset("market1501", market)
    asked = set(zip(dataset.split("query").pid, dataset.split("query").camid, strict=True))
    found = dataset.split("multi_query")
    assert set(zip(found.pid, found.camid, strict=True)) <= asked
    assert 0 < len(found) < 9000


def test_dukemtmc_full_size(tmp_path):
    """§4 and Table 1; one image less is noticed."""
    sizes = {"bounding_box_train": (702, 16_522), "query": (702, 2_228), "bounding_box_test": (1_110, 17_661)}
    for part, (identities, images) in sizes.items():
        camera = 1 if part == "query" else 2
        names = [f"{1 + i % identities:04}_c{camera}_f{i:07}.jpg" for i in range(images)]
        touch(tmp_path / "DukeMTMC-reID" / part, names)
    dataset = read_dataset("dukemtmc", tmp_path)
    assert [len(dataset.split(split)) for split in ("train", "query", "gallery")] == [16_522, 2_228, 17_661]
    (tmp_path / "DukeMTMC-reID" / "query" / "0001_c1_f0000000.jpg").unlink()
    with pytest.raises(InputError, match="2,227 query images instead of 2,228"):
        read_dataset("dukemtmc", tmp_path)


def test_dukemtmc_names(tmp_path):
    folder = tmp_path / "DukeMTMC-reID"
    for name in ("bounding_box_train", "query", "bounding_box_test"):
        touch(folder / name, ["0005_c8_f0046985.jpg", "0005_c2_f0046985.jpg"])
    assert len(read_dataset("dukemtmc", tmp_path, allow_subset=True).table) == 6
    table = read_dataset("dukemtmc", tmp_path, allow_subset=True).split("gallery")
    assert list(table.pid) == [5, 5]
    assert list(table.camid) == [2, 8]


def test_a_part_of_a_dataset_must_be_asked_for(tmp_path):
    folder = tmp_path / "market1501"
    for name in ("bounding_box_train", "query", "bounding_box_test"):
        touch(folder / name, [f"0002_c{1 + (name == 'query')}s1_000451_03.jpg"])
    with pytest.raises(InputError, match=r"1 train images instead of 12,936, .* --allow_subset"):
        read_dataset("market1501", tmp_path)
    assert len(read_dataset("market1501", tmp_path, allow_subset=True).table) == 3


def test_a_dataset_may_lie_in_a_folder_of_its_other_name(tmp_path):
    """As torchreid has it: reid-data/market1501/Market-1501-v15.09.15."""
    folder = tmp_path / "market1501" / "Market-1501-v15.09.15"
    for name in ("bounding_box_train", "query", "bounding_box_test"):
        touch(folder / name, [f"0002_c{1 + (name == 'query')}s1_000451_03.jpg"])
    table = read_dataset("market1501", tmp_path, allow_subset=True).table
    assert all(path.startswith(str(folder)) for path in table.path)


@pytest.mark.parametrize("name", ["market1501", "dukemtmc", "cuhk03"])
def test_a_missing_dataset_says_what_was_tried(name, tmp_path):
    with pytest.raises(InputError, match=f"not found: tried {tmp_path}.*README.md.*--data_root"):
        read_dataset(name, tmp_path)


def test_a_missing_part_is_named(tmp_path):
    touch(tmp_path / "bounding_box_train", ["0001_c1_1.jpg"])
    with pytest.raises(InputError, match="query and bounding_box_test missing"):
        read_folders(tmp_path, "own")


def test_an_empty_part_is_named(tmp_path):
    folder = tmp_path / "market1501"
    touch(folder / "bounding_box_train", ["0001_c1_1.jpg"])
    touch(folder / "query", [])
    touch(folder / "bounding_box_test", [])
    with pytest.raises(InputError, match="no query or gallery images"):
        read_dataset("market1501", tmp_path, allow_subset=True)


def test_queries_without_any_match_are_noticed_at_once(tmp_path):
    folder = tmp_path / "market1501"
    for name in ("bounding_box_train", "query", "bounding_box_test"):
        touch(folder / name, ["0002_c1s1_000451_03.jpg"])
    with pytest.raises(InputError, match="no query has a match in the gallery"):
        read_dataset("market1501", tmp_path, allow_subset=True)


def test_junk_and_identities_count_too(market, tmp_path):
    copy = tmp_path / "market1501"
    shutil.copytree(market / "Market-1501-v15.09.15", copy)
    next((copy / "bounding_box_test").glob("-1_*")).rename(copy / "bounding_box_test" / "0000_c1s1_999999_00.jpg")
    with pytest.raises(InputError, match="3,818 gallery junk instead of 3,819, 2,799 gallery distractors"):
        read_dataset("market1501", tmp_path)


def test_names_that_do_not_parse_are_counted_and_some_named(tmp_path):
    for name in ("bounding_box_train", "query", "bounding_box_test"):
        touch(tmp_path / name, ["0001_c1_1.jpg"])
    touch(tmp_path / "query", ["holiday.jpg", "0001-c2.png"])
    touch(tmp_path / "bounding_box_train", ["c1.jpg"])
    with pytest.raises(
        InputError,
        match=r"names of 3 images .*train/c1\.jpg, .*query/0001-c2\.png, .*query/holiday\.jpg\): a name begins",
    ):
        read_folders(tmp_path, "own")
    touch(tmp_path / "query", [f"{i}.jpg" for i in range(2800)])
    with pytest.raises(InputError, match=r"names of 2,803 images .* and 2,800 more\): a name begins") as error:
        read_folders(tmp_path, "own")
    assert len(str(error.value)) < 1000


def test_what_macos_leaves_behind_is_no_image(tmp_path):
    for name in ("bounding_box_train", "query", "bounding_box_test"):
        names = [f"{i:04}_c{1 + (name == 'query')}_1.jpg" for i in range(1, 4)]
        touch(tmp_path / name, [*names, *(f"._{name}" for name in names), ".DS_Store"])
    dataset = read_folders(tmp_path, "own")
    assert len(dataset.table) == 9 and not dataset.left_out.files


def test_what_is_left_out_of_the_parts_is_counted(tmp_path):
    """Also images deeper than the layout has them."""
    for name in ("bounding_box_train", "query", "bounding_box_test"):
        touch(tmp_path / name, ["0001_c1_1.jpg", "0001_c1_1.webp", "0001_c1_1.heic"])
    touch(tmp_path / "query", ["0002_c1_1.heic", "0002_c1_2.heic", "readme.txt"])
    touch(tmp_path / "query" / "old", ["0003_c1_1.jpg", "0001_c1_1.jpg"])
    dataset = read_folders(tmp_path, "own")
    assert len(dataset.table) == 6
    assert "left out: 5 .heic, 2 nested images, 1 .txt" in dataset.summary()
    assert list(dataset.left_out.identities.values()) == [
        "identity 2 has no image, only 2 .heic",
        "identity 3 has no image, only 1 nested image",
    ]
