"""What comes before Keras and its backend are imported. A program that imports hacnn_tf keeps its own streams."""

import contextlib
import functools
import gc
import importlib
import importlib.util
import os
import signal
import sys
import tempfile
from collections.abc import Iterator

from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.forks import claim
from hacnn_tf.utils.packages import cause, installing
from hacnn_tf.utils.waiting import announced

BACKENDS = {"tensorflow": "TensorFlow", "torch": "PyTorch", "jax": "JAX"}  # of Keras, by which networks are computed
OTHERWISE = "an export for ONNX Runtime, OpenVINO or LiteRT, which needs none"  # to a network in Keras
NVIDIA = ("/dev/nvidiactl", "/usr/lib/wsl/lib/libnvidia-ml.so.1")  # one is there where a driver is
_in_command = False


def _nvidia_driver() -> bool:
    return any(map(os.path.exists, NVIDIA))


# Read when TensorFlow or JAX loads. What matters is raised too, but not why a GPU cannot be used; and others, such as
# a detector, may need the GPU's memory as well.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2" if _nvidia_driver() else "3")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


def running_command() -> bool:
    """Whether this package is imported because Python was told `-m hacnn_tf.NAME`, and not by a program."""
    # "-m" stands in the place of the program's name until its module is found, for which its package is imported.
    modules = [argument.removeprefix("-m") for argument in sys.orig_argv[1:]]
    return sys.argv[:1] == ["-m"] and any(module.startswith("hacnn_tf.") for module in modules)


def prepare_command() -> None:
    """Opens what a command needs: standard streams and a home; and Ctrl-C ends it without a word until it has begun."""
    global _in_command
    _in_command = True
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    _open_streams()
    if (encoding := sys.getfilesystemencoding()) != "utf-8":  # names would be read, kept and looked for as others
        sys.exit(f"hacnn_tf takes names of files in UTF-8, and this locale has them in {encoding}: set PYTHONUTF8=1.")
    if os.path.expanduser("~") == "~":  # a user whom the system does not know, and no HOME: libraries fail
        os.environ["HOME"] = "/"  # as container runtimes set it


def check_tensorflow() -> None:
    """Raises `InputError` if it is plain that `require_tensorflow` would; loads nothing."""
    for package in ("tensorflow", "keras"):
        if package not in sys.modules and not importlib.util.find_spec(package):
            raise _backend_missing(package)
    keras = sys.modules.get("keras")
    backend = keras.backend.backend() if keras else os.environ.get("KERAS_BACKEND") or "tensorflow"
    if backend != "tensorflow":
        raise InputError(f"This needs TensorFlow, and Keras is set to {backend}: set KERAS_BACKEND=tensorflow.")


def load_keras() -> None:
    """Imports Keras with the backend that it is set to, in a command without what they print.

    Raises:
        InputError: Keras or that backend is not installed or cannot be loaded, the backend is none of `BACKENDS`, or it
            was in use before this process was forked.
    """
    _load("keras")
    import keras

    backend = keras.backend.backend()
    if backend not in BACKENDS:
        raise _no_backend(backend)
    claim(BACKENDS[backend])
    if _in_command and backend == "tensorflow":
        _warn_of_unused_gpu()


def load_tensorflow() -> None:
    """Imports TensorFlow, whatever Keras is set to, in a command without what it prints.

    Raises:
        InputError: it is not installed, cannot be loaded, or was in use before this process was forked.
    """
    claim("TensorFlow")
    _load("tensorflow")


def require_tensorflow() -> None:
    """As `load_keras`, and raises `InputError` too unless Keras computes by TensorFlow."""
    check_tensorflow()
    load_keras()
    check_tensorflow()  # a user's ~/.keras/keras.json may name another


