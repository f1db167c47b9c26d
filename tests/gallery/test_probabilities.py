"""What a search found, judged: the prior of a search, and what is left out."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from hacnn_tf.utils.errors import InputError
from tests.gallery.conftest import MODEL

pytest.importorskip("lancedb", reason='needs the extra "search"')

from hacnn_tf.evaluation.calibration import Calibration
from hacnn_tf.gallery.probabilities import Probabilities, limits
from hacnn_tf.gallery.results import as_text, captions

CURVE = Calibration("aa", 6.0, -4.0, "doors", 30, 90, 2000, 0.1)
FOUND = pd.DataFrame({"path": ["/a.jpg", "/b.jpg", "/c.jpg"], "distance": [0.5, 1.0, 1.5], "camid": 1, "time": pd.NaT})


@pytest.mark.parametrize(("count", "prior", "share"), [(1000, None, 0.001), (1, None, 0.5), (1000, 0.3, 0.3)])
def test_one_of_the_images_is_taken_for_the_persons(count, prior, share):
    rows, less = Probabilities(CURVE, count, prior).add(FOUND)
    odds = np.exp(6 - 4 * FOUND.distance**2) * share / (1 - share)
    np.testing.assert_allclose(rows["_probability"], odds / (1 + odds))
    assert less == 0 and list(FOUND.columns) == ["path", "distance", "camid", "time"], "what was given is as it was"


def test_a_model_of_other_features_has_none(filled):
    other = SimpleNamespace(name="runs/b", fingerprint="bb", feature_dim=MODEL.feature_dim, calibration=CURVE)
    with pytest.raises(InputError, match=r"holds features of runs/a .* and runs/b is another"):
        Probabilities.find(filled[0], other)


def test_a_model_of_int8_has_none_for_other_features(filled):
    model = SimpleNamespace(**{**vars(MODEL), "precision": "int8", "calibration": CURVE})
    found, note = Probabilities.find(filled[0], model)
    assert found is None and note.startswith(f"No probabilities: {filled[0].path} was indexed in float32, and runs/a")
    assert Probabilities.find(filled[0], SimpleNamespace(**vars(MODEL), calibration=CURVE))[0]


def test_what_is_less_probable_is_left_out_and_counted():
    rows, less = Probabilities(CURVE, 10, 0.5).add(FOUND, 0.8)
    assert (rows.path.tolist(), less) == (["/a.jpg", "/b.jpg"], 1)
    assert list(captions(rows)) == [
        ["1. 0.500", "probability 0.993", "camera 1"],
        ["2. 1.000", "probability 0.881", "camera 1"],
    ]
    rows, less = Probabilities(CURVE, 10, 0.5).add(FOUND, 1)
    assert (len(rows), less) == (0, 3)
    assert as_text(rows).split() == ["rank", "distance", "probability", "camera", "time", "path"]


def test_the_name_of_a_dataset_moves_no_cursor():
    note = Probabilities(dataclasses.replace(CURVE, dataset="do\x1b[2Jors"), 10, uncalibrated="p.lance").note
    assert r"on cameras like those of 'do\x1b[2Jors'. On others, " in note and "\x1b" not in note


def test_what_is_not_shown_is_said():
    assert limits(5, 1, 0.9, 6) == ["1 below 0.9 is left out."]
    assert limits(0, 3000, 0.95, 3000) == ["3,000 below 0.95 are left out."]
    assert limits(20, 0, 0.9, 20) == ["All 20 that were asked for are at 0.9 or above: there may be more."]
    assert limits(20, 0, 0, 20) == [] and limits(19, 0, 0.9, 20) == []


def test_a_column_of_the_manifest_may_have_that_name():
    rows, _ = Probabilities(CURVE, 10).add(FOUND.assign(probability=["low", "high", None]))
    assert "probability low" in next(captions(rows)) and as_text(rows).count("probability") == 1
