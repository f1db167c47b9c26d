"""The records of what was measured: whole, and what the pages show is made from them."""

import json
from pathlib import Path

import pytest

from experiments.measured import record
from hacnn_tf import tables, train
from hacnn_tf.errors import InputError
from hacnn_tf.training.run_folder import EVALUATED, RunFolder
from hacnn_tf.training.settings import FLAGS, Settings
from tests.test_examples import commands

ROOT = Path(__file__).parents[2]
RUNS = sorted(config.parent for config in record.HERE.glob("*/config.json"))
COMMANDS = commands((ROOT / "REPRODUCE.md").read_text())
TABLES = [words for words in COMMANDS if words[0] == "hacnn_tf.tables" and "experiments/measured" in words]


def test_there_are_some():
    assert RUNS and TABLES


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
def test_the_command_gives_the_settings(path):
    (words,), given = commands(f"```bash\n{record.command(RunFolder(path))}\n```"), []
    train.COMMAND.run(lambda flags: given.append({name: flags[name].value for name in FLAGS}), words)
    assert Settings.from_flags(given[0]).completed() == RunFolder(path).settings


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
    assert capsys.readouterr().out in (ROOT / "REPRODUCE.md").read_text()
