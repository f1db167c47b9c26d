"""The records of what was measured: whole, and what the pages show is made from them."""

import json
import re
from pathlib import Path

import pytest

from experiments.measured import record
from experiments.studies import gains
from hacnn_tf import tables
from hacnn_tf.training.recipes import OPTIONS, RECIPES
from hacnn_tf.training.run_folder import EVALUATED, RunFolder
from hacnn_tf.utils.errors import InputError
from tests.paper.runs import make_run
from tests.test_examples import arguments, commands

ROOT = Path(__file__).parents[2]
RUNS = sorted(config.parent for config in record.HERE.glob("*/*/config.json"))
PAGE = (ROOT / "REPRODUCE.md").read_text()
COMMANDS = commands(PAGE)
GAINS = [arguments(words) for words in re.findall(r"^python (experiments/studies/gains.py .*)", PAGE, re.MULTILINE)]
TABLES = [words for words in COMMANDS if words[0] == "hacnn_tf.tables" and "experiments/measured" in " ".join(words)]


def test_there_are_some():
    assert RUNS and TABLES and GAINS


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.name)
def test_a_record_is_whole(path):
    run = RunFolder(path)
    log, evaluations = (run.read_rows(name, run.settings.epochs) for name in ("log", "evaluations"))
    assert [int(row["epoch"]) for row in log] == list(range(1, run.settings.epochs + 1))
    for part, measures in run.read_metrics()["single_query"].items():
        for measure in EVALUATED:
            assert float(evaluations[-1][f"{part}_{measure}"]) == pytest.approx(measures[measure], abs=1e-9)
    assert json.loads((path / "config.json").read_text())["places"] == {}
    assert run.revision and "dirty" not in run.revision


def test_the_page_is_of_these_runs():
    assert (record.HERE / "README.md").read_text() == record.page()


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.name)
def test_a_record_is_of_the_recipe_that_it_is_said_to_be(path):
    """Whatever the recipe was called when it was trained, its options are those of today's name."""
    settings, kept = RunFolder(path).settings, json.loads((path / "config.json").read_text())["settings"]
    assert {name: kept[name] for name in OPTIONS} | {"drops": ()} == RECIPES[settings.recipe.name].options()
    assert path.name in (settings.run_name, "quickstart") and path.parent.name == settings.dataset


def test_an_unfinished_run_is_no_record(tmp_path):
    config = tmp_path / "run/config.json"
    config.parent.mkdir()
    config.write_text((RUNS[0] / "config.json").read_text())
    with pytest.raises(InputError, match="is not finished"):
        record.record(config.parent)


@pytest.mark.parametrize("words", TABLES, ids=" ".join)
def test_a_table_of_reproduce_is_made_from_them(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    capsys.readouterr()
    tables.COMMAND.run(tables.main, [*words, f"--results_dir={tmp_path}"])
    assert capsys.readouterr().out in PAGE


@pytest.mark.parametrize("words", GAINS, ids=" ".join)
def test_gains_of_reproduce_are_made_from_them(words, capsys):
    capsys.readouterr()
    gains.COMMAND.run(gains.main, words)
    assert capsys.readouterr().out in PAGE


def test_a_gain_is_within_a_seed(capsys, tmp_path):
    for seed, (without, having) in enumerate([(50, 60), (54, 60), (70, 0)]):
        make_run(tmp_path / f"a{seed}", without, seed=seed, interaction=False)
        if having:
            make_run(tmp_path / f"b{seed}", having, seed=seed)
    gains.COMMAND.run(gains.main, ["gains", "--dataset=synthetic", f"--runs_dir={tmp_path}"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split(" | ")[2:4] == ["seed 0", "seed 1"]
    assert lines[-1].startswith("| w/ CAIL − w/o CAIL | +4.6/+9.5 | +10.0/") and "| +8.0 ± 2.8 |" in lines[-1]
    assert len(lines) == 3  # nothing of the networks that are not there
