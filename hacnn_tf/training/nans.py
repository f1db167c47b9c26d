"""Where a loss that is not finite comes from."""

from typing import Any

import keras
import tensorflow as tf

from hacnn_tf.models import HACNN
from hacnn_tf.training.losses import branch_losses
from hacnn_tf.training.recipes import Recipe
from hacnn_tf.utils.types import Tensor


class NanSearch:
    """Finds the layer in which a step first met an infinity or a NaN, by taking the step again with open eyes.

    Args:
        model: the `HACNN` in training; `find` leaves it with the trainable weights from before the step.
        recipe: the `Recipe` of the training.
    """

    def __init__(self, model: HACNN, recipe: Recipe) -> None:
        self._model, self._recipe = model, recipe
        operations = [o for o in model.operations if not isinstance(o, keras.layers.InputLayer)]
        self._names = [operation.name for operation in operations]
        outputs = [operation.output for operation in operations]
        self._watched = keras.Model(model.inputs[0], [model.output, model.feature_extractor().output, outputs])

    def remember(self, images: Tensor, labels: Tensor) -> None:
        """Before a step: remembers its batch and the weights it begins with."""
        self._batch, self._weights = (images, labels), self._model.get_weights()

    def find(self) -> str:
        """Where the remembered step broke, for people: "the output of level1_inception_a"."""
        self._model.set_weights(self._weights)
        images, labels = self._batch
        with tf.GradientTape() as tape:
            logits, features, outputs = self._watched(images, training=True)
            loss = sum(branch_losses(labels, logits, features, self._recipe).values())
        for name, output in zip(self._names, outputs, strict=True):
            if not _finite(output):
                return f"the output of {name}"
        variables = self._model.trainable_variables
        gradients = tape.gradient(loss, variables)
        for variable, gradient in reversed(list(zip(variables, gradients, strict=True))):  # as they are computed
            if not _finite(gradient):
                return f"the gradient of {variable.path}"
        return "the optimizer's update: all outputs and gradients were finite"


def _finite(tensors: Any) -> bool:
    return all(bool(tf.reduce_all(tf.math.is_finite(tf.cast(x, tf.float32)))) for x in tf.nest.flatten(tensors))
