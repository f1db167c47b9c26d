"""Commands on images of one's own, on several datasets, and on a test set other than the run's."""

import json
import shutil

import pandas as pd
import pytest

from hacnn_tf import check, evaluate, train
from hacnn_tf.data.dataset import ReidDataset, make_table
from hacnn_tf.data.dataset_options import DatasetOptions
from hacnn_tf.evaluation import TEST_SPLITS
from hacnn_tf.paper.run_folders import RunFolders
from hacnn_tf.training.code import code_revision
from hacnn_tf.training.run_folder import RunFolder
from tests.conftest import command, fails, train_args
from tests.training.tiny import TinyNetwork


@pytest.fixture(scope="module")
def data_root(small_data_root, tmp_path_factory):
    """The small dataset, and its ten persons as folders of identities in `people`."""
    root = tmp_path_factory.mktemp("own")
    shutil.copytree(small_data_root, root, dirs_exist_ok=True)
    for path in (root / "synthetic/detected").rglob("*.jpg"):
        identity = root / "people" / f"p{path.name[:4]}"
        identity.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, identity)
    return root


@pytest.fixture(scope="module")
def own_run(data_root, tmp_path_factory):
    """The run folder of a training on the folders of identities."""
    run_dir = tmp_path_factory.mktemp("runs") / "own"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hacnn_tf.models.HACNN", TinyNetwork)
        trains(data_root / "people", run_dir, "--dataset=folder", "--test_share=0.4", "--split_seed=2")
    return run_dir


@pytest.fixture(autouse=True)
def small_network(monkeypatch):
    monkeypatch.setattr("hacnn_tf.models.HACNN", TinyNetwork)


def trains(root, run_dir, *more):
    command(train, *train_args(root, run_dir, *more))


def evaluates(run_dir, root, *more):
    command(evaluate, f"--run_dir={run_dir}", f"--data_root={root}", *more)


def test_the_split_lies_beside_the_run_and_trains_again(own_run, tmp_path):
    split = pd.read_csv(own_run / "split.csv")
    assert list(split) == ["path", "pid", "camid", "split"] and len(split) == 96
    assert split.groupby("split").pid.nunique().to_dict() == {"train": 6, "query": 4, "gallery": 4}
    config = json.loads((own_run / "config.json").read_text())
    assert config["num_identities"] == 6 and config["dataset"] == "people 6/4, split seed 2"
    assert config["settings"]["test_share"] == 0.4 and config["settings"]["split_seed"] == 2
    trains(own_run / "split.csv", tmp_path / "run", "--dataset=folder")
    assert (tmp_path / "run" / "log.csv").read_text() == (own_run / "log.csv").read_text()
    assert not (tmp_path / "run" / "split.csv").exists()


def test_a_training_on_a_folder_goes_on_and_is_evaluated_again(own_run, data_root, capsys):
    before = (own_run / "metrics.json").read_bytes()
    trains(data_root / "people", own_run, "--dataset=folder", "--test_share=0.4", "--split_seed=2")
    assert "is trained already" in capsys.readouterr().out
    evaluates(own_run, data_root / "people")
    assert (own_run / "metrics.json").read_bytes() == before
    sentence = fails(train, train_args(data_root / "people", own_run, "--dataset=folder", "--test_share=0.4"))
    assert "--split_seed 2 there, none now" in sentence


def test_a_folder_that_has_changed(own_run, data_root, tmp_path):
    copy = shutil.copytree(data_root / "people", tmp_path / "people")
    shutil.copytree(copy / "p0001", copy / "p0000")
    args = [f"--run_dir={own_run}", f"--data_root={copy}"]
    assert "was trained on other images of people 6/4, split seed 2 than" in fails(evaluate, args)


def test_another_test_set(own_run, data_root, capsys):
    before = (own_run / "metrics.json").read_bytes()
    evaluates(own_run, data_root, "--dataset=synthetic", "--boxes=labelled", "--allow_subset")
    printed = capsys.readouterr().out
    assert "trained on people 6/4, split seed 2, tested on a part of synthetic, labelled boxes:" in printed
    assert "query                  4        16         4" in printed
    path = own_run / "metrics-synthetic_labelled_boxes.json"
    content = json.loads(path.read_text())
    assert content["trained_on"] == "people 6/4, split seed 2" and content["tested_on"] == "synthetic, labelled boxes"
    assert content["results"]["single_query"]["joint"]["queries"] == 16
    assert (own_run / "metrics.json").read_bytes() == before
    evaluates(own_run, data_root, "--dataset=folder:people,synthetic", "--allow_subset")
    (union,) = own_run.glob("metrics-people*.json")
    assert json.loads(union.read_text())["results"]["single_query"]["joint"]["queries"] == 16 + 5 * 4


