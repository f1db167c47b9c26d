"""Tables from run folders: means and deviations by hand, and each reason for leaving a run out."""

import dataclasses
import json

import numpy as np
import pytest

from hacnn_tf.paper.accuracy import accuracy_table
from hacnn_tf.paper.layouts import TABLES, Row, Selection
from hacnn_tf.paper.published import read_published
from hacnn_tf.paper.run_folders import RunFolders, data_key
from hacnn_tf.paper.table import parts_table, signed
from hacnn_tf.utils.errors import InputError
from tests.paper.runs import make_run

SYNTHETIC = Selection(("synthetic",))


def cell(table, row, column, measure):
    data = table.data
    (found,) = data[(data.row == row) & (data.column == column) & (data.measure == measure)].to_dict("records")
    return found


def test_published_and_measured_have_the_same_rows_and_columns():
    for name, table in TABLES.items():
        published = read_published(name)
        assert {row.name for row in table.rows} <= set(published.index)
        columns = [f"{column.name} {measure}".strip() for column in table.columns for measure in ("R1", "mAP")]
        assert columns == list(published.columns)


def test_a_row_that_the_paper_has_not_is_measured_too(tmp_path, monkeypatch):
    rows = (*TABLES["table7"].rows, Row("Ours", {"interaction": False}))
    monkeypatch.setitem(TABLES, "table7", dataclasses.replace(TABLES["table7"], rows=rows))
    make_run(tmp_path / "run", 77, dataset="market1501", interaction=False)
    table = accuracy_table("table7", Selection(("market1501",)), RunFolders(tmp_path))
    ours = cell(table, "Ours", "Market-1501", "R1")
    assert ours["measured"] == 77 and np.isnan(ours["published"])
    assert list(table.shown.index) == [*read_published("table7").index, "Ours"]


def test_seeds_give_mean_and_sample_deviation_and_the_difference_to_the_paper(tmp_path):
    for seed, rank1 in enumerate((90, 92, 97)):
        make_run(tmp_path / f"m{seed}", rank1, dataset="market1501", seed=seed)
    table = accuracy_table("table7", Selection(("market1501",)), RunFolders(tmp_path))
    joint = cell(table, "Global+Local", "Market-1501", "R1")
    assert joint["published"] == 91.2
    assert joint["measured"] == pytest.approx((90 + 92 + 97) / 3)
    assert joint["sd"] == pytest.approx(np.sqrt((3**2 + 1**2 + 4**2) / 2))
    assert joint["difference"] == pytest.approx(93 - 91.2)
    assert joint["seeds"] == "0 1 2"
    assert joint["runs"] == "; ".join(str(tmp_path / f"m{seed}") for seed in range(3))
    assert cell(table, "Local", "Market-1501", "mAP")["measured"] == pytest.approx((70 + 72 + 77) / 6)
    assert np.isnan(cell(table, "Local", "DukeMTMC-ReID", "mAP")["measured"])
    markdown = table.markdown()
    assert "| Global+Local | 91.2 | 93.0 ± 3.6 | +1.8 | 75.7 |" in markdown
    assert "DukeMTMC-ReID R1 measured" not in markdown
    assert "150 epochs" in markdown and "m0, m1, m2" in markdown


def test_a_network_without_the_local_branch_is_another_experiment(tmp_path):
    switches = {"spatial": False, "channel": False, "regional": False}
    make_run(tmp_path / "stripes", 60, **switches)
    make_run(tmp_path / "alone", 50, **switches, local=False, interaction=False)
    runs = RunFolders(tmp_path)
    table = accuracy_table("table5", SYNTHETIC, runs)
    stripes = cell(table, "No Attention", "Synthetic, detected", "R1")
    assert (stripes["measured"], stripes["runs"]) == (60, str(tmp_path / "stripes")) and not runs.left_out
    (column,) = SYNTHETIC.columns(TABLES["table5"])
    alone = Row("No Attention", {"spatial": False, "channel": False, "local": False})
    ((found, results),) = runs.select(SYNTHETIC.settings(alone, column))
    assert found.path == tmp_path / "alone" and not runs.left_out
    assert [results["single_query"][part]["rank1"] for part in (alone.part, "global")] == [50, 50]


