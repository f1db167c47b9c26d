"""A network without the local branch, from its training to a search: 512 numbers of one branch wherever 1,024 were."""

import numpy as np
import pytest

from hacnn_tf import ReID, evaluate, train
from hacnn_tf.data.load import load_images
from hacnn_tf.evaluation import fingerprint
from hacnn_tf.export import FORMATS, Extractor, export_model, load_export
from hacnn_tf.models import HACNN
from hacnn_tf.paper.curves import curves
from hacnn_tf.paper.figures import curves_figure
from hacnn_tf.training.run_folder import RunFolder
from tests.conftest import command, needs, train_args

ONE_QUICK = [form if form == "onnx" else pytest.param(form, marks=pytest.mark.slow) for form in FORMATS]
ONE_QUICK_PROGRAM = [form for form in ONE_QUICK if form == "onnx" or form.values[0] != "keras"]


@pytest.fixture(scope="module")
def global_run(small_data_root, tmp_path_factory):
    """The run folder of one epoch on the small dataset, without the local branch."""
    run_dir = tmp_path_factory.mktemp("runs") / "global"
    command(train, *train_args(small_data_root, run_dir, "--nolocal"))
    return run_dir


@pytest.fixture(scope="module")
def network(global_run):
    return ReID.from_preset(global_run).network


@pytest.fixture(scope="module")
def program(network, tmp_path_factory):
    """A function that gives the file of a format, made once."""
    folder = tmp_path_factory.mktemp("programs")

    def made(form):
        needs(form)
        if not (folder / form).exists():
            export_model(network, folder / form, [form])
        return folder / form / FORMATS[form].FILE

    return made


@pytest.fixture(scope="module")
def evaluated(global_run, small_data_root, tmp_path_factory):
    """The query features that the evaluation of the run gives, their paths, and the first table that it prints."""
    import contextlib
    import io

    path = tmp_path_factory.mktemp("features") / "features.npz"
    before = (global_run / "metrics.json").read_bytes()
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        command(evaluate, f"--run_dir={global_run}", f"--data_root={small_data_root}", f"--features={path}")
    assert (global_run / "metrics.json").read_bytes() == before
    with np.load(path) as arrays:
        return arrays["query_features"], arrays["query_paths"], printed.getvalue().partition("\n\n")[0].splitlines()[1:]


def test_the_evaluation_has_one_feature_by_two_names(evaluated):
    features, _, (_, joint, alone) = evaluated
    assert features.shape == (16, 512) and features.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)
    assert joint.split()[:2] == ["single-query", "joint"] and alone.split()[0] == "global"
    assert joint.split()[2:] == alone.split()[1:]


@pytest.mark.parametrize("form", ONE_QUICK)
def test_every_format_has_its_feature(form, program, network, small_data_root, evaluated, capsys):
    features, paths, table = evaluated
    file = program(form)
    export = load_export(file)
    assert (export.feature_dim, export.branches, export.fingerprint) == (512, ("global",), fingerprint(network))
    pixels = load_images(paths, (160, 64))
    np.testing.assert_allclose(export.extract(pixels), features, atol=1e-5)
    assert export.extract(pixels[:0]).shape == (0, 512)
    capsys.readouterr()
    command(evaluate, f"--export={file}", "--dataset=synthetic", "--allow_subset", f"--data_root={small_data_root}")
    table_of_file = capsys.readouterr().out.partition("\n\n")[0].splitlines()[-3:]
    head, joint, alone = table_of_file  # some ranks may differ by features' last bits
    assert head == table[0] and joint.split()[1:2] == ["joint"] and joint.split()[2:] == alone.split()[1:]


def test_a_file_says_that_it_is_of_the_global_branch(program):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(program("onnx"))
    known = {entry.key: entry.value for entry in model.metadata_props}
    assert known["output"] == "features: float32 [N, 512], the global one, of length 1"
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == ["images", "features"]


@pytest.mark.parametrize("form", ONE_QUICK_PROGRAM)
def test_a_file_of_before_there_was_a_choice_has_both_branches(form, tmp_path, monkeypatch):
    needs(form)
    from hacnn_tf.export import extractor

    def description(network, precision):
        told = extractor.description(network, precision)
        assert told.pop("branches") == "global,local"
        return told

    monkeypatch.setattr(FORMATS[form], "description", description)
    export_model(HACNN(3, widths=(16, 32, 48), feature_dim=24), tmp_path / "export", [form])
    export = load_export(tmp_path / "export" / FORMATS[form].FILE)
    assert (export.feature_dim, export.branches) == (48, ("global", "local"))


