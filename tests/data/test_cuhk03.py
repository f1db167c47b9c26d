"""CUHK03 from a `.mat` built like the real one, and the real protocol files."""

import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io

from hacnn_tf.data import read_dataset
from hacnn_tf.data.load import load_images
from hacnn_tf.training.settings import Settings
from hacnn_tf.utils.errors import InputError

IDENTITIES = [843, 440, 77, 58, 49]  # of CUHK03's five camera pairs
REFERENCE = h5py.special_dtype(ref=h5py.Reference)


def image(pair, identity, view):
    """A flat-coloured image that says which it is; height × width × 3."""
    return np.full((6, 4, 3), (40 * pair, 10 * identity, 20 * view), np.uint8)


def write_mat(path, images, identities, testsets):
    """Writes a `cuhk-03.mat`; `images` are (pair, identity, view) from 1 of the images that are there."""
    with h5py.File(path, "w") as file:
        references = file.create_group("#refs#")
        empty = references.create_dataset("empty", data=np.zeros(2, np.uint64)).ref

        def store(data):
            return references.create_dataset(str(len(references)), data=data).ref

        for boxes in ("detected", "labeled"):
            pairs = []
            for pair, count in enumerate(identities, start=1):
                cells = np.full((10, count), empty, REFERENCE)
                for p, identity, view in images:
                    if p == pair:
                        cells[view - 1, identity - 1] = store(image(p, identity, view).T)
                pairs.append(references.create_dataset(f"{boxes}{pair}", data=cells, dtype=REFERENCE).ref)
            file.create_dataset(boxes, data=np.array([pairs], REFERENCE).T, dtype=REFERENCE)
        sets = [store(np.array(testset, float).T) for testset in testsets]
        file.create_dataset("testsets", data=np.array([sets], REFERENCE).T, dtype=REFERENCE)


def write_config(path, names, pids, cameras, **indices):
    columns = {
        "filelist": np.array(names, object)[:, None],
        "labels": np.array(pids)[:, None],
        "camId": np.array(cameras)[:, None],
    }
    scipy.io.savemat(path, {**columns, **{f"{split}_idx": np.array(rows)[:, None] for split, rows in indices.items()}})


@pytest.fixture
def small(tmp_path):
    """Two pairs, three identities, views on both sides, some absent; protocol files for it."""
    folder = tmp_path / "cuhk03_release"
    folder.mkdir()
    images = [(1, 1, 1), (1, 1, 6), (1, 2, 2), (1, 2, 7), (1, 2, 8), (2, 1, 5), (2, 1, 10)]
    write_mat(folder / "cuhk-03.mat", images, [2, 1], [[(1, 2)], [(2, 1)]])
    names = [f"{p}_{i:03d}_{1 if v <= 5 else 2}_{v:02d}.png" for p, i, v in images]
    write_config(
        tmp_path / "cuhk03_new_protocol_config_detected.mat",
        names,
        [1, 1, 2, 2, 2, 3, 3],
        [1, 2, 1, 2, 2, 1, 2],
        train=[1, 2],
        query=[3, 6],
        gallery=[4, 5, 7],
    )
    return tmp_path


def test_767_700_is_read_in_place(small):
    dataset = read_dataset("cuhk03", small, allow_subset=True)
    query = dataset.split("query")
    assert list(query.pid) == [2, 3]
    assert list(query.camid) == [1, 1]
    assert list(dataset.split("gallery").pid) == [2, 2, 3]
    pixels = load_images(query.path, (6, 4))
    np.testing.assert_array_equal(pixels, [image(1, 2, 2), image(2, 1, 5)])
    assert [path.name for path in (small / "cuhk03_release").iterdir()] == ["cuhk-03.mat"]


def test_all_of_it_is_trained_on_and_another_tested(small, small_data_root):
    with pytest.raises(InputError, match="--split all leaves nobody to test on: name another dataset too"):
        read_dataset("cuhk03", small, split="all", allow_subset=True)
    shutil.copytree(small_data_root / "synthetic", small / "synthetic")
    everybody = read_dataset("cuhk03,synthetic", small, split="all", allow_subset=True)
    tested = read_dataset("cuhk03,synthetic", small, allow_subset=True)
    assert everybody.name.startswith("CUHK03 all identities, detected boxes + ")
    table = tested.table.assign(split=tested.table.split.where(~tested.table.path.str.contains("cuhk-03.mat"), "train"))
    pd.testing.assert_frame_equal(everybody.table, table)
    assert len(everybody.split("train")) == len(tested.split("train")) + 5
    held_out = Settings("cuhk03", split="all", validation=1, allow_subset=True).read_dataset(small)
    assert sorted(held_out.table.path) == sorted(tested.table.path[tested.table.path.str.contains("cuhk-03.mat")])
    assert held_out.split("query").pid.nunique() == 1


@pytest.mark.parametrize(("testset", "pid"), [(1, 2), (2, 3)])
def test_1367_100_tests_on_one_testset(small, testset, pid):
    dataset = read_dataset("cuhk03", small, split="1367_100", testset=testset, allow_subset=True)
    assert dataset.single_shot
    assert set(dataset.split("query").pid) == set(dataset.split("gallery").pid) == {pid}
    assert set(dataset.split("query").camid) == {1}
    assert set(dataset.split("gallery").camid) == {2}
    assert pid not in set(dataset.split("train").pid)
    assert dataset.table.camid.tolist() == [1, 2, 1, 2, 2, 1, 2]  # views 1, 6, 2, 7, 8, 5, 10


