"""A quiet start."""

import contextlib
import os
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what matters is raised too; read when TensorFlow loads


@contextlib.contextmanager
def quiet_stderr():
    """Withholds what native libraries print while they load, and shows it after all if that fails.

    TensorFlow's libraries print several lines of no consequence before any log level holds.
    """
    with tempfile.TemporaryFile() as withheld:
        stderr = os.dup(2)
        os.dup2(withheld.fileno(), 2)
        try:
            yield
        except BaseException:
            withheld.seek(0)
            os.write(stderr, withheld.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
