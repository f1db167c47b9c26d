"""Trains HA-CNN and evaluates it.

    python -m hacnn_tf.train                                      synthetic people, a few epochs
    python -m hacnn_tf.train --dataset cuhk03 --split 767_700     150 epochs, batch 32, Adam 5e-4, by recipe adamw
    python -m hacnn_tf.train --dataset cuhk03 --recipe paper      §4 of the paper, nothing added
    python -m hacnn_tf.train --dataset cuhk03 --recipe strong     with augmentation and label smoothing
    python -m hacnn_tf.train --dataset folder --data_root people  images of your own, see data/README.md
    python -m hacnn_tf.train --dataset folder --data_root people --init_from hacnn_cuhk03_detected
                                                                  the same, from weights trained on CUHK03
    python -m hacnn_tf.train --dataset cuhk03,market1501          on both together, tested in one gallery

Ctrl-C or SIGTERM stops it after the current step, with a checkpoint; the same command resumes.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from absl.flags import FlagValues

from hacnn_tf.data.load import load_images, load_splits
from hacnn_tf.data.pipeline import epoch_order
from hacnn_tf.preset import find_model, from_anywhere
from hacnn_tf.reid import ReID
from hacnn_tf.training.cluster import find_workers
from hacnn_tf.training.recipes import GROUP, OPTIONS, RECIPES, Recipe
from hacnn_tf.training.run_folder import RunFolder
from hacnn_tf.training.settings import FLAGS, STRATEGIES, Settings
from hacnn_tf.utils import cli
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import write_csv
from hacnn_tf.utils.startup import check_tensorflow, require_tensorflow
from hacnn_tf.utils.types import Results

if TYPE_CHECKING:
    from hacnn_tf.data.dataset import ReidDataset

COMMAND = cli.Command(__doc__, "hacnn_tf.train", once=False)
COMMAND.define_dataset(Settings)
COMMAND.group("Dataset")
COMMAND.define("path", "cache_dir", None, "keep decoded images there, for datasets larger than memory")
COMMAND.group("Training")
COMMAND.define(
    "enum",
    "strategy",
    "auto",
    "one device, all of this machine (mirrored), or the workers of TF_CONFIG (multi_worker)",
    enum_values=STRATEGIES,
)
COMMAND.define("boolean", "debug_nans", False, "if the loss is not finite, say in which layer it began; slower")
COMMAND.group("Run")
COMMAND.define("path", "run_dir", None, "where the run goes; below runs/ by default")
COMMAND.define(
    "integer", "checkpoint_every", 0, "steps of an epoch between checkpoints; 0: only after each epoch", lower_bound=0
)
COMMAND.group(GROUP)
COMMAND.define(
    "enum",
    "recipe",
    None,
    "a set of the flags below; by default finetune with --init_from, paper for synthetic, else adamw",
    enum_values=list(RECIPES),
)
COMMAND.define_options(Recipe, **dict.fromkeys(OPTIONS))


def main(flags: FlagValues) -> None:
    settings = Settings.from_flags({name: flags[name].value for name in FLAGS})
    check_tensorflow()
    run_dir = flags.run_dir or f"runs/{settings.run_name}"
    several = len(find_workers(flags.strategy)[0]) > 1  # they meet first, and only the chief has the run folder
    if settings.init_from and not several and not Path(run_dir).is_dir():
        find_model(settings.init_from)  # before a large dataset is read
    dataset = settings.read_dataset(flags.data_root)
    cli.print_line(dataset.summary())
    rows = dataset.split("train")
    if rows.empty:
        raise InputError(f"{dataset.name} has no images to train on: give some the split train, or lower --test_share.")
    if rows.pid.nunique() < 2:
        raise InputError(f"{dataset.name} has one identity to train on, and nobody to tell it from: give two or more.")
    epoch_order(rows.pid, settings.batch_size, settings.recipe, settings.seed, epoch=1)  # is there enough to fill it?
    if not several:
        run = RunFolder.find(run_dir, settings, dataset)
        if settings.init_from and not (run and run.begun):
            _check_initial(settings, dataset, flags.data_root)

    require_tensorflow()
    from hacnn_tf.evaluation import TEST_SPLITS, Evaluator, results_table
    from hacnn_tf.models import HACNN, INPUT_SIZE
    from hacnn_tf.training.devices import check_supported, use_xla
    from hacnn_tf.training.initial import InitialWeights
    from hacnn_tf.training.loop import train
    from hacnn_tf.training.multi_worker import Follower, open_devices
    from hacnn_tf.training.record import Record

    agreement = {"flags": str(settings), "data": dataset.fingerprint()}
    with open_devices(flags.strategy, settings.batch_size, agreement) as devices:
        check_supported(devices, settings, flags.debug_nans)
        xla = use_xla(settings.xla, devices.replicas)
        cli.print_line(f"Trains on {devices}, XLA {'on' if xla else 'off'}")
        if not devices.chief:
            pixels = load_images(rows.path, INPUT_SIZE, flags.cache_dir)
            train(settings, pixels, rows, Follower(), devices, xla, flags.checkpoint_every, flags.debug_nans)
            return

        run = RunFolder.find(run_dir, settings, dataset)  # refuses what can be refused before images are read
        initial = None
        if settings.init_from and not (run and run.begun):
            if several:
                _check_initial(settings, dataset, flags.data_root)
            initial = InitialWeights(settings, ReID.from_preset(settings.init_from))
        images = load_splits(dataset, ["train", *TEST_SPLITS], INPUT_SIZE, flags.cache_dir)
        evaluator = Evaluator(dataset, images, xla)

        def evaluate(network: HACNN) -> Results:
            results = evaluator.run(network)
            cli.print_line(results_table(results))
            return results

        places = {"data_root": flags.data_root, "cache_dir": flags.cache_dir, "strategy": flags.strategy}
        if settings.init_from:
            places["init_from"] = from_anywhere(settings.init_from)
        begun_from = initial.fingerprint if initial else None
        with RunFolder.opened(run_dir, settings, dataset, begun_from, **places) as run:
            for name, split in dataset.made_splits.items():
                write_csv(run.path / name, list(split), split.to_dict("records"))
            record = Record(run, evaluate, dataset.fingerprint(TEST_SPLITS), initial)
            train(settings, images["train"], rows, record, devices, xla, flags.checkpoint_every, flags.debug_nans)


def _check_initial(settings: Settings, dataset: "ReidDataset", data_root: str) -> None:
    """Raises `InputError` if there are no weights to begin from, or they have seen persons who are tested here."""
    assert settings.init_from, "there is nothing to begin from"
    find_model(settings.init_from)
    from hacnn_tf.training.seen import whom_it_knows

    if words := whom_it_knows(settings.init_from, dataset, settings, data_root):
        raise InputError(
            f"--init_from {settings.init_from} {words}, which would inflate the results: begin from other weights, or "
            "test on others: the same split without --validation, or a manifest that extends a split.csv."
        )


if __name__ == "__main__":
    COMMAND.run(main)
