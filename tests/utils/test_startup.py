"""Where things are imported and commands begin: read-only places, closed streams, backends, odd encodings."""

import importlib.util
import os
import shutil
import subprocess
import sys

import pytest

from hacnn_tf.utils import startup
from tests.test_commands import COMMANDS

NOWHERE = "/proc/none"  # where nobody can make a folder
READ_ONLY = f"import tempfile; tempfile._candidate_tempdir_list = lambda: [{NOWHERE!r}]\n"
COMMAND = [sys.executable, "-m", "hacnn_tf.complexity"]
LAST_LINE = "classifiers                    769,024         769,024     31\n"


def run(args, shell="", **environment):
    """A program that `sh` starts, with what `shell` says of its streams."""
    line = f'exec "$@" {shell}'
    more = {name: value for name, value in (os.environ | environment).items() if value is not None}
    return subprocess.run(["sh", "-c", line, "sh", *args], capture_output=True, text=True, env=more)


HEAVY = {"tensorflow", "keras", "pandas", "scipy", "sklearn", "h5py", "matplotlib", "lancedb", "pyarrow", "gradio"}
HEAVY |= {"onnxruntime"}
AS_TYPED = [*(name.removesuffix(".__main__") for name in COMMANDS), "complexity"]


def test_all_commands_are_listed():
    listed = run([sys.executable, "-m", "hacnn_tf"], COLUMNS=None)
    lines = [line.split(maxsplit=3) for line in listed.stdout.splitlines()[2:]]
    assert sorted(name for _, _, name, _ in lines) == sorted(f"hacnn_tf.{name}" for name in AS_TYPED), listed.stderr
    assert all(words[0].isupper() and words.endswith(".") for *_, words in lines)


def test_a_locale_whose_names_of_files_are_others_is_refused():
    others = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    refused = run(COMMAND, **others)
    assert refused.returncode == 1 and refused.stderr.endswith(
        "names of files in UTF-8, and this locale has them in ascii: set PYTHONUTF8=1.\n"
    )
    assert run([*COMMAND, "--help"], LC_ALL="C").returncode == 0  # which Python takes for UTF-8


def imported(command, *args):
    """What a command, as typed, ended with, and those packages of `HEAVY` that it imported."""
    done = run([sys.executable, "-X", "importtime", "-m", f"hacnn_tf.{command}", *args])
    times, said = [], []
    for line in done.stderr.splitlines():
        (times if line.startswith("import time:") else said).append(line)
    assert len(times) > 50
    return done.returncode, "\n".join(said), HEAVY & {line.rpartition("|")[2].strip() for line in times}


@pytest.mark.parametrize("command", AS_TYPED)
def test_help_and_a_mistyped_flag_wait_for_nothing(command):
    assert imported(command, "--help") == (0, "", set())
    code, said, heavy = imported(command, "--dataste=cuhk03")
    assert (code, heavy) == (1, set()) and said.startswith(f"hacnn_tf.{command}: Unknown command line flag 'dataste'")


@pytest.mark.parametrize(
    ("args", "allowed"),
    [
        (["train", "--dataset=market1501", "--data_root=/nowhere"], {"pandas", "pyarrow"}),
        (["check", "--dataset=folder", "--data_root=/nowhere"], {"pandas", "pyarrow"}),
        (["index", "--model={there}/a.onnx", "--images=/nowhere", "--database=p.lance"], {"pandas", "pyarrow"}),
        (["index", "--model=/nowhere/m.onnx", "--images={there}", "--database=p.lance"], set()),
        (["index", "--database=/nowhere/p.lance", "--remove=camid = 1"], set()),
        (["index", "--database=/nowhere/p.lance", "--keep_days=30"], set()),
        (["evaluate", "--run_dir=/nowhere"], set()),
        (["evaluate", "--export=/nowhere", "--dataset=market1501", "--data_root=/nowhere"], {"pandas", "pyarrow"}),
        (["evaluate", "--export=/nowhere", "--dataset=synthetic", "--data_root={there}"], set()),
        (["export", "--run_dir=/nowhere", "--output=new"], set()),
        (
            [
                "export",
                "--run_dir=r",
                "--output=new",
                "--precision=int8",
                "--format=onnx",
                "--calibration_images=/nowhere",
            ],
            set(),
        ),
        (["calibrate", "--model=/nowhere", "--dataset=synthetic"], set()),
        (["calibrate", "--database=/nowhere/p.lance", "--dataset=synthetic"], set()),
        (["calibrate", "--model={there}/a.onnx", "--dataset=cuhk03", "--data_root=/nowhere"], {"pandas", "pyarrow"}),
        (["search", "--database=/nowhere/p.lance", "--query=/nowhere/a.jpg"], set()),
        (["search", "--database={there}/p.lance", "--query=/nowhere/a.jpg"], set()),
        (["app", "--database=/nowhere/p.lance", "--port=7897"], set()),
        (["app", "--database={there}/p.lance", "--auth=/nowhere/users"], set()),
        (["tables", "--table=table5", "--runs_dir=/nowhere"], set()),
        (["report", "--results_dir=/nowhere"], set()),
        (["reproduce", "--experiment=table9"], set()),
    ],
)
def test_what_is_not_there_is_said_before_tensorflow_is_loaded(args, allowed, tmp_path):
    (tmp_path / "p.lance").mkdir()
    (tmp_path / "a.onnx").touch()
    code, said, heavy = imported(*(arg.format(there=tmp_path) for arg in args))
    assert code == 1 and "\n" not in said and ("/nowhere" in said or "table9" in said), said
    assert heavy <= allowed


