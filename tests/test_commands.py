"""The commands, as typed: help, and bad input that ends in one sentence and leaves nothing behind."""

import errno
import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest

from hacnn_tf import app, calibrate, check, evaluate, index, reproduce, search, train
from hacnn_tf.export import __main__ as export
from hacnn_tf.utils import cli
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import locked
from tests.conftest import fails, train_args


@pytest.mark.parametrize(
    ("module", "flags"),
    [
        (search, ["--where=camid != 3", "--where=camid != 4"]),
        (index, ["--remove=camid = 3", "--remove=camid = 4"]),
        (index, ["--keep_days=1", "--keep_days=2"]),
        (app, ["--auth=a", "--auth=b"]),
        (calibrate, ["--seed=0", "--seed=1"]),
        (check, ["--dataset=folder:a", "--dataset=folder:b"]),
    ],
)
def test_a_flag_that_is_given_twice_is_no_guess(module, flags):
    name = flags[0].partition("=")[0]
    assert fails(module, flags).endswith(f": {name} is given more than once; --help lists the flags.")


NO_PATHS = {
    "add_user", "camera_pattern", "dataset", "drops", "experiment", "format", "host", "list", "remove", "seeds",
    "track_pattern", "where",
}  # fmt: skip
COMMANDS = [
    "app", "calibrate", "check", "evaluate", "export.__main__", "index", "report", "reproduce", "search", "tables",
    "train",
]  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_that_is_a_path_knows_home(name, tmp_path, monkeypatch):
    """Every flag that takes any text, that is, but for those that are no paths."""
    monkeypatch.setenv("HOME", str(tmp_path))
    values = importlib.import_module(f"hacnn_tf.{name}").COMMAND.values
    kinds = {flag: values[flag].flag_type() for flag in values}
    paths = {flag for flag, kind in kinds.items() if "string" in kind and "enum" not in kind} - NO_PATHS
    assert paths
    parsed = cli.parse(values, [name, *(f"--{flag}=~/a" for flag in paths)])
    found = {flag: parsed[flag].value for flag in paths}
    assert {flag: value for flag, value in found.items() if value not in (f"{tmp_path}/a", [f"{tmp_path}/a"])} == {}


def test_paths_in_a_list_and_nobodys(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cli.parse(reproduce.COMMAND.values, ["", "--images=a,~/b"]).images == ["a", f"{tmp_path}/b"]
    queries = ["--query=~/a", "--query=b"]
    assert cli.parse(search.COMMAND.values, ["", *queries]).query == [f"{tmp_path}/a", "b"]
    assert cli.parse(search.COMMAND.values, ["", "--database=s3://~/x.lance"]).database == "s3://~/x.lance"
    with pytest.raises(InputError, match="~nobody-of-that-name is nobody's home folder here"):
        cli.parse(search.COMMAND.values, ["", "--database=~nobody-of-that-name/x.lance"])


def test_a_folder_that_is_closed_to_us_is_one_sentence(monkeypatch):
    """As another user's home, wherever it is first looked into."""

    def closed(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", "/home/other/data")

    monkeypatch.setattr("pathlib.Path.is_dir", closed)
    said = fails(train, ["--dataset=market1501", "--data_root=/home/other/data"])
    assert "/home/other/data: Permission denied; name a path" in said


def test_a_reader_who_leaves_is_no_fault():
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "hacnn_tf.train", "--help"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--dataset=market"], "--dataset"),
        (["--epochs=many"], "--epochs must be a whole number, not many; --help"),
        (["--epochs=2.5"], "--epochs must be a whole number, not 2.5; --help"),
        (["--learning_rate=fast"], "--learning_rate must be a number, not fast; --help"),
        (["--debug_nans=perhaps"], "--debug_nans must be true or false, not perhaps; --help"),
        (["--nolocal=perhaps"], "--nolocal=perhaps does not take an argument; --help"),
        (["--epochs"], "Missing value for flag --epochs; --help"),
        (["--batch_size=0"], "--batch_size"),
        (["--learning_rate=nan"], "--learning_rate must be a number, not nan"),
        (["--learning_rate=0"], "--learning_rate must be above 0 and finite"),
        (["--seed=4294967296"], "--seed"),
        (["synthetic"], "Unexpected argument 'synthetic'"),
        (["--dataset=market1501", "--boxes=detected"], "--boxes needs --dataset cuhk03 or synthetic"),
        (["--dataset=cuhk03", "--data_root=/nonexistent"], "CUHK03 not found"),
        (["--checkpoint_every=-1"], "--checkpoint_every must be a non-negative whole number, not -1; --help"),
        (["--strategy=several"], "--strategy"),
        (["--recipe=best"], "--recipe must be one of paper, adamw, strong, finetune, not best; --help"),
        (["--schedule=step", "--drops=0.5,1.5"], "--drops are shares of the training between 0 and 1"),
        (["--schedule=cosine", "--drops=0.5"], "--drops needs --schedule step, and it is cosine"),
        (["--batch_identities=5"], "--batch_identities 5 does not fill --batch_size 32"),
        (["--crop_padding=33"], "--crop_padding"),
        (["--num_regions=81"], "--num_regions"),
        (["--triplet=1"], "--triplet compares images of one identity"),
    ],
)
def test_train_refuses_bad_flags(args, words):
    assert words in fails(train, args)


