"""Fixtures that several test files share: a small dataset of the embedded kind, a run trained on it, and its export."""

import gc
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # the tests are of CPUs: bit for bit, and without XLA unless they say so

import select
import signal
from pathlib import Path

import keras
import numpy as np
import pytest

from hacnn_tf.data.synthetic import make_synthetic

# Ignored as in `pytest &` of a script, or under nohup; the commands that the tests start are to hear them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

SHARED = Path(__file__).parents[2] / "shared" / "data"


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
def small_data_root(tmp_path_factory):
    """A data root with a small embedded dataset: 6 training and 4 test identities."""
    root = tmp_path_factory.mktemp("data")
    make_synthetic(root / "synthetic", identities=(6, 4))
    return root


@pytest.fixture(scope="session")
def small_run(small_data_root, tmp_path_factory):
    """The run folder of one epoch on the small dataset."""
    from hacnn_tf import train

    run_dir = tmp_path_factory.mktemp("runs") / "small"
    train.COMMAND.run(train.main, train_args(small_data_root, run_dir))
    return run_dir


@pytest.fixture(scope="session")
def exported(small_run, tmp_path_factory):
    """The folder of the small run's export, a SavedModel and a Keras file."""
    from hacnn_tf.export import __main__ as export

    output = tmp_path_factory.mktemp("exports") / "small"
    command(export, f"--run_dir={small_run}", f"--output={output}")
    return output


@pytest.fixture(scope="session")
def features(small_run, small_data_root, tmp_path_factory):
    """The evaluation's features of the query images, and their paths."""
    from hacnn_tf import evaluate
    from hacnn_tf.data import read_dataset

    path = tmp_path_factory.mktemp("features") / "features.npz"
    command(evaluate, f"--run_dir={small_run}", f"--data_root={small_data_root}", f"--features={path}")
    with np.load(path, allow_pickle=False) as arrays:
        gallery = read_dataset("synthetic", small_data_root, allow_subset=True).split("gallery")
        for name in ("path", "pid", "camid"):
            assert arrays[f"gallery_{name}s"].tolist() == gallery[name].tolist()
        assert len(arrays["gallery_features"]) == 32
        return arrays["query_features"], arrays["query_paths"]


@pytest.fixture(scope="session")
def table8():
    """Table 8, for which five well-known networks are built."""
    from hacnn_tf.paper.table8 import networks_table

    return networks_table()


def command(module, *args):
    """Runs a command with these arguments, in this process."""
    module.COMMAND.run(module.main, [module.COMMAND.name, *map(str, args)])


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
    args = [f"--data_root={data_root}", f"--run_dir={run_dir}", "--allow_subset", "--epochs=1", "--batch_size=8"]
    return ["train", *args, *more]


def needs(form):
    """Skips a test where the converter or the runtime of an export's format is not installed."""
    for package in {"onnx": ["tf2onnx", "onnxruntime"], "openvino": ["tf2onnx", "openvino"]}.get(form, []):
        pytest.importorskip(package)
    if form == "litert":
        pytest.importorskip("ai_edge_litert")