def _load(package: str) -> None:
    """Imports "keras", with its backend, or "tensorflow"."""
    if package in sys.modules:
        return
    with contextlib.ExitStack() as stack:
        if _in_command:
            backend = os.environ.get("KERAS_BACKEND") or "tensorflow"
            name = BACKENDS.get(backend, "Keras") if package == "keras" else "TensorFlow"
            stack.enter_context(announced(f"Loading {name}"))
            stack.enter_context(_quiet_stderr())
        stack.enter_context(_anywhere())
        stack.enter_context(_uncollected())
        try:
            importlib.import_module(package)
        except (ImportError, ValueError) as error:
            if isinstance(error, ModuleNotFoundError) and error.name in ("keras", *BACKENDS):
                raise _backend_missing(error.name) from None
            backend = os.environ.get("KERAS_BACKEND") or "tensorflow"
            if package == "keras" and backend not in BACKENDS:
                raise _no_backend(backend) from None
            if isinstance(error, ValueError):
                raise
            what = "Keras and its backend" if package == "keras" else "TensorFlow"
            raise InputError(f"{what} cannot be loaded ({cause(error)}): mend that, or take {OTHERWISE}.") from error


@functools.cache  # once
def _warn_of_unused_gpu() -> None:
    """Says if there is an NVIDIA GPU that TensorFlow does not use, and nobody asked for that."""
    if not _nvidia_driver() or os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        print(
            f"TensorFlow does not use the NVIDIA GPU that is here: for its libraries, {installing('gpu')}, or set "
            "CUDA_VISIBLE_DEVICES=-1 to compute on the CPU.",
            file=sys.stderr,
        )


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Collects no garbage meanwhile: an import makes a million objects and hardly any; looking takes a fifth more."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextlib.contextmanager
def _anywhere() -> Iterator[None]:
    """Lets Keras and its backend be imported where there is no folder for temporary files, or no home.

    TensorFlow (2.21) asks for the former, for tests of its own, and Keras (3.12) imports Matplotlib, which needs one of
    them and fails otherwise. Keras does without Matplotlib, but only if there is none.
    """
    with contextlib.ExitStack() as stack:
        try:
            tempfile.gettempdir()
        except OSError:
            if "TEST_TMPDIR" not in os.environ:
                os.environ["TEST_TMPDIR"] = os.devnull
                stack.callback(os.environ.pop, "TEST_TMPDIR")
        try:
            import matplotlib  # noqa: F401
        except ImportError:
            pass
        except (OSError, RuntimeError):
            sys.modules["matplotlib"] = None  # type: ignore[assignment]  # so Python says that there is none
            stack.callback(sys.modules.pop, "matplotlib")
        yield


def _backend_missing(package: str) -> InputError:
    others = "" if package == "keras" else f", or set KERAS_BACKEND to {_others(package)}"
    return InputError(f"{package} is not installed: pip install {package}{others}, or take {OTHERWISE}.")


def _no_backend(name: str) -> InputError:
    """The error for a backend of Keras by which nothing can be done."""
    return InputError(f"Keras is set to {name}, which computes no networks here: set KERAS_BACKEND to {_others(name)}.")


def _others(backend: str) -> str:
    """The backends beside this one, as in "torch or jax"."""
    *first, last = (name for name in BACKENDS if name != backend)
    return f"{', '.join(first)} or {last}"


def _open_streams() -> None:
    """Opens standard streams that the caller has closed, as `2>&-` does, on the null device.

    Otherwise the next file that is opened would be in their place, and get what is written to them.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Withholds what native libraries print while they load, and shows it after all if that fails.

    TensorFlow's print several lines of no consequence, which no environment variable prevents (2.21).
    """
    if not hasattr(os, "memfd_create"):  # Linux has it; it needs no folder for temporary files
        yield
        return
    stderr = os.dup(2)
    with open(os.memfd_create("stderr"), "w+b") as withheld:
        os.dup2(withheld.fileno(), 2)
        try:
            yield
        except Exception:
            withheld.seek(0)
            os.write(stderr, withheld.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
