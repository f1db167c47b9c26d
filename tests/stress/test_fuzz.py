"""Hostile input to every reader: arbitrary names, tables, JSON, `.mat` structures and image bytes.

A reader may give a result or raise `InputError`; anything else is a bug.
"""

import contextlib
import io
import json
import tempfile
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from hacnn_tf.data.cuhk03 import MAT, read_cuhk03
from hacnn_tf.data.custom import read_custom
from hacnn_tf.data.decode import MAX_PIXELS, read_image
from hacnn_tf.data.folders import FOLDERS, read_folders
from hacnn_tf.data.load import load_images
from hacnn_tf.export import decoding
from hacnn_tf.training.run_folder import RunFolder
from hacnn_tf.utils.errors import InputError
from tests.paper.runs import make_run
from tests.stress.fuzz_export import GOOD, fuzz, mutated

fuzzed = settings(
    max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
NAMES = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=40)
IMAGE_NAMES = st.builds("{}{}.jpg".format, st.from_regex(r"-?\d{1,30}_c\d{1,30}", fullmatch=True) | st.just(""), NAMES)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@fuzzed
@given(st.sets(IMAGE_NAMES, max_size=5))
def test_names_of_images(names):
    with tempfile.TemporaryDirectory() as folder:
        for part in list(FOLDERS.values())[:3]:
            (Path(folder) / part).mkdir()
        for name in names:
            with contextlib.suppress(OSError):  # too long for this file system
                (Path(folder) / FOLDERS["train"] / name).touch()
        with contextlib.suppress(InputError):
            table = read_folders(folder, "own").table
            assert {Path(path).name for path in table.path} <= names


@fuzzed
@given(st.sets(st.tuples(st.sampled_from(["", "a", "a/b", "-1", "\n"]), IMAGE_NAMES), max_size=6), NAMES)
def test_names_of_ones_own_images(names, pattern):
    with tempfile.TemporaryDirectory() as folder:
        for parent, name in names:
            (Path(folder) / parent).mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(OSError):  # too long for this file system
                (Path(folder) / parent / name).touch()
        for flags in ({}, {"test_share": 1}, {"camera_pattern": pattern}, {"camera_pattern": "(.)"}):
            with contextlib.suppress(InputError):
                table = read_custom(folder, **flags).table
                assert set(table.path) <= {str(Path(folder) / parent / name) for parent, name in names}


@fuzzed
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode) | JSON.map(lambda c: json.dumps(c).encode()))
def test_files_of_a_run_folder(content):
    with tempfile.TemporaryDirectory() as folder:
        run = make_run(Path(folder) / "run", 50)
        for name, read in (
            ("log.csv", lambda: run.read_rows("log", 9)),
            ("evaluations.csv", lambda: run.read_rows("evaluations", 9)),
            ("speed.csv", lambda: run.read_rows("speed", 9)),
            ("metrics.json", run.read_metrics),
            ("config.json", lambda: RunFolder(run.path)),
            ("checkpoints/epoch0001-step00000.npz", run.load_model),
        ):
            (run.path / name).parent.mkdir(exist_ok=True)
            (run.path / name).write_bytes(content)
            with contextlib.suppress(InputError):
                read()


@fuzzed
@given(JSON, st.sampled_from(["settings", "num_identities", "dataset", "fingerprint", "versions", "revision"]))
def test_values_in_a_run_folders_config(value, key):
    with tempfile.TemporaryDirectory() as folder:
        run = make_run(Path(folder) / "run", 50)
        config = json.loads((run.path / "config.json").read_text())
        (run.path / "config.json").write_text(json.dumps(config | {key: value}))
        with contextlib.suppress(InputError):
            RunFolder(run.path).read_metrics()


ARRAYS = st.one_of(
    st.integers(-5, 9).map(np.array),
    st.lists(st.integers(-5, 9), max_size=5).map(np.array),
    st.text(max_size=9).map(np.array),
    st.lists(st.sampled_from(["1_001_1_01.png", "1_1_1_1.png", "x", "9_9_9_9.png"]), max_size=4).map(
        lambda names: np.array([[name] for name in names] or [[]], dtype=object)
    ),
)
PROTOCOL = ["filelist", "labels", "camId", "train_idx", "query_idx", "gallery_idx"]


@fuzzed
@given(
    st.dictionaries(st.sampled_from(PROTOCOL), ARRAYS),
    st.dictionaries(st.sampled_from(["detected", "testsets"]), ARRAYS),
)
def test_structures_of_mat_files(protocol, content):
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "cuhk03_release"
        folder.mkdir()
        scipy.io.savemat(folder / "cuhk03_new_protocol_config_detected.mat", protocol)
        with h5py.File(folder / MAT, "w") as file:
            for name, array in content.items():
                file[name] = np.bytes_("x") if array.dtype.kind in "UO" else array
        for split in ("767_700", "1367_100"):
            with pytest.raises(InputError):
                read_cuhk03(root, split)


@fuzzed
@given(st.binary(max_size=400))
def test_bytes_as_mat_files(content):
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "cuhk03_release"
        folder.mkdir()
        (folder / "cuhk03_new_protocol_config_detected.mat").write_bytes(content)
        (folder / MAT).write_bytes(content)
        for split in ("767_700", "1367_100"):
            with pytest.raises(InputError):
                read_cuhk03(root, split)


def test_image_files(tmp_path):
    path, read = tmp_path / "image.jpg", 0
    for seed in range(50):
        path.write_bytes(mutated(np.random.default_rng(seed)))
        with contextlib.suppress(InputError):
            assert load_images([str(path)], (16, 8)).shape == (1, 16, 8, 3)
            read += 1
    assert 5 < read < 45


def png_of(width, height):
    """The beginning of a PNG that says it is this large."""
    header = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\0\0\0\0"
    chunks = [header, b"IDAT"]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (len(chunk) - 4).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big") for chunk in chunks
    )


def jpeg_of(width, height):
    """A small JPEG that says it is this large."""
    file = io.BytesIO()
    Image.new("L", (8, 8)).save(file, "JPEG")
    before, frame, after = file.getvalue().partition(b"\xff\xc0\0\x0b\x08")
    return before + frame + height.to_bytes(2, "big") + width.to_bytes(2, "big") + after[4:]


@pytest.mark.parametrize("encoded", [png_of(2**13, 2**12 + 1), png_of(2**31 - 1, 2**31 - 1), jpeg_of(65500, 65500)])
def test_images_of_too_many_pixels_are_refused_before_they_are_decoded(encoded):
    with pytest.raises(tf.errors.InvalidArgumentError, match="image of too many pixels"):
        decoding.decode(encoded)
    with pytest.raises(InputError, match="image of too many pixels"):
        read_image(encoded)
    assert MAX_PIXELS >= 7680 * 4320  # an 8K frame is none


@pytest.mark.slow
@pytest.mark.parametrize("form", ["saved_model", "onnx", "litert"])
def test_bytes_into_the_export(form, exported, programs, tmp_path, monkeypatch):
    file = exported / "saved_model" if form == "saved_model" else programs(form)
    monkeypatch.chdir(tmp_path)  # it keeps the inputs that end badly
    outcomes = fuzz(str(file), inputs=300, seed=1)
    assert set(outcomes) <= set(GOOD)
    assert sum(outcomes.values()) == 300 and 30 < outcomes["features"] < 200
    assert outcomes["damaged or truncated image"] > 30