def test_train_refuses_another_run(small_run, small_data_root):
    sentence = fails(train, train_args(small_data_root, small_run, "--learning_rate=0.1", "--nospatial"))
    assert "--learning_rate 0.0005 there, 0.1 now" in sentence
    assert "--spatial True there, False now" in sentence
    assert "--epochs" not in sentence


def test_train_refuses_the_run_of_another_dataset(small_run, small_data_root, tmp_path):
    copy = tmp_path / "data"
    shutil.copytree(small_data_root, copy)
    for path in copy.rglob("0001_*.jpg"):
        path.unlink()
    sentence = fails(train, train_args(copy, small_run))
    assert "trained on other images of synthetic, detected boxes" in sentence


def test_train_refuses_a_folder_that_is_no_run(small_data_root, tmp_path):
    (tmp_path / "thesis.tex").touch()
    assert "is not a run folder" in fails(train, train_args(small_data_root, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_train_refuses_a_place_it_cannot_write(small_data_root, tmp_path):
    (tmp_path / "file").touch()
    assert "cannot be written" in fails(train, train_args(small_data_root, tmp_path / "file" / "run"))


def test_train_names_broken_images_and_starts_no_run(small_data_root, tmp_path):
    copy = tmp_path / "data"
    shutil.copytree(small_data_root, copy)
    folder = copy / "synthetic/detected"
    (folder / "bounding_box_train/0001_c1_1.jpg").write_bytes(b"")
    (folder / "query/0007_c1_1.jpg").write_text("no image")
    sentence = fails(train, train_args(copy, tmp_path / "run"))
    assert sentence.startswith("hacnn_tf.train: 2 of 96 images cannot be read: ")
    assert "0001_c1_1.jpg (empty file)" in sentence and "0007_c1_1.jpg (not an image" in sentence
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--validation=7"], "--validation 7 holds out training identities seen by at least two cameras"),
        (["--validation=6"], "synthetic, detected boxes has 6 of them, and 6 to train on in all; name 4 at most"),
        (["--validation=4", "--batch_size=32"], "16 training images do not fill a batch of 32: lower --batch_size"),
        (["--validation=3", "--batch_identities=4"], "--batch_identities 4 needs so many training identities"),
    ],
)
def test_train_needs_enough_identities_beside_those_held_out(flags, words, small_data_root, tmp_path):
    assert words in fails(train, train_args(small_data_root, tmp_path / "run", *flags))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("module", [evaluate, export])
def test_the_run_must_be_one(module, tmp_path):
    more = [f"--output={tmp_path}/out"] if module is export else []
    assert "--run_dir must be given" in fails(module, more)
    assert "is not a run folder" in fails(module, [f"--run_dir={tmp_path}", *more])
    (tmp_path / "config.json").write_text('{"settings": {"colour": 1}}')
    assert "config.json is damaged" in fails(module, [f"--run_dir={tmp_path}", *more])


def test_a_run_without_a_checkpoint(small_run, small_data_root, tmp_path):
    shutil.copy(small_run / "config.json", tmp_path)
    assert "no checkpoint yet" in fails(evaluate, [f"--run_dir={tmp_path}", f"--data_root={small_data_root}"])


