"""Settings: the paper's by default, and no contradiction goes unnoticed."""

import pytest

from hacnn_tf import train
from hacnn_tf.training.settings import FLAGS, Settings
from hacnn_tf.utils.cli import parse
from hacnn_tf.utils.errors import InputError


def test_the_defaults_are_the_papers():
    settings = Settings(dataset="cuhk03")
    assert (settings.epochs, settings.batch_size, settings.recipe.learning_rate) == (150, 32, 5e-4)
    assert (settings.split, settings.boxes, settings.testset) == ("767_700", "detected", None)
    assert Settings(dataset="cuhk03", split="1367_100").testset == 1
    assert Settings().epochs < 20


@pytest.mark.parametrize(
    ("settings", "flag"),
    [
        ({"dataset": "market1501", "boxes": "detected"}, "--boxes"),
        ({"dataset": "synthetic", "split": "767_700"}, "--split"),
        ({"dataset": "market1501", "split": "all"}, "--split"),
        ({"dataset": "cuhk03", "split": "767_700", "testset": 2}, "--testset"),
    ],
)
def test_contradictions_are_named(settings, flag):
    with pytest.raises(InputError, match=f"{flag} needs --dataset cuhk03"):
        Settings(**settings)


def test_of_all_of_cuhk03_others_are_tested_or_some_are_held_out():
    with pytest.raises(InputError, match=r"--split all leaves nobody to test on: .* --validation"):
        Settings("cuhk03", split="all")
    assert Settings("cuhk03", split="all", validation=5).run_name == "cuhk03-all-detected-validation5-seed0"
    assert Settings("cuhk03,folder:a", split="all").run_name == "cuhk03+folder_a-all-detected-seed0"


@pytest.mark.parametrize(
    ("settings", "flag"),
    [
        ({"regional": True}, "--regional"),
        ({"interaction": True}, "--interaction"),
        ({"num_regions": 6}, "--num_regions"),
    ],
)
def test_without_the_local_branch_there_is_nothing_on_it_to_switch_on(settings, flag):
    with pytest.raises(InputError, match=f"{flag} needs the local branch: leave it out, or --nolocal"):
        Settings(local=False, **settings)


def test_without_the_local_branch_its_switches_are_off_and_not_named_again():
    settings = Settings(local=False, spatial=False)
    assert (settings.regional, settings.interaction) == (False, False)
    assert settings == Settings(local=False, spatial=False, regional=False, interaction=False)
    assert settings.run_name == "synthetic-detected-nospatial-nolocal-seed0"
    assert settings.branches == settings.build_model(3).branches == ("global",)
    assert Settings.from_flags(settings.to_flags()) == settings
    typed = parse(train.COMMAND.values, ["train", *settings.as_flags()])
    assert Settings.from_flags({flag: typed[flag].value for flag in FLAGS}) == settings


def test_people_drawn_otherwise_are_another_run():
    own = ({}, {"test_share": 0.3}, {"split_seed": 7}, {"camera_pattern": "c(.)"}, {"init_from": "runs/a"})
    names = [Settings("folder", **options).run_name for options in own]
    assert len(set(names)) == len(own), names


def test_settings_of_before_the_local_branch_had_a_switch_have_it():
    settings = Settings(interaction=False)
    old = settings.to_flags()
    del old["local"]
    assert Settings.from_flags(old) == settings and settings.local and settings.regional
    assert settings.branches == settings.build_model(3).branches == ("global", "local")


def test_tests_are_after_the_last_epoch_and_every_so_many():
    def tested(**settings):
        return [epoch for epoch in range(8) if Settings(epochs=7, **settings).evaluates_after(epoch)]

    assert tested() == [7]
    assert tested(eval_every=3) == [3, 6, 7]
    assert tested(init_from="hacnn_cuhk03_detected") == [0, 7]
