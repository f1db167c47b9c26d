"""Every format of an export gives the network's features, in every precision, and says what it is."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import hacnn_tf
from hacnn_tf import ReID, evaluate, index
from hacnn_tf.data import read_dataset
from hacnn_tf.data.load import load_splits
from hacnn_tf.data.synthetic import make_synthetic
from hacnn_tf.evaluation import TEST_SPLITS, Evaluator, evaluate_features, fingerprint
from hacnn_tf.evaluation.calibration import Calibration
from hacnn_tf.export import FORMATS, export_model, load_export
from hacnn_tf.export import __main__ as export
from hacnn_tf.training.run_folder import RunFolder
from hacnn_tf.utils.errors import FormatError, InputError
from tests.conftest import command, needs


def test_a_failed_export_leaves_nothing(small_run, tmp_path, monkeypatch):
    monkeypatch.setattr("hacnn_tf.models.HACNN.save", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        command(export, f"--run_dir={small_run}", f"--output={tmp_path}/out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["{}/secret", "secret"])
def test_an_onnx_file_reads_no_other_file(tmp_path, place):
    needs("onnx")
    from onnx import TensorProto, helper

    from hacnn_tf.export import onnx

    (tmp_path / "secret").write_bytes(bytes(64))
    weights = TensorProto(name="w", data_type=1, dims=[16], data_location=TensorProto.EXTERNAL)
    weights.external_data.add(key="location", value=place.format(tmp_path))
    ends = [helper.make_tensor_value_info(name, 1, ["N", 16]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", ends[:1], ends[1:], [weights])
    (tmp_path / "hacnn.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    with pytest.raises(InputError, match="takes weights from other files"):
        onnx.load(tmp_path / "hacnn.onnx")


FULL_DISK = """
import json, resource, signal, sys
from hacnn_tf.export import __main__ as export

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a file may not grow beyond what a process may write
resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))

def sentence(form):
    try:
        export.COMMAND.run(export.main, [*sys.argv[:3], f"--format={form}"])
    except SystemExit as stopped:
        return stopped.code