def test_importing_leaves_the_streams_alone_and_needs_no_folder():
    """In a container without any folder that can be written, where Matplotlib cannot be imported, nor temporary files
    be made; TensorFlow's and Keras's imports need both."""
    script = (
        f"{READ_ONLY}import os, sys\n"
        "def refuse(*_): raise AssertionError('touched')\n"
        "os.dup = os.dup2 = os.memfd_create = tempfile.TemporaryFile = refuse\n"
        "before = dict(os.environ)\n"
        "import hacnn_tf, numpy as np\n"
        "assert dict(os.environ) == before | {'TF_CPP_MIN_LOG_LEVEL': '3'}, os.environ\n"
        "assert 'matplotlib' not in sys.modules\n"
        "features = hacnn_tf.ReID.from_preset('hacnn_cuhk03_detected').extract(np.zeros((2, 160, 64, 3), np.uint8))\n"
        "print(features.shape)"
    )
    places = dict.fromkeys(("HOME", "MPLCONFIGDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), NOWHERE)
    done = run([sys.executable, "-c", script], **places)
    assert done.stdout == "(2, 1024)\n", done.stderr


@pytest.mark.parametrize(("name", "said"), [("-m", "hacnn_tf runs on"), ("", "Traceback")])
def test_windows_is_told_what_to_do(name, said):
    """A command in a sentence, a program as an error of the import."""
    done = run([sys.executable, "-c", f"import sys; sys.platform, sys.argv = 'win32', [{name!r}]; import hacnn_tf"])
    assert done.returncode == 1 and done.stderr.startswith(said)
    assert "under Windows install it in WSL 2" in done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_importing_with_standard_error_closed():
    script = (
        "import hacnn_tf, numpy as np\n"
        "model = hacnn_tf.ReID.from_preset('hacnn_cuhk03_detected')\n"
        "print(len(model.embed([np.zeros((9, 4, 3), np.uint8)] * 65)))"  # so many that there could be a bar
    )
    done = run([sys.executable, "-c", script], "2>&-")
    assert (done.stdout, done.returncode) == ("65\n", 0)


@pytest.mark.parametrize("streams", ["", "2>&- 0<&-"])
def test_a_command_is_quiet_whatever_its_streams(streams):
    done = run(COMMAND, streams)
    assert (done.stdout.endswith(LAST_LINE), done.stderr, done.returncode) == (True, "", 0)


@pytest.mark.slow
@pytest.mark.parametrize("flags", [[], ["--help"]])
def test_a_command_whose_output_goes_nowhere(flags):
    done = run([*COMMAND, *flags], ">&-", PYTHONUNBUFFERED=None)
    assert (done.stderr, done.returncode) == ("", 0)
    done = run([*COMMAND, *flags], ">/dev/full", PYTHONUNBUFFERED=None)
    assert (done.stderr, done.returncode) == ("hacnn_tf.complexity: No space left on device.\n", 1)


@pytest.mark.parametrize("backend", ["numpy", "foo"])
def test_a_command_under_a_backend_that_computes_nothing(backend):
    """Also one that Keras does not know, and cannot be imported with."""
    done = run(COMMAND, KERAS_BACKEND=backend)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    sentence = (
        f": Keras is set to {backend}, which computes no networks here: set KERAS_BACKEND to tensorflow, torch or"
    )
    assert sentence in done.stderr


@pytest.mark.parametrize("backend", ["torch", pytest.param("jax", marks=pytest.mark.slow)])
def test_a_command_under_another_backend(backend):
    """Or, where that is not installed, what to install."""
    done = run(COMMAND, KERAS_BACKEND=backend)
    if importlib.util.find_spec(backend):
        assert (done.stdout.endswith(LAST_LINE), done.returncode) == (True, 0)
    else:
        sentence = f"hacnn_tf.complexity: {backend} is not installed: pip install {backend}, or set KERAS_BACKEND to "
        assert done.stderr.startswith(sentence) and done.stderr.count("\n") == 1 and done.returncode == 1


def test_a_backend_that_cannot_be_loaded_says_why(tmp_path):
    (tmp_path / "tensorflow.py").write_text(
        "try:\n    raise ImportError('libtensorflow_cc.so.2: no memory')\n"
        "except ImportError:\n    raise ImportError('Traceback of many\\nlines')\n"
    )
    done = run(COMMAND, PYTHONPATH=str(tmp_path))
    sentence = "Keras and its backend cannot be loaded (libtensorflow_cc.so.2: no memory): mend that, or take an export"
    assert done.returncode == 1 and sentence in done.stderr.splitlines()[-1], done.stderr


def test_another_backend_is_refused_before_anything_is_made(tmp_path):
    done = run([sys.executable, "-m", "hacnn_tf.train", f"--data_root={tmp_path}/data"], KERAS_BACKEND="foo")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1) and "Keras is set to foo" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_lazy_package_tells_what_it_has():
    script = (
        "import sys, hacnn_tf.evaluation as e; print('rerank' in dir(e), 'scipy' in sys.modules, e.rerank.__name__)"
    )
    assert run([sys.executable, "-c", script]).stdout == "True False rerank\n"


def test_a_network_under_a_backend_that_computes_nothing(small_run, exported):
    """Says so whatever it is to be opened from; under PyTorch and JAX all of them open (tests/test_backends.py)."""
    script = (
        "import sys, hacnn_tf\n"
        "for place in sys.argv[1:]:\n"
        "    try: hacnn_tf.ReID.from_preset(place)\n"
        "    except hacnn_tf.InputError as error: print(error)\n"
    )
    places = ["hacnn_cuhk03_detected", small_run, exported, exported / "hacnn.keras"]
    done = run([sys.executable, "-c", script, *map(str, places)], KERAS_BACKEND="numpy")
    sentence = (
        "Keras is set to numpy, which computes no networks here: set KERAS_BACKEND to tensorflow, torch or jax.\n"
    )
    assert done.stdout == len(places) * sentence, done.stderr


def test_letters_that_the_terminal_has_not(small_data_root, tmp_path):
    shutil.copytree(small_data_root / "synthetic/detected", tmp_path / "persönen")
    args = [sys.executable, "-m", "hacnn_tf.check", "--dataset=folder", f"--data_root={tmp_path}/persönen"]
    done = run(args, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("96 images, nothing wrong.\n") and "pers\\xf6nen" in done.stdout


def test_a_page_without_a_folder_for_temporary_files(tmp_path):
    pytest.importorskip("lancedb")
    (tmp_path / "p.lance").mkdir()
    script = f"{READ_ONLY}import sys; sys.argv[0] = 'app'\nfrom hacnn_tf import app; app.COMMAND.run(app.main)"
    done = run([sys.executable, "-c", script, f"--database={tmp_path}/p.lance", "--port=7899"])
    sentence = f"hacnn_tf.app: No usable temporary directory found in ['{NOWHERE}']; set TMPDIR to a folder that may be"
    assert done.returncode == 1 and sentence in done.stderr


def test_a_gpu_that_tensorflow_does_not_use_is_said(tmp_path, monkeypatch, capsys):
    warn = startup._warn_of_unused_gpu.__wrapped__
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda kind: [])
    monkeypatch.setattr(startup, "NVIDIA", [str(tmp_path / "none")])
    warn()
    (tmp_path / "nvidiactl").touch()
    monkeypatch.setattr(startup, "NVIDIA", [str(tmp_path / "none"), str(tmp_path / "nvidiactl")])
    with monkeypatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "-1")
        warn()
    assert not capsys.readouterr().err
    warn()
    said = capsys.readouterr().err
    assert said.startswith("TensorFlow does not use the NVIDIA GPU that is here: ") and '-e ".[gpu]" in ' in said
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda kind: ["gpu"])
    warn()
    assert not capsys.readouterr().err
