"""What a run folder says of its training, and that a later release reads it."""

import json

import pytest

from hacnn_tf.data.dataset import ReidDataset, make_table
from hacnn_tf.training import run_folder
from hacnn_tf.training.recipes import OPTIONS, RECIPES
from hacnn_tf.utils.errors import FormatError, InputError
from tests.paper.runs import make_run


def edited(path, edit):
    """The run folder after `edit`, a function of its `config.json`."""
    config = json.loads((path / "config.json").read_text())
    edit(config)
    (path / "config.json").write_text(json.dumps(config))
    return run_folder.RunFolder(path)


def test_another_version_changes_nothing(tmp_path):
    run = make_run(tmp_path / "run", 60, recipe="strong", flip=False)
    other = edited(run.path, lambda config: config.update(versions={"hacnn_tf": "9.0.0"}))
    assert other.settings == run.settings and other.read_metrics() == run.read_metrics()
    dataset = ReidDataset("synthetic", make_table(["a.jpg", "b.jpg"], range(2), [1] * 2, "train"))
    assert run_folder.RunFolder.find(run.path, run.settings, dataset)


def test_a_newer_format_is_one_sentence(tmp_path):
    path = make_run(tmp_path / "run", 60).path
    with pytest.raises(FormatError, match=r"config.json is of format 3, and hacnn_tf .* reads formats up to 2: update"):
        edited(path, lambda config: config.update(format=3))


@pytest.mark.parametrize(
    "change", [{"num_identities": 0}, {"num_identities": "767"}, {"num_identities": True}, {"places": {"data_root": 5}}]
)
def test_values_that_it_cannot_have(change, tmp_path):
    path = make_run(tmp_path / "run", 60).path
    with pytest.raises(InputError, match=r"config\.json is damaged: (num_identities|data_root) is "):
        edited(path, lambda config: config.update(change))


@pytest.mark.parametrize(("former", "now"), [("constant", "paper"), ("paper", "adamw"), ("strong", "strong")])
def test_without_a_format_recipes_have_their_former_names(former, now, tmp_path):
    path = make_run(tmp_path / "run", 60, recipe=now, erasing=0.25).path
    assert run_folder.RunFolder(path).settings.recipe == RECIPES[now].replaced(erasing=0.25)

    def to_former(config):
        del config["format"]
        config["settings"]["recipe"] = former

    assert edited(path, to_former).settings.recipe == RECIPES[now].replaced(erasing=0.25)


def test_a_run_of_before_there_were_recipes_is_of_section_4(tmp_path):
    path = make_run(tmp_path / "run", 60, recipe="paper", learning_rate=1e-3).path

    def to_former(config):
        del config["format"]
        for name in {*OPTIONS, "recipe", "validation"} - {"learning_rate"}:
            del config["settings"][name]

    run = edited(path, to_former)
    assert run.settings.recipe == RECIPES["paper"].replaced(learning_rate=1e-3)
    assert run.settings.validation == 0
