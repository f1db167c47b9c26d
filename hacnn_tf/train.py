"""Trains HA-CNN and evaluates it.

    python -m hacnn_tf.train                                      the embedded dataset, a few epochs
    python -m hacnn_tf.train --dataset cuhk03 --split 767_700     the paper's protocol: 150 epochs, batch 32, Adam 5e-4

The same command again goes on where it was stopped.
"""

import dataclasses

import tensorflow as tf

from hacnn_tf import cli
from hacnn_tf.data.images import load_splits
from hacnn_tf.data.pipeline import steps_per_epoch
from hacnn_tf.evaluation import TEST_SPLITS, Evaluator, results_table
from hacnn_tf.models import INPUT_SIZE
from hacnn_tf.training.loop import train, use_xla
from hacnn_tf.training.run_folder import RunFolder
from hacnn_tf.training.settings import Settings

COMMAND = cli.Command(__doc__, "hacnn_tf.train")
COMMAND.define(
    "enum",
    "dataset",
    Settings.dataset,
    "what to train on",
    enum_values=["synthetic", "cuhk03", "market1501", "dukemtmc"],
)
COMMAND.define(
    "enum", "split", Settings.split, "CUHK03's protocol; 767_700 if not given", enum_values=["767_700", "1367_100"]
)
COMMAND.define(
    "enum",
    "boxes",
    Settings.boxes,
    "boxes of CUHK03 and synthetic; detected if not given",
    enum_values=["detected", "labelled"],
)
COMMAND.define(
    "integer", "testset", Settings.testset, "which of the 20 test sets of 1367_100; 1 if not given", lower_bound=1
)
COMMAND.define("string", "data_root", "data", "folder that holds the datasets")
COMMAND.define("boolean", "allow_subset", Settings.allow_subset, "accept a part of a dataset")
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
COMMAND.define(
    "enum", "precision", Settings.precision, "dtype policy", enum_values=["float32", "mixed_bfloat16", "mixed_float16"]
)
COMMAND.define(
    "enum", "xla", Settings.xla, "compile the step; auto: where there is a GPU", enum_values=["auto", "on", "off"]
)
COMMAND.group("Training")
COMMAND.define("string", "run_dir", None, "where the run goes; below runs/ if not given")
COMMAND.define(
    "integer", "eval_every", Settings.eval_every, "epochs between evaluations; 0: only at the end", lower_bound=0
)
COMMAND.group("Run")


def main(flags):
    settings = Settings(**{field.name: flags[field.name].value for field in dataclasses.fields(Settings)}).completed()
    dataset = settings.read_dataset(flags.data_root)
    print(dataset.summary())
    rows = dataset.split("train")
    steps_per_epoch(len(rows), settings.batch_size)  # before anything is read or written: is there enough?
    run_dir = flags.run_dir or f"runs/{settings.run_name}"
    run = RunFolder.find(run_dir, settings, dataset)
    images = load_splits(dataset, ["train", *TEST_SPLITS], INPUT_SIZE, flags.cache_dir)
    if run is None:
        run = RunFolder.create(run_dir, settings, dataset, data_root=flags.data_root, cache_dir=flags.cache_dir)
    xla = use_xla(settings.xla)
    device = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    print(f"Run folder {run.path}, on {device}, XLA {'on' if xla else 'off'}", flush=True)
    evaluator = Evaluator(dataset, images, xla)

    def evaluate(model):
        results = evaluator.run(model)
        print(results_table(results), flush=True)
        return results

    results = train(run, images["train"], rows.pid.to_numpy(), evaluate)
    run.write_metrics(results, settings.epochs)


if __name__ == "__main__":
    COMMAND.run(main)
