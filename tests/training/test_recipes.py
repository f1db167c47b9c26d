"""Recipes: names, parts that override them, and contradictions."""

import json

import pytest

from hacnn_tf import train
from hacnn_tf.layers.initializers import fan_in_uniform
from hacnn_tf.training.loop import make_optimizer
from hacnn_tf.training.recipes import RECIPES, Recipe
from hacnn_tf.training.settings import FLAGS, Settings
from hacnn_tf.utils.cli import parse
from hacnn_tf.utils.errors import InputError


def test_published_results_rest_on_these_options():
    """What the pages and the cards of bundled weights name: with other values it is another."""
    section_4 = {"learning_rate": 5e-4, "schedule": "constant"}
    adamw = {"learning_rate": 5e-4, "schedule": "cosine", "final_rate": 0.01, "weight_decay": 8.0}
    added = {"warmup": 0.05, "label_smoothing": 0.1, "flip": True, "crop_padding": 8, "erasing": 0.5}
    for name, expected in (("paper", section_4), ("adamw", adamw), ("strong", adamw | added)):
        assert {option: value for option, value in RECIPES[name].options().items() if value} == expected
    adam = make_optimizer(RECIPES["adamw"], steps=10)
    assert (adam.beta_1, adam.beta_2, adam.epsilon, adam.weight_decay) == (0.9, 0.999, 1e-8, 8.0)
    kernels = fan_in_uniform().get_config()  # a variance of 1 / (3 fan_in): uniform in ±1/√fan_in
    assert (kernels["mode"], kernels["distribution"]) == ("fan_in", "uniform")
    assert kernels["scale"] == pytest.approx(1 / 3)


def test_what_begins_with_trained_weights_is_short_and_of_a_low_rate():
    settings = Settings("market1501", init_from="runs/a")
    recipe = settings.recipe
    assert (recipe.name, recipe.learning_rate, recipe.schedule, settings.epochs) == ("finetune", 5e-5, "cosine", 20)
    assert settings.run_name == "market1501-from-a-seed0"


def test_parts_override_a_recipe_and_are_named():
    recipe = RECIPES["strong"].replaced(schedule="step", drops=["0.5", "0.75"], flip=False)
    assert recipe.drops == (0.5, 0.75)
    assert str(recipe) == "strong --schedule step --drops 0.5,0.75 --flip False"
    assert str(RECIPES["strong"]) == "strong"


def test_another_schedule_leaves_drops_behind():
    recipe = Recipe("adamw", schedule="step", drops=(0.5,))
    assert recipe.replaced(schedule="constant").drops == ()
    assert RECIPES["adamw"].replaced(schedule="step", drops=(0.5,)).final_rate is None
    assert str(RECIPES["paper"].replaced(schedule="cosine")) == "paper --schedule cosine --final_rate 0.01"
    assert RECIPES["strong"].replaced(schedule="constant").final_rate is None
    assert recipe.replaced(learning_rate=1e-3).drops == (0.5,)


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"learning_rate": 0}, "--learning_rate must be above 0 and finite, not 0"),
        ({"learning_rate": float("inf")}, "--learning_rate must be above 0 and finite"),
        ({"learning_rate": float("nan")}, "--learning_rate must be above 0 and finite"),
        ({"schedule": "step"}, "--schedule step needs --drops"),
        ({"schedule": "step", "drops": 0.5}, "--drops takes a list of numbers, as in 0.6,0.9, not 0.5"),
        ({"schedule": "step", "drops": None}, "--drops takes a list of numbers"),
        ({"schedule": "step", "drops": "0.5,0.6"}, "--drops takes a list of numbers"),
        ({"batch_identities": 1}, "--batch_identities must be 0, or two or more"),
        ({"drops": (0.5,)}, "--drops needs --schedule step, and it is constant"),
        (
            {"schedule": "step", "drops": (0.5, 1.0)},
            "between 0 and 1, in ascending order.*not 0.5,1.0: .*after its end",
        ),
        ({"schedule": "step", "drops": (0.9, 0.6)}, "in ascending order"),
        ({"schedule": "step", "drops": (0.6, 0.6)}, "in ascending order"),
        ({"schedule": "step", "drops": (0.0,)}, "before it begins"),
        ({"schedule": "step", "drops": (float("nan"),)}, "between 0 and 1"),
        ({"schedule": "step", "drops": ("soon",)}, "--drops takes a list of numbers.*not \\('soon',\\)"),
        ({"learning_rate": 1e300}, "--learning_rate must be above 0 and finite"),
        ({"learning_rate": 1e-60}, "--learning_rate must be above 0 and finite"),
        ({"schedule": "cosine", "final_rate": 0}, "--final_rate must be at least 1e-06 and at most 1, not 0"),
        ({"schedule": "cosine", "final_rate": 1.5}, "--final_rate must be at least 1e-06 and at most 1"),
        ({"final_rate": 0.5}, "--final_rate needs exponential or cosine, and --schedule is constant"),
        ({"schedule": "cosin"}, "--schedule must be one of constant, step"),
        ({"warmup": 1.0}, "--warmup must be at least 0 and below 1"),
        ({"label_smoothing": -0.1}, "--label_smoothing must be at least 0"),
        ({"crop_padding": -3}, "--crop_padding must be a whole number, at least 0 and at most 32, not -3"),
        ({"batch_identities": 2.5}, "--batch_identities must be a whole number"),
        ({"flip": "no"}, "--flip must be given or not, not no"),
        ({"weight_decay": -1}, "--weight_decay must be at least 0 and finite"),
        ({"erasing": 1.1}, "--erasing must be at least 0 and at most 1, not 1.1"),
        ({"grey": -0.1}, "--grey must be at least 0 and at most 1, not -0.1"),
        ({"triplet": 1.0}, "--triplet .* needs --batch_identities"),
    ],
)
def test_contradictions_and_ranges(parts, sentence):
    with pytest.raises(InputError, match=sentence):
        RECIPES["paper"].replaced(**parts)


