"""Is one branch starved? Gradients, soft attention and batch norm of a trained network, on its own training images.

    python experiments/studies/branches.py --run_dir RUN --data_root DATA

Prints, on random training images: the norm of each branch's gradient in each part of the network; how much of every
soft attention map is saturated at 0.5, its least value, and how far it varies; and how far features under batch norm's
moving averages turn from those under the batch's own statistics.
"""

import keras
import numpy as np
import tensorflow as tf

from hacnn_tf.data.load import load_images
from hacnn_tf.data.pipeline import epoch_order
from hacnn_tf.evaluation.features import feature_part
from hacnn_tf.models import INPUT_SIZE
from hacnn_tf.training.losses import branch_losses
from hacnn_tf.training.run_folder import RunFolder
from hacnn_tf.utils import cli

COMMAND = cli.Command(__doc__, "branches")
COMMAND.group("Run")
COMMAND.define("path", "run_dir", None, "the run folder")
COMMAND.define("path", "data_root", "data", "folder that holds the datasets")
COMMAND.define("integer", "images", 128, "how many", lower_bound=2)
COMMAND.define("integer", "seed", 0, "which", lower_bound=0)

PARTS = ("stem", "level1", "level2", "level3", "global", "local")


def main(flags):
    cli.require(flags, "run_dir")
    run = RunFolder(flags.run_dir)
    model, epoch = run.load_model("float32")
    rows = run.read_dataset(flags.data_root).split("train")
    labels = np.unique(rows.pid, return_inverse=True)[1]
    order = epoch_order(labels, flags.images, run.settings.recipe, flags.seed, epoch=1)[0]
    images, labels = tf.constant(load_images(rows.path[order], INPUT_SIZE)), tf.constant(labels[order])

    print(f"{run.path}, epoch {epoch}\n\nsoft attention    at 0.5      mean    sd over channels   sd over pixels")
    attends = model.attention_extractor()
    for level, soft in enumerate(attends(images).get("soft", []) if attends else [], start=1):
        soft = np.asarray(soft)
        channels, pixels = soft.std(axis=-1).mean(), soft.std(axis=(1, 2)).mean()
        print(f"  level {level}       {np.mean(soft <= 0.5):>8.1%}{soft.mean():>10.3f}{channels:>15.3f}{pixels:>17.3f}")
    print("\nfeatures under moving averages against those under batch statistics, mean cosine")
    extractor = model.feature_extractor()
    averages, batch = (np.asarray(extractor(images, training=training)) for training in (False, True))
    for branch in model.branches:
        a, b = (feature_part(features, branch, model.branches) for features in (averages, batch))
        print(f"  {branch:<8}{(a * b).sum(axis=1).mean():.3f}")
    # Last: a pass in training moves batch norm's averages.
    print("\ngradient norms    " + "".join(f"{part:>10}" for part in PARTS))
    for branch, norms in gradient_norms(model, images, labels, run.settings.recipe).items():
        print(f"  of {branch + ' loss':<13}" + "".join(f"{norms[part]:>10.4f}" for part in PARTS))


def gradient_norms(model, images, labels, recipe):
    """Dict from branch to dict from part of the network to the norm of the branch's gradient there."""
    network = keras.Model(model.inputs[0], [model.output, model.feature_extractor().output])
    with tf.GradientTape(persistent=True) as tape:
        losses = branch_losses(labels, *network(images, training=True), recipe)
    variables, norms = model.trainable_variables, {}
    for branch, loss in losses.items():
        gradients = tape.gradient(loss, variables)
        norms[branch] = {
            part: tf.linalg.global_norm(
                [g for g, v in zip(gradients, variables, strict=True) if g is not None and part_of(v.path) == part]
            ).numpy()
            for part in PARTS
        }
    return norms


def part_of(path):
    """The part of the network that a variable belongs to; the local branch's Inceptions and regions are "local"."""
    layer = next(name for name in path.split("/") if name.startswith(PARTS))
    is_local = "local_" in layer or "hard_attention" in layer
    return "local" if is_local else next(part for part in PARTS if layer.startswith(part))


if __name__ == "__main__":
    COMMAND.run(main)
