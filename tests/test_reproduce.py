"""`hacnn_tf.reproduce` and `hacnn_tf.tables`: the plan, the trainings' flags, and what happens when something fails.

The trainings themselves are left out here; tests/test_experiments.py runs the scripts for real.
"""

import sys
from types import SimpleNamespace

import pandas as pd
import pytest

from hacnn_tf import reproduce, tables, train
from hacnn_tf.paper.table import Table
from hacnn_tf.training.run_folder import COLUMNS, RunFolder
from hacnn_tf.training.settings import FLAGS, Settings
from hacnn_tf.utils.cli import parse
from tests.conftest import command, fails
from tests.paper.runs import PARTS, make_run, measures

SMALL = ["--dataset=synthetic", "--allow_subset", "--epochs=3"]


def log_row(epoch):
    return dict.fromkeys(COLUMNS["log"], 1.0) | {"epoch": epoch}


@pytest.fixture
def places(small_data_root, tmp_path, monkeypatch):
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda kind: [])
    return [
        f"--data_root={small_data_root}",
        f"--runs_dir={tmp_path / 'runs'}",
        f"--results_dir={tmp_path / 'results'}",
    ]


@pytest.fixture
def trainings(monkeypatch):
    """The run folders "trained" so far: each gets its config and metrics at once."""
    done = []

    def pretend(args):
        flags = parse(train.COMMAND.values, ["train", *args[3:]])
        settings = Settings.from_flags({name: flags[name].value for name in FLAGS})
        done.append(settings)
        run = RunFolder.create(flags.run_dir, settings, settings.read_dataset(flags.data_root))
        run.write_rows("log", [log_row(epoch) for epoch in range(1, settings.epochs + 1)])
        run.write_rows("speed", [{"epoch": 1, "images_per_second": 24}])
        results = {"single_query": {part: measures(50 - d) for part, d in PARTS.items()}}
        run.write_metrics(results, settings.epochs, tested=None)
        return 0

    monkeypatch.setattr(reproduce, "run_stoppable", pretend)
    return done


def run(*args):
    command(reproduce, *args)


def test_it_says_what_it_will_train_trains_that_and_makes_the_table(places, trainings, tmp_path, capsys):
    run("--experiment=table6", "--seeds=0,1", *SMALL, *places)
    said = capsys.readouterr().out
    assert "table6: 4 of 4 trainings to do" in said
    assert f"{tmp_path / 'runs' / 'synthetic-detected-nointeraction-epochs3-seed1'}: 3 epochs" in said
    assert "as on two CPU cores" in said
    assert [(s.interaction, s.seed, s.epochs) for s in trainings] == [
        (False, 0, 3),
        (True, 0, 3),
        (False, 1, 3),
        (True, 1, 3),
    ]
    assert (
        "| w/ CAIL | 91.2 | 75.7 | 80.5 | 63.8 | 50.0 ± 0.0 | 25.0 ± 0.0 |"
        in (tmp_path / "results" / "table6.md").read_text()
    )


def test_what_is_trained_is_not_trained_again_and_tables_share_their_runs(places, trainings, capsys):
    run("--experiment=table6", *SMALL, *places)
    assert len(trainings) == 2
    capsys.readouterr()
    run("--experiment=table5,table6,table7,curves", *SMALL, *places)
    said = capsys.readouterr().out
    assert "5 of 7 trainings to do" in said
    assert "synthetic-detected-epochs3-seed0: trained" in said
    assert "at 24 images/s as the runs in" in said
    assert len(trainings) == len(set(trainings)) == 7


def test_a_recipe_and_a_precision_are_runs_of_their_own(places, trainings, tmp_path, capsys):
    run("--experiment=table7", *SMALL, *places)
    run("--experiment=table7", "--recipe=strong", "--precision=mixed_bfloat16", *SMALL, *places)
    assert [(s.recipe.name, s.precision) for s in trainings] == [("paper", "float32"), ("strong", "mixed_bfloat16")]
    table = (tmp_path / "results" / "table7.md").read_text()
    assert "recipe strong, mixed_bfloat16" in table and "Left out: " in table
    assert "synthetic-detected-strong-mixed_bfloat16-epochs3-seed0: 3 epochs" in capsys.readouterr().out