def test_validation_identities_are_a_column_of_their_own_that_no_published_figure_is_beside(tmp_path):
    make_run(tmp_path / "test", 90, dataset="market1501")
    make_run(tmp_path / "validated", 60, dataset="market1501", validation=7)
    for validation, expected in ((0, 90), (7, 60)):
        selection = Selection(("market1501",), validation=validation)
        table = accuracy_table("table7", selection, RunFolders(tmp_path))
        measured = table.data.dropna(subset="measured")
        assert set(measured.column) == {"Market-1501, 7 validation identities" if validation else "Market-1501"}
        assert measured.measured.max() == expected
        assert measured.difference.notna().any() == (not validation)


def test_rows_take_the_runs_of_their_switches(tmp_path):
    make_run(tmp_path / "all", 60, dataset="synthetic")
    make_run(tmp_path / "none", 50, dataset="synthetic", spatial=False, channel=False, regional=False)
    make_run(tmp_path / "apart", 40, dataset="synthetic", interaction=False)
    make_run(tmp_path / "tight", 70, dataset="synthetic", boxes="labelled")
    runs = RunFolders(tmp_path)
    table5, table6 = (accuracy_table(name, SYNTHETIC, runs) for name in ("table5", "table6"))
    measured = table5.data[table5.data.column == "Synthetic, detected"].dropna(subset="measured")
    assert measured.set_index(["row", "measure"]).measured.to_dict() == {
        ("No Attention", "R1"): 50,
        ("No Attention", "mAP"): 25,
        ("All", "R1"): 60,
        ("All", "mAP"): 30,
    }
    assert cell(table6, "w/o CAIL", "Synthetic, detected", "R1")["measured"] == 40
    table4 = accuracy_table("table4", SYNTHETIC, runs)
    assert cell(table4, "HA-CNN", "Synthetic, labelled", "R1")["measured"] == 70
    assert cell(table4, "HA-CNN", "Synthetic, detected", "R1")["measured"] == 60
    assert runs.left_out == []


def test_results_without_a_measure_that_was_added_later_still_count(tmp_path):
    run = make_run(tmp_path / "older", 60)
    content = json.loads((run.path / "metrics.json").read_text())
    for measures in content["results"]["single_query"].values():
        del measures["mINP"]
    damaged(run, json.dumps(content))
    table = accuracy_table("table7", SYNTHETIC, RunFolders(tmp_path))
    assert cell(table, "Global+Local", "Synthetic, detected", "R1")["measured"] == 60


@pytest.mark.parametrize(
    ("spoiled", "usable"),
    [
        ({"far": [50, 20], "tar": [99.5, None], "threshold": [1.2, None]}, True),
        ({"far": [50, 20], "tar": [99.5], "threshold": [1.2, None]}, False),
        ({"far": [50], "tar": [float("nan")], "threshold": [1.2]}, False),
        ({"far": [50], "tar": ["much"], "threshold": [1.2]}, False),
        ({"far": [50], "tar": [99.5]}, False),
        ([], False),
    ],
)
def test_rates_of_thresholds_are_checked(tmp_path, spoiled, usable):
    run = make_run(tmp_path / "run", 60)
    results = run.read_metrics()
    results["single_query"]["joint"]["verification"] = spoiled
    run.write_metrics(results, 4, None)
    if usable:
        assert run.read_metrics() == results
        return
    with pytest.raises(InputError, match=r"metrics\.json is damaged"):
        run.read_metrics()


def damaged(run, text):
    (run.path / "metrics.json").write_text(text)


def edit_config(run, **changes):
    config = json.loads((run.path / "config.json").read_text())
    (run.path / "config.json").write_text(json.dumps(config | changes))


