"""Keras files: the network itself."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from hacnn_tf.export import load_export
from hacnn_tf.training.run_folder import RunFolder
from hacnn_tf.utils.errors import InputError


def test_the_keras_file_loads_once_the_models_are_imported(exported):
    script = (
        "import sys, hacnn_tf.models, keras; print(type(keras.saving.load_model(sys.argv[1], safe_mode=True)).__name__)"
    )
    args = [sys.executable, "-c", script, exported / "hacnn.keras"]
    assert subprocess.run(args, check=True, capture_output=True, text=True).stdout == "HACNN\n"


def test_the_keras_file_is_the_network(exported, small_run):
    loaded = keras.saving.load_model(exported / "hacnn.keras", safe_mode=True)
    model, _ = RunFolder(small_run).load_model()
    images = np.random.default_rng(0).integers(0, 256, (2, 160, 64, 3), dtype=np.uint8)
    np.testing.assert_array_equal(loaded.feature_extractor()(images), model.feature_extractor()(images))


def test_a_keras_file_that_holds_code_is_not_run(tmp_path):
    ran = tmp_path / "ran"
    images = keras.Input((160, 64, 3))
    model = keras.Model(images, keras.layers.Lambda(eval(f"lambda x: (open({str(ran)!r}, 'w'), x)[1]"))(images))
    model.save(tmp_path / "code.keras")
    ran.unlink()
    with pytest.raises(InputError, match=r"code\.keras"):
        load_export(tmp_path / "code.keras")
    assert not ran.exists()
