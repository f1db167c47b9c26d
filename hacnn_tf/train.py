"""Trains HA-CNN and evaluates it.

    python -m hacnn_tf.train                                      the embedded dataset, a few epochs
    python -m hacnn_tf.train --dataset cuhk03 --split 767_700     the paper's protocol: 150 epochs, batch 32, Adam 5e-4

Ctrl-C or SIGTERM stop it after the step in hand, with a checkpoint; the same command again goes on from there.
"""

import dataclasses

from hacnn_tf import cli
from hacnn_tf.data.flags import define_dataset_flags
from hacnn_tf.data.images import load_images, load_splits
from hacnn_tf.data.pipeline import steps_per_epoch
from hacnn_tf.evaluation import TEST_SPLITS, Evaluator, results_table
from hacnn_tf.models import INPUT_SIZE
from hacnn_tf.training.devices import STRATEGIES, Devices, check_supported, use_xla
from hacnn_tf.training.loop import train
from hacnn_tf.training.run_folder import RunFolder
from hacnn_tf.training.settings import PRECISIONS, Settings

COMMAND = cli.Command(__doc__, "hacnn_tf.train")
define_dataset_flags(COMMAND)
COMMAND.define("string", "cache_dir", None, "keep decoded images there, for datasets larger than memory")
COMMAND.group("Dataset")
COMMAND.define("boolean", "spatial", Settings.spatial, "soft spatial attention (Table 5's SSA)")
COMMAND.define("boolean", "channel", Settings.channel, "soft channel attention (Table 5's SCA)")
COMMAND.define("boolean", "regional", Settings.regional, "hard regional attention (Table 5's HRA); off: fixed stripes")
COMMAND.define("boolean", "interaction", Settings.interaction, "cross-attention interaction (Table 6)")
COMMAND.define("integer", "num_regions", Settings.num_regions, "T, the number of local streams", lower_bound=1)
COMMAND.group("Network")
COMMAND.define("integer", "epochs", Settings.epochs, "150 if not given, fewer for synthetic", lower_bound=1)
COMMAND.define("integer", "batch_size", Settings.batch_size, "images a step", lower_bound=2)
COMMAND.define("float", "learning_rate", Settings.learning_rate, "Adam's, constant", lower_bound=0)
COMMAND.define(
    "integer", "seed", Settings.seed, "fixes initial weights and order", lower_bound=0, upper_bound=2**32 - 1
)
COMMAND.define("enum", "precision", Settings.precision, "dtype policy", enum_values=PRECISIONS)
COMMAND.define(
    "enum", "xla", Settings.xla, "compile the step; auto: where there is a GPU", enum_values=["auto", "on", "off"]
)
COMMAND.define(
    "enum",
    "strategy",
    "auto",
    "one device, all of this machine (mirrored), or the workers of TF_CONFIG (multi_worker)",
    enum_values=STRATEGIES,
)
COMMAND.define("boolean", "debug_nans", False, "if the loss is not finite, say in which layer it began; slower")
COMMAND.group("Training")
COMMAND.define("string", "run_dir", None, "where the run goes; below runs/ if not given")
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
    settings = Settings(**{field.name: flags[field.name].value for field in dataclasses.fields(Settings)}).completed()
    dataset = settings.read_dataset(flags.data_root)
    print(dataset.summary())
    rows = dataset.split("train")
    steps_per_epoch(len(rows), settings.batch_size)  # before anything is read or written: is there enough?
    run_dir = flags.run_dir or f"runs/{settings.run_name}"
    devices = Devices.choose(flags.strategy, settings.batch_size, f"{settings} {dataset.fingerprint()}")
    check_supported(devices, settings.precision, flags.debug_nans)
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
        print(results_table(results), flush=True)
        return results

    places = {"data_root": flags.data_root, "cache_dir": flags.cache_dir, "strategy": flags.strategy}
    with RunFolder.opened(run_dir, settings, dataset, **places) as run:
        results = train(settings, images["train"], rows, devices, xla, run, evaluate, **options)
        run.write_metrics(results, settings.epochs)
    devices.leave()


if __name__ == "__main__":
    COMMAND.run(main)
