"""Is the mean feature of an image and its mirror image better than the image's own?

    python experiments/studies/mirror.py --run_dir RUN --data_root DATA

Prints Rank-1 and mAP of a run on the images that it is tested on: as they are, all mirrored, and by the mean of both
features, branch by branch, each at length 1 again.
"""

from hacnn_tf.data.load import load_splits
from hacnn_tf.evaluation import TEST_SPLITS, Evaluator, evaluate_features, feature_function
from hacnn_tf.evaluation.tracks import unit_branches
from hacnn_tf.models import INPUT_SIZE
from hacnn_tf.paper.table import parts_table
from hacnn_tf.training.run_folder import RunFolder
from hacnn_tf.utils import cli

COMMAND = cli.Command(__doc__, "mirror")
COMMAND.group("Run")
COMMAND.define("path", "run_dir", None, "the run folder")
COMMAND.define("path", "data_root", "data", "folder that holds the datasets")


def main(flags):
    cli.require(flags, "run_dir")
    run = RunFolder(flags.run_dir)
    model, epoch = run.load_model()
    dataset = run.read_dataset(flags.data_root)
    evaluator = Evaluator(dataset, load_splits(dataset, TEST_SPLITS, INPUT_SIZE))
    function = feature_function(model)
    found = {
        "as they are": evaluator.features(function),
        "mirrored": evaluator.features(lambda images: function(images[:, :, ::-1])),
    }
    own, mirrored = found.values()
    found["mean of both"] = {split: unit_branches(own[split] + mirrored[split], model.branches) for split in own}
    results = {name: evaluate_features(dataset, features, branches=model.branches) for name, features in found.items()}
    print(f"{run.path}, epoch {epoch}\n\n{parts_table(results)}")


if __name__ == "__main__":
    COMMAND.run(main)
