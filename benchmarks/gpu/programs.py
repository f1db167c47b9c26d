"""Trainings for a machine with a GPU and JAX, but without TensorFlow: this package's own step as an XLA program.

    python benchmarks/gpu/programs.py --write programs --data_root DATA < trainings.txt  here
    python benchmarks/gpu/programs_gpu.py programs results                               there, in a copy of this folder
    python benchmarks/gpu/programs.py --read results                                     here again

Each line of trainings.txt has the flags of one training, as `python -m hacnn_tf.train` takes them; those that differ
only in the seed share a program. --write also makes their run folders, which tell this revision, and --read completes
these. `programs_gpu.py` says what it needs there.
"""

import collections
import dataclasses
import json
import shlex
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from hacnn_tf.data.pipeline import steps_per_epoch
from hacnn_tf.evaluation.features import EXTRACTION_BATCH
from hacnn_tf.models import INPUT_SIZE
from hacnn_tf.train import COMMAND as TRAIN
from hacnn_tf.training.epoch_log import EpochLog
from hacnn_tf.training.loop import make_state
from hacnn_tf.training.run_folder import RunFolder
from hacnn_tf.training.settings import FLAGS, Settings
from hacnn_tf.training.step import make_train_step
from hacnn_tf.utils import cli
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import check_new_path, write_json, write_npz

COMMAND = cli.Command(__doc__, "programs")
COMMAND.group("Programs")
COMMAND.define("path", "write", None, "folder for the programs of the trainings on standard input")
COMMAND.define("path", "read", None, "folder of results")
COMMAND.define("path", "data_root", "data", "folder that holds the datasets")
COMMAND.define("path", "runs_dir", "runs", "folder of the run folders")


def main(flags):
    if (flags.write is None) == (flags.read is None):
        raise InputError("Give either --write or --read; --help lists the flags.")
    if flags.read:
        return read(Path(flags.read), Path(flags.runs_dir))
    check_new_path(Path(flags.write) / "images.npz")
    trainings, images = collections.defaultdict(list), {}
    for line in filter(None, map(str.strip, sys.stdin)):
        settings = parse(line)
        trainings[dataclasses.replace(settings, seed=0)].append(settings)
    for settings in trainings.values():
        images |= write(settings, Path(flags.write), Path(flags.runs_dir), flags.data_root)
    write_npz(Path(flags.write) / "images.npz", {name: np.fromfile(path, np.uint8) for name, path in images.items()})


def parse(line):
    """The `Settings` of a line of flags, compiled by XLA whatever it says."""
    values = cli.parse(TRAIN.values, ["train", *shlex.split(line), "--xla=on"])
    if others := [name for name in values if values[name].present and name not in FLAGS]:
        raise InputError(f"--{others[0]} says where or how to train, which {Path(__file__).name} does: leave it out.")
    settings = Settings.from_flags({name: values[name].value for name in FLAGS})
    if settings.init_from:
        raise InputError("--init_from is not carried to the GPU, where all begin from fresh weights: leave it out.")
    if settings.precision == "mixed_float16":
        raise InputError("--precision mixed_float16 is not carried to the GPU, with its loss scaling: leave it out.")
    return settings


def write(trainings, folder, runs_dir, data_root):
    """Writes the program of trainings that differ in the seed, and their run folders.

    Args:
        trainings: list of `Settings`.
        folder: `Path` of where `programs_gpu.py` will look for it.
        runs_dir: `Path` of the folder of the run folders.
        data_root: folder that holds the dataset.

    Returns:
        Dict from name, as in the table written, to path, of the images that it needs.

    Raises:
        InputError: one of the folders exists, or the images are no JPEG files below `data_root`.
    """
    settings = trainings[0]
    dataset = settings.read_dataset(data_root)
    names, rows = _names(dataset, Path(data_root)), dataset.split("train")
    steps, identities = steps_per_epoch(len(rows), settings.batch_size), rows.pid.nunique()
    place = folder / settings.run_name
    for path in (place, *(runs_dir / one.run_name for one in trainings)):
        check_new_path(path)
    place.mkdir(parents=True)
    keras.backend.clear_session()
    state = make_state(settings, identities, steps)
    write_program(place / "train", *training_program(state, settings, steps))
    write_program(place / "extract", *extraction_program(state.model))
    dataset.table.assign(path=names).to_csv(place / "table.csv", index=False)
    write_json(
        place / "training.json",
        {"dataset": dataset.name, "identities": identities, "trainings": [one.to_flags() for one in trainings]},
    )
    for one in trainings:
        RunFolder.create(runs_dir / one.run_name, one, dataset)
    print(place, flush=True)
    return dict(zip(names, dataset.table.path, strict=True))


