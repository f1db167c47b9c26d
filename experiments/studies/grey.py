"""What does a network make of images without colour, as cameras give them at night?

    python experiments/studies/grey.py --model hacnn_cuhk03_detected --dataset folder --data_root IMAGES --test_share 1
    python experiments/studies/grey.py --run_dir RUN --data_root DATA

Prints Rank-1 and mAP on the test images as they are, with the queries made grey, and with all made grey; those of a run
are the ones that it is tested on. An infrared image is more than a grey one: skin and dyes reflect that light
otherwise, so expect less than this.
"""

import numpy as np

from hacnn_tf import ReID
from hacnn_tf.data.augmentation import without_colour
from hacnn_tf.data.dataset_options import DatasetOptions
from hacnn_tf.data.load import load_splits
from hacnn_tf.data.read import read_options
from hacnn_tf.evaluation import TEST_SPLITS, Evaluator, evaluate_features
from hacnn_tf.paper.table import parts_table
from hacnn_tf.training.run_folder import RunFolder
from hacnn_tf.utils import cli

COMMAND = cli.Command(__doc__, "grey")
COMMAND.group("Model")
COMMAND.define("path", "model", "hacnn_cuhk03_detected", "as in ReID.from_preset")
COMMAND.define("path", "run_dir", None, "a run folder in place of a model and a dataset")
COMMAND.define_dataset(DatasetOptions)


def main(flags):
    model = ReID.from_preset(flags.run_dir or flags.model)
    dataset = read_tested(flags)
    images = load_splits(dataset, TEST_SPLITS, model.input_size)
    own, plain = (
        Evaluator(dataset, shown).features(model.extract)
        for shown in (images, {split: np.stack([*map(without_colour, given)]) for split, given in images.items()})
    )
    found = {"as they are": own, "queries grey": {**own, "query": plain["query"]}, "all grey": plain}
    results = {name: evaluate_features(dataset, features, branches=model.branches) for name, features in found.items()}
    print(f"{flags.run_dir or flags.model}, {dataset.name}\n\n{parts_table(results)}")


def read_tested(flags):
    """The `ReidDataset` that a run is tested on, or the one that the flags name."""
    if flags.run_dir:
        return RunFolder(flags.run_dir).read_dataset(flags.data_root)
    return read_options(cli.given_options(DatasetOptions, flags), flags.data_root)


if __name__ == "__main__":
    COMMAND.run(main)
