"""Fixtures of the tests of exports."""

import numpy as np
import pytest

from hacnn_tf import ReID
from hacnn_tf.data.load import load_images
from hacnn_tf.export import FORMATS, export_model
from tests.conftest import needs


@pytest.fixture(scope="session")
def network(small_run):
    return ReID.from_preset(small_run).network


@pytest.fixture(scope="session")
def programs(network, tmp_path_factory):
    """A function that gives the file of a format in a precision, made once."""
    folder = tmp_path_factory.mktemp("programs")

    def made(form, precision="float32"):
        needs(form)
        file = folder / f"{form}-{precision}" / FORMATS[form].FILE
        if file.exists():
            return file
        images = np.random.default_rng(0).integers(0, 256, (16, 160, 64, 3), dtype=np.uint8)
        export_model(network, file.parent, [form], precision, images)
        return file

    return made


@pytest.fixture(scope="session")
def pixels(features):
    return load_images(features[1], (160, 64))
