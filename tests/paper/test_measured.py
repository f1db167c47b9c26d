"""The records of what was measured: whole, and what the pages show is made from them."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from experiments import pages
from experiments.measured import keep
from experiments.studies import gains
from hacnn_tf import tables
from hacnn_tf.paper.layouts import Selection
from hacnn_tf.paper.run_folders import RunFolders
from hacnn_tf.training.recipes import OPTIONS, RECIPES, Recipe
from hacnn_tf.training.run_folder import EVALUATED, RunFolder
from hacnn_tf.utils.errors import InputError
from tests.paper.runs import make_run
from tests.test_examples import arguments, commands

ROOT = Path(__file__).parents[2]
GAINS = re.compile(r"^python (experiments/studies/gains.py (?:.*\\\n)*.*)", re.MULTILINE)
RUNS = sorted(config.parent for config in keep.HERE.glob("*/*/config.json"))
PAGES = {name: (ROOT / pages.FOLDER / f"{name}.md").read_text() for name in pages.PAGES}
TYPED = [  # (page, words) of each command that the pages show
    (name, words)
    for name, page in PAGES.items()
    for words in (
        *(words for words in commands(page) if words[0] == "hacnn_tf.tables"),
        *(arguments(line.replace("\\\n", " ")) for line in re.findall(GAINS, page)),
    )
]


def test_there_are_some():
    assert RUNS and {name for name, _ in TYPED} == {"cuhk03", "synthetic"}
    assert len({tuple(words) for _, words in TYPED}) == len(TYPED) > 10


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
    assert (keep.HERE / "README.md").read_text() == keep.page()


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.name)
def test_a_record_is_of_the_recipe_that_it_is_said_to_be(path):
    """Whatever the recipe was called when it was trained, its options are those of today's name, or the folder's."""
    settings = RunFolder(path).settings
    kept = Recipe("").options() | json.loads((path / "config.json").read_text())["settings"]  # before it had all
    named = {name: kept[name] for name in OPTIONS if f"-{name}{kept[name]}-" in path.name}
    assert {name: kept[name] for name in OPTIONS} | {"drops": ()} == RECIPES[settings.recipe.name].options() | named
    assert path == keep.HERE / keep.place(settings)


def test_an_unfinished_run_is_no_record(tmp_path):
    config = tmp_path / "run/config.json"
    config.parent.mkdir()
    config.write_text((RUNS[0] / "config.json").read_text())
    with pytest.raises(InputError, match="is not finished"):
        keep.keep(config.parent)


def test_a_run_of_code_that_was_not_committed_is_no_record(tmp_path, monkeypatch):
    monkeypatch.setattr(keep, "HERE", tmp_path)
    path = make_run(tmp_path / "run", 60).path
    config = json.loads((path / "config.json").read_text())
    for revision in (None, "abc1234-dirty", "abc1234-dirty-0a1b2c"):
        (path / "config.json").write_text(json.dumps(config | {"revision": revision}))
        with pytest.raises(InputError, match=rf"is not of a committed revision \({revision}\): it cannot"):
            keep.keep(path)


@pytest.mark.parametrize("name", ["cuhk03", "synthetic"])
def test_a_page_of_results_is_made_from_them(name, monkeypatch):
    """Table 8's is compared where its table is made, in test_table8.py."""
    monkeypatch.chdir(ROOT)
    assert pages.page(pages.PAGES[name]()) == PAGES[name], "python -m experiments.pages"


@pytest.mark.parametrize(
    ("name", "words"), TYPED, ids=lambda value: value if isinstance(value, str) else " ".join(value)
)
def test_a_command_of_the_results_prints_what_stands_below_it(name, words, tmp_path, monkeypatch, capsys):
    """But for what it leaves out, which a new record would change."""
    monkeypatch.chdir(ROOT)
    capsys.readouterr()
    if words[0] == "hacnn_tf.tables":
        tables.COMMAND.run(tables.main, [*words, f"--results_dir={tmp_path}"])
    else:
        gains.COMMAND.run(gains.main, words)
    printed = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("- Left out: ")]
    assert len(printed) >= 3, "a head and a row"
    shown = PAGES[name].replace(" \\\n    ", " ").partition(f" {' '.join(words)}\n```\n\n")[2].splitlines()
    assert shown[: len(printed)] == printed


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


def test_what_a_gain_may_owe_to_chance(tmp_path):
    """A balanced table: what is left are values less the means of their row and column, and the mean of all."""
    switches = [{}, {"spatial": False}, {"channel": False}, {"spatial": False, "channel": False}]
    values = np.random.default_rng(0).uniform(40, 60, size=(len(switches), 3))
    for (network, seed), rank1 in np.ndenumerate(values):
        make_run(tmp_path / f"{network}-{seed}", rank1, seed=seed, **({"regional": False} | switches[network]))
    residuals = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
    sd = np.sqrt((residuals**2).sum() / 6)
    (said,) = gains.noise(gains.measure("joint", Selection(dataset=("synthetic",)), RunFolders(tmp_path)))
    assert f"chance is {sd:.1f}/{sd / 2:.1f} a run (standard deviation, 6 degrees of freedom)" in said
    assert f"±{2.4469 * sd * 2**0.5:.1f}/" in said and f"±{2.4469 * sd * (2 / 3) ** 0.5:.1f}/" in said
    assert not list(
        gains.noise(gains.measure("joint", Selection(dataset=("synthetic",), epochs=9), RunFolders(tmp_path)))
    )


def test_gains_over_one_branch_are_compared_with_the_papers(capsys, tmp_path):
    make_run(tmp_path / "none", 40, spatial=False, channel=False, local=False)
    make_run(tmp_path / "soft", 41, local=False)
    make_run(tmp_path / "all", 50)
    command = ["gains", "--dataset=synthetic", f"--runs_dir={tmp_path}"]
    gains.COMMAND.run(gains.main, command)
    soft, whole = capsys.readouterr().out.splitlines()[2:]
    assert soft.startswith("| SSA+SCA, one branch − No Attention, one branch | +3.8/+4.9 | +1.0/")
    assert whole.startswith("| All − No Attention, one branch | +6.5/+10.4 | +10.0/")
    with pytest.raises(SystemExit):  # one branch has no local feature to compare
        gains.COMMAND.run(gains.main, [*command, "--part=local"])


def test_the_figure_of_gains_shows_both_readings_beside_the_papers(tmp_path):
    pytest.importorskip("matplotlib", reason='needs the extra "plot"')
    for seed in (0, 1):
        make_run(tmp_path / f"stripes{seed}", 40, seed=seed, spatial=False, channel=False, regional=False)
        make_run(tmp_path / f"alone{seed}", 30, seed=seed, spatial=False, channel=False, local=False)
        make_run(tmp_path / f"all{seed}", 50 + 2 * seed, seed=seed)
    runs = RunFolders(tmp_path)
    found = gains.find_gains(gains.measure("joint", Selection(dataset=("synthetic",)), runs), runs)
    rank1 = gains.gains_figure(found).axes[0]
    marks = [(line.get_label(), [float(y) for y in np.atleast_1d(line.get_ydata())]) for line in rank1.lines]
    assert marks[0] == ("the paper, on Market-1501", pytest.approx([0.8, 2.1, 3.8, 3.5, 6.5]))
    means = [y for label, (y, *_) in marks if label.startswith("here")]
    assert means == pytest.approx([11, 21, 10])  # all over stripes, all over one branch, stripes over one branch
