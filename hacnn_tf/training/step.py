"""One gradient step."""

from typing import Any

import keras
import tensorflow as tf

from hacnn_tf.models import HACNN
from hacnn_tf.training.losses import branch_losses
from hacnn_tf.training.recipes import Recipe
from hacnn_tf.utils.types import Tensor


def make_train_step(
    model: HACNN, optimizer: keras.optimizers.Optimizer, recipe: Recipe, xla: bool, replicas: int = 1
) -> Any:
    """The training step of §3: the sum of the branches' losses, one optimizer update.

    Args:
        model: a `hacnn_tf.models.HACNN`.
        optimizer: a built `keras.optimizers.Optimizer`; a loss-scaling one under mixed_float16.
        recipe: a `hacnn_tf.training.recipes.Recipe`; says what the losses are.
        xla: compile the step into one XLA program.
        replicas: on how many devices the step runs at once, each with its part of the batch.

    Returns:
        `tf.function` from images `(n, height, width, 3)` uint8 and labels `(n,)` int to a float32 tensor: the loss of
        each of `model.branches` (cross-entropy in nats an image, the recipe's additions to it included), and identity
        accuracy, the share of images whose identity has the largest sum of the branches' logits; all divided by
        `replicas`, so that their sum over these is the batch's.
    """
    network = keras.Model(model.inputs[0], [model.output, model.feature_extractor().output])

    @tf.function(jit_compile=xla, autograph=False)
    def train_step(images: Tensor, labels: Tensor) -> Tensor:
        with tf.GradientTape() as tape:
            logits, features = network(images, training=True)
            losses = branch_losses(labels, logits, features, recipe)
            loss = optimizer.scale_loss(tf.add_n([*losses.values()]) / replicas)  # gradients are summed
        # Eq. 7: the crops of Eq. 6 let the local loss's gradient into the global branch, beside its own.
        optimizer.apply(tape.gradient(loss, model.trainable_variables))
        predicted = tf.argmax(tf.add_n([*logits.values()]), axis=-1)  # int64, which a GPU compares by itself
        accuracy = tf.reduce_mean(tf.cast(predicted == tf.cast(labels, tf.int64), tf.float32))
        return tf.stack([*(losses[branch] for branch in model.branches), accuracy]) / replicas

    return train_step
