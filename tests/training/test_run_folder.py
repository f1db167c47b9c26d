"""What a run folder says of its training, and that a later release reads it."""

import json
import subprocess

import pytest

from hacnn_tf.data.dataset import ReidDataset, make_table
from hacnn_tf.training import run_folder
from hacnn_tf.training.recipes import OPTIONS, RECIPES
from hacnn_tf.utils.errors import FormatError, InputError
from tests.paper.runs import make_run


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A git checkout with one commit, and a module in it, which nobody has added yet."""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.example"]
    module = tmp_path / "package/run_folder.py"
    module.parent.mkdir()
    module.touch()
    monkeypatch.setattr(run_folder, "__file__", str(module))

    def commit(*paths):
        subprocess.run([*git, "init", "--quiet"], check=True)
        subprocess.run([*git, "add", *map(str, paths)], check=True)
        subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "first"], check=True)
        described = subprocess.run([*git, "describe", "--always"], check=True, capture_output=True, text=True)
        return described.stdout.strip()

    return commit, module


def test_that_of_its_checkout(checkout):
    commit, module = checkout
    revision = commit(module)
    assert run_folder.code_revision.__wrapped__() == revision
    module.write_text("changed")
    assert run_folder.code_revision.__wrapped__() == f"{revision}-dirty"


def test_none_where_there_is_no_checkout(checkout):
    assert run_folder.code_revision.__wrapped__() is None


def test_none_where_it_is_installed_below_a_checkout_of_something_else(checkout):
    commit, _ = checkout
    commit()
    assert run_folder.code_revision.__wrapped__() is None


def test_none_where_there_is_no_git(checkout, tmp_path, monkeypatch):
    commit, module = checkout
    commit(module)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run_folder.code_revision.__wrapped__() is None


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
