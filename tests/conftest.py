"""Fixtures that several test files share: a small dataset of synthetic people, a run trained on it, and its export."""

import functools
import gc
import os
import pickle

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # the tests are of CPUs: bit for bit, and without XLA unless they say so

import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from filelock import FileLock

from hacnn_tf.data.synthetic import make_synthetic
from tests.stress import kill_resume

WORKER = os.environ.get("PYTEST_XDIST_WORKER")  # as "gw0", where several processes share the tests
if WORKER:  # and the cores, or two trainings would fight for all of them
    threads = max(1, (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))
    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(threads)

# Ignored as in `pytest &` of a script, or under nohup; the commands that the tests start are to hear them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

SHARED = Path(__file__).parents[2] / "shared" / "data"


def pytest_collection_finish():
    gc.freeze()  # what is imported by now stays, and takes half a second to look through


@pytest.fixture(autouse=True)
def fresh_keras():
    keras.utils.set_random_seed(0)
    yield
    keras.backend.clear_session(free_memory=False)


@pytest.fixture(autouse=True, scope="module")
def freed_memory():
    """Collects garbage after each file: after each test it took a second or more of each, half of the suite's time."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def shared_data():
    """Folder with real CUHK03 images and protocol files, where there is one."""
    if not SHARED.is_dir():
        pytest.skip("real CUHK03 data is not beside this checkout")
    return SHARED


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """A function that gives a path of some name, which the first process to ask for it has had written."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if WORKER else folder) / "once"
    folder.mkdir(exist_ok=True)

    def made(name, write):
        path, written = folder / name, folder / f"{name}.written"
        with FileLock(folder / f"{name}.lock"):
            if not written.exists():
                write(path)
                written.touch()
        return path

    return made


@pytest.fixture(scope="session")
def small_data_root(once):
    """A data root with a small synthetic dataset: 6 training and 4 test identities."""
    return once("data", lambda root: make_synthetic(root / "synthetic", identities=(6, 4)))


@pytest.fixture(scope="session")
def small_run(small_data_root, once, tmp_path_factory):
    """The run folder of one epoch on the small dataset, this process's own: commands lock it and write into it."""
    from hacnn_tf import train

    trained = once("run", lambda path: command(train, *train_args(small_data_root, path)))
    return shutil.copytree(trained, tmp_path_factory.mktemp("runs") / "small")


@pytest.fixture(scope="module")
def model(small_run):
    """The small run's network, opened."""
    from hacnn_tf import ReID

    return ReID.from_preset(small_run)


@pytest.fixture(scope="session")
def exported(small_run, once):
    """The folder of the small run's export, a SavedModel and a Keras file."""
    from hacnn_tf.export import __main__ as export

    return once("exported", lambda path: command(export, f"--run_dir={small_run}", f"--output={path}"))


@pytest.fixture(scope="session")
def programs(small_run, once):
    """A function that gives the small run's file of a format in a precision, in a folder of its own."""
    from hacnn_tf.export import FORMATS, export_model
    from hacnn_tf.training.run_folder import RunFolder

    @functools.cache
    def network():
        return RunFolder(small_run).load_model()[0]

    def made(form, precision="float32"):
        needs(form)
        images = np.random.default_rng(0).integers(0, 256, (16, 160, 64, 3), dtype=np.uint8)
        write = functools.partial(export_model, formats=[form], precision=precision, images=images)
        return once(f"{form}-{precision}", lambda path: write(network(), path)) / FORMATS[form].FILE

    return made


@pytest.fixture(scope="session")
def features(small_run, small_data_root, once):
    """The evaluation's features of the query images, and their paths."""
    from hacnn_tf import evaluate
    from hacnn_tf.data import read_dataset

    args = f"--run_dir={small_run}", f"--data_root={small_data_root}"
    path = once("features.npz", lambda path: command(evaluate, *args, f"--features={path}"))
    with np.load(path, allow_pickle=False) as arrays:
        gallery = read_dataset("synthetic", small_data_root, allow_subset=True).split("gallery")
        for name in ("path", "pid", "camid"):
            assert arrays[f"gallery_{name}s"].tolist() == gallery[name].tolist()
        assert len(arrays["gallery_features"]) == 32
        return arrays["query_features"], arrays["query_paths"]


