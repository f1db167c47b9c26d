"""Extraction by TensorFlow, PyTorch and JAX under Keras, in turns, and their ratios: pixels to features, images/s.

    python benchmarks/backends.py [--backends tensorflow,torch,jax] [--rounds 3] [--batch 32]

The bundled weights in float32, each backend in a process of its own that has done a batch before. What is not installed
is named and left out.
"""

import importlib.util
import os
import subprocess
import sys

from compare import spread

from hacnn_tf.training.code import processor
from hacnn_tf.utils import cli
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.startup import BACKENDS

COMMAND = cli.Command(__doc__, "backends")
COMMAND.group("Measurement")
COMMAND.define("list", "backends", list(BACKENDS), "which; the others are compared with the first")
COMMAND.define("integer", "rounds", 3, "of each", lower_bound=1)
COMMAND.define("integer", "batch", 32, "images at a time", lower_bound=1)

BATCHES = 4  # a round
WORKER = """
import sys, time
import numpy as np
from hacnn_tf import ReID

batch, batches = map(int, sys.argv[1:])
model = ReID.from_preset("hacnn_cuhk03_detected")
images = np.random.default_rng(0).integers(0, 256, (batch, *model.input_size, 3), np.uint8)
model.extract(images)
print("ready", flush=True)
for _ in sys.stdin:
    begin = time.perf_counter()
    for _ in range(batches):
        model.extract(images)
    print(batch * batches / (time.perf_counter() - begin), flush=True)
"""


def main(flags):
    if unknown := set(flags.backends) - BACKENDS.keys():
        raise InputError(f"--backends takes {', '.join(BACKENDS)}, not {', '.join(sorted(unknown))}.")
    there = [name for name in flags.backends if importlib.util.find_spec(name)]
    for name in set(flags.backends) - set(there):
        print(f"{BACKENDS[name]} is not installed: left out.")
    print(f"{processor()}, {len(os.sched_getaffinity(0))} cores, batch {flags.batch}, load {os.getloadavg()[0]:.1f}")
    workers = {name: start(name, flags.batch) for name in there}
    rates = {name: [] for name in there}
    for _ in range(flags.rounds):
        for name, worker in workers.items():
            print(file=worker.stdin, flush=True)
            if not (rate := worker.stdout.readline()):
                raise InputError(f"{BACKENDS[name]} ended while it was measured, with exit code {worker.wait()}.")
            rates[name].append(float(rate))
    for name, worker in workers.items():
        worker.communicate()
        ratios = [b / a for a, b in zip(rates[there[0]], rates[name], strict=True)]
        print(f"{BACKENDS[name]:<12}{spread(rates[name])} images/s, × {BACKENDS[there[0]]} {spread(ratios)}")
    print(f"load {os.getloadavg()[0]:.1f} at the end")


def start(backend, batch):
    """A process in which a backend is ready; a line to it asks for a round, which it answers with images a second."""
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(batch), str(BATCHES)],
        env={**os.environ, "KERAS_BACKEND": backend},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    if worker.stdout.readline() != "ready\n":
        raise InputError(f"{BACKENDS[backend]} does not open the bundled weights.")
    return worker


if __name__ == "__main__":
    COMMAND.run(main)
