"""Trains HA-CNN and evaluates it.

    python -m hacnn_tf.train                                      the embedded dataset, a few epochs
    python -m hacnn_tf.train --dataset cuhk03 --split 767_700     150 epochs, batch 32, Adam 5e-4, as the paper has it
    python -m hacnn_tf.train --dataset cuhk03 --recipe strong     with augmentation and label smoothing
    python -m hacnn_tf.train --dataset folder --data_root people  images of your own, see data/README.md
    python -m hacnn_tf.train --dataset cuhk03,market1501          on both together, tested in one gallery

Ctrl-C or SIGTERM stop it after the step in hand, with a checkpoint; the same command again goes on from there.
"""

from hacnn_tf.data.flags import define_dataset_flags
from hacnn_tf.data.images import load_images, load_splits
from hacnn_tf.data.pipeline import epoch_order
from hacnn_tf.evaluation import TEST_SPLITS, Evaluator, results_table
from hacnn_tf.models import INPUT_SIZE
from hacnn_tf.training.devices import STRATEGIES, Devices, check_supported, use_xla
from hacnn_tf.training.loop import train
from hacnn_tf.training.progress import say
from hacnn_tf.training.recipes import RECIPES, SCHEDULES
from hacnn_tf.training.run_folder import RunFolder
from hacnn_tf.training.settings import FLAGS, PRECISIONS, Settings
from hacnn_tf.utils import cli
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import write_csv

COMMAND = cli.Command(__doc__, "hacnn_tf.train")
define_dataset_flags(COMMAND)
COMMAND.define(
    "integer",
    "validation",
    Settings.validation,
    "hold out so many training identities and test on those, to choose without looking at the test set",
    lower_bound=0,
)
COMMAND.define("path", "cache_dir", None, "keep decoded images there, for datasets larger than memory")
COMMAND.group("Dataset")
COMMAND.define("boolean", "spatial", Settings.spatial, "soft spatial attention (Table 5's SSA)")
COMMAND.define("boolean", "channel", Settings.channel, "soft channel attention (Table 5's SCA)")
COMMAND.define(
    "boolean",
    "local",
    Settings.local,
    "local branch; off: the global branch, its loss and its feature alone, and --noregional --nointeraction",
)
COMMAND.define(
    "boolean",
    "regional",
    Settings.regional,
    "hard regional attention (Table 5's HRA); off: fixed stripes; as --local if not given",
)
COMMAND.define(
    "boolean",
    "interaction",
    Settings.interaction,
    "cross-attention interaction (Table 6); as --local if not given",
)
COMMAND.define("integer", "num_regions", Settings.num_regions, "T, the number of local streams", lower_bound=1)
COMMAND.group("Network")
COMMAND.define("integer", "epochs", Settings.epochs, "150 if not given, fewer for synthetic", lower_bound=1)
COMMAND.define("integer", "batch_size", Settings.batch_size, "images a step", lower_bound=2)
COMMAND.define(
    "integer",
    "seed",
    Settings.seed,
    "fixes initial weights, order and augmentation",
    lower_bound=0,
    upper_bound=2**32 - 1,
)
COMMAND.define("enum", "precision", Settings.precision, "dtype policy", enum_values=PRECISIONS)
COMMAND.define("enum", "xla", Settings.xla, "compile the step; auto: on one GPU", enum_values=["auto", "on", "off"])
COMMAND.define(
    "enum",
    "strategy",
    "auto",
    "one device, all of this machine (mirrored), or the workers of TF_CONFIG (multi_worker)",
    enum_values=STRATEGIES,
)
COMMAND.define("boolean", "debug_nans", False, "if the loss is not finite, say in which layer it began; slower")
COMMAND.group("Training")
COMMAND.define(
    "enum",
    "recipe",
    None,
    "a set of the following flags; paper for synthetic by default, else adamw",
    enum_values=list(RECIPES),
)
COMMAND.define("float", "learning_rate", None, "Adam's, at its height")
COMMAND.define("enum", "schedule", None, "how the learning rate goes on", enum_values=SCHEDULES)
COMMAND.define("list", "drops", None, "when step divides it by ten, as shares of the training: 0.6,0.9")
COMMAND.define("float", "final_rate", None, "what exponential and cosine end at, as a share of --learning_rate")
COMMAND.define("float", "warmup", None, "share of the training in which the rate rises from 0")
COMMAND.define("float", "weight_decay", None, "of kernels, times the learning rate (AdamW)")
COMMAND.define("float", "label_smoothing", None, "share of each label that all identities get")
COMMAND.define("boolean", "flip", None, "mirror half of the images")
COMMAND.define("integer", "crop_padding", None, "pad by so many pixels and crop at random", lower_bound=0)
COMMAND.define("float", "erasing", None, "probability that a rectangle of an image is erased")
COMMAND.define("integer", "batch_identities", None, "P: batches of P identities, equally many images", lower_bound=0)
COMMAND.define("float", "triplet", None, "weight of the batch-hard triplet loss")
COMMAND.group("Recipe (what is not given is as --recipe has it)")
COMMAND.define("path", "run_dir", None, "where the run goes; below runs/ if not given")
COMMAND.define(
    "integer", "eval_every", Settings.eval_every, "epochs between evaluations; 0: only at the end", lower_bound=0
)
COMMAND.define(
    "integer",
    "checkpoint_every",
    0,
    "steps of an epoch between checkpoints; 0: only after each epoch",
    lower_bound=0,
)
COMMAND.group("Run")


def main(flags):
    settings = Settings.from_flags({name: flags[name].value for name in FLAGS}).completed()
    dataset = settings.read_dataset(flags.data_root)
    print(dataset.summary())
    rows = dataset.split("train")
    if rows.empty:
        raise InputError(f"{dataset.name} has no images to train on: give some the split train, or lower --test_share.")
    epoch_order(rows.pid, settings.batch_size, settings.recipe, settings.seed, epoch=1)  # is there enough to fill it?
    run_dir = flags.run_dir or f"runs/{settings.run_name}"
    devices = Devices.choose(flags.strategy, settings.batch_size, f"{settings} {dataset.fingerprint()}")
    check_supported(devices, settings, flags.debug_nans)
    xla = use_xla(settings.xla, devices.replicas)
    print(f"Trains on {devices}, XLA {'on' if xla else 'off'}", flush=True)
    options = {"checkpoint_every": flags.checkpoint_every, "debug_nans": flags.debug_nans}
    if not devices.chief:
        train(settings, load_images(rows.path, INPUT_SIZE, flags.cache_dir), rows, devices, xla, **options)
        return devices.leave()

    RunFolder.find(run_dir, settings, dataset)  # refuses what can be refused before images are read
    images = load_splits(dataset, ["train", *TEST_SPLITS], INPUT_SIZE, flags.cache_dir)
    evaluator = Evaluator(dataset, images, xla)

    def evaluate(model):
        results = evaluator.run(model)
        say(results_table(results))
        return results

    places = {"data_root": flags.data_root, "cache_dir": flags.cache_dir, "strategy": flags.strategy}
    with RunFolder.opened(run_dir, settings, dataset, **places) as run:
        for name, split in dataset.made_splits.items():
            write_csv(run.path / name, list(split), split.to_dict("records"))
        results = train(settings, images["train"], rows, devices, xla, run, evaluate, **options)
        run.write_metrics(results, settings.epochs)
    devices.leave()


if __name__ == "__main__":
    COMMAND.run(main)