def test_an_interrupted_training_is_gone_on_with(places, trainings, tmp_path, capsys):
    settings = Settings(allow_subset=True, epochs=3)
    dataset = settings.read_dataset(places[0].removeprefix("--data_root="))
    begun = RunFolder.create(tmp_path / "runs" / settings.run_name, settings, dataset)
    begun.write_rows("log", [log_row(1)])
    run("--experiment=table7", *SMALL, *places)
    assert "3 epochs, 1 of them done" in capsys.readouterr().out
    assert trainings == [settings]


def test_a_run_under_another_name_is_not_trained_again(places, trainings, tmp_path, capsys):
    run("--experiment=table7", *SMALL, *places)
    (tmp_path / "runs" / "synthetic-detected-epochs3-seed0").rename(tmp_path / "runs" / "quickstart")
    run("--experiment=table7", *SMALL, *places)
    assert f"{tmp_path / 'runs' / 'quickstart'}: trained" in capsys.readouterr().out
    assert len(trainings) == 1


def test_lists_may_have_spaces_and_a_comma_too_many(places, trainings):
    run("--experiment=table7,", "--seeds=0, 1,", "--dataset= synthetic,", *SMALL[1:], *places)
    assert [settings.seed for settings in trainings] == [0, 1]


def test_a_ranking_is_of_the_first_seed_and_needs_no_other(places, trainings, monkeypatch):
    shown, figure = [], SimpleNamespace(write=lambda folder: [], markdown=lambda: "")
    monkeypatch.setattr("hacnn_tf.paper.figures.ranking_figure", lambda runs, examples: shown.append(runs) or figure)
    for experiment, trained in (("ranking", [0]), ("table7", [0, 1]), ("ranking", [0, 1])):
        run(f"--experiment={experiment}", "--seeds=0,1", *SMALL, *places)
        assert [settings.seed for settings in trainings] == trained
    assert [[run.settings.seed for run, _ in runs.values()] for runs in shown] == [[0], [0]]


def test_a_damaged_log_is_named(places, trainings, tmp_path):
    run("--experiment=curves", *SMALL, *places)
    log = tmp_path / "runs" / "synthetic-detected-epochs3-seed0" / "log.csv"
    for path in (log, log.with_name("speed.csv")):
        path.write_text(path.read_text() + "4,nonsense")
    assert f"{log} is damaged" in fails(reproduce, ["--experiment=curves", *SMALL, *places])
    run("--experiment=table6", *SMALL, *places)  # an estimate does without its speed


def test_a_training_that_fails_keeps_no_other_from_going_on(places, tmp_path, monkeypatch):
    trained = []
    monkeypatch.setattr(reproduce, "run_stoppable", lambda args: trained.append(args) or len(trained) == 1)
    more = [f"--cache_dir={tmp_path}/pixels", "--checkpoint_every=7"]
    sentence = fails(reproduce, ["--experiment=table7,table1", "--seeds=0,1", *SMALL, *places, *more])
    assert "1 of 2 trainings ended with an error, for the reasons above: " in sentence
    assert "synthetic-detected-epochs3-seed0; without them there is no table7. Once that is mended, the" in sentence
    assert len(trained) == 2 and all({*more} < {*args} for args in trained)
    assert {path.stem for path in (tmp_path / "results").iterdir()} == {"table1"}


def test_a_missing_dataset_is_named_at_the_end_and_never_replaced(places, trainings, tmp_path, monkeypatch, capsys):
    table8 = Table("table8", "", pd.DataFrame(), pd.DataFrame(), [])  # the real one takes ten seconds
    monkeypatch.setattr("hacnn_tf.paper.reproduction.networks_table", lambda: table8)
    sentence = fails(reproduce, ["--experiment=table5", *places])
    assert (
        "Market-1501 not found" in sentence and "data/README.md" in sentence and "DukeMTMC-reID not found" in sentence
    )
    assert not trainings and not (tmp_path / "results").exists()
    assert fails(reproduce, ["--experiment=table5,table8", "--skip_missing", *places]) == sentence  # nothing is there
    assert "Without this dataset: Market-1501 not found" in capsys.readouterr().out
    assert not trainings and (tmp_path / "results" / "table8.csv").exists()


