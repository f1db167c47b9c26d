"""Feeds an exported model with mutated JPEG and PNG files, and counts what comes of them.

    python tests/stress/fuzz_export.py --export exports/quickstart/saved_model [--inputs 10000] [--seed 0]
    python tests/stress/fuzz_export.py --export exports/onnx/hacnn.onnx

A SavedModel decodes them itself, in its signature `encoded`; for other formats `ReID` does. The export runs in a
process of its own, so that a crash is seen as one; an input that takes longer than the limit counts as a hang. The only
good outcomes are features that are finite and one of the reasons why there are none. Inputs that end otherwise are
written to fuzz-SEED-NUMBER.bin.
"""

import collections
import io
import multiprocessing
import os
import sys
import time

import numpy as np
from PIL import Image

from hacnn_tf.data.decode import DAMAGED, NO_IMAGE, TOO_LARGE
from hacnn_tf.export import decoding
from hacnn_tf.utils import cli
from hacnn_tf.utils.errors import InputError

LIMIT_SECONDS = 30
GOOD = ("features", NO_IMAGE, decoding.NO_IMAGE, TOO_LARGE, DAMAGED, "empty file")

COMMAND = cli.Command(__doc__, "fuzz_export")
COMMAND.group("Fuzzing")
COMMAND.define("path", "export", None, "the exported model, of any format")
COMMAND.define("integer", "inputs", 10000, "how many", lower_bound=1)
COMMAND.define("integer", "seed", 0, "of the mutations", lower_bound=0)


def main(flags):
    cli.require(flags, "export")
    started = time.monotonic()
    outcomes = fuzz(flags.export, flags.inputs, flags.seed)
    print(f"{flags.inputs:,} inputs, seed {flags.seed}, {time.monotonic() - started:.0f} s")
    for outcome, count in outcomes.most_common():
        print(f"{count:>8,}  {outcome}")
    if set(outcomes) - set(GOOD):
        sys.exit(1)


def fuzz(export, inputs, seed):
    """A `collections.Counter` of outcomes: "features", a reason, an error's name, "not finite", "crash" or "hang"."""
    outcomes, worker = collections.Counter(), None
    for number in range(inputs):
        if worker is None:
            worker = _Worker(export)
        encoded = mutated(np.random.default_rng([seed, number]))
        outcome = worker.run(encoded)
        outcomes[outcome] += 1
        if outcome not in GOOD:
            with open(f"fuzz-{seed}-{number}.bin", "wb") as file:
                file.write(encoded)
        if outcome in ("crash", "hang"):
            worker.end()
            worker = None
    worker and worker.end()
    return outcomes


def mutated(random):
    """Bytes near those of an image file, or far from them; `random` is a `numpy.random.Generator`."""
    encoded = bytearray(_image(random))
    kind = random.choice(["bits", "bytes", "cut", "insert", "shuffle", "header", "noise", "none"])
    if kind == "bits":
        for place in random.integers(0, len(encoded), random.integers(1, 9)):
            encoded[place] ^= 1 << random.integers(8)
    elif kind == "bytes":
        start = random.integers(len(encoded))
        part = encoded[start : start + random.integers(1, 64)]
        encoded[start : start + len(part)] = random.bytes(len(part))
    elif kind == "cut":
        del encoded[random.integers(len(encoded)) :]
    elif kind == "insert":
        start = random.integers(len(encoded))
        encoded[start:start] = random.bytes(random.integers(1, 256))
    elif kind == "shuffle":
        cuts = sorted(random.integers(0, len(encoded), 3))
        encoded = encoded[: cuts[0]] + encoded[cuts[1] : cuts[2]] + encoded[cuts[0] : cuts[1]] + encoded[cuts[2] :]
    elif kind == "header":  # sizes, depths, tables
        for place in random.integers(0, min(len(encoded), 200), random.integers(1, 5)):
            encoded[place] = random.choice([0, 1, 127, 128, 255])
    elif kind == "noise":
        encoded = bytearray(
            random.choice([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"]) + random.bytes(random.integers(99))
        )
    return bytes(encoded)


def _image(random):
    """A small image of noise, encoded in one of many ways."""
    mode = str(random.choice(["RGB", "L", "RGBA", "CMYK", "P", "1", "I;16"]))
    width, height = random.integers(1, 200, 2)
    image = Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))
    image = image.convert("I").convert(mode) if mode == "I;16" else image.convert(mode)
    file = io.BytesIO()
    if mode in ("RGB", "L", "CMYK") and (mode == "CMYK" or random.random() < 0.5):
        image.save(file, "JPEG", quality=int(random.integers(1, 96)), progressive=bool(random.integers(2)))
    else:
        image.save(file, "PNG", compress_level=int(random.integers(10)))
    return file.getvalue()


class _Worker:
    """A process that runs an export."""

    def __init__(self, export):
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(export, theirs), daemon=True)
        self._process.start()
        theirs.close()
        if problem := self._connection.recv():
            raise InputError(problem)

    def run(self, encoded):
        try:
            self._connection.send(encoded)
            return self._connection.recv() if self._connection.poll(LIMIT_SECONDS) else "hang"
        except (EOFError, OSError):
            return "crash"

    def end(self):
        self._process.kill()
        self._process.join()


def _serve(export, connection):
    try:
        run = _outcome_of(export)
    except InputError as error:
        return connection.send(str(error))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libjpeg says on stderr what it thinks of every file
    connection.send("")
    while True:
        encoded = connection.recv()
        try:
            outcome = run(encoded)
            connection.send(outcome if isinstance(outcome, str) else _judged(outcome))
        except Exception as error:
            connection.send(type(error).__name__)


def _outcome_of(export):
    """A function from bytes to a feature, or to the reason why there is none."""
    import tensorflow as tf

    from hacnn_tf import ReID

    if not os.path.exists(f"{export}/saved_model.pb"):
        model = ReID.from_preset(export)

        def embed(encoded):
            outcome = next(model.embed_each([encoded]))
            return str(outcome) if isinstance(outcome, InputError) else outcome

        return embed
    network = tf.saved_model.load(export).signatures["encoded"]

    def encoded_signature(encoded):
        found = network(encoded=tf.constant([encoded]))
        status = found["status"].numpy()[0].decode()
        return found["features"].numpy()[0] if status == "ok" else status

    return encoded_signature


def _judged(feature):
    return "features" if np.isfinite(feature).all() else "not finite"


if __name__ == "__main__":
    COMMAND.run(main)
