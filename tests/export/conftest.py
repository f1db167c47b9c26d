"""Fixtures of the tests of exports."""

import pytest

from hacnn_tf import ReID
from hacnn_tf.data.load import load_images


@pytest.fixture(scope="session")
def network(small_run):
    return ReID.from_preset(small_run).network


@pytest.fixture(scope="session")
def pixels(features):
    return load_images(features[1], (160, 64))
