"""What computes here, for the record: the code and what it stands on, its decoder, and the device."""

import functools
import hashlib
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

import hacnn_tf
from hacnn_tf.data.decode import DECODER_VERSION

CPUINFO = Path("/proc/cpuinfo")  # Linux has it


def code_here() -> dict[str, Any]:
    """What this code computes with, as in `RunFolder.code`."""
    return {"versions": versions(), "revision": code_revision(), "pixels": DECODER_VERSION, "device": device()}


def code_digest() -> str:
    """A hex digest of this package's own modules, whatever else a checkout has."""
    digest = hashlib.sha256()
    for path in sorted(Path(hacnn_tf.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


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


def device() -> str:
    """The kinds of GPU that TensorFlow sees, as "NVIDIA H200", or that of the processor.

    It matters to the digits: newer GPUs multiply float32 as TF32, of which a run's precision says nothing.
    """
    import tensorflow as tf

    details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
    names = dict.fromkeys(detail.get("device_name", "GPU") for detail in details)
    return " and ".join(names) or processor()


def processor() -> str:
    """The kind of processor, as in /proc/cpuinfo, or its architecture where that names none."""
    lines = CPUINFO.read_text().splitlines() if CPUINFO.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


@functools.cache  # when a long command ends, other code may be checked out than was imported
def code_revision() -> str | None:
    """The git revision of the code, or None where there is no git, or the code is not in a checkout of its own.

    With "-dirty" if something in the checkout is not committed, and a digest of what in the package is not.
    """
    here = Path(__file__)

    def git(*args: str | Path) -> subprocess.CompletedProcess[str]:  # the checkout may be another user's
        command = ["git", "-c", "safe.directory=*", "-C", here.parent, *args]
        return subprocess.run(command, capture_output=True, text=True, errors="replace")

    # A package may be installed below a checkout of something else.
    if not shutil.which("git") or git("ls-files", "--error-unmatch", here.name).returncode:
        return None
    revision = git("describe", "--always", "--dirty").stdout.strip() or None
    plain = "--no-ext-diff", "--no-textconv", "--no-color", "--src-prefix=a/", "--dst-prefix=b/"  # for everybody alike
    changed = git("diff", *plain, "HEAD", "--", "..").stdout
    for name in git("ls-files", "--others", "--exclude-standard", "-z", "--", "../*.py").stdout.split("\0"):
        if (path := here.parent / name).is_file():
            changed += f"{name}\n{path.read_text(errors='replace')}"
    if not (revision and changed):
        return revision
    return f"{revision.removesuffix('-dirty')}-dirty-{hashlib.sha256(changed.encode()).hexdigest()[:6]}"
