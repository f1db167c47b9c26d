"""What does a network make of images without colour, as cameras give them at night?

    python experiments/studies/grey.py --model hacnn_cuhk03_detected --dataset folder --data_root IMAGES --test_share 1

Prints Rank-1 and mAP on the test images as they are, with the queries made grey, and with all made grey. An infrared
image is more than a grey one: skin and dyes reflect that light otherwise, so expect less than this.
"""

import numpy as np
import PIL.Image

from hacnn_tf import ReID
from hacnn_tf.data.dataset_options import DatasetOptions
from hacnn_tf.data.load import load_splits
from hacnn_tf.data.read import read_options
from hacnn_tf.evaluation import TEST_SPLITS, Evaluator, evaluate_features
from hacnn_tf.paper.table import parts_table
from hacnn_tf.utils import cli

COMMAND = cli.Command(__doc__, "grey")
COMMAND.group("Model")
COMMAND.define("path", "model", "hacnn_cuhk03_detected", "as in ReID.from_preset")
COMMAND.define_dataset(DatasetOptions)


def grey(images):
    """`(n, height, width, 3)` uint8 images without colour, by ITU-R 601's luma."""
    plain = [PIL.Image.fromarray(image).convert("L").convert("RGB") for image in images]
    return np.stack([np.asarray(image) for image in plain])


def main(flags):
    asked = cli.given_options(DatasetOptions, flags).completed()
    dataset = read_options(asked, flags.data_root)
    model = ReID.from_preset(flags.model)
    images = load_splits(dataset, TEST_SPLITS, model.input_size)
    own, plain = (
        Evaluator(dataset, shown).features(model.extract)
        for shown in (images, {split: grey(given) for split, given in images.items()})
    )
    found = {"as they are": own, "queries grey": {**own, "query": plain["query"]}, "all grey": plain}
    results = {name: evaluate_features(dataset, features, branches=model.branches) for name, features in found.items()}
    print(f"{flags.model}, {dataset.name}\n\n{parts_table(results)}")


if __name__ == "__main__":
    COMMAND.run(main)
