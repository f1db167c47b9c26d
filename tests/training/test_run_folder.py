"""What a run folder says of its training, and that a later release reads it."""

import json
import shutil

import pytest

from hacnn_tf.data.dataset import ReidDataset, make_table
from hacnn_tf.data.dataset_options import DatasetOptions
from hacnn_tf.evaluation import TEST_SPLITS
from hacnn_tf.training import run_config, run_folder
from hacnn_tf.training.recipes import OPTIONS, RECIPES
from hacnn_tf.utils.errors import FormatError, InputError
from tests.paper.runs import make_run


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
    dataset = ReidDataset("synthetic", make_table(["a.jpg", "b.jpg"], [1, 2], [1] * 2, "train"))
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


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("change", [{"revision": 1}, {"device": ["NVIDIA H200"]}, {"pixels": [2]}])
def test_what_computed_it_is_text_and_a_number(change, later, tmp_path):
    path = make_run(tmp_path / "run", 60).path
    (name,) = change
    then = {"versions": {}, "revision": "a", "epoch": 1, "step": 0} | change
    with pytest.raises(InputError, match=rf"config\.json is damaged: a {name} is no (text|number)"):
        edited(path, lambda config: config.update({"then": [then]} if later else change))


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"recipe": "sgd"}, "--recipe sgd"), ({"backbone": "resnet", "recipe": "sgd"}, "--recipe sgd, --backbone")],
)
def test_what_only_other_code_knows_is_no_damage(settings, words, tmp_path):
    path = make_run(tmp_path / "run", 60).path
    sentence = f"run was trained with {words}, which this code does not have: use the code that trained it, abc1234, or"
    with pytest.raises(InputError, match=sentence):
        edited(path, lambda config: (config["settings"].update(settings), config.update(revision="abc1234")))


def test_what_only_other_code_allowed_may_be_no_damage(tmp_path):
    path = make_run(tmp_path / "run", 60).path
    said = r"config.json is damaged, or of a training that only other code allows: --batch_identities must be [^.]*\.$"
    with pytest.raises(InputError, match=said):
        edited(path, lambda config: config["settings"].update(batch_identities=1))


@pytest.mark.parametrize(("format", "pixels"), [(None, 1), (1, None)])
def test_before_there_was_a_format_there_was_one_decoder(format, pixels, tmp_path):
    def former(config):
        del config["pixels"]
        config["format"] = format

    run = edited(make_run(tmp_path / "run", 60).path, former)
    assert [code["pixels"] for code in run.code] == [pixels]


def test_json_that_is_too_deep_is_damage(tmp_path):
    run = make_run(tmp_path / "run", 60)
    for name in ("metrics", "config"):
        (run.path / f"{name}.json").write_text("[" * 100_000)
        with pytest.raises(InputError, match=f"{name}.json is damaged"):
            run_folder.RunFolder(run.path).read_metrics()


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


def test_what_computed_steps_that_count_is_told(tmp_path, monkeypatch):
    """Code that got to no checkpoint, or only to one that was lost, has computed nothing of the run."""
    run = make_run(tmp_path / "run", 60, finished=False)

    def go_on(revision, epoch, step):
        code = {"versions": {}, "revision": revision, "pixels": 2, "device": "CPU"}
        monkeypatch.setattr(run_config, "code_here", lambda: code)
        run.go_on(epoch, step)
        assert run_folder.RunFolder(run.path).code == run.code
        return run_folder.RunFolder(run.path).revision

    assert go_on("a", 0, 0) == "a"
    assert go_on("b", 3, 5) == "a, then b"
    assert go_on("c", 3, 5) == "a, then c"
    assert go_on("a", 3, 5) == "a"
    assert go_on("d", 0, 7) == "a, then d"
    assert go_on("d", 2, 0) == "a, then d"


def test_results_on_another_test_set_of_that_name_stay(tmp_path):
    run = make_run(tmp_path / "run", 60)
    one, other = (ReidDataset("split.csv", make_table([f"{i}.jpg"], [1], [1], "query")) for i in range(2))
    paths = [run.write_other_metrics(dataset, DatasetOptions(), {}, 4) for dataset in (one, other, one, other)]
    assert [path.name for path in paths[:2]] == [
        "metrics-split.csv.json",
        f"metrics-split.csv-{other.fingerprint(TEST_SPLITS)}.json",
    ]
    assert paths[2:] == paths[:2]


def test_results_of_an_earlier_epoch_replace_none_of_a_later_one(tmp_path):
    run = make_run(tmp_path / "run", 60, epochs=7)
    assert run.write_metrics({}, 6, None) is False and run.read_metrics()
    assert run.write_metrics(run.read_metrics(), 7, "again") is True and run.read_test()[0] == "again"
    for content in ("[]", "{", "{}", '{"epoch": null}'):
        (run.path / "metrics.json").write_text(content)
        assert run.write_metrics({}, 1, None) is True


def test_results_of_a_training_that_was_replaced_are_not_kept(tmp_path):
    former = make_run(tmp_path / "run", 60, epochs=3)
    results, dataset = former.read_metrics(), ReidDataset("split.csv", make_table(["a.jpg"], [1], [1], "query"))
    shutil.rmtree(former.path)
    now = make_run(tmp_path / "run", 50, epochs=2, seed=7)
    for write in (
        lambda: former.write_metrics(results, 3, None),
        lambda: former.write_other_metrics(dataset, DatasetOptions(), results, 3),
    ):
        with pytest.raises(InputError, match=r"run holds another training than when it was opened: repeat"):
            write()
    assert now.read_metrics()["single_query"]["joint"]["rank1"] == 50
    content = json.loads((now.path / "metrics.json").read_text())
    (now.path / "metrics.json").write_text(json.dumps(content | {"epoch": 3}))  # as an older version wrote it there
    assert now.write_metrics(results, 2, None) is True and now.read_metrics() == results


def test_a_run_that_was_removed_before_it_went_on_does_not_begin_from_fresh_weights(tmp_path):
    run = make_run(tmp_path / "run", 60, finished=False, init_from="weights")  # has lost its checkpoints
    dataset = ReidDataset("synthetic", make_table(["a.jpg", "b.jpg"], [1, 2], [1] * 2, "train"))
    for path in (run.path, tmp_path / "gone"):
        with (
            pytest.raises(InputError, match="was removed while images were read: repeat the command"),
            run_folder.RunFolder.opened(path, run.settings, dataset),
        ):
            pass
    assert not (tmp_path / "gone/config.json").exists()


def test_a_training_that_begins_leaves_what_others_are_writing(tmp_path):
    run = make_run(tmp_path / "run", 60, finished=False)
    (run.path / "checkpoints").mkdir()
    (run.path / ".exports.0123abcd.part").mkdir()
    parts = [".metrics.0123abcd.part.json", ".exports.0123abcd.part"]
    left = [".log.0123abcd.part.csv", "checkpoints/.epoch0001-step00000.0123abcd.part.npz"]
    for part in (parts[0], *left):
        (run.path / part).touch()
    dataset = ReidDataset("synthetic", make_table(["a.jpg", "b.jpg"], [1, 2], [1] * 2, "train"))
    with run_folder.RunFolder.opened(run.path, run.settings, dataset):
        assert all((run.path / part).exists() for part in parts)
        assert not any((run.path / part).exists() for part in left)
