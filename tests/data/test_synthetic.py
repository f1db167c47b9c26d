"""The synthetic dataset: deterministic, in the layout that it claims, and with boxes that deserve their names."""

import io

import numpy as np
import pytest
from PIL import Image

from hacnn_tf.data import read_dataset, synthetic
from hacnn_tf.data.synthetic import make_cameras, make_images, make_synthetic, make_track
from hacnn_tf.data.synthetic.person import Person, draw_person
from hacnn_tf.utils.errors import InputError
from tests.data.conftest import touch


@pytest.mark.parametrize(("boxes", "folder"), [("detected", "detected"), ("labelled", "labeled")])
def test_read_like_cuhk03_np(small_data_root, boxes, folder):
    dataset = read_dataset("synthetic", small_data_root, boxes=boxes, allow_subset=True)
    counts = {split: len(dataset.split(split)) for split in ("train", "query", "gallery")}
    assert counts == {"train": 6 * 4 * 2, "query": 4 * 4, "gallery": 4 * 4 * 2}
    assert dataset.table.path.str.startswith(f"{small_data_root}/synthetic/{folder}/").all()
    assert not set(dataset.split("train").pid) & set(dataset.split("query").pid)
    assert set(dataset.split("query").camid) == {1, 2, 3, 4}


@pytest.mark.parametrize(
    ("names", "own"),
    [
        (["1.jpg"], True),
        (["manifest.csv"], True),
        (["alice/1.JPG", "bob/1.png", ".DS_Store", "notes.txt"], True),
        (["bounding_box_test/0001_c1.jpg"], True),
        (["CUHK01/0001_c1_1.jpg"], False),
        (["CUHK01/0001_c1_1.jpg", "README.md"], False),
        (["people/alice/1.jpg", "Market-1501-v15.09.15/query/0001_c1.jpg"], False),
        ([], False),
    ],
)
def test_it_is_not_made_among_images_of_ones_own(names, own, tmp_path, monkeypatch):
    monkeypatch.setattr(synthetic, "make_synthetic", lambda folder: make_synthetic(folder, identities=(2, 2)))
    touch(tmp_path, *names)
    if own:
        with pytest.raises(InputError, match=r"holds images, .*: name another --data_root for it, or --dataset folder"):
            read_dataset("synthetic", tmp_path)
        assert not (tmp_path / "synthetic").exists()
    else:
        assert read_dataset("synthetic", tmp_path, allow_subset=True).split("train").pid.nunique() == 2


def test_the_same_images_every_time(small_data_root, tmp_path):
    make_synthetic(tmp_path / "again", identities=(6, 4))
    first, again = (sorted(folder.rglob("*.jpg")) for folder in (small_data_root / "synthetic", tmp_path / "again"))
    assert len(first) == 2 * (48 + 16 + 32)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


def test_it_is_large_enough_to_learn_from():
    assert synthetic.CAMERAS == 4
    assert min(synthetic.TRAIN_IDENTITIES, synthetic.TEST_IDENTITIES) >= 100


def test_tight_boxes_hold_the_person_and_detected_ones_often_do_not():
    cut = {"labelled": 0, "detected": 0}
    for i, camera in enumerate(25 * make_cameras()):
        for boxes in cut:
            left, top, right, bottom = camera.box((100, 50, 160, 220), np.random.default_rng(i), boxes == "detected")
            cut[boxes] += left > 106 or top > 58 or right < 154 or bottom < 212
    assert cut["labelled"] == 0
    assert cut["detected"] > 15


def test_a_person_is_drawn_inside_the_image_from_every_side():
    for i in range(24):
        person = Person.random(np.random.default_rng(i))
        figure = draw_person(person, yaw=i, phase=i / 3, stride=0.55, height=160)
        assert figure.size == (160, 192)
        left, top, right, bottom = figure.getbbox()
        assert 0 < left < right < 160 and 0 < top < bottom < 192
        assert bottom - top > 120


def test_images_differ_by_camera_and_keep_the_shape_of_a_pedestrian():
    cameras = make_cameras()
    images = [
        Image.open(io.BytesIO(make_images(camera, 1, camid, 1)["labelled"])) for camid, camera in enumerate(cameras, 1)
    ]
    assert all(1.2 < image.height / image.width < 4 for image in images)
    means = [np.asarray(image).mean((0, 1)) for image in images]
    assert min(np.abs(a - b).max() for i, a in enumerate(means) for b in means[:i]) > 5
    expected = [[147.7, 111.3, 86.5], [87.9, 99.7, 46.6], [181.2, 140.2, 138.6], [142.2, 109.0, 116.5]]
    np.testing.assert_allclose(means, expected, atol=2, err_msg="other images are another VERSION")


def test_a_folder_of_another_version_is_refused(tmp_path):
    (tmp_path / "synthetic").mkdir()
    with pytest.raises(InputError, match="remove it, and it is rebuilt"):
        read_dataset("synthetic", tmp_path)


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"Cannot write .*synthetic"):
        read_dataset("synthetic", tmp_path / "file")


def test_what_another_process_has_made_meanwhile_is_taken(tmp_path, monkeypatch):
    def made_by_both(folder):
        make_synthetic(folder, identities=(1, 2))
        make_synthetic(folder, identities=(1, 2))

    monkeypatch.setattr(synthetic, "make_synthetic", made_by_both)
    assert len(read_dataset("synthetic", tmp_path, allow_subset=True).split("query"))


def test_interrupted_making_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(synthetic, "make_images", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        make_synthetic(tmp_path / "synthetic", identities=(1, 1))
    assert not list(tmp_path.iterdir())


def test_a_track_is_one_passage_the_same_every_time():
    camera = make_cameras()[1]
    first, again, other = (make_track(camera, 7, 2, index, 4) for index in (0, 0, 1))
    assert first == again and len({image["detected"] for image in first}) == 4
    assert not {image["detected"] for image in first} & {image["detected"] for image in other}
    for seed in range(20):
        moments = camera.passage(np.random.default_rng(seed), 6)
        steps = np.diff([moment.left for moment in moments])
        assert (steps >= 0).all() or (steps <= 0).all()
        assert {(moment.height, moment.top, moment.stride) for moment in moments} == {
            (moments[0].height, moments[0].top, moments[0].stride)
        }
        assert np.ptp([moment.yaw for moment in moments]) < 0.8
        for moment in moments:
            scene, _ = camera.photograph(
                Person.random(np.random.default_rng(0)), np.random.default_rng(0), None, moment
            )
            assert 0 <= moment.left <= camera.background.width - scene.width
