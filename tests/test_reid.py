"""ReID: the evaluation's features, from whatever it is made and whatever images are given as."""

import functools
import io
import json
import multiprocessing
import pickle
import shutil
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
import pytest

from hacnn_tf import ReID, reid
from hacnn_tf.data.decode import UnreadableImagesError, read_image
from hacnn_tf.data.load import load_images
from hacnn_tf.evaluation import fingerprint
from hacnn_tf.export import FORMATS, Extractor, export_model, find_export, load_export
from hacnn_tf.models import HACNN
from hacnn_tf.training.run_folder import RunFolder
from hacnn_tf.utils.errors import FormatError, InputError
from tests.conftest import in_fork

PROGRAMS = ["onnx", "openvino", "litert"]


@pytest.fixture(scope="module")
def paths(small_data_root):
    return sorted(map(str, small_data_root.glob("synthetic/detected/query/*.jpg")))


@pytest.fixture(scope="module")
def network(small_run):
    return RunFolder(small_run).load_model()[0]


@pytest.fixture(scope="module")
def expected(features, paths):
    """The features that an evaluation extracts."""
    assert list(features[1]) == paths
    return features[0]


@pytest.fixture(scope="module")
def exports(exported, model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports")
    shutil.copytree(exported, folder / "export")
    model.save_to_preset(folder / "preset")
    return folder


@pytest.fixture(scope="module")
def opened(exports):
    """A function that gives the model of a place in `exports`, opened once."""
    return functools.cache(lambda place: ReID.from_preset(exports / place))


def test_the_folder_of_an_export_is_its_keras_file(exports):
    assert find_export(exports / "export") == (FORMATS["keras"], exports / "export/hacnn.keras")


@pytest.mark.parametrize("place", ["export/saved_model", "export/hacnn.keras", "preset"])
def test_whatever_was_made_of_a_run_gives_its_features(opened, place, paths, expected, network):
    model = opened(place)
    np.testing.assert_allclose(model.embed(paths), expected, atol=1e-6)
    assert model.fingerprint == fingerprint(network)
    assert (model.input_size, model.feature_dim) == ((160, 64), 1024)
    assert (model.network is None) == (place == "export/saved_model")


def test_a_preset_of_another_version_is_opened_and_one_of_a_newer_format_is_one_sentence(exports, tmp_path):
    preset = shutil.copytree(exports / "preset", tmp_path / "preset")
    metadata = json.loads((preset / "metadata.json").read_text())
    other = metadata | {"hacnn_tf_version": "9.0.0", "keras_version": "9.0.0"}
    (preset / "metadata.json").write_text(json.dumps(other))
    assert ReID.from_preset(preset).fingerprint == metadata["fingerprint"]
    (preset / "metadata.json").write_text(json.dumps(metadata | {"format": metadata["format"] + 1}))
    with pytest.raises(FormatError, match=r"preset is of format 2, and hacnn_tf .* reads formats up to 1: update"):
        ReID.from_preset(preset)


def test_images_can_be_given_as_anything(model, paths, expected, tmp_path):
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
def test_one_image_alone_is_one_row(model, paths, as_given):
    assert model.embed(as_given(paths[0])).shape == (1, 1024)


def test_many_images_come_in_order_and_none_is_none(model, paths, expected):
    order = np.random.default_rng(0).integers(len(paths), size=3 * reid.BATCH + 5)
    np.testing.assert_allclose(model.embed([paths[i] for i in order]), expected[order], atol=1e-6)
    assert model.embed([]).shape == (0, 1024)


def test_broken_images_are_all_named(model, paths, tmp_path):
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
    assert [outcome.shape for outcome in model.embed_each(np.zeros((160, 64, 3), np.uint8))] == [(1024,)]
    assert all(outcome.base is None for outcome in model.embed_each(paths)), "one that is kept holds no others"
    outcomes = list(model.embed_each([*given, paths[1]]))
    assert [isinstance(outcome, InputError) for outcome in outcomes] == [False, True, True, True, True, True, False]


def test_what_an_iterator_gave_before_it_raised_has_its_features(model, paths, expected):
    def camera():
        yield from paths[:3]
        raise ConnectionError("the camera is gone")

    outcomes = []
    with pytest.raises(ConnectionError, match="the camera is gone"):
        for outcome in model.embed_each(camera()):
            outcomes.append(outcome)  # a list of it would be lost with the error
    np.testing.assert_allclose(outcomes, expected[:3], atol=1e-6)


def test_of_what_is_wanted_whole_an_iterators_error_is_raised_at_once(model, paths, monkeypatch):
    def camera():
        yield from paths
        raise ConnectionError("the camera is gone")

    monkeypatch.setattr(model, "extract", None)
    for embed in (model.embed, lambda images: model.embed_tracks([images])):
        with pytest.raises(ConnectionError, match="the camera is gone"):
            embed(camera())


def test_an_iterator_may_write_one_file_again_and_again(model, paths, expected, tmp_path):
    class Camera:
        def __iter__(self):
            for path in paths[:6]:
                shutil.copy(path, tmp_path / "now.jpg")
                yield tmp_path / "now.jpg"

    def camera():
        return iter(Camera())

    np.testing.assert_allclose(model.embed(Camera()), expected[:6], atol=1e-6)
    np.testing.assert_allclose(model.embed(camera()), expected[:6], atol=1e-6)
    tracks = model.embed_tracks([camera(), paths[:6]])
    np.testing.assert_allclose(tracks[0], tracks[1], atol=1e-6)


def test_what_is_unreadable_travels_between_processes_and_holds_no_pixels(model, tmp_path):
    with pytest.raises(UnreadableImagesError) as error:
        model.embed([tmp_path / "none.jpg"])
    again = pickle.loads(pickle.dumps(error.value))
    assert (type(again), str(again), again.problems) == (UnreadableImagesError, str(error.value), error.value.problems)
    cut = b"\xff\xd8\xff\xe0 cut"
    (tmp_path / "cut.jpg").write_bytes(cut)
    odd = [cut, tmp_path / "cut.jpg", tmp_path / "none.jpg", "a\0b.jpg", "~\0/\ud800.jpg", PIL.Image.new("F", (4, 4))]
    for given in (odd, iter(odd)):
        outcomes = list(model.embed_each(given))
        assert [type(outcome) for outcome in outcomes] == [InputError] * len(odd)
        assert all(outcome.__traceback__ is None and outcome.__context__ is None for outcome in outcomes)


def test_a_track_is_one_feature_of_its_images(model, paths, expected):
    tracks = [paths[:3], [paths[3]], paths[4:6]]
    features = model.embed_tracks(tracks)
    assert features.shape == (3, 1024) and features.dtype == np.float32
    for feature, part in zip(features, (expected[:3], expected[3:4], expected[4:6]), strict=True):
        halves = part.mean(axis=0).reshape(2, 512)
        halves /= np.linalg.norm(halves, axis=1, keepdims=True)
        np.testing.assert_allclose(feature, halves.ravel(), atol=1e-6)
    lazily = ((read_image(path) for path in track) for track in tracks)
    np.testing.assert_allclose(model.embed_tracks(lazily), features, atol=1e-6)
    assert model.embed_tracks([]).shape == (0, 1024)


def test_what_is_wrong_with_tracks_is_said(model, paths, tmp_path):
    (tmp_path / "text.jpg").write_text("no image")
    with pytest.raises(InputError) as error:
        model.embed_tracks([[paths[0]], (image for image in (paths[1], b"", tmp_path / "text.jpg"))])
    sentence = str(error.value)
    assert sentence.startswith("2 of 4 images cannot be read: image 1 of track 1 (empty file)")
    assert "text.jpg (not an image" in sentence
    for empty in ([], iter(())):
        with pytest.raises(InputError, match="Track 1 has no images: leave it out, or give it some"):
            model.embed_tracks([[paths[0]], empty, [paths[1]]])
    for alone in (str(paths[0]), Path(paths[0]), Path(paths[0]).read_bytes(), read_image(paths[0])):
        with pytest.raises(InputError, match=r"^embed_tracks takes a list of tracks, and this is one image: give"):
            model.embed_tracks(alone)


def test_one_object_serves_many_threads(model, paths, expected):
    with ThreadPoolExecutor(8) as pool:
        for features in pool.map(model.embed, [paths] * 16):
            np.testing.assert_allclose(features, expected, atol=1e-6)


FORKED = "was in use before this process was forked, and its threads did not come along: open models and databases only"


@pytest.mark.parametrize("place", ["run", "export/saved_model", "export/hacnn.keras", "preset", *PROGRAMS])
def test_a_fork_is_told_at_once(place, model, opened, programs, paths):
    if place != "run":
        model = ReID.from_preset(programs(place)) if place in PROGRAMS else opened(place)
    images = load_images(paths[:2], (160, 64))
    expected = model.extract(images)
    for call in (
        lambda: model.extract(images),
        lambda: model.embed(paths),
        lambda: model.embed_each(paths),
        lambda: model.embed_tracks([paths]),
        lambda: model.embed_boxes(images[0], [[0, 0, 9, 9]]),
        lambda: model.embed_boxes_each(images[0], [[0, 0, 9, 9]]),
    ):
        assert in_fork(call).startswith(f"InputError: The network {FORKED}")
    np.testing.assert_array_equal(model.extract(images), expected)


def test_a_fork_cannot_open_what_needs_tensorflow_again(model, small_run, exports, tmp_path):
    assert in_fork(lambda: model.save_to_preset(tmp_path / "new")).startswith(f"InputError: The network {FORKED}")
    assert in_fork(lambda: RunFolder(small_run).load_model()).startswith(f"InputError: TensorFlow {FORKED}")
    for place in (small_run, *(exports / name for name in ("export/saved_model", "export/hacnn.keras", "preset"))):
        assert in_fork(lambda place=place: ReID.from_preset(place)).startswith(f"InputError: TensorFlow {FORKED}")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_pickle_opens_the_same_again(model, opened, exports, paths, monkeypatch):
    monkeypatch.chdir(exports)
    models = [model, opened("export/saved_model"), ReID.from_preset(Path("preset"), precision="mixed_bfloat16")]
    models.append(ReID("another name", load_export("export")))
    pickles = [pickle.dumps(model) for model in models]
    monkeypatch.chdir("/")
    for model, content in zip(models, pickles, strict=True):
        assert len(content) < 1000, "where it is, and not what it is"
        again = pickle.loads(content)
        assert again.fingerprint == model.fingerprint
        np.testing.assert_array_equal(again.embed(paths[:3]), model.embed(paths[:3]))
    assert pickle.loads(content) is again, "opened once, however many tasks bring it"
    bundled = ReID.from_preset("hacnn_cuhk03_detected")
    assert pickle.loads(pickle.dumps(bundled)).name == bundled.name == "hacnn_cuhk03_detected"


@pytest.mark.slow
def test_a_pickle_of_another_model_now(exports, network, tmp_path):
    shutil.copytree(exports / "preset", tmp_path / "preset")
    content = pickle.dumps(ReID.from_preset(tmp_path / "preset"))
    shutil.rmtree(tmp_path / "preset")
    with pytest.raises(InputError, match="is not a run folder, preset or export"):
        pickle.loads(content)
    other = HACNN(**(network.get_config() | {"name": "other"}))
    ReID("other", Extractor.of_network(other)).save_to_preset(tmp_path / "preset")
    with pytest.raises(InputError, match=f"{tmp_path}/preset is another network here .* than the one that was pickled"):
        pickle.loads(content)
    with pytest.raises(InputError, match="other was not opened from a file, and cannot be sent to another process"):
        pickle.dumps(ReID("other", Extractor.of_network(other)))


@pytest.mark.slow
def test_another_process_takes_it(model, paths, expected):
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        np.testing.assert_allclose(pool.submit(model.embed, paths).result(timeout=300), expected, atol=1e-6)


def test_home_is_known(exports, paths, expected, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(exports))
    model = ReID.from_preset("~/export")
    shutil.copy(paths[0], exports / "a.jpg")
    np.testing.assert_allclose(model.embed("~/a.jpg")[0], expected[0], atol=1e-6)
    assert model.embed_boxes("~/a.jpg", [[0, 0, 9, 9]]).shape == (1, 1024)
    monkeypatch.setenv("HOME", str(tmp_path))
    model.save_to_preset("~/new")
    assert ReID.from_preset("~/new").fingerprint == model.fingerprint
    export_model(model.network, Path("~/export"), ["keras"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export", "new"]


def test_a_network_that_was_trained_further_is_saved_as_keras_alone(exports, paths, tmp_path):
    model = ReID.from_preset(exports / "preset")
    before = model.embed(paths)
    for weight in model.network.trainable_weights:
        weight.assign(1.01 * weight)
    np.testing.assert_array_equal(model.embed(paths), before)
    with pytest.raises(InputError, match="has other weights now than its features are of: save it"):
        model.save_to_preset(tmp_path / "new")
    assert not list(tmp_path.iterdir())
    model.network.save(tmp_path / "mine.keras")
    trained = ReID.from_preset(tmp_path / "mine.keras")
    assert trained.fingerprint != model.fingerprint
    trained.save_to_preset(tmp_path / "new")
    np.testing.assert_allclose(ReID.from_preset(tmp_path / "new").embed(paths), trained.embed(paths), atol=1e-6)


def test_what_a_program_does_about_underflow_is_its_own_matter(exports):
    with np.errstate(all="raise"):
        ReID.from_preset(exports / "preset")


def test_a_preset_in_half_precision_is_half_as_large_and_nearly_the_same(model, exports, paths, expected, tmp_path):
    model.save_to_preset(tmp_path / "half", dtype="float16")
    half = ReID.from_preset(tmp_path / "half")
    np.testing.assert_allclose(half.embed(paths), expected, atol=1e-3)
    assert half.fingerprint == model.fingerprint
    sizes = [(folder / "model.weights.h5").stat().st_size for folder in (tmp_path / "half", exports / "preset")]
    assert sizes[0] < 0.55 * sizes[1]
    half.save_to_preset(tmp_path / "again")
    assert ReID.from_preset(tmp_path / "again").fingerprint == model.fingerprint


def test_another_precision_is_the_same_model(exports, small_run, network, paths, expected):
    for place in (exports / "export", exports / "preset", small_run):
        model = ReID.from_preset(place, precision="mixed_bfloat16")
        assert model.network.dtype_policy.name == "mixed_bfloat16"
        assert model.fingerprint == fingerprint(network)
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
    with pytest.raises(InputError, match="is not a preset, or damaged"):
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


def test_an_image_that_opencv_did_not_find_is_one_sentence(model):
    with pytest.raises(UnreadableImagesError, match="image 0"):
        model.embed(None)