def test_a_run_of_another_version_counts(tmp_path):
    edit_config(make_run(tmp_path / "older", 60), versions={"hacnn_tf": "0.0.1"})
    table = accuracy_table("table7", SYNTHETIC, RunFolders(tmp_path))
    assert cell(table, "Global+Local", "Synthetic, detected", "R1")["measured"] == 60


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda run: (run.path / "metrics.json").unlink(), "is not finished (no metrics.json)"),
        (lambda run: damaged(run, "{"), "metrics.json is damaged ("),
        (lambda run: damaged(run, "[]"), "metrics.json is damaged ("),
        (
            lambda run: damaged(run, '{"epoch": 4, "results": {"single_query": {"joint": {}}}}'),
            "is damaged (",
        ),
        (
            lambda run: damaged(run, (run.path / "metrics.json").read_text().replace('"epoch": 4', '"epoch": 2')),
            "is of epoch 2 of 4",
        ),
        (lambda run: (run.path / "config.json").write_text("{}"), "config.json is damaged: 'settings'"),
        (lambda run: edit_config(run, format=3), "config.json is of format 3, and hacnn_tf"),
    ],
)
def test_a_run_that_cannot_be_used_is_named_and_left_out(tmp_path, spoil, reason):
    make_run(tmp_path / "good", 60)
    spoil(make_run(tmp_path / "bad", 90, seed=1))
    table = accuracy_table("table7", SYNTHETIC, RunFolders(tmp_path))
    assert cell(table, "Global+Local", "Synthetic, detected", "R1")["seeds"] == "0"
    (note,) = table.left_out
    assert str(tmp_path / "bad") in note and reason in note


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"epochs": 5}, "was trained with --epochs 5, and this table asks for 4"),
        (
            {"batch_size": 16, "learning_rate": 1e-3},
            "--batch_size 16, --learning_rate 0.001, and this table asks for 32",
        ),
        ({"precision": "mixed_bfloat16"}, "--precision mixed_bfloat16"),
        ({"recipe": "adamw"}, "--recipe adamw, and this table asks for paper"),
        ({"flip": True}, "--flip True, and this table asks for False"),
        ({"validation": 100}, "--validation 100, and this table asks for 0"),
        ({"images": ("a.jpg", "c.jpg")}, "was trained on other images"),
        ({"tested": "bb"}, "was tested on other images of"),
        ({"seed": 0}, "has the seed and settings of"),
    ],
)
def test_seeds_that_differ_in_settings_are_not_mixed(tmp_path, other, reason):
    make_run(tmp_path / "a", 60, tested="aa", seed=0)
    make_run(tmp_path / "b", 90, **{"seed": 1, "tested": "aa", **other})
    table = accuracy_table("table7", SYNTHETIC, RunFolders(tmp_path))
    assert cell(table, "Global+Local", "Synthetic, detected", "R1")["measured"] == 60
    (note,) = table.left_out
    assert str(tmp_path / "b") in note and reason in note


def test_a_cell_names_the_runs_that_it_is_the_mean_of(tmp_path):
    """Of three seeds the first has no multi-query results."""
    for seed in range(3):
        run = make_run(tmp_path / f"m{seed}", 80 + seed, dataset="market1501", seed=seed)
        if seed:
            results = run.read_metrics()
            run.write_metrics({**results, "multi_query": results["single_query"]}, 150, None)
    table = accuracy_table("table2", Selection(), RunFolders(tmp_path))
    multi = cell(table, "HA-CNN", "Multi-Query", "R1")
    assert (multi["measured"], multi["seeds"]) == (81.5, "1 2")
    assert multi["runs"] == f"{tmp_path / 'm1'}; {tmp_path / 'm2'}"


def test_rows_with_fewer_seeds_say_so(tmp_path):
    for seed in range(3):
        make_run(tmp_path / f"all{seed}", 60, seed=seed)
    make_run(tmp_path / "apart", 40, interaction=False)
    table = accuracy_table("table6", SYNTHETIC, RunFolders(tmp_path))
    assert "| 40.0 (n = 1) |" in table.markdown() and "| 60.0 ± 0.0 |" in table.markdown()


def test_runs_that_differ_in_the_seed_are_named_in_one(tmp_path):
    for seed in range(3):
        make_run(tmp_path / f"all-seed{seed}", 60, seed=seed)
    make_run(tmp_path / "apart-seed1", 40, seed=1, interaction=False)
    make_run(tmp_path / "apart", 40, interaction=False)
    for seed in range(2):
        make_run(tmp_path / f"long-seed{seed}", 80, seed=seed, epochs=5)
    table = accuracy_table("table6", SYNTHETIC, RunFolders(tmp_path))
    assert table.notes[1].endswith(f"runs in {tmp_path}: apart, apart-seed1, all-seed{{0,1,2}}.")
    (left_out,) = table.left_out
    assert left_out.startswith(f"{tmp_path}/long-seed{{0,1}} was trained with --epochs 5")
    assert f"- Left out: {left_out}" in table.markdown() and f"<li>Left out: {left_out}" in table.html()
    assert left_out not in table.markdown(left_out=False)


def test_boxes_are_asked_for_where_the_table_does_not_say(tmp_path):
    for seed, (boxes, rank1) in enumerate([("detected", 60), ("labelled", 70)]):
        make_run(tmp_path / boxes, rank1, boxes=boxes, seed=seed)
    for boxes, rank1 in ((None, 60), ("labelled", 70)):
        selection = Selection(dataset=("synthetic",), boxes=boxes)
        table = accuracy_table("table7", selection, RunFolders(tmp_path))
        assert cell(table, "Global+Local", f"Synthetic, {boxes or 'detected'}", "R1")["measured"] == rank1


