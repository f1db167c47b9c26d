"""Is bfloat16 faster than float32 on this machine? Both in turns, and their ratio, of training and of extraction.

    python benchmarks/precision.py

The whole network, 767 identities, random images in memory, recipe `adamw`. What decides is what oneDNN makes of a
processor, not its instructions: there are some with avx512_bf16 on which bfloat16 is slower.
"""

import time

import numpy as np
import tensorflow as tf
from compare import spread

from hacnn_tf.evaluation import feature_function
from hacnn_tf.evaluation.features import EXTRACTION_BATCH
from hacnn_tf.models import HACNN, INPUT_SIZE
from hacnn_tf.training.loop import make_optimizer
from hacnn_tf.training.recipes import RECIPES
from hacnn_tf.training.step import make_train_step
from hacnn_tf.utils import cli

COMMAND = cli.Command(__doc__, "precision")
COMMAND.group("Rounds")
COMMAND.define("integer", "rounds", 3, "of both", lower_bound=1)

BATCH, IDENTITIES, BATCHES = 32, 767, 4
PRECISIONS = ("float32", "mixed_bfloat16")


def main(flags):
    models = {precision: HACNN(IDENTITIES, dtype=precision) for precision in PRECISIONS}
    for what, prepared in {"extraction": extraction, "training": training}.items():
        work = {precision: prepared(model) for precision, model in models.items()}
        rates = {precision: [] for precision in PRECISIONS}
        for _ in range(flags.rounds):
            for precision, found in rates.items():
                found.append(images_per_second(*work[precision]))
        for precision, found in rates.items():
            print(f"{what:<12}{precision:<16}{spread(found)} images/s")
        ratios = [b / a for a, b in zip(*rates.values(), strict=True)]
        print(f"{what:<12}{'ratio':<16}{spread(ratios)}", flush=True)


def extraction(model):
    """A function that extracts a batch, and has done it once; and how many images that are."""
    images, function = random_images(EXTRACTION_BATCH), feature_function(model)
    function(images).numpy()
    return lambda: function(images), EXTRACTION_BATCH


def training(model):
    """A function that does a training step, and has done one; and how many images that takes."""
    tf.config.experimental.enable_op_determinism()  # as in training
    recipe, images = RECIPES["adamw"], random_images(BATCH)
    labels = tf.range(BATCH) % IDENTITIES
    optimizer = make_optimizer(recipe, steps=1000)
    optimizer.build(model.trainable_variables)
    step = make_train_step(model, optimizer, recipe, xla=False)
    step(images, labels).numpy()
    return lambda: step(images, labels), BATCH


def random_images(count):
    return tf.constant(np.random.default_rng(0).integers(0, 256, (count, *INPUT_SIZE, 3), np.uint8))


def images_per_second(run, count):
    begin = time.perf_counter()
    for _ in range(BATCHES):
        result = run()
    result.numpy()
    return count * BATCHES / (time.perf_counter() - begin)


if __name__ == "__main__":
    COMMAND.run(main)
