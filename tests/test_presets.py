"""The weights that come with hacnn_tf: the file is the one of its card, and gives the features of what was trained."""

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from hacnn_tf import ReID
from hacnn_tf.evaluation.calibration import Calibration
from hacnn_tf.export.decoding import resize
from hacnn_tf.preset import FOR_USE, SHIPPED, find_model, from_anywhere

PRESETS = sorted(folder.name for folder in SHIPPED.iterdir())
CALIBRATED = [name for name in PRESETS if name != FOR_USE]  # the others have seen all people that there are to fit to


def test_there_are_some():
    assert {"hacnn_cuhk03_detected_strong", FOR_USE} < {*PRESETS}
    assert ReID.from_preset(FOR_USE).calibration is None


@pytest.mark.parametrize("name", PRESETS)
def test_the_file_is_that_of_the_card(name):
    content = (SHIPPED / name / "model.weights.h5").read_bytes()
    card = (SHIPPED / name / "README.md").read_text()
    assert re.search(r"SHA-256 `([0-9a-f]{64})`", card)[1] == hashlib.sha256(content).hexdigest()
    assert len(content) < 7e6


@pytest.mark.parametrize("name", CALIBRATED)
def test_the_calibration_is_of_these_weights_and_that_of_the_card(name):
    fingerprint = json.loads((SHIPPED / name / "metadata.json").read_text())["fingerprint"]
    calibration = Calibration.read(SHIPPED / name / "calibration.json", fingerprint)
    assert (calibration.dataset, calibration.persons) == ("CUHK03 767/700, detected boxes", 700)
    assert f"Brier score {calibration.brier:.4f}" in (SHIPPED / name / "README.md").read_text()
    assert calibration.probability(1.0) > 0.9 and calibration.probability(1.5) < 0.1


@pytest.mark.parametrize("name", PRESETS)
def test_the_features_of_drawn_persons(name, small_data_root):
    """Those of the trained weights before they were rounded to half precision, of pixels as they were decoded then."""
    paths = sorted(small_data_root.glob("synthetic/detected/query/*.jpg"))
    expected = np.load(Path(__file__).parent / "presets" / f"{name}.npy", allow_pickle=False)
    model = ReID.from_preset(name)
    decoded = [tf.io.decode_jpeg(path.read_bytes(), dct_method="INTEGER_FAST") for path in paths]
    images = np.stack([resize(image, model.input_size) for image in decoded])
    np.testing.assert_allclose(model.extract(images), expected, atol=1e-3)


def test_a_folder_of_its_name_does_not_hide_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / PRESETS[0]).mkdir()
    assert find_model(PRESETS[0]).path == SHIPPED / PRESETS[0]
    assert from_anywhere(PRESETS[0]) == PRESETS[0]
    assert from_anywhere("runs/none") == "runs/none"