@pytest.mark.parametrize("split", ["767_700", "1367_100"])
@pytest.mark.parametrize(("boxes", "name"), [("detected", "detected"), ("labelled", "labeled")])
def test_images_are_of_the_boxes_that_are_asked_for(small, split, boxes, name):
    config = small / "cuhk03_new_protocol_config_detected.mat"
    shutil.copy(config, small / "cuhk03_new_protocol_config_labeled.mat")
    table = read_dataset("cuhk03", small, split=split, boxes=boxes, allow_subset=True).table
    assert table.path.str.contains(f"cuhk-03.mat#{name}/", regex=False).all()


def test_there_is_no_such_testset(small):
    with pytest.raises(InputError, match="test sets 1 to 2, not 3"):
        read_dataset("cuhk03", small, split="1367_100", testset=3)


def test_a_config_that_does_not_fit_names_what_is_missing(small):
    write_config(
        small / "cuhk03_new_protocol_config_detected.mat",
        ["1_002_1_03.png"],
        [2],
        [1],
        train=[1],
        query=[1],
        gallery=[1],
    )
    with pytest.raises(InputError, match=r"does not fit .*1 of its 1 images are not there, 1_002_1_03\.png the first"):
        read_dataset("cuhk03", small)


@pytest.mark.parametrize("content", [b"", b"not a mat file", None])
def test_a_config_that_is_none_is_refused(small, content):
    config = small / "cuhk03_new_protocol_config_detected.mat"
    if content is None:
        scipy.io.savemat(config, {"something": 1})
    else:
        config.write_bytes(content)
    with pytest.raises(InputError, match="is not a protocol file"):
        read_dataset("cuhk03", small)


@pytest.mark.parametrize(
    ("names", "pids", "train"),
    [(["1_002_02.png"], [2], [1]), (["1_002_1_02.png"], [2, 3], [1]), (["1_002_1_02.png"], [2], [2])],
)
def test_a_config_of_another_shape_is_refused(small, names, pids, train):
    """A name of three parts; more labels than names; an index beyond the list."""
    config = small / "cuhk03_new_protocol_config_detected.mat"
    write_config(config, names, pids, [1], train=train, query=[1], gallery=[1])
    with pytest.raises(InputError, match="is not a protocol file"):
        read_dataset("cuhk03", small)


def test_a_part_of_1367_100_must_be_asked_for(small):
    with pytest.raises(InputError, match="1 query identities instead of 100"):
        read_dataset("cuhk03", small, split="1367_100")


def test_a_missing_config_is_named(small):
    with pytest.raises(InputError, match=r"needs cuhk03_new_protocol_config_labeled\.mat beside"):
        read_dataset("cuhk03", small, boxes="labelled")


@pytest.mark.parametrize("damage", ["truncated", "other"])
def test_a_mat_that_is_none_is_refused(small, damage):
    mat = small / "cuhk03_release" / "cuhk-03.mat"
    if damage == "truncated":
        mat.write_bytes(mat.read_bytes()[:100])
    else:
        with h5py.File(mat, "w") as file:
            file["something"] = 1
    with pytest.raises(InputError, match="is not CUHK03's, or damaged"):
        read_dataset("cuhk03", small, split="1367_100")


@pytest.mark.parametrize(("boxes", "counts"), [("detected", (7365, 1400, 5332)), ("labelled", (7368, 1400, 5328))])
def test_the_real_protocol_files_at_full_size(shared_data, tmp_path, boxes, counts):
    config = f"cuhk03_new_protocol_config_{'detected' if boxes == 'detected' else 'labeled'}.mat"
    names = [str(name[0]) for name in scipy.io.loadmat(shared_data / config)["filelist"].ravel()]
    (tmp_path / "cuhk03").mkdir()
    (tmp_path / config).symlink_to((shared_data / config).resolve())
    mat = tmp_path / "cuhk03" / "cuhk-03.mat"
    with h5py.File(mat, "w") as file:  # every image the same one: only the structure is read
        image = file.create_dataset("image", data=np.zeros((3, 4, 6), np.uint8)).ref
        empty = file.create_dataset("empty", data=np.zeros(2, np.uint64)).ref
        for key in ("detected", "labeled"):
            cells = [np.full((10, count), empty, REFERENCE) for count in IDENTITIES]
            for name in names:
                pair, identity, _, view = (int(part) for part in name.removesuffix(".png").split("_"))
                cells[pair - 1][view - 1, identity - 1] = image
            pairs = [file.create_dataset(f"{key}{i}", data=c, dtype=REFERENCE).ref for i, c in enumerate(cells)]
            file.create_dataset(key, data=np.array([pairs], REFERENCE).T, dtype=REFERENCE)
        file["testsets"] = 0
    dataset = read_dataset("cuhk03", tmp_path, boxes=boxes)
    assert tuple(len(dataset.split(split)) for split in ("train", "query", "gallery")) == counts
    assert dataset.split("train").pid.nunique() == 767
    assert dataset.split("query").pid.nunique() == 700


def test_cuhk03_np_folders_of_real_images(shared_data):
    dataset = read_dataset("cuhk03", shared_data)
    assert dataset.table.split.value_counts().to_dict() == {"train": 7365, "gallery": 5332, "query": 1400}
    assert dataset.split("train").pid.nunique() == 767


@pytest.mark.parametrize(
    "options", [{"split": "1367/100"}, {"boxes": "labeled"}, {"split": "1367_100", "testset": 0}, {"testset": -1}]
)
def test_a_protocol_that_there_is_not_is_none(options, tmp_path):
    with pytest.raises(InputError, match=r"--(split|boxes|testset) must be "):
        read_dataset("cuhk03", tmp_path, **options)


def test_a_test_set_of_the_other_protocol_is_refused(small):
    with pytest.raises(InputError, match="--testset needs --dataset cuhk03 --split 1367_100"):
        read_dataset("cuhk03", small, testset=3)
