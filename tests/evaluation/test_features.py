"""Extraction with constant weights gives what the network gives."""

import numpy as np
import pytest
import tensorflow as tf

from hacnn_tf.evaluation.features import EXTRACTION_BATCH, extract_features, feature_function
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
    features = extract_features(feature_function(model, xla), images)
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


def test_images_that_are_no_bytes_are_refused():
    with pytest.raises(InputError, match="Images are uint8 from 0 to 255, not float32"):
        extract_features(lambda images: images, np.zeros((2, 8, 4, 3), np.float32))
