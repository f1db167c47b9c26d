"""SavedModels: the same features where hacnn_tf is not installed, from pixels of any size and from encoded bytes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from hacnn_tf.data.decode import MAX_PIXELS
from hacnn_tf.export.decoding import resize

RESIZED = 1e-2  # distance of features of pixels that TensorFlow and Pillow have resized
FOREIGN_SCRIPT = """
import sys
sys.modules["hacnn_tf"] = None  # cannot be imported
import numpy as np
import tensorflow as tf
folder, output, *paths = sys.argv[1:]
model = tf.saved_model.load(folder)
encoded = [tf.io.read_file(path) for path in paths]
from_bytes = model.signatures["encoded"](encoded=tf.stack(encoded))["features"]
decoded = [tf.io.decode_jpeg(x, dct_method="INTEGER_ACCURATE")[None] for x in encoded]
one_by_one = [model.signatures["images"](images=x)["features"] for x in decoded]
np.savez(output, from_bytes=from_bytes, from_images=tf.concat(one_by_one, 0))
"""


def test_images_of_the_size_asked_for_are_not_resized():
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 8, 3), np.uint8)
    for given in (images, images[0]):
        np.testing.assert_array_equal(resize(tf.constant(given), (16, 8)), given)
    doubled = resize(tf.constant(images.repeat(2, axis=1).repeat(2, axis=2)), (16, 8))
    assert np.abs(doubled.numpy().astype(int) - images).max() > 0  # antialiased, over more than one pixel
    assert doubled.shape == images.shape


@pytest.mark.slow
def test_a_foreign_process_gets_the_evaluations_features(exported, features, tmp_path):
    expected, paths = features
    args = [sys.executable, "-c", FOREIGN_SCRIPT, exported / "saved_model", tmp_path / "foreign.npz", *paths]
    subprocess.run(args, check=True, cwd=tmp_path)
    with np.load(tmp_path / "foreign.npz") as found:
        assert found["from_bytes"].shape == (16, 1024)
        np.testing.assert_allclose(found["from_images"], found["from_bytes"], atol=1e-5)
        assert np.linalg.norm(found["from_bytes"] - expected, axis=1).max() < RESIZED


@pytest.mark.parametrize("signature", ["encoded", "serving_default"])
def test_a_bad_image_does_not_lose_the_others(signature, exported, features):
    expected, paths = features
    good = [Path(path).read_bytes() for path in paths[:2]]
    png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (2**14).to_bytes(4, "big") + (2**14).to_bytes(4, "big")
    given = [b"", good[0], b"text", good[1][:700], png + b"\x08\2\0\0\0", good[1]]
    assert MAX_PIXELS < 2**28
    network = tf.saved_model.load(exported / "saved_model").signatures[signature]
    found = network(encoded=tf.constant(given))
    assert [status.decode() for status in found["status"].numpy()] == [
        "not a JPEG or PNG image",
        "ok",
        "not a JPEG or PNG image",
        "damaged or truncated image",
        "image of too many pixels",
        "ok",
    ]
    assert np.linalg.norm(found["features"].numpy()[[1, 5]] - expected[:2], axis=1).max() < RESIZED
    assert not found["features"].numpy()[[0, 2, 3, 4]].any()
    for encoded in ([], [b"", b"x"]):
        found = network(encoded=tf.constant(encoded, tf.string))
        assert found["features"].shape == (len(encoded), 1024) and found["status"].shape == (len(encoded),)


def test_no_images_are_no_features(exported):
    network = tf.saved_model.load(exported / "saved_model").signatures["images"]
    assert network(images=tf.zeros((0, 90, 40, 3), tf.uint8))["features"].shape == (0, 1024)