@pytest.fixture(scope="session")
def left_alone(small_data_root, once):
    """The run folder of a training in a process of its own, which nobody stopped, and the seconds that it took."""

    def timed(run_dir):
        started = time.monotonic()
        subprocess.run(of_one_branch(small_data_root, run_dir), check=True)
        return time.monotonic() - started

    seconds = once("left_alone.txt", lambda path: path.write_text(str(timed(path.with_name("left_alone")))))
    return seconds.with_name("left_alone"), float(seconds.read_text())


@pytest.fixture(scope="module")
def opened_once():
    """Whatever the tests of a file open, by a command or themselves, they open once: it takes two seconds each time."""
    from hacnn_tf import ReID

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ReID, "from_preset", staticmethod(functools.cache(ReID.from_preset)))
        yield


@pytest.fixture(scope="module")
def gallery(small_data_root):
    """The folder of the small dataset's gallery."""
    return small_data_root / "synthetic/detected/bounding_box_test"


@pytest.fixture(scope="module")
def query(small_data_root):
    """The paths of the small dataset's query images."""
    return sorted(map(str, small_data_root.glob("synthetic/detected/query/*.jpg")))


@pytest.fixture(scope="module")
def people(small_run, gallery, opened_once, tmp_path_factory):
    """A database of the small dataset's gallery."""
    from hacnn_tf import index

    path = tmp_path_factory.mktemp("database") / "people.lance"
    command(index, f"--model={small_run}", f"--images={gallery}", f"--database={path}")
    return path


@pytest.fixture(scope="session")
def table8(once):
    """Table 8, for which five well-known networks are built."""
    from hacnn_tf.paper.table8 import networks_table

    return pickle.loads(once("table8", lambda path: path.write_bytes(pickle.dumps(networks_table()))).read_bytes())


def command(module, *args):
    """Runs a command with these arguments, in this process."""
    module.COMMAND.run(module.main, [module.COMMAND.name, *map(str, args)])


def fails(module, args):
    """The one sentence that a command ends with."""
    with pytest.raises(SystemExit) as stopped:
        command(module, *args)
    sentence = stopped.value.code
    assert isinstance(sentence, str), "exit code 0 or no sentence"
    assert "\n" not in sentence and "Traceback" not in sentence
    assert sentence.startswith(module.COMMAND.name + ": ")
    return sentence


def of_one_branch(data_root, run_dir):
    """The command of a training that can be stopped at any step, of half of the network."""
    return kill_resume.command(data_root, run_dir, "--nolocal", "--nospatial", "--nochannel", epochs=2)


def renumber(root, by):
    """Adds to the numbers of the test identities of a synthetic dataset, so that they begin as in the whole one."""
    for path in sorted(root.glob("*/*/*.jpg")):
        if not path.parent.name.endswith("train"):
            pid, rest = path.name.split("_", 1)
            path.rename(path.with_name(f"{int(pid) + by:04}_{rest}"))


def in_fork(function, seconds=30):
    """What a function says in a forked process: its result or its error, as text; "hangs" if it does not end."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            said = repr(function())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with open(reading) as pipe:
        ended, _, _ = select.select([pipe], [], [], seconds)
        if not ended:
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return pipe.read() if ended else "hangs"


def train_args(data_root, run_dir, *more):
    """Arguments of a short training on the small dataset."""
    return [f"--data_root={data_root}", f"--run_dir={run_dir}", "--allow_subset", "--epochs=1", "--batch_size=8", *more]


def needs(form):
    """Skips a test where the converter or the runtime of an export's format is not installed."""
    for package in {"onnx": ["tf2onnx", "onnxruntime"], "openvino": ["tf2onnx", "openvino"]}.get(form, []):
        pytest.importorskip(package)
    if form == "litert":
        pytest.importorskip("ai_edge_litert")
