"""ReID: the evaluation's features, from whatever it is made and whatever pictures are given as."""

import io
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import PIL.Image
import pytest

from hacnn_tf import ReID, reid
from hacnn_tf.data.images import load_images, read_image
from hacnn_tf.errors import InputError
from hacnn_tf.evaluation import extract_features, feature_function, fingerprint
from hacnn_tf.export import export_model
from hacnn_tf.training.run_folder import RunFolder


@pytest.fixture(scope="module")
def paths(small_data_root):
    return sorted(map(str, small_data_root.glob("synthetic/detected/query/*.jpg")))


@pytest.fixture(scope="module")
def network(small_run):
    return RunFolder(small_run).load_model()[0]


@pytest.fixture(scope="module")
def expected(network, paths):
    """The features that an evaluation extracts."""
    return extract_features(feature_function(network), load_images(paths, (160, 64)))


@pytest.fixture(scope="module")
def model(small_run):
    return ReID.from_preset(small_run)


@pytest.fixture(scope="module")
def exports(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports")
    export_model(network, folder / "export")
    ReID.from_preset(folder / "export").save_to_preset(folder / "preset")
    return folder


@pytest.mark.parametrize("place", ["export", "export/saved_model", "export/hacnn.keras", "preset"])
def test_whatever_was_made_of_a_run_gives_its_features(exports, place, paths, expected, network):
    model = ReID.from_preset(exports / place)
    np.testing.assert_allclose(model.embed(paths), expected, atol=1e-6)
    assert model.fingerprint == fingerprint(network)
    assert (model.input_size, model.feature_dim) == ((160, 64), 1024)
    assert (model.network is None) == (place == "export/saved_model")


def test_pictures_can_be_given_as_anything(model, paths, expected, tmp_path):
    pixels = [np.asarray(PIL.Image.open(path)) for path in paths[:3]]
    for i, array in enumerate(pixels):
        PIL.Image.fromarray(array).save(tmp_path / f"{i}.png")
    given = [tmp_path / "0.png", (tmp_path / "1.png").read_bytes(), PIL.Image.fromarray(pixels[2])]
    features = model.embed(given)
    np.testing.assert_array_equal(features, model.embed(pixels))
    np.testing.assert_array_equal(features, model.embed(image for image in pixels))
    np.testing.assert_allclose(features, expected[:3], atol=1e-6)
    assert features.dtype == np.float32


@pytest.mark.parametrize(
    "as_given",
    [str, Path, lambda p: Path(p).read_bytes(), lambda p: bytearray(Path(p).read_bytes()), PIL.Image.open, read_image],
)
def test_one_picture_alone_is_one_row(model, paths, as_given):
    assert model.embed(as_given(paths[0])).shape == (1, 1024)


def test_many_pictures_come_in_order_and_none_is_none(model, paths, expected):
    order = np.random.default_rng(0).integers(len(paths), size=3 * reid.BATCH + 5)
    np.testing.assert_allclose(model.embed([paths[i] for i in order]), expected[order], atol=1e-6)
    assert model.embed([]).shape == (0, 1024)


def test_broken_pictures_are_all_named(model, paths, tmp_path):
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "cut.jpg").write_bytes(Path(paths[0]).read_bytes()[:700])
    given = [
        paths[0],
        tmp_path / "text.jpg",
        b"",
        np.zeros((4, 4)),
        tmp_path / "none.jpg",
        tmp_path / "cut.jpg",
    ]
    with pytest.raises(InputError) as error:
        model.embed(given)
    sentence = str(error.value)
    assert sentence.startswith("5 of 6 images cannot be read: ")
    for words in (
        "text.jpg (not an image",
        "image 2 (empty file)",
        "not float64 array (4, 4)",
        "none.jpg (no such file)",
    ):
        assert words in sentence
    assert "cut.jpg (damaged or truncated image)" in sentence
    with pytest.raises(InputError, match=r"text.jpg \(not an image"):
        model.embed(pd.Series([str(tmp_path / "text.jpg")], index=[7]))
    cut = PIL.Image.open(io.BytesIO(Path(paths[0]).read_bytes()[:700]))
    assert isinstance(next(model.embed_each([cut])), InputError)
    outcomes = list(model.embed_each([*given, paths[1]]))
    assert [isinstance(outcome, InputError) for outcome in outcomes] == [False, True, True, True, True, True, False]


def test_one_object_serves_many_threads(model, paths, expected):
    with ThreadPoolExecutor(8) as pool:
        for features in pool.map(model.embed, [paths] * 16):
            np.testing.assert_allclose(features, expected, atol=1e-6)


