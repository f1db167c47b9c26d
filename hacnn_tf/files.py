"""Files that appear whole, or not at all."""

import contextlib
import json
import os
import shutil
from pathlib import Path

import numpy as np

from hacnn_tf.errors import InputError


@contextlib.contextmanager
def aside(path):
    """A path beside `path` to write a file or folder to; it becomes `path` when the context ends well.

    Raises:
        InputError: it cannot be written there.
    """
    path = Path(path)
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        os.replace(part, path)
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error.strerror or error}.") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
        with contextlib.suppress(OSError):
            part.unlink()


def write_json(path, content):
    """Writes JSON. Raises `InputError` if it cannot."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def write_text(path, text):
    """Writes text. Raises `InputError` if it cannot."""
    with aside(path) as part:
        part.write_text(text, encoding="utf-8")


def write_npz(path, arrays):
    """Writes a dict of arrays, without pickles. Raises `InputError` if it cannot."""
    with aside(path) as part:
        np.savez(part, allow_pickle=False, **arrays)


def check_new_path(path, suffix=""):
    """Checks, before long work, that an output can be made.

    Raises:
        InputError: `path` exists, has another suffix, or its folder cannot be written.
    """
    path = Path(path)
    if path.suffix != suffix and suffix:
        raise InputError(f"{path} must end in {suffix}.")
    if path.exists():
        raise InputError(f"{path} exists: remove it or name another output.")
    existing = next(parent for parent in path.absolute().parents if parent.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise InputError(f"{path} cannot be written: {existing} is not a folder that you may write to.")
