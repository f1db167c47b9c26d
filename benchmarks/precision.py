"""Is training in bfloat16 faster on this machine? Steps of both precisions in turns, and their ratio.

    python benchmarks/precision.py [--rounds 5]

The whole network, 767 identities, batches of 32 random images in memory, recipe `adamw`.
"""

import statistics
import time

import numpy as np
import tensorflow as tf

from hacnn_tf.models import HACNN, INPUT_SIZE
from hacnn_tf.training.loop import make_optimizer
from hacnn_tf.training.recipes import RECIPES
from hacnn_tf.training.step import make_train_step
from hacnn_tf.utils import cli

COMMAND = cli.Command(__doc__, "precision")
COMMAND.define("integer", "rounds", 5, "of both", lower_bound=1)
COMMAND.group("Rounds")

BATCH, IDENTITIES, STEPS = 32, 767, 8


def main(flags):
    tf.config.experimental.enable_op_determinism()  # as in training
    rng, recipe = np.random.default_rng(0), RECIPES["adamw"]
    images = tf.constant(rng.integers(0, 256, (BATCH, *INPUT_SIZE, 3), np.uint8))
    labels = tf.constant(rng.integers(0, IDENTITIES, BATCH), tf.int32)
    steps, rates = {}, {"float32": [], "mixed_bfloat16": []}
    for precision in rates:
        model = HACNN(IDENTITIES, dtype=precision)
        optimizer = make_optimizer(recipe, steps=STEPS * (flags.rounds + 1))
        optimizer.build(model.trainable_variables)
        steps[precision] = make_train_step(model, optimizer, recipe, xla=False)
        steps[precision](images, labels).numpy()
    for _ in range(flags.rounds):
        for precision, step in steps.items():
            begin = time.perf_counter()
            for _ in range(STEPS):
                results = step(images, labels)
            results.numpy()
            rates[precision].append(BATCH * STEPS / (time.perf_counter() - begin))
    for precision, found in rates.items():
        print(f"{precision:<16}{statistics.median(found):>7.1f} images/s [{min(found):.1f} to {max(found):.1f}]")
    ratios = [b / a for a, b in zip(*rates.values(), strict=True)]
    print(f"{'ratio':<16}{statistics.median(ratios):>7.2f}          [{min(ratios):.2f} to {max(ratios):.2f}]")


if __name__ == "__main__":
    COMMAND.run(main)