def test_a_preset_of_it(global_run, evaluated, tmp_path):
    features, paths, _ = evaluated
    ReID.from_preset(global_run).save_to_preset(tmp_path / "preset")
    model = ReID.from_preset(tmp_path / "preset")
    assert (model.feature_dim, model.branches) == (512, ("global",))
    np.testing.assert_allclose(model.embed(paths), features, atol=1e-5)


@pytest.mark.slow
def test_index_and_search(global_run, small_run, small_data_root, evaluated, tmp_path, capsys, monkeypatch):
    pytest.importorskip("lancedb", reason='needs the extra "search"')
    from hacnn_tf import index, search
    from hacnn_tf.gallery import Database

    features, paths, _ = evaluated
    gallery, database = small_data_root / "synthetic/detected/bounding_box_test", tmp_path / "people.lance"
    args = [f"--images={gallery}", f"--database={database}"]
    command(index, f"--model={global_run}", *args)
    opened = Database(database)
    assert (opened.feature_dim, len(opened)) == (512, 32)
    rows = opened.rows(["path"])
    nearest = np.linalg.norm(opened.feature(rows.path) - features[0], axis=1).argmin()
    (found,) = opened.search(features[:1], top=1)
    assert found.path[0] == rows.path[nearest]
    capsys.readouterr()
    command(search, f"--database={database}", f"--query={paths[0]}", "--top=1")
    assert rows.path[nearest] in capsys.readouterr().out
    asked = []
    monkeypatch.setattr("hacnn_tf.gallery.tracks.check_has_tracks", lambda _: None)
    monkeypatch.setattr("hacnn_tf.gallery.tracks.search_tracks", lambda *_, **how: asked.append(how) or [found])
    command(search, f"--database={database}", f"--query={paths[0]}", "--per=track")
    assert asked[0]["branches"] == ("global",)
    with pytest.raises(SystemExit, match=r"512 numbers.*1,024"):
        command(index, f"--model={small_run}", *args)


def test_a_track_of_one_branch_has_length_1():
    feature = np.float32([[0.6, 0, 0.8, 0]])
    one = Extractor(lambda x: feature.repeat(len(x), axis=0), (8, 4), 4, "aa", "float32", branches=("global",))
    found = ReID("it", one).embed_tracks([[np.zeros((8, 4, 3), np.uint8)] * 2])
    np.testing.assert_allclose(found, feature, atol=1e-6)


def test_reranking_has_one_feature_by_two_names(global_run, small_data_root, capsys):
    command(evaluate, f"--run_dir={global_run}", f"--data_root={small_data_root}", "--rerank")
    _, joint, alone = capsys.readouterr().out.partition("re-ranking:\n")[2].splitlines()
    assert alone.split()[0] == "global" and joint.split()[2:] == alone.split()[1:]


def test_curves_of_it_beside_those_of_a_whole_network(global_run, small_run):
    found = [(run, run.read_metrics()) for run in (RunFolder(global_run), RunFolder(small_run))]
    losses, _, tests, cmc = curves(found).axes
    assert [line.get_label() for line in losses.lines] == ["global", "global", "local"]
    assert len(tests.lines) == 4 + 6 and len(cmc.lines) == 2 + 3


def test_what_thresholds_accept_is_a_figure_of_its_own_where_it_was_measured(global_run, small_run):
    found = {
        name: [(run := RunFolder(path), run.read_metrics())] for name, path in (("g", global_run), ("s", small_run))
    }
    for measures in found["s"][0][1]["single_query"].values():
        del measures["verification"], measures["open_set"]  # as of an older revision
    figure = curves_figure(found, [])
    assert list(figure.pictures) == ["g", "g, acceptance", "s"]
    pairs, queries = figure.pictures["g, acceptance"].axes
    assert len(pairs.lines) == len(queries.lines) == 2
    line = found["g"][0][1]["single_query"]["global"]["verification"]
    assert list(pairs.lines[1].get_ydata()) == line["tar"]
    assert line["tar"][0] is not None and pairs.get_xscale() == "log"