def test_runs_by_several_revisions_decoders_and_devices_say_so(tmp_path):
    run = make_run(tmp_path / "a", 60)
    config = json.loads((run.path / "config.json").read_text()) | {"revision": "abc1234", "pixels": 1, "device": None}
    later = {"versions": {}, "revision": "def5678", "pixels": 2, "device": "NVIDIA H200"}
    then = [{"epoch": 1, "step": 0, **later}, {"epoch": 2, "step": 0, **later, "device": "AMD EPYC"}]
    (run.path / "config.json").write_text(json.dumps(config | {"then": then}))
    run.write_metrics(run.read_metrics(), 4, None, "0123abc")
    table = accuracy_table("table7", SYNTHETIC, RunFolders(tmp_path))
    assert ", revision abc1234, then def5678, tested by 0123abc, " in table.notes[1]
    assert ", on NVIDIA H200 and then AMD EPYC; runs in " in table.notes[1]
    note = "Not all of these runs are known to have seen images decoded alike: worth a point or two."
    assert table.notes[-1] == note
    (run.path / "config.json").write_text(json.dumps(config | {"revision": "abc1234-dirty-0a1b2c"}))
    uncommitted = "Not all of this code was committed: nobody else can get these figures."
    assert accuracy_table("table7", SYNTHETIC, RunFolders(tmp_path)).notes[-1] == uncommitted
    make_run(tmp_path / "b", 60, seed=1)
    notes = accuracy_table("table7", SYNTHETIC, RunFolders(tmp_path)).notes
    assert uncommitted in notes and "These runs were not all trained by the same revision of the code." in notes
    (run.path / "config.json").write_text(json.dumps(config | {"pixels": None}))
    assert accuracy_table("table7", SYNTHETIC, RunFolders(tmp_path)).notes[-1] == note


def test_the_images_at_hand_decide_which_runs_count(tmp_path):
    make_run(tmp_path / "a-old", 10, images=("old.jpg",))
    now = make_run(tmp_path / "now", 60, seed=1)
    make_run(tmp_path / "other", 90, tested="bb", seed=2)
    runs = RunFolders(tmp_path, {data_key(now.settings): (now.trained, "aa")})
    table = accuracy_table("table7", SYNTHETIC, runs)
    assert cell(table, "Global+Local", "Synthetic, detected", "R1")["measured"] == 60
    assert "a-old was trained on other images" in runs.left_out[0]
    assert f"{tmp_path}/other was tested on other images" in runs.left_out[1]


def test_xla_and_eval_every_change_nothing(tmp_path):
    make_run(tmp_path / "a", 60, seed=0, xla="off", eval_every=1)
    make_run(tmp_path / "b", 70, seed=1, xla="on")
    table = accuracy_table("table7", SYNTHETIC, RunFolders(tmp_path))
    assert cell(table, "Global+Local", "Synthetic, detected", "R1")["measured"] == 65


def test_without_any_run_it_says_what_to_do(tmp_path):
    make_run(tmp_path / "unfinished", 60, finished=False)
    said = r"belongs to table7: train with python -m hacnn_tf.reproduce --experiment table7\. .*not finished"
    with pytest.raises(InputError, match=said):
        accuracy_table("table7", SYNTHETIC, RunFolders(tmp_path))
    with pytest.raises(InputError, match="There is no folder"):
        RunFolders(tmp_path / "nowhere")
    with pytest.raises(InputError, match="Unknown dataset 'msmt17'"):
        Selection(("msmt17",))


def test_files_agree_with_one_another(tmp_path):
    make_run(tmp_path / "runs" / "a", 60)
    table = accuracy_table("table7", SYNTHETIC, RunFolders(tmp_path / "runs"))
    paths = table.write(tmp_path / "results")
    assert [path.name for path in paths] == ["table7.csv", "table7.md", "table7.html"]
    for path in paths:
        assert "60.0" in path.read_text()
    assert paths[1].read_text() == table.markdown()


@pytest.mark.parametrize(("value", "text"), [(-0.04, "+0.0"), (0, "+0.0"), (-0.06, "-0.1"), (10.55, "+10.6")])
def test_a_difference_has_a_sign_and_nothing_is_not_negative(value, text):
    assert signed(value) == text


def test_a_network_of_one_branch_has_no_local_part():
    measures = {part: {"rank1": 50.04, "mAP": 40.06} for part in ("joint", "global")}
    assert parts_table({"a": {"single_query": measures}}).endswith("\n| a | 50.0/40.1 | 50.0/40.1 |  |")
