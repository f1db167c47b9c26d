"""Does a trained network use its attention? Its accuracy with parts of the attention frozen.

    python experiments/studies/attention.py --model RUN_OR_PRESET --dataset cuhk03 --data_root DATA

Prints, over the images of the gallery: how much of soft attention differs from image to image, and where the regions
are, with how far they go; the variances that spatial attention's convs had in training, beside batch norm's epsilon;
then Rank-1 and mAP as trained, and with soft attention or the regions put to their means.
What is lost by that, the network had learnt to use; what a network learns that never had attention, is Table 5's.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from hacnn_tf import ReID
from hacnn_tf.data.dataset_options import DatasetOptions
from hacnn_tf.data.load import load_splits
from hacnn_tf.data.read import read_options
from hacnn_tf.evaluation import TEST_SPLITS, Evaluator, evaluate_features
from hacnn_tf.layers import HardAttention, SoftAttention
from hacnn_tf.layers.hard_attention import stripe_centres
from hacnn_tf.utils import cli
from hacnn_tf.utils.errors import InputError

COMMAND = cli.Command(__doc__, "attention")
COMMAND.group("Network")
COMMAND.define("path", "model", None, "a run folder or preset")
COMMAND.define_precision()
COMMAND.define_dataset(DatasetOptions)

BATCH = 64
SOFT_HELD = {  # which of its axes (height, width, channel) a map keeps, and whether it still follows the image
    "soft attention the same for all images": ((0, 1, 2), False),
    "soft attention the same for all pixels": ((2,), True),
    "soft attention the same for all channels": ((0, 1), True),
    "soft attention one number a level": ((), False),
}


def main(flags):
    cli.require(flags, "model")
    model = ReID.from_preset(flags.model, flags.precision)
    if model.network is None:
        raise InputError(f"{flags.model} is an export, whose attention cannot be frozen: name its run or a preset.")
    dataset = read_options(cli.given_options(DatasetOptions, flags), flags.data_root)
    images = load_splits(dataset, TEST_SPLITS, model.input_size)
    soft, centres = moments(model.network, images["gallery"])
    print(f"{flags.model} on {dataset.name}, {len(images['gallery']):,} gallery images\n")
    tables = soft_table(soft), regions_table(centres), spatial_table(model.network)
    print(*tables, sep="\n\n", end="\n\n", flush=True)

    evaluator = Evaluator(dataset, images)
    print("| | Rank-1 | mAP |\n|---|---|---|")
    for what, changes in variants([mean for mean, _ in soft], [mean for mean, _ in centres], model.network).items():
        features = evaluator.features(frozen(model.network, **changes))
        joint = evaluate_features(dataset, features, branches=model.branches)["single_query"]["joint"]
        print(f"| {what} | {joint['rank1']:.1f} | {joint['mAP']:.1f} |", flush=True)


def moments(network, images):
    """Mean and variance over images of each level's soft attention, `(h, w, c)`, and region centres, `(T, 2)`."""
    extractor = network.attention_extractor()
    if extractor is None:
        return [], []
    extract = tf.function(lambda batch: extractor(batch, training=False))
    sums = None
    for start in range(0, len(images), BATCH):
        found = extract(images[start : start + BATCH])
        found = [[np.asarray(x, np.float64) for x in found.get(name, [])] for name in ("soft", "regions")]
        new = [[np.stack([x.sum(axis=0), (x**2).sum(axis=0)]) for x in levels] for levels in found]
        sums = keras.tree.map_structure(np.add, sums, new) if sums else new
    means = keras.tree.map_structure(lambda x: x / len(images), sums)
    return [[(first, second - first**2) for first, second in levels] for levels in means]


def soft_table(soft):
    """How soft attention varies: over pixels and channels of its mean map, and from image to image."""
    lines = ["| soft attention | mean | sd within the mean map | sd from image to image |", "|---|---|---|---|"]
    for level, (mean, variance) in enumerate(soft, start=1):
        deviation = np.sqrt(np.maximum(variance, 0).mean())
        lines.append(f"| level {level} | {mean.mean():.3f} | {mean.std():.3f} | {deviation:.3f} |")
    return "\n".join(lines)


def regions_table(centres):
    """Where the regions are, in shares of the image's height and width, and their deviation from image to image."""
    lines = ["| regions | from the top | from the left |", "|---|---|---|"]
    for level, (mean, variance) in enumerate(centres, start=1):
        shown = [
            ", ".join(f"{(m + 1) / 2:.2f} ± {s / 2:.2f}" for m, s in zip(mean[:, axis], deviation, strict=True))
            for axis, deviation in enumerate(np.sqrt(np.maximum(variance, 0)).T)
        ]
        lines.append(f"| level {level} | {' | '.join(shown)} |")
    return "\n".join(lines)


def spatial_table(network):
    """The variances by which batch norm divides what spatial attention's two convs give, a line a level."""
    lines = ["| spatial attention | variance after its 3×3 conv | after its 1×1 conv | epsilon |", "|---|---|---|---|"]
    for layer in network.layers:
        if isinstance(layer, SoftAttention) and layer.spatial:
            norms = layer.spatial.conv.norm, layer.spatial.scale.norm
            shown = [f"{float(norm.moving_variance[0]):.1e}" for norm in norms]
            lines.append(f"| level {len(lines) - 1} | {' | '.join(shown)} | {norms[0].epsilon:.0e} |")
    return "\n".join(lines)


def variants(soft, centres, network):
    """Dict from what is frozen, for people, to the arguments of `frozen`."""
    found = {"as trained": {}}
    if soft:
        for what, (kept, follows) in SOFT_HELD.items():
            found[what] = {"soft": lambda level, x, kept=kept, follows=follows: averaged(x, soft[level], kept, follows)}
    if not centres:
        return found
    stripes = stripe_centres(network.get_config()["num_regions"])
    same = {"centres": lambda level, x: as_in(x, centres[level])}
    found["regions the same for all images"] = same
    found["regions at even stripes"] = {"centres": lambda level, x: as_in(x, stripes)}
    if soft:
        found["both the same for all images"] = found["soft attention the same for all images"] | same
    return found


def averaged(x, mean, kept, follows):
    """Soft attention `(batch, h, w, c)`, averaged over the axes of a map that are not kept.

    If it no longer follows the image, it is the mean over images, `(h, w, c)`, that is averaged.
    """
    over = tuple(axis for axis in range(3) if axis not in kept)
    if follows:
        return ops.ones_like(x) * ops.mean(x, axis=[axis + 1 for axis in over], keepdims=True)
    return as_in(x, mean.mean(axis=over, keepdims=True))


def as_in(x, value):
    """`value` for each of the batch `x`, whatever that holds."""
    return ops.zeros_like(x) + ops.convert_to_tensor(value, x.dtype)


def frozen(network, soft=lambda level, x: x, centres=lambda level, x: x):
    """The function from images to features of a `HACNN` whose attention goes through `soft` and `centres`.

    Both are functions of the level, from 0, and of what the attention gives there.
    """

    def call(layer, *args, **kwargs):
        outputs = layer(*args, **kwargs)
        for kind, change in ((SoftAttention, soft), (HardAttention, centres)):
            if isinstance(layer, kind):
                return change(int(layer.name.removeprefix("level")[0]) - 1, outputs)
        return outputs

    extractor = network.feature_extractor()
    changed = keras.models.clone_model(
        extractor, extractor.input, clone_function=lambda layer: layer, call_function=call
    )
    return tf.function(lambda images: changed(images, training=False), autograph=False)


if __name__ == "__main__":
    COMMAND.run(main)
