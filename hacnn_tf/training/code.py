"""Which code computes here, for the record: its revision, the versions of what it stands on, and its decoder."""

import functools
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

import hacnn_tf
from hacnn_tf.data.decode import DECODER_VERSION


def code_here() -> dict[str, Any]:
    """What this code computes with, as in `RunFolder.code`."""
    return {"versions": versions(), "revision": code_revision(), "pixels": DECODER_VERSION}


def versions() -> dict[str, str]:
    """Dict from the name of what a training depends on to its version here."""
    import h5py
    import keras
    import PIL
    import tensorflow as tf

    return {
        "hacnn_tf": hacnn_tf.__version__,
        "python": platform.python_version(),
        **{module.__name__: module.__version__ for module in (tf, keras, np, h5py)},
        "pillow": PIL.__version__,
    }


@functools.cache  # when a long command ends, other code may be checked out than was imported
def code_revision() -> str | None:
    """The git revision of the code, or None where there is no git, or the code is not in a checkout of its own."""
    here = Path(__file__)

    def git(*args: str | Path) -> subprocess.CompletedProcess[str]:  # the checkout may be another user's
        command = ["git", "-c", "safe.directory=*", "-C", here.parent, *args]
        return subprocess.run(command, capture_output=True, text=True)

    # A package may be installed below a checkout of something else.
    if not shutil.which("git") or git("ls-files", "--error-unmatch", here.name).returncode:
        return None
    return git("describe", "--always", "--dirty").stdout.strip() or None
