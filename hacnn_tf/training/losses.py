"""What a training makes small, by Keras's operations: under its other backends too."""

from collections.abc import Mapping

import numpy as np
from keras import ops

from hacnn_tf.evaluation.features import feature_part
from hacnn_tf.training.recipes import Recipe
from hacnn_tf.utils.types import Tensor

MARGIN = 0.3  # of the triplet loss, between distances of unit vectors (0 to 2)


def branch_losses(labels: Tensor, logits: Mapping[str, Tensor], features: Tensor, recipe: Recipe) -> dict[str, Tensor]:
    """The loss of each branch, whose plain sum is the network's (§3.1 (III), Eq. 7).

    Args:
        labels: `(n,)` int tensor.
        logits: dict from branch ("global", "local") to `(n, num_identities)` float32 tensor, as a `HACNN` gives it.
        features: `(n, len(logits) * d)` float32 tensor, as its `feature_extractor` gives them.
        recipe: a `hacnn_tf.training.recipes.Recipe`. The paper's has the cross-entropy alone.

    Returns:
        Dict from branch to a float32 scalar.
    """
    losses = {branch: cross_entropy(labels, z, recipe.label_smoothing) for branch, z in logits.items()}
    if recipe.triplet:
        for branch in losses:
            losses[branch] += recipe.triplet * batch_hard_triplet(labels, feature_part(features, branch, list(logits)))
    return losses


def cross_entropy(labels: Tensor, logits: Tensor, smoothing: float = 0.0) -> Tensor:
    """The mean softmax cross-entropy, in nats an image.

    Args:
        labels: `(n,)` int tensor.
        logits: `(n, classes)` float32 tensor.
        smoothing: share of each label that is spread evenly over all classes (Szegedy et al., 2016).

    Returns:
        float32 scalar.
    """
    loss = ops.mean(ops.sparse_categorical_crossentropy(labels, logits, from_logits=True))
    if smoothing:
        loss = (1 - smoothing) * loss - smoothing * ops.mean(ops.log_softmax(logits))
    return loss


def batch_hard_triplet(labels: Tensor, features: Tensor) -> Tensor:
    """The batch-hard triplet loss: of each image, its farthest image of its identity against the nearest of another.

    Hermans, Beyer, Leibe, In Defense of the Triplet Loss for Person Re-Identification, 2017, with `MARGIN`.

    Args:
        labels: `(n,)` int tensor, of two identities at least.
        features: `(n, d)` float32 tensor of unit vectors.

    Returns:
        float32 scalar, the mean over images of max(0, margin + farthest − nearest).
    """
    squared = 2 - 2 * ops.matmul(features, ops.transpose(features))
    distances = ops.sqrt(ops.maximum(squared, 1e-12))  # at 0 the root has no gradient
    same = labels[:, None] == labels[None]
    farthest = ops.max(ops.where(same, distances, 0.0), axis=1)
    nearest = ops.min(ops.where(same, np.finfo("float32").max, distances), axis=1)
    return ops.mean(ops.relu(MARGIN + farthest - nearest))
