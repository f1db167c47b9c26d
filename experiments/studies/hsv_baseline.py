"""How far colour alone goes: striped HSV histograms on the synthetic dataset.

    python experiments/studies/hsv_baseline.py [--data_root data] [--boxes detected]

The middle half of each image is cut into six horizontal stripes, each a joint histogram of 8 hues × 4 saturations ×
4 values, square-rooted, so that L2 between features is the Hellinger distance. Nothing is learned. The synthetic data
is meant to be harder than this.
"""

import numpy as np
from PIL import Image

from hacnn_tf.data import read_dataset
from hacnn_tf.evaluation import rank_matches
from hacnn_tf.utils import cli

STRIPES, BINS = 6, (8, 4, 4)

COMMAND = cli.Command(__doc__, "hsv_baseline")
COMMAND.group("Dataset")
COMMAND.define("path", "data_root", "data", "folder that holds the datasets")
COMMAND.define("enum", "boxes", "detected", "which boxes", enum_values=["detected", "labelled"])


def histogram(path, size=(64, 160)):
    """`(STRIPES * 128,)` float32 feature of an image file."""
    pixels = np.asarray(
        Image.open(path).convert("RGB").resize(size, Image.Resampling.BILINEAR).convert("HSV"), np.float32
    )
    pixels = pixels[:, size[0] // 4 : -size[0] // 4]  # mostly the person; whole rows are mostly the camera's place
    stripes = [stripe.reshape(-1, 3) for stripe in np.array_split(pixels, STRIPES)]
    counts = [np.histogramdd(stripe, BINS, [(0, 256)] * 3)[0].ravel() / len(stripe) for stripe in stripes]
    return np.sqrt(np.concatenate(counts)).astype(np.float32)


def main(flags):
    dataset = read_dataset("synthetic", flags.data_root, boxes=flags.boxes)
    query, gallery = dataset.split("query"), dataset.split("gallery")
    features = [np.stack([histogram(path) for path in rows.path]) for rows in (query, gallery)]
    columns = [rows[name].to_numpy() for name in ("pid", "camid") for rows in (query, gallery)]
    matches = rank_matches(*features, *columns)
    rank1, mean_ap = matches.cmc()[0], matches.mean_average_precision()
    print(f"{dataset.name}: striped HSV histograms, Rank-1 {rank1:.1%}, mAP {mean_ap:.1%}")


if __name__ == "__main__":
    COMMAND.run(main)