def test_a_later_test_stays(own_run, data_root, tmp_path, capsys):
    """As of a training that has ended while its last checkpoint but one was evaluated."""
    run = shutil.copytree(own_run, tmp_path / "own")
    later = json.loads((run / "metrics.json").read_text()) | {"epoch": 99}
    (run / "metrics.json").write_text(json.dumps(later))
    config = json.loads((run / "config.json").read_text())
    config["settings"]["epochs"] = 99
    (run / "config.json").write_text(json.dumps(config))
    evaluates(run, data_root / "people")
    assert "tested after a later epoch meanwhile: the results are not kept" in capsys.readouterr().out
    assert json.loads((run / "metrics.json").read_text()) == later


def test_the_results_on_another_test_set_are_those_of_a_run_on_it(small_data_root, tmp_path):
    """Its own test set under another name, and that of a run with validation, which has none of its own."""
    for name, more in (("whole", []), ("validated", ["--validation=2"])):
        trains(small_data_root, tmp_path / name, *more)
        evaluates(tmp_path / name, small_data_root, "--dataset=synthetic", "--allow_subset")
        other = json.loads((tmp_path / name / "metrics-synthetic_detected_boxes.json").read_text())
        own = json.loads((tmp_path / name / "metrics.json").read_text())
        assert (other["results"] == own["results"]) == (not more)
        assert other["results"]["single_query"]["joint"]["queries"] == 4 * 4


def test_no_table_reads_results_on_another_test_set(own_run, tmp_path):
    shutil.copytree(own_run, tmp_path / "runs/own", ignore=shutil.ignore_patterns("metrics*"))
    run = RunFolder(tmp_path / "runs/own")
    results = json.loads((own_run / "metrics.json").read_text())["results"]
    another = ReidDataset("x", make_table(["a.jpg"], [1], [1], "query"))
    written = json.loads(run.write_other_metrics(another, DatasetOptions(), results, run.settings.epochs).read_text())
    assert written["tested"] == another.fingerprint(TEST_SPLITS) and written["revision"] == code_revision()
    runs = RunFolders(tmp_path / "runs")
    assert runs.select(run.settings) == [] and "is not finished (no metrics.json)" in runs.left_out[0]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--boxes=labelled"], "--boxes needs --dataset; without it, the run says what it is tested on"),
        (["--split_seed=0"], "--split_seed needs --dataset"),
        (["--allow_subset"], "--allow_subset needs --dataset"),
        (["--dataset=market1501", "--boxes=labelled"], "--boxes needs --dataset cuhk03 or synthetic"),
        (["--dataset=market1501"], "Market-1501 not found"),
        (["--dataset=synthetic"], "--allow_subset to use this part"),
    ],
)
def test_evaluate_refuses(flags, sentence, own_run, data_root):
    before = sorted(own_run.iterdir())
    assert sentence in fails(evaluate, [f"--run_dir={own_run}", f"--data_root={data_root}", *flags])
    assert sorted(own_run.iterdir()) == before


def test_a_union(data_root, tmp_path):
    trains(data_root, tmp_path / "run", "--dataset=synthetic,folder:people", "--boxes=labelled")
    run = RunFolder(tmp_path / "run")
    assert run.num_identities == 6 + 5 and run.settings.dataset == "synthetic,folder:people"
    assert run.dataset_name == "synthetic, labelled boxes + people 5/5, split seed 0"
    assert run.settings.run_name.startswith("synthetic+folder_people-labelled-")
    assert len(pd.read_csv(run.path / "split-folder_people.csv")) == 96
    measured = run.read_metrics()["single_query"]["joint"]
    assert measured["queries"] == 16 + 20 and measured["unmatched"] == 0
    evaluates(run.path, data_root)
    assert run.read_metrics()["single_query"]["joint"] == measured


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--dataset=synthetic,market1501", "--split=767_700"], "--split needs --dataset cuhk03"),
        (["--dataset=market1501,dukemtmc", "--boxes=labelled"], "--boxes needs --dataset cuhk03 or synthetic"),
        (["--test_share=0.3"], "--test_share needs --dataset folder"),
        (["--camera_pattern=(.)"], "--camera_pattern needs --dataset folder"),
        (["--dataset=folder,folder"], "names folder twice"),
        (["--dataset=folder:nobody"], "nobody is not there"),
    ],
)
def test_train_refuses(flags, sentence, data_root, tmp_path):
    assert sentence in fails(train, train_args(data_root, tmp_path / "run", *flags))
    assert not (tmp_path / "run").exists()


