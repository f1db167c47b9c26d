"""What do batch norm's moving averages cost? A network's accuracy with them, and with averages over an epoch.

    python experiments/studies/norm.py --run_dir RUN --data_root DATA

Momentum 0.9 averages over some ten batches, and each of those was computed by other weights, which matters while
the learning rate is high. Here the weights stand still: each batch of an epoch passes once in training, and the means
over all batches take the moving averages' place. Prints Rank-1 and mAP of both on the images that the run is tested on.
"""

import numpy as np
import tensorflow as tf

from hacnn_tf.data.augmentation import augment
from hacnn_tf.data.load import load_splits
from hacnn_tf.data.pipeline import epoch_order
from hacnn_tf.evaluation import TEST_SPLITS, Evaluator
from hacnn_tf.models import INPUT_SIZE
from hacnn_tf.paper.table import parts_table
from hacnn_tf.training.run_folder import RunFolder
from hacnn_tf.utils import cli

COMMAND = cli.Command(__doc__, "norm")
COMMAND.group("Run")
COMMAND.define("path", "run_dir", None, "the run folder")
COMMAND.define("path", "data_root", "data", "folder that holds the datasets")

AVERAGES = ("moving_mean", "moving_variance")


def main(flags):
    cli.require(flags, "run_dir")
    run = RunFolder(flags.run_dir)
    model, epoch = run.load_model("float32")
    dataset = run.read_dataset(flags.data_root)
    images = load_splits(dataset, ("train", *TEST_SPLITS), INPUT_SIZE)
    evaluator = Evaluator(dataset, images)
    settings, results = run.settings, {"moving averages": evaluator.run(model)}
    order = epoch_order(dataset.split("train").pid, settings.batch_size, settings.recipe, settings.seed, epoch + 1)
    seen = (augment(images["train"][rows], rows, settings.recipe, settings.seed, epoch + 1) for rows in order)
    average_over(model, seen)
    results["averages over an epoch"] = evaluator.run(model)
    print(f"{run.path}, epoch {epoch}\n\n{parts_table(results)}")


def average_over(model, batches):
    """Sets the moving averages of a `HACNN` to the means over batches of what they are of each alone, for good."""
    norms = [layer for layer in model._flatten_layers() if hasattr(layer, "moving_mean")]
    averages = [getattr(norm, name) for norm in norms for name in AVERAGES]
    for norm in norms:
        norm.momentum = 0.0
    step = tf.function(lambda images: model(images, training=True), autograph=False)
    sums, count = [0.0] * len(averages), 0
    for images in batches:
        step(images)
        sums, count = [total + np.asarray(v, np.float64) for total, v in zip(sums, averages, strict=True)], count + 1
    for variable, total in zip(averages, sums, strict=True):
        variable.assign(total / count)


if __name__ == "__main__":
    COMMAND.run(main)