@pytest.mark.parametrize("name", ["num_regions", "spatial", "channel", "regional", "interaction"])
def test_a_checkpoint_of_another_network(small_run, small_data_root, tmp_path, name):
    shutil.copytree(small_run, tmp_path / "run")
    config = json.loads((tmp_path / "run/config.json").read_text())
    config["settings"][name] = 5 if name == "num_regions" else False
    (tmp_path / "run/config.json").write_text(json.dumps(config))
    args = [f"--run_dir={tmp_path}/run", f"--data_root={small_data_root}"]
    assert "is of another network than" in fails(evaluate, args)


def test_a_damaged_checkpoint(small_run, small_data_root, tmp_path):
    shutil.copytree(small_run, tmp_path / "run")
    (checkpoint,) = (tmp_path / "run/checkpoints").iterdir()
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    args = [f"--run_dir={tmp_path}/run", f"--data_root={small_data_root}"]
    assert f"{checkpoint} is damaged (" in fails(evaluate, args)


def test_train_refuses_a_folder_in_which_another_trains(small_run, small_data_root, tmp_path):
    shutil.copytree(small_run, tmp_path / "run")
    with locked(tmp_path / "run" / "lock"):
        sentence = fails(train, train_args(small_data_root, tmp_path / "run"))
    assert re.search(r"run is being written by process \d+ on ", sentence)


def test_evaluate_refuses_other_data(
    small_run,
    tmp_path,
):
    from hacnn_tf.data.synthetic import make_synthetic

    make_synthetic(tmp_path / "synthetic", identities=(2, 1))
    assert "restore the data" in fails(evaluate, [f"--run_dir={small_run}", f"--data_root={tmp_path}"])


def test_evaluate_refuses_queries_without_any_match(small_run, small_data_root, tmp_path):
    copy = tmp_path / "data"
    shutil.copytree(small_data_root, copy)
    for path in copy.glob("synthetic/detected/bounding_box_test/*.jpg"):
        path.rename(path.with_name(path.name.replace(path.name[:4], "0099")))
    before = (small_run / "metrics.json").read_bytes()
    assert "no query has a match in the gallery" in fails(evaluate, [f"--run_dir={small_run}", f"--data_root={copy}"])
    assert (small_run / "metrics.json").read_bytes() == before


def test_outputs_are_never_overwritten(small_run, small_data_root, tmp_path):
    (tmp_path / "there.npz").touch()
    (tmp_path / "there.csv").touch()
    args = [f"--run_dir={small_run}", f"--data_root={small_data_root}"]
    assert "exists" in fails(evaluate, [*args, f"--features={tmp_path}/there.npz"])
    assert "must end in .npz" in fails(evaluate, [*args, f"--features={tmp_path}/there"])
    assert "exists" in fails(evaluate, [*args, f"--per_query={tmp_path}/there.csv"])
    assert "must end in .csv" in fails(evaluate, [*args, f"--per_query={tmp_path}/there"])
    assert "exists" in fails(export, [f"--run_dir={small_run}", f"--output={tmp_path}"])
    output = f"--output={tmp_path}/there.npz/below"
    assert "cannot be written" in fails(export, [f"--run_dir={small_run}", output])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "is not a run folder, preset or export"),
        (b"", "is not an exported network"),
        (b"garbage", "is not an exported network"),
    ],
)
def test_a_saved_model_must_be_one(content, said, small_run, small_data_root, tmp_path):
    if content is not None:
        (tmp_path / "saved_model.pb").write_bytes(content)
    args = [f"--run_dir={small_run}", f"--data_root={small_data_root}", f"--export={tmp_path}"]
    assert said in fails(evaluate, args)


@pytest.mark.parametrize("flags", [["--audit="], ["--audit", ""], ["--remove=true", "--audit="]])
def test_an_empty_path_guards_nothing_and_is_refused(flags):
    """As of a variable of the shell that is not set."""
    sentence = fails(index, ["--database=people.lance", *flags])
    assert sentence == "hacnn_tf.index: --audit must be a path, not empty; --help lists the flags."
