"""Trains HA-CNN and evaluates it.

    python -m hacnn_tf.train                                      the embedded dataset, a few epochs
    python -m hacnn_tf.train --dataset cuhk03 --split 767_700     the paper's protocol: 150 epochs, batch 32, Adam 5e-4

The same command again goes on where it was stopped.
"""

from hacnn_tf import cli

COMMAND = cli.Command(__doc__, "hacnn_tf.train")
COMMAND.define(
    "enum", "dataset", "synthetic", "what to train on", enum_values=["synthetic", "cuhk03", "market1501", "dukemtmc"]
)
COMMAND.define("enum", "split", None, "CUHK03's protocol; 767_700 if not given", enum_values=["767_700", "1367_100"])
COMMAND.define(
    "enum", "boxes", None, "boxes of CUHK03 and synthetic; detected if not given", enum_values=["detected", "labelled"]
)
COMMAND.define("integer", "testset", None, "which of the 20 test sets of 1367_100; 1 if not given", lower_bound=1)
COMMAND.define("string", "data_root", "data", "folder that holds the datasets")
COMMAND.define("boolean", "allow_subset", False, "accept a part of a dataset")
COMMAND.define("string", "cache_dir", None, "keep decoded images there, for datasets larger than memory")
COMMAND.group("Dataset")
COMMAND.define("boolean", "spatial", True, "soft spatial attention (Table 5's SSA)")
COMMAND.define("boolean", "channel", True, "soft channel attention (Table 5's SCA)")
COMMAND.define("boolean", "regional", True, "hard regional attention (Table 5's HRA); off: fixed stripes")
COMMAND.define("boolean", "interaction", True, "cross-attention interaction (Table 6)")
COMMAND.define("integer", "num_regions", 4, "T, the number of local streams", lower_bound=1)
COMMAND.group("Network")
COMMAND.define("integer", "epochs", None, "150 if not given, fewer for synthetic", lower_bound=1)
COMMAND.define("integer", "batch_size", 32, "images a step", lower_bound=2)
COMMAND.define("float", "learning_rate", 5e-4, "Adam's, constant", lower_bound=0)
COMMAND.define("integer", "seed", 0, "fixes initial weights and order", lower_bound=0)
COMMAND.define(
    "enum", "precision", "float32", "dtype policy", enum_values=["float32", "mixed_bfloat16", "mixed_float16"]
)
COMMAND.define("enum", "xla", "auto", "compile the step; auto: where there is a GPU", enum_values=["auto", "on", "off"])
COMMAND.group("Training")
COMMAND.define("string", "run_dir", None, "where the run goes; below runs/ if not given")
COMMAND.define("integer", "eval_every", 0, "epochs between evaluations; 0: only at the end", lower_bound=0)
COMMAND.group("Run")


INPUT_SIZE = (160, 64)  # height and width in pixels (§4)


def main(flags):
    import dataclasses

    from hacnn_tf.data.images import load_images
    from hacnn_tf.data.pipeline import steps_per_epoch
    from hacnn_tf.evaluation import Evaluator, results_table
    from hacnn_tf.training.loop import train, use_xla
    from hacnn_tf.training.run_folder import RunFolder
    from hacnn_tf.training.settings import Settings

    settings = Settings(**{field.name: flags[field.name].value for field in dataclasses.fields(Settings)}).completed()
    dataset = settings.read_dataset(flags.data_root)
    print(dataset.summary())
    rows = dataset.split("train")
    steps_per_epoch(len(rows), settings.batch_size)  # before anything is read or written, is there enough?

    images = load_images(rows.path, INPUT_SIZE, flags.cache_dir)
    evaluator = Evaluator(dataset, INPUT_SIZE, flags.cache_dir, use_xla(settings.xla))
    run = RunFolder.create(flags.run_dir or default_run_dir(settings), settings, dataset)
    print(f"Run folder: {run.path}", flush=True)

    def evaluate(model):
        results = evaluator.run(model)
        print(results_table(results), flush=True)
        return results

    results = train(run, images, rows.pid.to_numpy(), evaluate)
    run.write_metrics(results, settings.epochs)


def default_run_dir(settings):
    parts = [settings.dataset, settings.split, settings.boxes, f"seed{settings.seed}"]
    return "runs/" + "-".join(str(part) for part in parts if part)


if __name__ == "__main__":
    COMMAND.run(main)