print(json.dumps([sentence(form) for form in sys.argv[3:]]))
"""


@pytest.mark.slow
def test_an_export_to_a_full_disk(small_run, tmp_path):
    for form in FORMATS:
        needs(form)
    args = [f"--run_dir={small_run}", f"--output={tmp_path}/out", *FORMATS]
    done = subprocess.run([sys.executable, "-c", FULL_DISK, *args], check=True, stdout=subprocess.PIPE, text=True)
    for said in json.loads(done.stdout.splitlines()[-1]):
        assert said.startswith("hacnn_tf.export: Cannot write "), said
    assert not list(tmp_path.iterdir())


PROGRAMS = ["onnx", "openvino", "litert"]  # formats that take pixels of the network's size


@pytest.mark.parametrize("form", PROGRAMS)
def test_every_format_gives_the_networks_features(form, programs, network, features, pixels):
    export = load_export(programs(form))
    assert (export.input_size, export.feature_dim, export.precision) == ((160, 64), 1024, "float32")
    assert export.fingerprint == fingerprint(network)
    for count in (16, 1, 3):
        found = export.extract(pixels[:count])
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, features[0][:count], atol=1e-5)
    starts = [0, 4, 8, 12] * 4
    with ThreadPoolExecutor(4) as pool:
        for i, found in zip(starts, pool.map(export.extract, [pixels[i : i + 4] for i in starts]), strict=True):
            np.testing.assert_allclose(found, features[0][i : i + 4], atol=1e-5)


@pytest.mark.parametrize("form", ["keras", "saved_model", *PROGRAMS])
def test_what_is_no_batch_of_images_spoils_nothing(form, programs, exported, features, pixels):
    """Of no images LiteRT's features were wrong ever after, of a list OpenVINO's, in a process about to crash."""
    export = load_export(exported / FORMATS[form].FILE if form not in PROGRAMS else programs(form))
    size = r"must be uint8 \(n, 160, 64, 3\)"
    for given in (pixels[0], pixels[:2, :128], pixels[:2].astype(np.float32), list(pixels[:2, :128]), []):
        with pytest.raises(InputError, match=size):
            export.extract(given)
        assert export.extract(pixels[:0]).shape == (0, 1024)
        np.testing.assert_allclose(export.extract(list(pixels[:3])), features[0][:3], atol=1e-5)


@pytest.mark.parametrize("form", PROGRAMS)
def test_reid_opens_every_format(form, programs, features):
    for place in (programs(form), programs(form).parent):
        model = ReID.from_preset(place)
        np.testing.assert_allclose(model.embed(features[1]), features[0], atol=1e-5)
        assert model.network is None and (model.input_size, model.feature_dim) == ((160, 64), 1024)


def test_evaluation_of_an_onnx_file(programs, small_run, small_data_root, features, tmp_path, capsys):
    file, before = programs("onnx"), (small_run / "metrics.json").read_bytes()
    run, data = f"--run_dir={small_run}", f"--data_root={small_data_root}"
    for i, args in enumerate([[run, data], [data, "--dataset=synthetic", "--allow_subset"]]):
        command(evaluate, *args, f"--export={file}", f"--features={tmp_path}/{i}.npz")
        assert f"{file} on " in capsys.readouterr().out
        with np.load(tmp_path / f"{i}.npz") as arrays:
            np.testing.assert_allclose(arrays["query_features"], features[0], atol=1e-5)
    assert (small_run / "metrics.json").read_bytes() == before
    with pytest.raises(SystemExit, match="leave --run_dir out"):
        command(evaluate, run, data, "--dataset=synthetic", f"--export={file}")
    with pytest.raises(SystemExit, match="--run_dir must be given"):
        command(evaluate, f"--export={programs('onnx')}")


def test_a_file_says_what_it_is(programs, network):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(programs("onnx"))
    onnx.checker.check_model(model)
    known = {entry.key: entry.value for entry in model.metadata_props}
    assert known["input"] == "images: uint8 [N, 160, 64, 3], RGB, 0 to 255"
    assert known["output"].startswith("features: float32 [N, 1024]")
    assert known["fingerprint"] == fingerprint(network) and known["hacnn_tf_version"] == hacnn_tf.__version__
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == ["images", "features"]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"


def test_a_file_of_another_version_is_opened_and_one_of_a_newer_format_is_one_sentence(programs, tmp_path):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(programs("onnx"))
    told = {entry.key: entry for entry in model.metadata_props}
    told["hacnn_tf_version"].value = "9.0.0"
    onnx.save(model, tmp_path / "other.onnx")
    assert load_export(tmp_path / "other.onnx").fingerprint == told["fingerprint"].value
    told["format"].value = "2"
    onnx.save(model, tmp_path / "newer.onnx")
    with pytest.raises(FormatError, match=r"newer.onnx is of format 2, and hacnn_tf .* reads formats up to 1: update"):
        load_export(tmp_path / "newer.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["keras", "saved_model"])
def test_another_policy_computes_otherwise(form, network, features, pixels, tmp_path):
    export_model(network, tmp_path / "out", [form], "mixed_bfloat16")
    export = load_export(tmp_path / "out" / FORMATS[form].FILE)
    assert export.precision == "mixed_bfloat16"
    assert 1e-4 < np.abs(export.extract(pixels) - features[0]).max() < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("form", PROGRAMS)
@pytest.mark.parametrize(("precision", "difference", "size"), [("float16", 3e-3, 0.56), ("int8", 0.05, 0.45)])
def test_smaller_weights(form, precision, difference, size, programs, features, pixels):
    """Nearly the same features, of a file so much smaller."""
    export = load_export(programs(form, precision))
    found = export.extract(pixels)
    assert export.precision == precision
    assert 0 < np.abs(found - features[0]).max() < difference
    assert np.sum(found * features[0], axis=1).min() / 2 > 0.98
    small, large = (sum(f.stat().st_size for f in programs(form, p).parent.iterdir()) for p in (precision, "float32"))
    assert small < size * large


@pytest.mark.slow
def test_onnx_runtime_computes_int8_in_8_bits(programs, tmp_path):
    """Of its own fusions: most convs, no average, which it would compute one value at a time."""
    file = programs("onnx", "int8")
    onnx, onnxruntime = (pytest.importorskip(name) for name in ("onnx", "onnxruntime"))
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    operators = [node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node]
    assert operators.count("QLinearConv") > 3 * operators.count("Conv")
    assert operators.count("AveragePool") == 3 and "QLinearAveragePool" not in operators


@pytest.fixture(scope="module")
def shipped(once):
    """The weights that come with hacnn_tf, images to calibrate on, and what measures Rank-1 and mAP, in percent."""
    root = once("data-of-63", lambda root: make_synthetic(root / "synthetic", identities=(13, 50)))
    dataset = read_dataset("synthetic", root, allow_subset=True)
    model = ReID.from_preset("hacnn_cuhk03_detected_strong")
    images = load_splits(dataset, ("train", *TEST_SPLITS), model.input_size)
    calibration = images.pop("train")

    def measured(extract):
        results = evaluate_features(dataset, Evaluator(dataset, images).features(extract))["single_query"]["joint"]
        return np.array([results["rank1"], results["mAP"]])

    expected = measured(model.extract)
    assert expected.min() > 5
    return model.network, calibration, measured, expected


@pytest.mark.slow
@pytest.mark.parametrize(("form", "precision"), [*((form, "int8") for form in PROGRAMS), ("onnx", "float16")])
def test_smaller_weights_find_as_many(form, precision, shipped, tmp_path):
    """Rank-1 and mAP on people of the synthetic dataset."""
    needs(form)
    network, calibration, measured, expected = shipped
    export_model(network, tmp_path / form, [form], precision, calibration)
    found = measured(load_export(tmp_path / form).extract)
    # Three of the 200 queries more for Rank-1: single ones turn on a rounding.
    assert (np.abs(found - expected) <= [0.5 + 1.5, 0.5]).all(), (found, expected)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--format=onxx"], "There is no format 'onxx': --format takes keras, saved_model, onnx, openvino, litert"),
        (["--format="], "No format is named"),
        (["--format=onnx", "--precision=mixed_bfloat16"], "onnx is not written in mixed_bfloat16, but in"),
        (["--precision=int8"], "saved_model is not written in int8"),
        (["--precision=int4"], "int4"),
        (["--format=onnx", "--data_root=/none"], "--data_root is for --precision int8 on the run's own images"),
        (["--format=onnx", "--calibration_images=/none"], "--calibration_images is for --precision int8"),
        (["--format=onnx", "--precision=int8", "--calibration_images=/none"], "/none"),
        (["--run_dir=hacnn_cuhk03_detected_strong", "--format=onnx", "--precision=int8"], "name a folder of images"),
        (["--run_dir=/none"], "/none is not a run folder, preset or export"),
        (["--output=model.onnx"], "model.onnx is a folder to make"),
    ],
)
def test_what_cannot_be_exported(args, words, small_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as error:
        usual = [f"--run_dir={small_run}", "--output=out"]
        command(export, *(flag for flag in usual if flag.partition("=")[0] not in "".join(args)), *args)
    assert words in str(error.value) and "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_an_export_is_not_exported_again(programs, tmp_path):
    with pytest.raises(SystemExit, match="is an export already: export its run folder"):
        command(export, f"--run_dir={programs('onnx')}", f"--output={tmp_path}/out")
    assert not (tmp_path / "out").exists()


def test_int8_is_calibrated_on_the_training_images(small_run, small_data_root, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(export, "export_model", lambda *args: calls.append(args))
    args = [f"--run_dir={small_run}", f"--output={tmp_path}/out", "--format=onnx", "--precision=int8"]
    command(export, *args, f"--data_root={small_data_root}")
    ((_, _, formats, precision, images, _),) = calls
    assert (formats, precision) == (["onnx"], "int8")
    train = load_splits(RunFolder(small_run).settings.read_dataset(small_data_root), ["train"], (160, 64))["train"]
    assert np.array_equal(images, train), "all 48, which are fewer than it takes"
    make_synthetic(tmp_path / "synthetic", identities=(5, 4))
    with pytest.raises(SystemExit, match="was trained on other images"):
        command(export, *args, f"--data_root={tmp_path}")
    assert len(calls) == 1


def test_a_calibration_is_a_part_of_the_export(network, tmp_path):
    calibration = Calibration("aa", 6.0, -4.0, "doors", 30, 90, 2000, 0.1)
    export_model(network, tmp_path / "out", ["keras"], calibration=calibration)
    assert Calibration.read(tmp_path / "out/calibration.json", "aa") == calibration


def test_images_to_calibrate_on_are_taken_evenly(monkeypatch):
    monkeypatch.setattr(export, "load_images", lambda paths, size: list(map(int, paths)))
    chosen = export.calibration_images([str(i) for i in range(1000)], (160, 64))
    assert (len(chosen), chosen[0], chosen[-1]) == (256, 0, 999) and set(np.diff(chosen)) == {3, 4}


def test_a_folder_to_calibrate_on_is_read_as_every_other(small_run, small_data_root, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a.heic").touch()
    args = [f"--run_dir={small_run}", f"--output={tmp_path}/out", "--format=onnx", "--precision=int8"]
    args.append(f"--calibration_images={folder}")
    with pytest.raises(SystemExit, match=r"--calibration_images .*/images holds no images, only 1 \.heic\."):
        command(export, *args)
    shutil.copy(min((small_data_root / "synthetic/detected/query").iterdir()), folder)
    with pytest.raises(SystemExit, match=r"images holds 1 images, too few to tell the ranges of activations: give 16"):
        command(export, *args)
    next(folder.glob("*.jpg")).unlink()
    (folder / "people").symlink_to(small_data_root / "synthetic/detected/query")
    (folder / "._a.jpg").touch()
    calls = []
    monkeypatch.setattr(export, "export_model", lambda *args: calls.append(args))
    command(export, *args)
    assert len(calls[0][4]) == 16
    assert f"{folder}: 16 images; left out: 1 .heic." in capsys.readouterr().out


@pytest.mark.parametrize("images", [np.zeros((8, 160, 64, 3), np.float32), np.zeros((8, 128, 64, 3), np.uint8)])
def test_int8_of_other_images(images, network, tmp_path):
    with pytest.raises(InputError, match=r"on uint8 images \(n, 160, 64, 3\), and these are \w+ \(8, 1"):
        export_model(network, tmp_path / "out", ["onnx"], "int8", images)
    assert not list(tmp_path.iterdir())


def test_int8_of_no_images(network, tmp_path):
    with pytest.raises(InputError, match="int8 needs images to be calibrated on"):
        export_model(network, tmp_path / "out", ["onnx"], "int8")


@pytest.mark.parametrize("form", PROGRAMS)
def test_a_converter_or_runtime_that_is_missing(form, programs, network, tmp_path, monkeypatch):
    file = programs(form)
    for package in ("onnx", "tf2onnx", "onnxruntime", "openvino", "ai_edge_litert", "ai_edge_litert.interpreter"):
        monkeypatch.setitem(sys.modules, package, None)
    sentence = r"(is|are) not installed, which this format needs: pip install .*\[export\]"
    with pytest.raises(InputError, match=sentence):
        ReID.from_preset(file)
    if form != "litert":  # its converter is TensorFlow's
        with pytest.raises(InputError, match=sentence):
            export_model(network, tmp_path / "out", [form])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", PROGRAMS)
@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "other"])
def test_a_file_that_is_damaged_or_of_another_kind(form, damage, programs, tmp_path):
    file = programs(form)
    content = file.read_bytes()
    other = programs("onnx" if form != "onnx" else "litert").read_bytes()
    bad = {"cut": content[: len(content) // 2], "garbage": b"garbage" * 99, "empty": b"", "other": other}[damage]
    (tmp_path / file.name).write_bytes(bad)
    with pytest.raises(InputError, match="is not an exported network of this version of hacnn_tf, damaged, or not for"):
        ReID.from_preset(tmp_path / file.name)


def test_a_file_that_says_nothing_of_its_weights(programs, tmp_path):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(programs("onnx"))
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(InputError, match=r"foreign.onnx is not an exported network .*it has no 'fingerprint'"):
        ReID.from_preset(tmp_path / "foreign.onnx")


def test_openvino_computes_in_bfloat16_if_told_to(programs, features, pixels):
    found = load_export(programs("openvino"), "mixed_bfloat16").extract(pixels)
    assert np.sum(found * features[0], axis=1).min() / 2 > 0.99
    with pytest.raises(InputError, match="has its own precision"):
        load_export(programs("openvino"), "mixed_float16")
    with pytest.raises(InputError, match="has its own precision"):
        load_export(programs("onnx"), "mixed_bfloat16")


SIGNALLED = """
import gc, os, signal, sys
from hacnn_tf.export import load_export
first = load_export(sys.argv[1])
second = load_export(sys.argv[1])
del first
gc.collect()
del second
gc.collect()
try:
    os.kill(os.getpid(), signal.SIGINT)
    signal.pause()