def test_boxes_are_cut_out_of_the_frame(model):
    frame = np.random.default_rng(0).integers(256, size=(120, 200, 3), dtype=np.uint8)
    boxes = [[10, 20, 50, 100], [-30, -5.5, 20.2, 80], [150.5, 60, 999, 999]]
    crops = [frame[20:100, 10:50], frame[0:80, 0:21], frame[60:120, 150:200]]
    np.testing.assert_array_equal(model.embed_boxes(frame, boxes), model.embed(crops))
    detections = SimpleNamespace(xyxy=np.array(boxes, np.float32))
    np.testing.assert_array_equal(model.embed_boxes(PIL.Image.fromarray(frame), detections), model.embed(crops))
    assert model.embed_boxes(frame, np.zeros((0, 4))).shape == (0, 1024)


@pytest.mark.parametrize(
    ("boxes", "words"),
    [
        (
            [[0, 0, 10, 10], [300, 0, 400, 50]],
            r"Box 1 \(300, 0, 400, 50\) has nothing of the frame, which is 200 × 120",
        ),
        ([[50, 20, 10, 100]], "Box 0"),
        ([[0, 0, np.nan, 10]], "Box 0"),
        ([[0, 0, 10]], r"Boxes must be \(n, 4\)"),
        ([0, 0, 10, 10], r"Boxes must be \(n, 4\)"),
        ("abcd", "Boxes must be"),
    ],
)
def test_boxes_that_are_none(model, boxes, words):
    with pytest.raises(InputError, match=words):
        model.embed_boxes(np.zeros((120, 200, 3), np.uint8), boxes)
    with pytest.raises(InputError, match="frame cannot be read"):
        model.embed_boxes(np.zeros((120, 200, 3)), boxes)


def test_a_preset_in_half_precision_is_half_as_large_and_nearly_the_same(model, exports, paths, expected, tmp_path):
    model.save_to_preset(tmp_path / "half", dtype="float16")
    half = ReID.from_preset(tmp_path / "half")
    np.testing.assert_allclose(half.embed(paths), expected, atol=1e-3)
    assert half.fingerprint == model.fingerprint
    sizes = [(folder / "model.weights.h5").stat().st_size for folder in (tmp_path / "half", exports / "preset")]
    assert sizes[0] < 0.55 * sizes[1]
    half.save_to_preset(tmp_path / "again")
    assert ReID.from_preset(tmp_path / "again").fingerprint == model.fingerprint


def test_another_precision_is_the_same_model(exports, small_run, paths, expected):
    for place in (exports / "export", exports / "preset", small_run):
        model = ReID.from_preset(place, precision="mixed_bfloat16")
        assert model.network.dtype_policy.name == "mixed_bfloat16"
        assert model.fingerprint == ReID.from_preset(place).fingerprint
        difference = np.abs(model.embed(paths) - expected).max()
        assert 0 < difference < 0.05


def test_a_preset_appears_whole_or_not_at_all(model, exports, tmp_path):
    with pytest.raises(InputError, match="exists"):
        model.save_to_preset(exports / "preset")
    with pytest.raises(InputError, match="is a program and not a network"):
        ReID.from_preset(exports / "export/saved_model").save_to_preset(tmp_path / "new")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["config", "weights", "metadata", "other network"])
def test_a_damaged_preset(exports, tmp_path, damage):
    folder = tmp_path / "preset"
    shutil.copytree(exports / "preset", folder)
    if damage == "weights":
        data = (folder / "model.weights.h5").read_bytes()
        (folder / "model.weights.h5").write_bytes(data[: len(data) // 2])
    elif damage == "other network":
        content = json.loads((folder / "config.json").read_text())
        content["config"]["widths"] = [16, 32, 48]
        (folder / "config.json").write_text(json.dumps(content))
    else:
        (folder / f"{damage}.json").write_text("{}")
    with pytest.raises(InputError, match="is not a preset of this version of hacnn_tf, or damaged"):
        ReID.from_preset(folder)


def test_what_a_network_cannot_be(model, small_run, tmp_path):
    with pytest.raises(InputError, match="precision must be one of float32, mixed_bfloat16, mixed_float16, not float8"):
        ReID.from_preset(small_run, precision="float8")
    with pytest.raises(InputError, match="dtype must be one of float32, float16, not int4"):
        model.save_to_preset(tmp_path / "new", dtype="int4")


def test_what_is_no_model_at_all(tmp_path, exports):
    with pytest.raises(InputError, match="is not a run folder, preset or export"):
        ReID.from_preset(tmp_path)
    with pytest.raises(InputError, match="is not a run folder, preset or export"):
        ReID.from_preset("resnet50")
    (tmp_path / "hacnn.keras").write_bytes(b"PK")
    with pytest.raises(InputError, match="is not an exported network"):
        ReID.from_preset(tmp_path)
    with pytest.raises(InputError, match="has its own precision"):
        ReID.from_preset(exports / "export/saved_model", precision="mixed_bfloat16")
