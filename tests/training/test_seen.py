"""Whether a network has seen, in training, who is tested."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from hacnn_tf import InputError, train
from hacnn_tf.data import read_dataset
from hacnn_tf.data.dataset import ReidDataset
from hacnn_tf.data.validation import hold_out
from hacnn_tf.preset import FOR_USE
from hacnn_tf.training.run_folder import RunFolder
from hacnn_tf.training.seen import persons_seen, whom_it_knows
from hacnn_tf.training.settings import Settings
from tests.conftest import command, train_args

SHIPPED = "hacnn_cuhk03_detected"


@pytest.fixture
def everybody(small_data_root):
    """All images of the small dataset, of six persons who are trained on and four others, to test on."""
    table = read_dataset("synthetic", small_data_root, allow_subset=True).table
    trained = table.split == "train"
    return ReidDataset("all", table.assign(split="gallery", pid=table.pid + 100 * trained))


def test_persons_are_known_by_the_files_of_their_images(small_run, small_data_root, everybody, tmp_path):
    own = read_dataset("synthetic", small_data_root, allow_subset=True)
    assert persons_seen(RunFolder(small_run), own, small_data_root) == (0, 4)
    assert persons_seen(RunFolder(small_run), everybody, small_data_root) == (6, 10)
    (tmp_path / "link").symlink_to(small_data_root)
    paths = everybody.table.path.str.replace(str(small_data_root), str(tmp_path / "link"))
    linked = ReidDataset("all", everybody.table.assign(path=paths))
    assert persons_seen(RunFolder(small_run), linked, small_data_root) == (6, 10)


def test_persons_are_known_by_copies_of_their_images_elsewhere(small_run, small_data_root, everybody, tmp_path):
    folders = everybody.table.path.str.rsplit("/", n=2).str[1]
    copies = str(tmp_path) + "/" + folders + "/" + everybody.table.path.str.rsplit("/", n=1).str[1]
    for path, copy in zip(everybody.table.path, copies, strict=True):
        Path(copy).parent.mkdir(exist_ok=True)
        shutil.copy(path, copy)
    copied = ReidDataset("all", everybody.table.assign(path=copies))
    assert persons_seen(RunFolder(small_run), copied, small_data_root) == (6, 10)
    for path in copies[everybody.table.pid == everybody.table.pid.max()]:
        Path(path).write_bytes(b"another image of that name")
    assert persons_seen(RunFolder(small_run), copied, small_data_root) == (5, 10)


def test_where_a_folder_is_another_now_the_split_that_was_drawn_says_it(
    small_run, small_data_root, everybody, tmp_path
):
    run = shutil.copytree(small_run, tmp_path / "run")
    config = json.loads((run / "config.json").read_text())
    config["fingerprint"], config["places"] = "of other images", {"data_root": str(tmp_path / "gone")}
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"Whether .*run was trained on persons who are tested here is not known\. "):
        persons_seen(RunFolder(run), everybody, small_data_root)
    paths = everybody.table.path[everybody.table.pid > 100]
    split = pd.DataFrame({"path": paths, "pid": "0001", "camid": 1, "split": "train"})
    split.iloc[: len(split) // 2].to_csv(run / "split.csv", index=False)
    assert persons_seen(RunFolder(run), everybody, small_data_root) == (3, 10)
    split.assign(track="nan").iloc[: len(split) // 2].to_csv(run / "split.csv", index=False)  # as 0.3.0 wrote it
    assert persons_seen(RunFolder(run), everybody, small_data_root) == (3, 10)
    split.assign(path="/gone" + split.path).to_csv(run / "split.csv", index=False)
    with pytest.raises(InputError, match=r"is not known\. The training images in .*split\.csv are not there any more"):
        persons_seen(RunFolder(run), everybody, small_data_root)
    for damaged in ("", "path,pid\na,1\n"):
        (run / "split.csv").write_text(damaged)
        with pytest.raises(InputError, match=r"Whether .* is not known\. .*split\.csv cannot be read: "):
            persons_seen(RunFolder(run), everybody, small_data_root)
    assert not (tmp_path / "gone").exists()


def test_nothing_is_drawn_to_see_whom_a_run_knows(small_run, everybody, tmp_path):
    run = shutil.copytree(small_run, tmp_path / "run")
    config = json.loads((run / "config.json").read_text())
    config["places"] = {"data_root": str(tmp_path / "gone")}
    (run / "config.json").write_text(json.dumps(config))
    (tmp_path / "here").mkdir()
    with pytest.raises(InputError, match=r"is not known\. .*gone/synthetic is not there"):
        persons_seen(RunFolder(run), everybody, tmp_path / "here")
    assert not list((tmp_path / "here").iterdir())


def test_of_an_export_it_is_said_that_nothing_is_known(programs, everybody, small_data_root, capsys):
    assert whom_it_knows(programs("onnx"), everybody, Settings(), small_data_root) == ""
    assert "It is unknown whom" in capsys.readouterr().err


def test_no_training_begins_from_weights_that_know_who_is_tested(small_run, small_data_root, tmp_path):
    people = small_data_root / "synthetic/detected/bounding_box_train"
    args = [f"--run_dir={tmp_path}/run", "--dataset=folder", f"--data_root={people}", "--batch_size=4"]
    with pytest.raises(SystemExit, match=f"{small_run} was trained on 3 of the 3 persons who are tested here, which"):
        command(train, *args, f"--init_from={small_run}")
    with pytest.raises(SystemExit, match="was trained on 3 of the 3 persons who are tested here"):
        command(train, *train_args(small_data_root, tmp_path / "run", f"--init_from={small_run}", "--validation=3"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("more", "refused"),
    [
        ({"dataset": "cuhk03"}, False),
        ({"dataset": "cuhk03", "boxes": "labelled"}, False),
        ({"dataset": "market1501", "validation": 3}, False),
        ({"dataset": "cuhk03", "validation": 3}, True),
        ({"dataset": "market1501,cuhk03", "validation": 3}, True),
        ({"dataset": "cuhk03", "split": "1367_100"}, True),
        ({"dataset": "cuhk03,market1501", "split": "all"}, False),
        ({"dataset": "cuhk03,market1501", "split": "all", "validation": 3}, True),
    ],
)
def test_bundled_weights_know_cuhk03s_training_persons(everybody, more, refused):
    settings = Settings(init_from=SHIPPED, **more)
    if refused:
        with pytest.raises(InputError, match=f"{SHIPPED} was trained on persons of cuhk03 767_700, some of whom are"):
            train._check_initial(settings, everybody, "data")
    else:
        train._check_initial(settings, everybody, "data")


@pytest.mark.parametrize(
    ("more", "known"),
    [
        ({"dataset": "cuhk03"}, True),
        ({"dataset": "cuhk03", "split": "1367_100"}, True),
        ({"dataset": "market1501"}, False),
        ({"dataset": "cuhk03,market1501", "split": "all"}, False),
    ],
)
def test_weights_for_use_know_everybody_in_cuhk03(everybody, more, known):
    words = whom_it_knows(FOR_USE, everybody, Settings(**more), "data")
    assert words == ("was trained on persons of cuhk03 all, some of whom are tested here" if known else "")


@pytest.fixture
def run_of(small_run, tmp_path):
    """Makes a run folder of other settings, whose images are gone."""

    def make(name, **settings):
        run = shutil.copytree(small_run, tmp_path / name)
        config = json.loads((run / "config.json").read_text())
        config["settings"].update({"boxes": None, **settings})
        config["fingerprint"], config["places"] = "of other images", {"data_root": str(tmp_path / "gone")}
        (run / "config.json").write_text(json.dumps(config))
        return run

    return make


CUHK03 = {"dataset": "cuhk03", "split": "767_700", "boxes": "detected"}


@pytest.mark.parametrize(
    ("trained", "tested", "known"),
    [
        (CUHK03, CUHK03, False),
        (CUHK03, {**CUHK03, "boxes": "labelled"}, False),
        (CUHK03, {"dataset": "market1501"}, False),
        (CUHK03, {**CUHK03, "dataset": "market1501,cuhk03"}, False),
        (CUHK03, {**CUHK03, "split": "1367_100"}, True),
        ({**CUHK03, "split": "1367_100", "testset": 1}, {**CUHK03, "split": "1367_100", "testset": 2}, True),
        ({**CUHK03, "dataset": "cuhk03,market1501", "split": "all"}, CUHK03, True),
        (CUHK03, {**CUHK03, "validation": 3}, True),
        (CUHK03, {**CUHK03, "validation": 3, "boxes": "labelled"}, True),
        ({**CUHK03, "validation": 5}, {**CUHK03, "validation": 3}, False),
        ({**CUHK03, "validation": 3}, {**CUHK03, "validation": 3}, False),
        ({**CUHK03, "validation": 2}, {**CUHK03, "validation": 3}, True),
        ({**CUHK03, "validation": 5}, {**CUHK03, "validation": 3, "boxes": "labelled"}, True),
        ({**CUHK03, "validation": 5}, {**CUHK03, "dataset": "market1501,cuhk03", "validation": 3}, True),
        ({"dataset": "synthetic", "boxes": "labelled"}, {"dataset": "synthetic", "validation": 3}, True),
        ({"dataset": "folder", "boxes": None}, {"dataset": "folder", "validation": 3}, False),
    ],
)
def test_a_run_whose_images_are_gone_knows_persons_by_the_names_of_datasets(
    run_of, everybody, tmp_path, trained, tested, known, capsys
):
    run = run_of("run", **trained)
    words = whom_it_knows(run, everybody, Settings(**tested), tmp_path / "gone")
    assert words.startswith("was trained on persons of ") if known else not words
    assert "was trained on persons who are tested here is not known" in capsys.readouterr().err


def test_held_out_persons_are_the_first_of_one_order(everybody):
    rows = ReidDataset("all", everybody.table.assign(split="train"))
    few, more = (set(hold_out(rows, count).split("query").pid) for count in (3, 5))
    assert few < more


def test_what_a_network_began_from_knows_persons_too(small_run, run_of, everybody, small_data_root, capsys):
    people = Settings(dataset="folder")
    run = run_of("last", dataset="folder", init_from=str(run_of("first", dataset="folder", init_from=str(small_run))))
    words = f"goes back to {small_run}, which was trained on 6 of the 10 persons who are tested here"
    assert whom_it_knows(run, everybody, people, small_data_root) == words
    tuned = run_of("tuned", dataset="folder", init_from=SHIPPED)
    words = whom_it_knows(tuned, everybody, Settings(dataset="cuhk03", validation=3), small_data_root)
    assert words.endswith(f"{SHIPPED}, which was trained on persons of cuhk03 767_700, some of whom are tested here")
    capsys.readouterr()
    lost = run_of("lost", dataset="folder", init_from="runs/removed")
    assert whom_it_knows(lost, everybody, people, small_data_root) == ""
    assert "It is unknown whom the weights have seen. runs/removed is not a run folder" in capsys.readouterr().err


def test_what_a_network_began_from_is_found_from_every_folder(small_run, run_of, everybody, small_data_root, tmp_path):
    people, run = Settings(dataset="folder"), run_of("last", dataset="folder", init_from="first")
    config = json.loads((run / "config.json").read_text())
    config["places"]["init_from"] = str(small_run)  # as train writes it
    (run / "config.json").write_text(json.dumps(config))
    words = f"goes back to {small_run}, which was trained on 6 of the 10 persons who are tested here"
    assert whom_it_knows(run, everybody, people, small_data_root) == words


def test_runs_that_began_from_one_another_are_asked_once(run_of, everybody, tmp_path):
    one = run_of("one", dataset="folder", init_from=str(tmp_path / "other"))
    run_of("other", dataset="folder", init_from=str(one))
    assert whom_it_knows(one, everybody, Settings(dataset="folder"), tmp_path / "gone") == ""