def test_datasets_that_are_there_are_used_though_another_is_missing(places, trainings, tmp_path):
    flags = ["--experiment=table7", "--dataset=synthetic,market1501", "--allow_subset", "--epochs=3", *places]
    assert "Market-1501 not found" in fails(reproduce, flags)
    run(*flags, "--skip_missing")
    assert "50.0" in (tmp_path / "results" / "table7.md").read_text()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "--experiment must be given"),
        (["--experiment=table9"], "or all, not 'table9'"),
        (["--experiment=table5", "--dataset=msmt17"], "Unknown dataset 'msmt17'"),
        (["--experiment=table5", "--seeds=one"], "--seeds takes whole numbers below 2**32"),
        (["--experiment=table5", "--seeds="], "--seeds takes whole numbers below 2**32"),
        (["--experiment=table5", "--epochs=0"], "--epochs"),
        (["--experiment=table5", "--seeds=99999999999"], "--seeds takes whole numbers below 2**32"),
        (["--experiment=figure6", "--images=/nowhere/a.jpg"], "1 of 1 images cannot be read: /nowhere/a.jpg"),
    ],
)
def test_bad_flags_end_in_one_sentence(args, words):
    assert words in fails(reproduce, args)


def test_what_cannot_be_made_is_said_before_any_training(places, trainings, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    closed = [*places, f"--results_dir={tmp_path}/file/results"]
    assert "is not a folder that you may write to" in fails(reproduce, ["--experiment=table7", *SMALL, *closed])
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "matplotlib is not installed, which a figure needs" in fails(
        reproduce, ["--experiment=all", *SMALL, *places]
    )
    assert not trainings


def test_validation_identities_stand_in_no_row_of_the_papers(places, tmp_path):
    """Table 1's counts are those of the test set."""
    for folder, identities in (("bounding_box_train", [1, 2, 3, 4]), ("query", [5]), ("bounding_box_test", [5])):
        (tmp_path / "market1501" / folder).mkdir(parents=True)
        for name in (f"{pid:04}_c{camera}_{i}.jpg" for pid in identities for camera in (1, 2) for i in (1, 2)):
            (tmp_path / "market1501" / folder / name).touch()
    flags = ["--experiment=table1", "--dataset=market1501", "--allow_subset", f"--data_root={tmp_path}"]
    for more, name in ([], "Market-1501"), (["--validation=2"], "Market-1501, 2 validation identities"):
        run(*flags, *more, *places[1:])
        lines = (tmp_path / "results/table1.md").read_text().splitlines()
        (counted,) = [line for line in lines if line.startswith("| ") and not line.endswith(" – |")][2:]
        assert counted.startswith(f"| {name} |")


def test_a_run_folder_in_the_way_is_named(places, trainings, tmp_path):
    make_run(tmp_path / "runs" / "synthetic-detected-epochs3-seed0", 50, epochs=3, batch_size=8)
    assert "holds a run with other flags" in fails(reproduce, ["--experiment=table7", *SMALL, *places])


def test_tables_from_run_folders(tmp_path, capsys):
    make_run(tmp_path / "runs" / "a", 60)
    make_run(tmp_path / "runs" / "b", 70, seed=1)
    flags = [f"--runs_dir={tmp_path / 'runs'}", f"--results_dir={tmp_path / 'results'}", "--dataset=synthetic"]
    command(tables, "--table=table7", *flags)
    assert "65.0 ± 7.1" in capsys.readouterr().out
    assert "--table must be one of table2, table3, " in fails(tables, ["--table=table9", *flags])
    assert "--table must be given" in fails(tables, flags)
    assert "There is no folder nowhere" in fails(tables, ["--table=table7", "--runs_dir=nowhere"])
    (tmp_path / "file").write_text("")
    sentence = fails(tables, ["--table=table7", *flags[::2], f"--results_dir={tmp_path / 'file'}"])
    assert f"Cannot write {tmp_path / 'file' / 'table7.csv'}" in sentence
