"""The search for where a loss that is not finite began, against a fault put in a known place."""

import numpy as np
import pytest
import tensorflow as tf

from hacnn_tf.models import HACNN
from hacnn_tf.training.nans import NanSearch
from hacnn_tf.training.recipes import RECIPES

BATCH = np.random.default_rng(0).integers(0, 256, (4, 160, 64, 3), dtype=np.uint8), np.array([0, 1, 2, 2], np.int32)


@pytest.fixture
def model():
    return HACNN(3, widths=(16, 32, 48), feature_dim=24)


@pytest.mark.parametrize("name", ["stem", "level2_inception_a", "level1_local_inception_b", "global_classifier"])
@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_the_layer_with_a_broken_weight_is_found(model, name, value):
    model.get_layer(name).trainable_variables[0].assign_add(value * np.ones_like(model.get_layer(name).weights[0]))
    search = NanSearch(model, RECIPES["strong"])
    search.remember(*BATCH)
    assert search.find() == f"the output of {name}"


@pytest.mark.parametrize("name", ["level3_inception_b", "global_classifier"])
def test_it_looks_through_a_network_without_the_local_branch(name):
    model = HACNN(3, widths=(16, 32, 48), feature_dim=24, local=False)
    test_the_layer_with_a_broken_weight_is_found(model, name, np.nan)


def test_a_gradient_alone_can_break(model, monkeypatch):
    """That of a square root at 0."""

    def losses(labels, logits, features, recipe):
        return {"global": tf.reduce_mean(tf.sqrt(0 * logits["global"])), "local": tf.reduce_mean(logits["local"])}

    monkeypatch.setattr("hacnn_tf.training.nans.branch_losses", losses)
    search = NanSearch(model, RECIPES["strong"])
    search.remember(*BATCH)
    assert search.find() == "the gradient of global_classifier/bias"  # nearest to the loss


def test_an_update_alone_can_break_a_weight(model):
    search = NanSearch(model, RECIPES["strong"])
    search.remember(*BATCH)
    model.get_layer("stem").weights[0].assign(np.full((3, 3, 3, 32), np.nan))
    assert search.find() == "the optimizer's update: all outputs and gradients were finite"
    assert np.isfinite(model.get_layer("stem").weights[0]).all()  # the weights from before the step are back