def test_train_needs_something_to_train_on(data_root, tmp_path):
    images = sorted((data_root / "people/p0001").iterdir())
    lines = ["path,pid,split", f"{images[0]},1,query", f"{images[1]},1,gallery"]
    (tmp_path / "test.csv").write_text("\n".join(lines))
    args = train_args(tmp_path / "test.csv", tmp_path / "run", "--dataset=folder")
    assert "test.csv has no images to train on" in fails(train, args)


def test_train_needs_somebody_to_tell_apart(data_root, tmp_path):
    first, second = (sorted((data_root / f"people/p000{i}").iterdir()) for i in (1, 2))
    lines = ["path,pid,split", *(f"{path},1,train" for path in first)]
    lines += [f"{second[0]},2,query", f"{second[1]},2,gallery"]
    (tmp_path / "one.csv").write_text("\n".join(lines))
    args = train_args(tmp_path / "one.csv", tmp_path / "run", "--dataset=folder")
    assert "one.csv has one identity to train on, and nobody to tell it from" in fails(train, args)


@pytest.mark.parametrize(
    "dataset", ["folder:people", "synthetic", "folder:listed.csv", "folder:listed.csv,folder:marked"]
)
def test_check(dataset, data_root, tmp_path, capsys):
    root = shutil.copytree(data_root, tmp_path / "data")
    lines = ["path,pid,camid,split"]
    for i in range(4):  # the others beside them are not listed
        lines += [f"people/p000{i + 1}/000{i + 1}_c1_1.jpg,{i},door,{'train' if i < 2 else 'query'}"]
        lines += [f"people/p000{i + 1}/000{i + 1}_c2_1.jpg,{i},hall,{'train' if i < 2 else 'gallery'}"]
    (root / "listed.csv").write_text("\n".join(lines))
    for path in root.glob("synthetic/labeled/*/*.jpg"):
        (root / "marked" / path.name[:4]).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / "marked" / path.name[:4])
    command(check, f"--data_root={root}", f"--dataset={dataset}", "--allow_subset")
    assert capsys.readouterr().out.endswith("images, nothing wrong.\n")


def test_check_finds_what_is_wrong_with_ones_own(data_root, tmp_path):
    root = shutil.copytree(data_root / "people", tmp_path / "people")
    shutil.copy(root / "p0001/0001_c1_1.jpg", root / "p0002/0002_c1_1.jpg")
    (root / "p0003/Thumbs.db").touch()
    (root / "p0003/notes.txt").touch()
    (root / "p0099").mkdir()
    (root / "p0099/0099_c1_1.heic").touch()
    sentence = fails(check, [f"--data_root={root}", "--dataset=folder"])
    assert "2 problems among 96 images of people 5/5, split seed 0" in sentence
    assert "1 two identities" in sentence and "1 no image" in sentence


def test_two_names_of_one_folder_are_two_identities_to_check(data_root, tmp_path, capsys):
    root = tmp_path / "people"
    root.mkdir()
    for folder in (data_root / "people").iterdir():
        (root / folder.name).symlink_to(folder)
    command(check, f"--data_root={root}", "--dataset=folder")
    assert capsys.readouterr().out.endswith("96 images, nothing wrong.\n")
    (root / "twin").symlink_to("p0001")
    images = len(list((root / "p0001").iterdir()))
    sentence = fails(check, [f"--data_root={root}", "--dataset=folder"])
    assert f"{images} problems among {96 + images} images" in sentence and f"{images} two identities" in sentence


def test_train_counts_what_it_leaves_out(data_root, tmp_path, capsys):
    root = shutil.copytree(data_root / "people", tmp_path / "people")
    for name in ("p0001/a.heic", "p0002/a.HEIC", "notes.txt", "p0003/._0003_c1_1.jpg"):
        (root / name).touch()
    trains(root, tmp_path / "run", "--dataset=folder")
    assert "\nleft out: 2 .heic, 1 .txt\n" in capsys.readouterr().out
