"""Is bfloat16 faster than float32 on this machine? Both in turns, and their ratio, of training and of extraction.

    python benchmarks/precision.py

The whole network, 767 identities, batches of 32 random images in memory, recipe `adamw`. What decides is what oneDNN
makes of a processor, not its instructions: there are some with avx512_bf16 on which bfloat16 is slower.
"""

import statistics
import time

import numpy as np
import tensorflow as tf

from hacnn_tf.evaluation import feature_function
from hacnn_tf.models import HACNN, INPUT_SIZE
from hacnn_tf.training.loop import make_optimizer
from hacnn_tf.training.recipes import RECIPES
from hacnn_tf.training.step import make_train_step
from hacnn_tf.utils import cli

COMMAND = cli.Command(__doc__, "precision")
COMMAND.define("integer", "rounds", 3, "of both", lower_bound=1)
COMMAND.group("Rounds")

BATCH, IDENTITIES, BATCHES = 32, 767, 4
PRECISIONS = ("float32", "mixed_bfloat16")


def main(flags):
    tf.config.experimental.enable_op_determinism()  # as in training
    rng = np.random.default_rng(0)
    images = tf.constant(rng.integers(0, 256, (BATCH, *INPUT_SIZE, 3), np.uint8))
    labels = tf.constant(rng.integers(0, IDENTITIES, BATCH), tf.int32)
    work = {precision: prepared(precision, images, labels, flags.rounds) for precision in PRECISIONS}
    for what in ("training", "extraction"):
        rates = {precision: [] for precision in PRECISIONS}
        for _ in range(flags.rounds):
            for precision, found in rates.items():
                found.append(images_per_second(work[precision][what]))
        for precision, found in rates.items():
            print(f"{what:<12}{precision:<16}{spread(found, 1)} images/s")
        ratios = [b / a for a, b in zip(*rates.values(), strict=True)]
        print(f"{what:<12}{'ratio':<16}{spread(ratios, 2)}", flush=True)


def prepared(precision, images, labels, rounds):
    """Dict from what is measured to a function that does it once; each has run before, and is traced."""
    model, recipe = HACNN(IDENTITIES, dtype=precision), RECIPES["adamw"]
    optimizer = make_optimizer(recipe, steps=BATCHES * rounds + 1)
    optimizer.build(model.trainable_variables)
    step, extract = make_train_step(model, optimizer, recipe, xla=False), feature_function(model)
    work = {"training": lambda: step(images, labels), "extraction": lambda: extract(images)}
    for run in work.values():
        run().numpy()
    return work


def images_per_second(run):
    begin = time.perf_counter()
    for _ in range(BATCHES):
        result = run()
    result.numpy()
    return BATCH * BATCHES / (time.perf_counter() - begin)


def spread(values, digits):
    median, least, greatest = (f"{value:.{digits}f}" for value in (statistics.median(values), min(values), max(values)))
    return f"{median:>6} [{least} to {greatest}]"


if __name__ == "__main__":
    COMMAND.run(main)
