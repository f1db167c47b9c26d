"""Extraction with constant weights gives what the network gives."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from hacnn_tf.data.dataset import ReidDataset, make_table
from hacnn_tf.evaluation import Evaluator, features
from hacnn_tf.evaluation.features import EXTRACTION_BATCH, array_function, extract_features, feature_function
from hacnn_tf.models import HACNN
from hacnn_tf.utils.errors import InputError


@pytest.fixture(scope="module")
def model():
    """A small network with batch norms that do something."""
    model, rng = HACNN(5, widths=(16, 32, 48), feature_dim=24), np.random.default_rng(0)
    for variable in model.variables:
        if "norm" in variable.path:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return model


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (EXTRACTION_BATCH + 3, 160, 64, 3), np.uint8)


@pytest.mark.parametrize("xla", [False, True])
def test_equals_the_network(model, images, xla):
    function = tf.function(feature_function(model), jit_compile=xla, autograph=False)
    features = extract_features(function, images)
    assert features.shape == (len(images), 48)
    np.testing.assert_allclose(features, model.feature_extractor()(images), atol=1e-5)


def test_training_does_not_change_it(model, images):
    function = feature_function(model)
    before = function(tf.constant(images[:2])).numpy()
    kernel = model.trainable_variables[0]
    value = kernel.numpy()
    kernel.assign(value * 0)
    np.testing.assert_array_equal(function(tf.constant(images[:2])), before)
    kernel.assign(value)


def test_on_a_gpu_batches_are_filled_up_to_powers_of_two(model, images, monkeypatch):
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda kind=None: ["gpu"])
    filled = array_function(model)
    monkeypatch.undo()
    for count in (1, 3, 5):
        np.testing.assert_allclose(filled(images[:count]), model.feature_extractor()(images[:count]), atol=1e-5)
    shapes = []
    features._filled_up(lambda batch: shapes.append(len(batch)) or batch)(images[:5])
    assert shapes == [8]


def test_xla_compiles_one_evaluation_for_all_weights(model, images):
    table = pd.concat(
        [
            make_table([f"{split}{i}.jpg" for i in range(4)], range(1, 5), [camera] * 4, split)
            for split, camera in (("query", 1), ("gallery", 2))
        ],
        ignore_index=True,
    )
    dataset = ReidDataset("drawn", table)
    pixels = {"query": images[:4], "gallery": images[4:8]}
    compiled = Evaluator(dataset, pixels, xla=True)
    kernel = model.trainable_variables[0]
    value = kernel.numpy()
    for factor in (1, -1):
        kernel.assign(value * factor)
        expected, found = (e.run(model)["single_query"]["joint"]["mAP"] for e in (Evaluator(dataset, pixels), compiled))
        assert found == pytest.approx(expected)
    kernel.assign(value)
    assert compiled._program(model).experimental_get_tracing_count() == 1


def test_images_that_are_no_bytes_are_refused():
    with pytest.raises(InputError, match="Images are uint8 from 0 to 255, not float32"):
        extract_features(lambda images: images, np.zeros((2, 8, 4, 3), np.float32))