def _names(dataset, data_root):
    """The names by which a dataset's images are carried: their paths below its folder."""
    for path in map(Path, dataset.table.path):
        if not (path.is_relative_to(data_root) and path.suffix.lower() in (".jpg", ".jpeg") and path.is_file()):
            raise InputError(f"{path} is no JPEG file below {data_root}, and no other images are carried.")
    return [str(Path(path).relative_to(data_root)) for path in dataset.table.path]


def training_program(state, settings, steps):
    """An epoch of training steps as one function.

    Args:
        state: a `TrainingState`.
        settings: its `Settings`.
        steps: of an epoch.

    Returns:
        `tf.function` from images `(steps, batch, height, width, 3)` uint8 and labels `(steps, batch)` int32 to the
        `(steps, 3)` results of the steps (2 without the local branch), its arguments, and the list of variables that
        it reads and writes.
    """
    step = make_train_step(state.model, state.optimizer, settings.recipe, xla=True)

    @tf.function(jit_compile=True, autograph=False)
    def epoch(images, labels):
        results = tf.TensorArray(tf.float32, steps, element_shape=state.totals.shape)

        def body(i, results):
            return i + 1, results.write(i, step.python_function(images[i], labels[i]))

        return tf.while_loop(lambda i, _: i < steps, body, (0, results), parallel_iterations=1)[1].stack()

    batch = (steps, settings.batch_size)
    arguments = tf.zeros((*batch, *INPUT_SIZE, 3), tf.uint8), tf.zeros(batch, tf.int32)
    return epoch, arguments, state.model.variables + state.optimizer.variables


def extraction_program(model):
    """The features of a batch, as `training_program` has an epoch; its weights are variables, for they will change."""
    extractor = model.feature_extractor()
    extract = tf.function(extractor, jit_compile=True, autograph=False)
    return extract, [tf.zeros((EXTRACTION_BATCH, *INPUT_SIZE, 3), tf.uint8)], model.variables


def write_program(path, function, arguments, variables):
    """Writes PATH.mlir, StableHLO, and PATH.json: what its inputs are.

    These are the arguments, then what the function captured: for each an index into `variables`, or an array. Its
    outputs are the results, then the variables that it changes, in the order of the inputs.
    """
    captured = function.get_concrete_function(*arguments).captured_inputs
    places = {id(variable.value.handle): i for i, variable in enumerate(variables)}
    inputs = [places[id(x)] if id(x) in places else tf.cast(x, tf.float32).numpy().tolist() for x in captured]
    write_json(path.with_suffix(".json"), {"captured": inputs})
    program = function.experimental_get_compiler_ir(*arguments)(stage="stablehlo_serialized")
    path.with_suffix(".mlir").write_bytes(program)


def read(results, runs_dir):
    """Completes run folders with what `programs_gpu.py` has written."""
    told = results / "log.jsonl"
    if not told.is_file():
        raise InputError(f"{results} has no log.jsonl: it is not what programs_gpu.py has written.")
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    for name in sorted({line["run"] for line in lines}):
        run = RunFolder(runs_dir / name)
        log, tests = EpochLog(run, 0), {}
        own = {(line["epoch"], "results" in line): line for line in lines if line["run"] == name}  # the last of each
        for (epoch, _), line in sorted(own.items(), key=lambda item: item[0]):
            if "results" in line:
                tests[epoch] = line["results"]
                log.add_results(epoch, tests[epoch])
            else:
                log.add_epoch(epoch, epoch * line["steps"], np.array(line["means"]), line["images_per_second"])
        weights = results / f"{name}.npz"
        if weights.exists():
            write_checkpoint(run, dict(np.load(weights)))
        if run.settings.epochs in tests:
            run.write_metrics(tests[run.settings.epochs], run.settings.epochs, run.tested, run.revision)
        print(run.path)


def write_checkpoint(run, weights):
    """A checkpoint to evaluate and export; the optimizer's variables are fresh, as no step is left that needs them.

    Args:
        run: a `RunFolder`.
        weights: dict of arrays, those of `model.variables` by their places in it.
    """
    state = make_state(run.settings, run.num_identities, steps=1)
    for i, variable in enumerate(state.model.variables):
        variable.assign(weights[str(i)])
    state.epoch = run.settings.epochs
    run.save(state)


if __name__ == "__main__":
    COMMAND.run(main)
