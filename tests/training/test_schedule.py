"""Learning-rate schedules against closed forms, by themselves and inside the optimizer."""

import math

import keras
import numpy as np
import pytest

from hacnn_tf.training.loop import make_optimizer, make_state
from hacnn_tf.training.recipes import RECIPES, Recipe
from hacnn_tf.training.schedule import Schedule
from hacnn_tf.training.settings import Settings

STEPS = 200
RATE = 5e-4


def rates(steps=STEPS, **parts):
    schedule = Schedule(Recipe("paper", **parts), steps)
    return np.array([schedule(step) for step in range(steps)]) / RATE


CLOSED_FORMS = {
    "constant": ({}, lambda t: 1.0),
    "step": ({"drops": (0.6, 0.9)}, lambda t: 1.0 if t < 0.6 else 0.1 if t < 0.9 else 0.01),
    "exponential": ({"final_rate": 0.05}, lambda t: 0.05**t),
    "cosine": ({"final_rate": 0.2}, lambda t: 0.2 + 0.8 * math.cos(math.pi * t / 2) ** 2),
}


@pytest.mark.parametrize("schedule", CLOSED_FORMS)
@pytest.mark.parametrize("steps", [20, 200, 700])
def test_closed_forms(schedule, steps):
    parts, form = CLOSED_FORMS[schedule]
    found = rates(steps, schedule=schedule, **parts)
    np.testing.assert_allclose(found, [form(step / steps) for step in range(steps)], rtol=1e-4)


@pytest.mark.parametrize("schedule", CLOSED_FORMS)
def test_warm_up_rises_linearly_to_what_the_schedule_has(schedule):
    parts, form = CLOSED_FORMS[schedule]
    found = rates(schedule=schedule, warmup=0.1, **parts)
    expected = [form(step / STEPS) * min(1, (step + 1) / 20) for step in range(STEPS)]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert 0 < found[0] < 0.06


@pytest.mark.parametrize("name", RECIPES)
def test_another_length_is_the_same_curve_stretched(name):
    short, long = (Schedule(RECIPES[name], steps) for steps in (100, 1000))
    after = range(10, 100)  # what a step is to warm-up depends on how many there are
    np.testing.assert_allclose([short(step) for step in after], [long(10 * step) for step in after], rtol=1e-4)


def test_steps_of_warm_up_are_rounded():
    np.testing.assert_allclose(rates(steps=30, warmup=0.09)[:4], [1 / 3, 2 / 3, 1, 1], rtol=1e-5)


def test_drops_are_neither_before_the_first_step_nor_after_the_last():
    found = rates(steps=24, schedule="step", drops=(0.001, 0.999))
    np.testing.assert_allclose(found, [1.0, *[0.1] * 22, 0.01], rtol=1e-4)


def test_the_optimizer_follows_it():
    """Where the gradient is always 1, Adam moves a weight by the learning rate of each step."""
    recipe = Recipe("paper", schedule="cosine", warmup=0.2)
    variable = keras.Variable([0.0], name="kernel")
    optimizer = make_optimizer(recipe, steps=50)
    optimizer.build([variable])
    positions = []
    for _ in range(50):
        optimizer.apply([np.ones(1, "float32")])
        positions.append(float(variable[0]))
    moved = -np.diff([0.0, *positions])
    np.testing.assert_allclose(moved, [Schedule(recipe, 50)(step) for step in range(50)], rtol=1e-3)


def test_weight_decay_shrinks_kernels_alone():
    """With no gradient, a kernel loses its share of rate × decay a step; biases and batch norm's weights stay."""
    recipe = Recipe("paper", schedule="step", drops=(0.5,), weight_decay=100.0)
    variables = [keras.Variable([2.0], name=name) for name in ("kernel", "gamma", "beta", "bias")]
    optimizer = make_optimizer(recipe, steps=2)
    optimizer.build(variables)
    for _ in range(2):
        optimizer.apply([np.zeros(1, "float32")] * 4)
    expected = 2 * (1 - RATE * 100) * (1 - RATE / 10 * 100)
    np.testing.assert_allclose([float(v[0]) for v in variables], [expected, 2, 2, 2], rtol=1e-5)


def test_weight_decay_leaves_spatial_and_hard_attention_alone():
    """With no gradient, all kernels shrink but theirs; at 0, where some begin, it would not show."""
    state = make_state(Settings.from_flags({"dataset": "synthetic", "recipe": "adamw"}), 3, steps=10)
    variables = state.model.trainable_variables
    for variable in variables:
        variable.assign(np.ones(variable.shape))
    state.optimizer.apply([np.zeros(variable.shape, "float32") for variable in variables])
    kept = {v.path for v in variables if v.name == "kernel" and np.all(np.asarray(v) == 1)}
    assert kept == {
        f"level{level}_{kernel}/kernel"
        for level in (1, 2, 3)
        for kernel in (
            "soft_attention/spatial/conv_3x3/conv",
            "soft_attention/spatial/scale_1x1/conv",
            "hard_attention/translation",
        )
    }


def test_a_training_has_one_schedule_for_all_its_epochs_and_scales_half_precision():
    flags = {"dataset": "synthetic", "recipe": "adamw", "epochs": 7}
    adam = make_state(Settings.from_flags(flags), 3, steps=10).optimizer
    assert adam._learning_rate.steps == 70
    half_precision = Settings.from_flags({**flags, "precision": "mixed_float16"})
    half, again = (make_state(half_precision, 3, steps=10).optimizer for _ in range(2))
    assert isinstance(half, keras.optimizers.LossScaleOptimizer) and half.inner_optimizer._learning_rate.steps == 70
    assert [v.path for v in half.variables] == [v.path for v in again.variables], "checkpoints know them by these"


@pytest.mark.parametrize("recipe", [*RECIPES.values(), Recipe("mine", schedule="step", drops=(0.5, 0.8), warmup=0.1)])
def test_a_schedule_is_saved_with_its_optimizer_and_ends_where_it_ends(recipe):
    adam = keras.optimizers.Adam(Schedule(recipe, STEPS))
    again = keras.optimizers.deserialize(keras.optimizers.serialize(adam))._learning_rate
    assert (again.recipe, again.steps) == (recipe, STEPS) and recipe.name in str(again.recipe)
    for step in (0, 1, 150, STEPS, 3 * STEPS):
        assert float(again(step)) == float(Schedule(recipe, STEPS)(min(step, STEPS)))
