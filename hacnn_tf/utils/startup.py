"""What comes before TensorFlow and Keras are imported. A program that imports hacnn_tf keeps its own streams."""

import contextlib
import gc
import importlib.util
import os
import signal
import sys
import tempfile
from collections.abc import Iterator

from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.forks import claim
from hacnn_tf.utils.waiting import announced

_in_command = False
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what matters is raised too; read when TensorFlow loads


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
    if os.path.expanduser("~") == "~":  # a user whom the system does not know, and no HOME: libraries fail
        os.environ["HOME"] = "/"  # as container runtimes set it


def check_tensorflow() -> None:
    """Raises `InputError` if it is plain that `require_tensorflow` would; loads nothing."""
    for package in ("tensorflow", "keras"):
        if package not in sys.modules and not importlib.util.find_spec(package):
            raise _not_installed(package)
    backend = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if backend != "tensorflow":
        raise _other_backend(backend)


def load_tensorflow() -> None:
    """Imports TensorFlow and Keras, in a command without what they print.

    Raises:
        InputError: one is not installed, Keras is set to a backend that it does not have, or TensorFlow was in use
            before this process was forked.
    """
    claim("TensorFlow")
    if {"tensorflow", "keras"} <= sys.modules.keys():
        return
    with contextlib.ExitStack() as stack:
        if _in_command:
            stack.enter_context(announced("Loading TensorFlow"))
            stack.enter_context(_quiet_stderr())
        stack.enter_context(_anywhere())
        stack.enter_context(_uncollected())
        try:
            import keras  # noqa: F401
            import tensorflow  # noqa: F401
        except (ImportError, ValueError) as error:
            if (missing := getattr(error, "name", None)) in ("tensorflow", "keras"):
                raise _not_installed(missing) from None
            if "KERAS_BACKEND" not in os.environ:
                raise
            raise _other_backend(os.environ["KERAS_BACKEND"]) from None


def require_tensorflow() -> None:
    """As `load_tensorflow`, and raises `InputError` too unless Keras computes by TensorFlow."""
    load_tensorflow()
    import keras

    if keras.backend.backend() != "tensorflow":
        raise _other_backend(keras.backend.backend())


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
    """Lets TensorFlow and Keras be imported where there is no folder for temporary files, or no home.

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


def _not_installed(package: str) -> InputError:
    return InputError(
        f"{package} is not installed: pip install {package}, or take an export for ONNX Runtime, OpenVINO or LiteRT, "
        "which needs none."
    )


def _other_backend(name: str) -> InputError:
    """The error for a backend of Keras by which this cannot be done."""
    return InputError(f"Keras is set to {name}: set KERAS_BACKEND=tensorflow to run commands and to open models.")


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