@pytest.mark.parametrize("identities", [5, 32, 33])
def test_identities_that_do_not_fill_the_batch(identities):
    recipe = RECIPES["paper"].replaced(batch_identities=identities)
    with pytest.raises(InputError, match=f"--batch_identities {identities} does not fill --batch_size 32"):
        Settings(recipe=recipe)


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_settings_come_back_from_their_flags(name, schedule):
    for recipe in (RECIPES[name], RECIPES[name].replaced(label_smoothing=0.25, schedule=schedule)):
        settings = Settings(dataset="cuhk03", validation=7, recipe=recipe)
        assert Settings.from_flags(json.loads(json.dumps(settings.to_flags()))) == settings  # as in a run folder
        typed = parse(train.COMMAND.values, ["train", *settings.as_flags()])
        assert Settings.from_flags({flag: typed[flag].value for flag in FLAGS}) == settings


def test_differences_name_a_recipe_and_what_was_changed_in_it():
    paper, adamw = (Settings("cuhk03", recipe=RECIPES[name]) for name in ("paper", "adamw"))
    assert paper.differences(paper) == {}
    assert adamw.differences(paper) == {"recipe": ("adamw", "paper")}
    recipe = RECIPES["paper"].replaced(schedule="step", drops=(0.5,), flip=True)
    other = Settings("cuhk03", recipe=recipe)
    expected = {"schedule": ("constant", "step"), "drops": ("none", "0.5"), "flip": ("False", "True")}
    assert paper.differences(other) == expected


def test_run_names_tell_recipes_apart():
    recipes = [*RECIPES.values(), *(RECIPES["adamw"].replaced(**{name: 0.125}) for name in ("warmup", "erasing"))]
    for dataset in ("synthetic", "cuhk03"):
        names = {Settings(dataset, recipe=recipe).run_name for recipe in recipes}
        assert len(names) == len(recipes)
    assert Settings().run_name == "synthetic-detected-seed0"
    assert Settings("cuhk03").run_name == "cuhk03-767_700-detected-seed0"
    assert "-validation5-" in Settings(validation=5).run_name
    assert Settings(num_regions=6, batch_size=64).run_name == "synthetic-detected-regions6-batch64-seed0"


def test_real_datasets_are_trained_by_what_reaches_the_papers_number():
    assert Settings("market1501").recipe == RECIPES["adamw"]
    assert Settings("synthetic").recipe == RECIPES["paper"]
    assert Settings.from_flags({"dataset": "cuhk03", "recipe": None, "flip": True}).recipe == RECIPES["adamw"].replaced(
        flip=True
    )


def test_a_recipe_is_no_name():
    with pytest.raises(InputError, match=r"recipe takes a Recipe, as RECIPES\['adamw'\], not 'adamw'"):
        Settings(recipe="adamw")


def test_a_folder_may_be_typed_with_a_slash():
    assert Settings("folder", init_from="runs/a/") == Settings("folder", init_from="runs/a")
