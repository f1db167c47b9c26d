"""How the learning rate goes over a whole training."""

import math
from typing import Any

import keras
from keras import ops

from hacnn_tf.training.recipes import Recipe
from hacnn_tf.utils.types import Tensor

DROP = 0.1  # what "step" multiplies the rate by


@keras.saving.register_keras_serializable("hacnn_tf")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate of a recipe at each step.

    It counts in steps of the whole training, so that one of another length is the same curve stretched. At step i of n,
    counted from 0, the rate is `learning_rate` times

    - constant: 1;
    - step: 0.1 for each of `drops` d with i ≥ d·n, rounded to a step, neither the first nor beyond the last;
    - exponential: `final_rate`^(i/n);
    - cosine: from 1 down to `final_rate` along half a cosine;

    and in the first `warmup`·n steps (rounded) also times (i + 1) / (`warmup`·n). Under mixed_float16, steps that
    overflow do not count.

    Args:
        recipe: a `hacnn_tf.training.recipes.Recipe`.
        steps: n, of the whole training.
    """

    def __init__(self, recipe: Recipe, steps: int) -> None:
        self.recipe, self.steps = recipe, steps

    def __call__(self, step: Tensor) -> Tensor:
        """The learning rate, a float32 scalar tensor; `step` is an integer tensor, steps done."""
        recipe = self.recipe
        step = ops.minimum(ops.cast(step, "float32"), self.steps)  # beyond, a cosine would rise again
        rate = recipe.learning_rate * self._decay(step)
        if warmup := round(recipe.warmup * self.steps):
            rate *= ops.minimum(1.0, (step + 1) / warmup)
        return ops.cast(rate, "float32")

    def get_config(self) -> dict[str, Any]:
        """As every schedule's of Keras, so that an optimizer can be saved."""
        return {"recipe": {"name": self.recipe.name, **self.recipe.options()}, "steps": self.steps}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Schedule":
        """What `get_config` describes."""
        return cls(Recipe(**config["recipe"]), config["steps"])

    def _decay(self, step: Tensor) -> Tensor:
        recipe = self.recipe
        if recipe.schedule == "step":
            drops = [max(1, min(round(drop * self.steps), self.steps - 1)) for drop in recipe.drops]
            return ops.power(DROP, sum(ops.cast(step >= drop, "float32") for drop in drops))
        if recipe.final_rate is None:  # constant
            return 1.0
        if recipe.schedule == "exponential":
            return ops.power(recipe.final_rate, step / self.steps)
        return recipe.final_rate + (1 - recipe.final_rate) * (1 + ops.cos(math.pi * step / self.steps)) / 2
