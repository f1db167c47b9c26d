"""Losses against loops over images."""

import numpy as np
import pytest

from hacnn_tf.training.losses import MARGIN, batch_hard_triplet, branch_losses, cross_entropy
from hacnn_tf.training.recipes import RECIPES, Recipe

RNG = np.random.default_rng(0)
LABELS = np.array([2, 0, 2, 1, 0, 1, 1, 2], np.int32)
LOGITS = {branch: RNG.normal(size=(8, 3)).astype("float32") for branch in ("global", "local")}


def unit(features):
    return (features / np.linalg.norm(features, axis=1, keepdims=True)).astype("float32")


FEATURES = np.concatenate([unit(RNG.normal(size=(8, 3))), unit(RNG.normal(size=(8, 3)))], axis=1)


def triplet_by_force(labels, features):
    losses = []
    for a, anchor in enumerate(features):
        distances = [np.sqrt(((anchor - other) ** 2).sum()) for other in features.astype("float64")]
        triplets = [
            MARGIN + distances[p] - distances[n]
            for p in range(len(labels))
            for n in range(len(labels))
            if labels[p] == labels[a] != labels[n]
        ]
        losses.append(max(0, *triplets))
    return np.mean(losses)


@pytest.mark.parametrize("labels", [LABELS, np.array([0, 0, 0, 0, 1, 1, 1, 1]), np.arange(8)])
def test_triplets_against_all_of_them(labels):
    found = batch_hard_triplet(labels, FEATURES[:, :3]).numpy()
    assert found == pytest.approx(triplet_by_force(labels, FEATURES[:, :3]), rel=1e-4)
    assert found > 0


def test_identities_far_apart_cost_nothing_and_images_twice_have_a_finite_gradient():
    import tensorflow as tf

    features = tf.Variable(np.repeat(np.eye(2, dtype="float32"), 4, axis=0))
    with tf.GradientTape() as tape:
        apart = batch_hard_triplet(np.repeat([0, 1], 4), features)
        mixed = batch_hard_triplet(np.tile([0, 1], 4), features)
    assert apart.numpy() == 0 and mixed.numpy() == pytest.approx(MARGIN + 2**0.5)
    assert np.isfinite(tape.gradient(mixed, features)).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
def test_label_smoothing_is_the_cross_entropy_with_the_smoothed_label(smoothing):
    logits = LOGITS["global"].astype("float64")
    log_probabilities = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    targets = (1 - smoothing) * np.eye(3)[LABELS] + smoothing / 3
    expected = -(targets * log_probabilities).sum(1).mean()
    assert cross_entropy(LABELS, LOGITS["global"], smoothing).numpy() == pytest.approx(expected, rel=1e-5)


def test_the_papers_loss_is_the_plain_cross_entropy():
    losses = branch_losses(LABELS, LOGITS, FEATURES, RECIPES["adamw"])
    for branch, logits in LOGITS.items():
        assert losses[branch].numpy() == cross_entropy(LABELS, logits).numpy()


def test_a_branch_alone_has_all_of_the_feature():
    recipe = Recipe("adamw", schedule="constant", batch_identities=2, triplet=0.5)
    features = unit(FEATURES)
    losses = branch_losses(LABELS, {"global": LOGITS["global"]}, features, recipe)
    expected = cross_entropy(LABELS, LOGITS["global"]).numpy() + 0.5 * triplet_by_force(LABELS, features)
    assert list(losses) == ["global"] and losses["global"].numpy() == pytest.approx(expected, rel=1e-4)


def test_each_branch_adds_the_triplets_of_its_own_feature():
    recipe = Recipe("adamw", schedule="constant", batch_identities=2, triplet=0.5)
    losses = branch_losses(LABELS, LOGITS, FEATURES, recipe)
    for branch, features in (("global", FEATURES[:, :3]), ("local", FEATURES[:, 3:])):
        expected = cross_entropy(LABELS, LOGITS[branch]).numpy() + 0.5 * triplet_by_force(LABELS, features)
        assert losses[branch].numpy() == pytest.approx(expected, rel=1e-4)
