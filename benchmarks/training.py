"""What a training step costs with XLA and without, and whether it ever waits for the input pipeline.

    python benchmarks/training.py [--rounds 5] [--batch_size 32]

Alternates the four measurements, so that a noisy machine disturbs them alike, and prints medians and the ratios.
"""

import itertools
import time

import numpy as np
import tensorflow as tf

from hacnn_tf import cli
from hacnn_tf.data import read_dataset
from hacnn_tf.data.images import load_images
from hacnn_tf.data.pipeline import training_batches
from hacnn_tf.training.loop import make_optimizer
from hacnn_tf.training.settings import Settings
from hacnn_tf.training.step import make_train_step

COMMAND = cli.Command(__doc__, "training")
COMMAND.define("string", "data_root", "data", "folder that holds the datasets")
COMMAND.define("integer", "batch_size", 32, "images a step", lower_bound=2)
COMMAND.define("integer", "rounds", 5, "how often each is measured", lower_bound=1)
COMMAND.group("Measurement")


def main(flags):
    rows = read_dataset("synthetic", flags.data_root).split("train")
    images = load_images(rows.path, (160, 64))
    identities, labels = np.unique(rows.pid, return_inverse=True)
    batch = [tf.constant(images[: flags.batch_size]), tf.constant(labels[: flags.batch_size], tf.int32)]

    def stepper(xla):
        if not xla:  # as training does; what XLA has compiled before is not affected
            tf.config.experimental.enable_op_determinism()
        settings = Settings()
        model = settings.build_model(len(identities))
        optimizer = make_optimizer(settings)
        optimizer.build(model.trainable_variables)
        step = make_train_step(model, optimizer, xla)
        step(*batch)  # compiles
        return lambda: [step(*batch).numpy() for _ in range(2)] and 2 * flags.batch_size

    def feed():
        batches = training_batches(images, labels, flags.batch_size, seed=0, epoch=1)
        return sum(len(y) for _, y in batches)

    measured = {
        "training step, XLA on": stepper(True),
        "training step, XLA off": stepper(False),
        "batches from memory": feed,
        "decoding and resizing JPEGs": lambda: len(load_images(rows.path, (160, 64))),
    }
    rates = {name: [] for name in measured}
    for _, (name, work) in itertools.product(range(flags.rounds), measured.items()):
        start = time.perf_counter()
        rates[name].append(work() / (time.perf_counter() - start))
    best = max(np.median(rates["training step, XLA off"]), np.median(rates["training step, XLA on"]))
    print(f"{'':<30}{'images/s':>10}{'spread':>18}{'× fastest step':>16}")
    for name, values in rates.items():
        median = np.median(values)
        spread = f"{min(values):,.0f} to {max(values):,.0f}"
        print(f"{name:<30}{median:>10,.1f}{spread:>18}{median / best:>16.2f}")


if __name__ == "__main__":
    COMMAND.run(main)
