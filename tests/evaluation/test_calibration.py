"""A calibration: Bayes' rule by hand, and its file, whole, damaged, or another network's."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from hacnn_tf.evaluation.calibration import Calibration
from hacnn_tf.utils.errors import FormatError, InputError

MADE = Calibration("aa", 6.0, -4.0, "doors", 30, 90, 2000, 0.1)


def test_a_prior_changes_the_odds_as_bayes_has_it():
    distances = np.linspace(0, 2, 50)
    likelihood_ratio = np.exp(6 - 4 * distances**2)
    for prior in (0.5, 0.001, 0.9):
        same, different = likelihood_ratio * prior, 1 - prior
        np.testing.assert_allclose(MADE.probability(distances, prior), same / (same + different))
    np.testing.assert_array_equal(MADE.probability(distances), MADE.probability(distances, 0.5))


def test_any_shape_and_any_distance():
    assert MADE.probability(0.5).shape == ()
    assert MADE.probability([[0.5, 1], [2, 3]]).shape == (2, 2)
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(MADE.probability(np.float32([1e4, 0]), 1e-300), [0, 0])
        assert MADE.probability(0, 1 - 1e-16) == 1


@pytest.mark.parametrize("prior", [0, 1, -1, 2, np.nan])
def test_a_prior_is_a_share(prior):
    with pytest.raises(InputError, match="above 0 and below 1, and not"):
        MADE.probability(1.0, prior)


def test_the_file_gives_the_same_calibration(tmp_path):
    MADE.write(tmp_path / "a.json")
    assert Calibration.read(tmp_path / "a.json", "aa") == MADE
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def changed(**values):
    return json.dumps(MADE.to_json() | values)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is damaged"),
        ("[]", "is damaged"),
        ("[" * 100_000, "is damaged"),
        ("{}", "is damaged (it has no 'coefficients')"),
        (changed(format="new"), "is damaged"),
        (changed(coefficients={"intercept": 1.0}), "is damaged (it has no 'squared_distance')"),
        (changed(coefficients={"intercept": 1.0, "squared_distance": 1.0}), "is damaged (its curve does not fall)"),
        (changed(coefficients={"intercept": float("nan"), "squared_distance": -1.0}), "is damaged"),
        (changed(coefficients=[1, -1]), "is damaged"),
        (changed(pairs=3), "is damaged"),
        (changed(method="isotonic"), "is damaged (it holds another kind of curve)"),
        (changed(prior=0.1), "is damaged (it holds another kind of curve)"),
        (changed(fingerprint="bb"), "is of another network (bb) than this one (aa)"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(tmp_path, text, words):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        Calibration.read(path, "aa")
    said = str(error.value)
    assert words in said and str(path) in said and "\n" not in said
    assert said.endswith("calibrate again with python -m hacnn_tf.calibrate, or remove it.")


def test_a_file_that_is_none_or_newer(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xff\xfe")
    for path in (tmp_path, tmp_path / "a.json"):
        with pytest.raises(InputError, match=r"cannot be read .*: calibrate again, or remove it\.$"):
            Calibration.read(path, "aa")
    (tmp_path / "a.json").write_text(changed(format=2, method="unknown"))
    with pytest.raises(FormatError, match=r"is of format 2, and hacnn_tf .* reads formats up to 1: update"):
        Calibration.read(tmp_path / "a.json", "aa")


def test_applying_one_waits_for_nothing():
    script = (
        "import sys; from hacnn_tf.evaluation.calibration import Calibration\n"
        f"{dataclasses.replace(MADE)!r}.probability([1.0])\n"
        "print({'sklearn', 'scipy', 'pandas', 'tensorflow', 'keras'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr
