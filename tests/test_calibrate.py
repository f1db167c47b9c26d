"""calibrate as typed, and what a search makes of it."""

import dataclasses
import json
import os
import shutil
import types

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("sklearn", reason='needs the extra "calibrate"')
pytest.importorskip("lancedb", reason='needs the extra "search"')

from hacnn_tf import ReID, calibrate, index, search
from hacnn_tf.data.synthetic import make_synthetic
from hacnn_tf.evaluation.calibration import Calibration
from hacnn_tf.evaluation.calibration_fit import Reliability
from hacnn_tf.export import __main__ as export
from hacnn_tf.gallery import Database
from hacnn_tf.gallery.audit import Audit
from hacnn_tf.gallery.probabilities import Probabilities, not_calibrated
from hacnn_tf.preset import SHIPPED
from tests.conftest import command, fails

NAME = "hacnn_cuhk03_detected"
REQUEST = types.SimpleNamespace(username=None)  # of a page that nobody logs in to


@pytest.fixture(scope="module")
def labelled(once):
    """Flags of a dataset of 20 drawn test persons, of whom the small run knows none."""
    root = once("labelled", lambda root: make_synthetic(root / "synthetic", identities=(6, 20)))
    return ["--dataset=synthetic", "--allow_subset", f"--data_root={root}"]


@pytest.fixture
def run(small_run, tmp_path):
    return shutil.copytree(small_run, tmp_path / "run")


@pytest.fixture
def program(programs, tmp_path):
    """An export for ONNX Runtime, which opens sooner than a run, in a folder of its own."""
    return shutil.copytree(programs("onnx").parent, tmp_path / "exported") / "hacnn.onnx"


@pytest.fixture
def people(program, small_data_root, tmp_path):
    path = tmp_path / "people.lance"
    images = small_data_root / "synthetic/detected/bounding_box_test"
    command(index, f"--model={program}", f"--images={images}", f"--database={path}")
    return path


@pytest.fixture
def query(small_data_root):
    return min(small_data_root.glob("synthetic/detected/query/*.jpg"))


ANY = Calibration("", 6.0, -30.0, "doors", 30, 90, 2000, 0.1)


def curve(model):
    """A calibration of a model, without images."""
    return dataclasses.replace(ANY, fingerprint=ReID.from_preset(model).fingerprint)


@pytest.mark.slow
def test_a_run_is_calibrated_and_its_copies_too(run, labelled, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    command(calibrate, f"--model={run}", *labelled, f"--figure={tmp_path}/a.png")
    said = capsys.readouterr().out
    assert "of 20 persons.\n" in said and "probability  predicted  observed  pairs\n" in said
    assert said.endswith(f"Calibration: {run}/calibration.json\nFigure: {tmp_path}/a.png\n")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    model = ReID.from_preset(run)
    assert model.calibration.persons == 20 and model.calibration.dataset == "synthetic, detected boxes"
    assert f"Brier score {model.calibration.brier:.4f}; " in said and "saying 0.5 has a Brier score of 0.2500" in said
    near, far = model.calibration.probability([0.0, 1.0])
    assert near > far
    model.save_to_preset(tmp_path / "preset")
    assert ReID.from_preset(tmp_path / "preset").calibration == model.calibration
    command(calibrate, f"--model={run}", *labelled)
    again = capsys.readouterr().out
    assert "The calibration that was there was fitted to synthetic, detected boxes too: not compared.\n" in again
    kept = run / "calibration.json"
    kept.write_text(kept.read_text().replace("synthetic, detected boxes", "elsewhere"))
    command(calibrate, f"--model={run}", *labelled)
    again = capsys.readouterr().out
    assert "The calibration that was there, of elsewhere, on the same persons:\nBrier score" in again
    assert ReID.from_preset(run).calibration == model.calibration, "the same each time"


def test_what_is_told_of_a_curve():
    table = pd.DataFrame({"low": [0, 0.9], "high": [0.1, 1], "predicted": [0.05, 0.95], "observed": [0.2, 0.7]})
    measured = Reliability(0.05, table.assign(pairs=[9, 3], weight=0.5), 1000, (0.75, 0.25))
    fitted, _, _, _, last, brier, searched, _ = calibrate._told(ANY, measured).splitlines()
    assert fitted == "Fitted to 90 pairs of one person and 2,000 of two, of 30 persons."
    assert last.split() == ["0.9", "to", "1.0", "0.950", "0.700", "3"]
    assert brier == "Brier score 0.0500; of pairs at 0.9 or above 70.0% are of one person, 77.8% of all that are."
    assert searched.endswith(": of pairs at 0.5 or above 75.0% are of one person, 25.0% of all that are.")


def test_persons_of_the_training_are_refused(run, small_data_root, tmp_path):
    train = small_data_root / "synthetic/detected/bounding_box_train"
    (tmp_path / "people").symlink_to(train)
    for data_root in (train, tmp_path / "people"):
        trained_on = ["--dataset=folder", f"--data_root={data_root}", "--test_share=1"]
        said = fails(calibrate, [f"--model={run}", *trained_on])
        assert "was trained on 6 of the 6 persons who are tested here, so its distances flatter it" in said
    assert not (run / "calibration.json").exists()
    (tmp_path / "images").mkdir()
    shutil.copy(min(train.iterdir()), tmp_path / "images")
    command(index, f"--model={run}", f"--images={tmp_path}/images", f"--database={tmp_path}/people.lance")
    assert "was trained on 6 of the 6 persons" in fails(calibrate, [f"--database={tmp_path}/people.lance", *trained_on])


def test_int8_takes_no_calibration_along(run, small_data_root, tmp_path, monkeypatch):
    curve(run).write(run / "calibration.json")
    given = {}
    monkeypatch.setattr(export, "export_model", lambda *args: given.update({args[3]: args[5]}))
    args = [f"--run_dir={run}", "--format=onnx"]
    for precision, calibrated, more in (("int8", False, [f"--data_root={small_data_root}"]), ("float16", True, [])):
        command(export, *args, f"--output={tmp_path}/{precision}", f"--precision={precision}", *more)
        assert (given[precision] == curve(run)) == calibrated and (given[precision] is None) != calibrated


def test_a_curve_is_written_elsewhere_and_measured_on_other_persons_by_another_seed(program, labelled, tmp_path):
    for seed in (0, 1):
        command(calibrate, f"--model={program}", *labelled, f"--seed={seed}", f"--output={tmp_path}/{seed}.json")
    curves = [Calibration.read(tmp_path / f"{seed}.json", ReID.from_preset(program).fingerprint) for seed in (0, 1)]
    assert dataclasses.replace(curves[1], brier=curves[0].brier) == curves[0] != curves[1]
    assert not (program.parent / "calibration.json").exists()


def test_bundled_weights_keep_theirs(labelled, tmp_path, monkeypatch):
    before = (SHIPPED / NAME / "calibration.json").read_bytes()
    (tmp_path / "presets").symlink_to(SHIPPED)  # the package may lie behind a link
    for model in (NAME, SHIPPED / NAME, tmp_path / "presets" / NAME):
        if model != NAME:
            monkeypatch.setattr(calibrate, "SHIPPED", model.parent)
        said = fails(calibrate, [f"--model={model}", *labelled])
        assert "comes with hacnn_tf and keeps the calibration that it came with: write another with --output" in said
    assert (SHIPPED / NAME / "calibration.json").read_bytes() == before


def test_what_cannot_be_used_is_one_sentence(program, labelled, small_data_root, people, tmp_path, monkeypatch):
    model = f"--model={program}"
    (tmp_path / "there.json").touch()
    for args, words in (
        ([model], "--dataset must be given"),
        (labelled, "--model must be given"),
        ([f"--model={tmp_path}", *labelled], "is not a run folder, preset or export"),
        ([model, *labelled, f"--output={tmp_path}/there.json"], "exists: remove it or name another"),
        ([model, *labelled, f"--output={tmp_path}/a.txt"], "must end in .json"),
        ([model, *labelled, f"--figure={tmp_path}/a.jpg"], "must end in .png"),
        ([model, *labelled, f"--database={people}", f"--output={tmp_path}/a.json"], "two places to keep one curve"),
        ([*labelled, f"--database={tmp_path}/none.lance"], "is not a database of features"),
        ([f"--model={NAME}", *labelled, f"--database={people}"], "holds features of"),
        (
            [model, *labelled[:2], f"--data_root={small_data_root}", f"--output={tmp_path}/a.json"],
            "has 4 persons among its queries and gallery, and a calibration needs 20",
        ),
    ):
        assert words in fails(calibrate, args)
        assert not (tmp_path / "a.json").exists() and not (program.parent / "calibration.json").exists()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert 'pip install -c constraints.txt -e ".[calibrate]"' in fails(calibrate, [model, *labelled])


def printed(capsys):
    """The head and rows of a search's table, and the lines before and after it."""
    lines = capsys.readouterr().out.splitlines()
    before = [line for line in lines[:1] if line.startswith("Probabilities are")]
    lines = lines[len(before) :]
    rows = [line.split() for line in lines[2:] if line.split()[0].isdigit() and line.endswith(".jpg")]
    return lines[1].split(), rows, before + lines[2 + len(rows) :]


def test_a_search_shows_probabilities_and_leaves_out_what_is_less_probable(people, program, query, tmp_path, capsys):
    args = [f"--database={people}", f"--query={query}", "--top=6"]
    command(search, *args)
    plain = printed(capsys)
    assert "probability" not in plain[0] and not plain[2]
    made = curve(program)
    made.write(program.parent / "calibration.json")
    command(search, *args, f"--html={tmp_path}/found.html")
    head, rows, (note, _) = printed(capsys)
    assert head == ["rank", "distance", "probability", "camera", "time", "path"]
    distances = Database(people).search(ReID.from_preset(program).embed(query), top=6)[0].distance
    expected = made.probability(distances, 1 / 32)
    assert [row[2] for row in rows] == [f"{value:.3f}" for value in expected]
    assert note == (
        "Probabilities are as if 1 in 32 of the images compared showed the person, on cameras like those of "
        "doors. On others, most of what they call probable may be wrong: with labelled images of yours, python -m "
        f"hacnn_tf.calibrate --database {people} --dataset folder --data_root LABELLED --test_share 1."
    )
    page = (tmp_path / "found.html").read_text()
    assert f"<br>probability {expected[0]:.3f}<br>" in page and "like those of doors." in page

    between = (expected[3] + expected[4]) / 2
    command(search, *args, f"--at_least={between}")
    _, rows, said = printed(capsys)
    assert len(rows) == 4 and said == [note, f"2 below {between:g} are left out."]
    command(search, *args, "--at_least=1")
    assert printed(capsys)[1:] == ([], [note, "6 below 1 are left out."])
    command(search, *args, "--prior=0.5", "--where=camid != 1")
    _, rows, said = printed(capsys)
    assert "as if a share of 0.5 of the images" in said[0]
    np.testing.assert_allclose(
        [float(row[2]) for row in rows], made.probability([float(row[1]) for row in rows]), atol=0.01
    )
    command(search, *args, "--where=camid = 1")
    assert "as if 1 in 8 of the images" in printed(capsys)[2][0]
    for other in ("--rerank", "--one_person"):
        command(search, *args, other)
        assert "probability" not in printed(capsys)[0]
    for other in ("--rerank", "--one_person", "--per track"):
        for flag in ("--at_least=0.5", "--prior=0.1"):
            said = fails(search, [*args, *other.split(), flag])
            assert f"and {other} has others: leave one out" in said
    assert "above 0 and below 1" in fails(search, [*args, "--prior=0"])
    assert "--at_least" in fails(search, [*args, "--at_least=90"])
    assert "--at_least" in fails(search, [*args, "--at_least=nan"])
    (program.parent / "calibration.json").write_text("{}")
    assert "calibration.json is damaged" in fails(search, [*args, "--at_least=0.5"])
    command(search, *args)
    assert "calibration.json is damaged" in capsys.readouterr().err, "distances are there anyway"


def test_a_database_has_a_calibration_of_its_own(people, program, query, labelled, capsys):
    args = [f"--database={people}", f"--query={query}", "--at_least=0"]
    said = fails(search, args)
    assert f"--at_least cannot work. Neither {people} nor its model is calibrated" in said
    assert (
        f"python -m hacnn_tf.calibrate --database {people} --dataset folder --data_root LABELLED --test_share 1" in said
    )
    curve(program).write(program.parent / "calibration.json")
    command(calibrate, f"--database={people}", *labelled)
    assert capsys.readouterr().out.endswith(f"Calibration: {people}\n")
    assert json.loads((program.parent / "calibration.json").read_text())["dataset"] == "doors"
    command(search, *args)
    assert printed(capsys)[2][-1].endswith("like those of synthetic, detected boxes.")


def test_an_empty_database_is_calibrated_too(people, labelled, capsys):
    Database(people).remove("camid is not null")
    assert len(Database(people)) == 0
    command(calibrate, f"--database={people}", *labelled)
    assert capsys.readouterr().out.endswith(f"Calibration: {people}\n")
    assert Database(people).calibration.persons == 20


def test_a_database_takes_no_curve_of_other_distances(people, labelled, monkeypatch):
    open_model = Database.load_model

    def of_int8(database, preset):
        model = open_model(database, preset)
        model.precision = "int8"
        return model

    monkeypatch.setattr(Database, "load_model", of_int8)
    said = fails(calibrate, [f"--database={people}", *labelled])
    assert f"{people} was indexed in float32, and " in said and "computes in int8" in said
    assert Database(people).calibration is None


def test_a_database_that_cannot_be_written_is_said_before_any_image_is_read(people, labelled, monkeypatch):
    monkeypatch.setattr("hacnn_tf.data.read.read_options", None)
    monkeypatch.setattr(os, "access", lambda place, _: str(place) != str(people.parent))
    assert f"{people.parent} is not a folder that you may write to" in fails(
        calibrate, [f"--database={people}", *labelled]
    )


def stale(path):
    """Writes a calibration of another network there."""
    dataclasses.replace(ANY, fingerprint="bb").write(path)


def test_a_search_goes_on_beside_the_calibration_of_another_network(people, program, query, capsys):
    place = program.parent / "calibration.json"
    args = [f"--database={people}", f"--query={query}", "--top=6"]
    command(search, *args)
    plain = capsys.readouterr()
    stale(place)
    command(search, *args)
    said = capsys.readouterr()
    assert said.out == plain.out and said.err.count("\n") == plain.err.count("\n") + 1
    assert f"The calibration in {place} is of another network (bb) than" in said.err
    for flag in ("--at_least=0.5", "--prior=0.1"):
        assert f"{place} is of another network (bb)" in fails(search, [*args, flag])

    pytest.importorskip("gradio")
    from hacnn_tf.gallery import browser

    blocks = browser.page(Database(people), ReID.from_preset(program), Audit(None, "hacnn_tf.app"))
    search_for = next(function.fn for function in blocks.fns.values() if function.name == "search")
    rows, images, told, _ = search_for(str(query), [], "", "", 6, 0.0, False, REQUEST)
    assert len(images) == 6 and "_probability" not in rows and browser._plain(f"{place} is of another network") in told


@pytest.mark.slow
def test_copies_leave_out_the_calibration_of_another_network(run, tmp_path, capsys):
    stale(run / "calibration.json")
    ReID.from_preset(run).save_to_preset(tmp_path / "preset")
    command(export, f"--run_dir={run}", f"--output={tmp_path}/out", "--format=keras")
    said = capsys.readouterr().err
    assert said.count(f"The calibration in {run}/calibration.json is of another network (bb)") == 2
    assert said.count("The copy of ") == 2
    for copy in ("preset", "out/hacnn.keras"):
        assert ReID.from_preset(tmp_path / copy).calibration is None


@pytest.mark.slow
def test_another_files_calibration_is_not_replaced_and_an_older_one_of_a_run_is(run, program, labelled):
    place = program.parent / "calibration.json"
    stale(place)
    before = place.read_bytes()
    said = fails(calibrate, [f"--model={program}", *labelled])
    assert f"{place} is the calibration of another network than {program}" in said
    assert "remove it, or write another with --output" in said and "Calibration.read" in said
    assert place.read_bytes() == before
    stale(run / "calibration.json")
    command(calibrate, f"--model={run}", *labelled)
    assert ReID.from_preset(run).calibration.persons == 20


def test_what_the_data_lacks_is_said_before_anything_is_extracted(
    program, small_data_root, labelled, tmp_path, monkeypatch
):
    def opened(*_):
        raise AssertionError("a model was opened")

    monkeypatch.setattr(ReID, "from_preset", opened)
    few = [f"--model={program}", *labelled[:2], f"--data_root={small_data_root}"]
    assert "has 4 persons among its queries and gallery" in fails(calibrate, few)
    (tmp_path / "none.lance").mkdir()
    said = fails(calibrate, [f"--database={tmp_path}/none.lance", *labelled[:2], "--data_root=/nowhere"])
    assert f"{tmp_path}/none.lance is not a database of features" in said


def test_the_page_shows_them_too(people, program, query):
    pytest.importorskip("gradio")
    from hacnn_tf.gallery import browser

    database = Database(people)
    for calibration in (None, curve(program)):
        model = ReID.from_preset(program)
        model.__dict__["calibration"] = calibration
        blocks = browser.page(database, model, Audit(None, "hacnn_tf.app"))
        (slider,) = [block for block in blocks.blocks.values() if getattr(block, "label", "") == "Probability at least"]
        assert slider.visible == bool(calibration)
        search_for = next(function.fn for function in blocks.fns.values() if function.name == "search")
        rows, images, told, _ = search_for(str(query), [], "", "", 6, 0.0, False, REQUEST)
        assert len(images) == 6 and ("probability" in images[0][1]) == bool(calibration)
        calibrated = calibration and Probabilities(calibration, 32, uncalibrated=database.path).note
        assert told == browser._plain(calibrated or not_calibrated(database.path))
        rows, images, told, _ = search_for(str(query), [], "", "", 6, 0.5, True, REQUEST)
        assert len(images) == 6 and told == browser._plain(browser.NO_LIMIT)
        assert search_for(str(query), [], "", "", 6, 0.0, True, REQUEST)[2] == "", "re-ranked ones have none"
        (reranked,) = database.search(model.embed(query), None, 6, reranked=True)
        np.testing.assert_allclose(rows.distance, reranked.distance, atol=1e-5)
    assert "as if 1 in 8 of the images" in search_for(str(query), [1], "", "", 6, 0.0, False, REQUEST)[2]
    rows, *_ = search_for(str(query), [], "", "", 6, 0.0, False, REQUEST)
    expected = calibration.probability(rows.distance, 1 / 32)
    rows, images, told, _ = search_for(str(query), [], "", "", 6, expected[1], False, REQUEST)
    assert len(rows) == len(images) == 2 and told.startswith("4 below ")