except KeyboardInterrupt:
    print("heard")
"""


@pytest.mark.parametrize("form", ["openvino", *(pytest.param(f, marks=pytest.mark.slow) for f in ("onnx", "litert"))])
def test_a_runtime_that_was_used_leaves_signals_as_they_were(form, programs):
    done = subprocess.run([sys.executable, "-c", SIGNALLED, programs(form)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr


def test_index_names_its_runtime(programs, exported, small_run, features, tmp_path, monkeypatch, capsys):
    file, folder = programs("onnx"), shutil.copytree(exported, tmp_path / "exports")
    shutil.copy(file, folder)
    found = index.open_model(folder)
    assert capsys.readouterr().out.startswith("Computed by ONNX Runtime on the CPU; --runtime tensorflow takes")
    assert found.network is None and found.name == str(folder / "hacnn.onnx")
    np.testing.assert_allclose(found.embed(features[1]), features[0], atol=1e-5)
    for asked in ({"runtime": "tensorflow"}, {"precision": "mixed_bfloat16"}):
        assert index.open_model(folder, **asked).network
    assert index.open_model(small_run).network
    assert index.open_model(file).network is None
    assert index.open_model(file, runtime="onnx").network is None
    with pytest.raises(InputError, match="--runtime tensorflow needs a run, preset, Keras file or SavedModel"):
        index.open_model(file, runtime="tensorflow")
    with pytest.raises(InputError, match="--runtime tensorflow needs"):
        index.open_model(file.parent, runtime="tensorflow")
    for place in (small_run, exported):
        with pytest.raises(InputError, match=r"--runtime onnx needs .*hacnn\.onnx, and no --precision: write it with"):
            index.open_model(place, runtime="onnx")
    monkeypatch.setattr(index.importlib.util, "find_spec", lambda _: None)
    assert index.open_model(folder).network
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_index_takes_no_smaller_weights_unasked(programs, exported, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "exports")
    shutil.copy(programs("onnx", "float16"), folder)
    assert index.open_model(folder).network
    assert index.open_model(folder, runtime="onnx").network is None
