"""Boxes in a frame: what is cut out of it, as `ReID.embed_boxes` takes it, and what is wrong with others."""

import re
from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest

from hacnn_tf.utils.errors import InputError


def test_boxes_are_cut_out_of_the_frame(model):
    frame = np.random.default_rng(0).integers(256, size=(120, 200, 3), dtype=np.uint8)
    boxes = [[10, 20, 50, 100], [-30, -5.5, 20.2, 80], [150.5, 60, 999, 999]]
    crops = [frame[20:100, 10:50], frame[0:80, 0:21], frame[60:120, 150:200]]
    np.testing.assert_array_equal(model.embed_boxes(frame, boxes), model.embed(crops))
    detections = SimpleNamespace(xyxy=np.array(boxes, np.float32))
    np.testing.assert_array_equal(model.embed_boxes(PIL.Image.fromarray(frame), detections), model.embed(crops))
    assert model.embed_boxes(frame, np.zeros((0, 4))).shape == (0, 1024)
    assert model.embed_boxes_each(frame, SimpleNamespace(xyxy=np.zeros((0, 4)))) == []


BAD_BOXES = {
    (300, 0, 400, 50): r"\(300, 0, 400, 50\) is outside of the frame, which is 200 × 120 \(width × height\) pixels",
    (-50, 0, -1, 50): "is outside of the frame",
    (50, 20, 10, 100): r"\(50, 20, 10, 100\) is empty: its left upper corner must be before its right lower one",
    (10.8, 20, 10.2, 100): "is empty",
    (10.2, 20, 10.2, 100): "is empty",
    (0.1, 0.2, 0.5, 1): "is at most two pixels: multiply shares of a frame by its width and height",
    (-0.01, 0.2, 0.5, 1.02): "is at most two pixels: multiply shares of a frame by its width and height",
    (0, 0, float("nan"), 10): "is not finite",
    (0, 0, float("inf"), 10): "is not finite",
}


@pytest.mark.parametrize("as_given", [list, np.array, lambda boxes: SimpleNamespace(xyxy=np.array(boxes, np.float32))])
def test_a_box_that_is_none_does_not_cost_the_others(model, as_given):
    frame = np.random.default_rng(0).integers(256, size=(120, 200, 3), dtype=np.uint8)
    good = [(10, 20, 50, 100), (150, 60, 999, 999)]
    bad = list(BAD_BOXES)
    outcomes = model.embed_boxes_each(frame, as_given([good[0], *bad, good[1]]))
    expected = model.embed([frame[20:100, 10:50], frame[60:120, 150:200]])
    np.testing.assert_array_equal([outcomes[0], outcomes[-1]], expected)
    for outcome, words in zip(outcomes[1:-1], BAD_BOXES.values(), strict=True):
        assert isinstance(outcome, InputError) and re.search(words, str(outcome))
    with pytest.raises(InputError) as error:
        model.embed_boxes(frame, as_given([good[0], *bad, good[1]]))
    sentence = str(error.value)
    count = f"{len(bad)} of {len(bad) + 2}"
    assert sentence.startswith(f"{count} boxes cannot be cut out of the frame: box 1 (300, 0, 400, 50) is outside")
    assert sentence.endswith(
        f"; box {len(bad)} (0, 0, inf, 10) is not finite. embed_boxes_each gives the features of the others."
    )


def test_no_more_than_ten_boxes_are_named(model):
    with pytest.raises(InputError) as error:
        model.embed_boxes(np.zeros((120, 200, 3), np.uint8), [[0, 0, 9, 9]] + [[300, 0, 400, 50]] * 1234)
    sentence = str(error.value)
    assert sentence.startswith("1,234 of 1,235 boxes cannot") and " and 1,224 more. embed_boxes_each" in sentence
    assert sentence.count("(300, 0, 400, 50)") == 10


@pytest.mark.parametrize("boxes", [[[0, 0, 10]], [0, 0, 10, 10], "abcd", None, [[0, 0, 9, 9, 0.5, 0]]])
def test_what_is_no_boxes_at_all(model, boxes):
    for embed in (model.embed_boxes, model.embed_boxes_each):
        with pytest.raises(InputError, match=r"Boxes must be \(n, 4\)"):
            embed(np.zeros((120, 200, 3), np.uint8), boxes)
        with pytest.raises(InputError, match="frame cannot be read"):
            embed(np.zeros((120, 200, 3)), boxes)
