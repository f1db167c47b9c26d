"""What comes before TensorFlow and Keras are imported. A program that imports hacnn_tf keeps its own streams."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.forks import claim

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what matters is raised too; read when TensorFlow loads


def starts_command() -> bool:
    """Whether this package is imported because Python was told `-m hacnn_tf.COMMAND`."""
    # "-m" stands in the place of the program's name until its module is found, for which its package is imported.
    return sys.argv[:1] == ["-m"] and any("hacnn_tf." in argument for argument in sys.orig_argv[1:])


@contextlib.contextmanager
def command_start() -> Iterator[None]:
    """The import of what a command needs: quiet, with all three standard streams, and with a backend that Keras has."""
    _open_streams()
    if os.path.expanduser("~") == "~":  # a user whom the system does not know, and no HOME: libraries fail
        os.environ["HOME"] = "/"  # as container runtimes set it
    with _quiet_stderr():
        try:
            yield
        except (ImportError, ValueError):
            if "KERAS_BACKEND" not in os.environ:
                raise
            sys.exit(f"hacnn_tf: {other_backend(os.environ['KERAS_BACKEND'])}")


@contextlib.contextmanager
def anywhere() -> Iterator[None]:
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


def require_tensorflow() -> None:
    """Raises `InputError` unless Keras computes by TensorFlow, in a process in which TensorFlow works."""
    import keras

    if keras.backend.backend() != "tensorflow":
        raise other_backend(keras.backend.backend())
    claim("TensorFlow")


def other_backend(name: str) -> InputError:
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
