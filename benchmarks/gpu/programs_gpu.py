"""Runs the trainings that `programs.py` wrote, where there is JAX: on a GPU, if it has one.

    python benchmarks/gpu/programs_gpu.py PROGRAMS RESULTS [--at_once 1] [--keep TEXT] [--only TEXT]

Needs JAX, Keras (which draws the initial weights), NumPy, pandas, Pillow, SciPy, h5py and absl-py, and no TensorFlow:
images, batches and evaluation are this package's, which need none, and the step and the extraction are programs.
`--at_once` trainings share the GPU. RESULTS/log.jsonl gets a line an epoch and a line an evaluation, RESULTS/RUN.npz
the weights of the runs with TEXT in their names.
"""

import argparse
import collections
import concurrent.futures
import functools
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ |= {"KERAS_BACKEND": "jax", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
sys.path.insert(0, str(Path(__file__).parents[2]))

import jax
import jax.extend.backend
import keras
import numpy as np
import pandas as pd
from jax.interpreters import mlir
from jaxlib import xla_client
from jaxlib.mlir import ir
from jaxlib.mlir.dialects import stablehlo

from hacnn_tf.data.augmentation import augment
from hacnn_tf.data.dataset import ReidDataset
from hacnn_tf.data.decode import read_image
from hacnn_tf.data.pipeline import epoch_order
from hacnn_tf.evaluation import TEST_SPLITS
from hacnn_tf.evaluation.features import extract_features
from hacnn_tf.evaluation.protocols import evaluate_features
from hacnn_tf.models import INPUT_SIZE
from hacnn_tf.training.settings import Settings

jax.config.update("jax_enable_x64", True)  # Adam counts its steps in int64
DTYPES = {"f32": np.float32, "bf16": jax.numpy.bfloat16, "i32": np.int32, "i64": np.int64, "ui8": np.uint8}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("programs", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--at_once", type=int, default=1)
    parser.add_argument("--keep", default="")
    parser.add_argument("--only", default="")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.results.mkdir(parents=True, exist_ok=True)
    if args.work:
        return run(args)
    trainings = [p.parent for p in sorted(args.programs.glob("*/training.json")) if args.only in p.parent.name]
    if not trainings:
        parser.error(f"{args.programs} has no program{f' with {args.only} in its name' if args.only else ''}")
    with tempfile.TemporaryDirectory() as work:
        decode(args.programs / "images.npz", Path(work))
        commands = [
            [sys.executable, __file__, training, args.results, "--work", work, "--keep", args.keep]
            for training in trainings
        ]
        with concurrent.futures.ThreadPoolExecutor(args.at_once) as pool:
            codes = list(pool.map(subprocess.call, commands))
    sys.exit(max(map(abs, codes)))  # a signal's is negative


def decode(path, work):
    """Decodes all images of an archive into `work`: images.npy, and their names in names.json."""
    encoded = np.load(path)
    names = list(encoded)
    images = np.lib.format.open_memmap(work / "images.npy", "w+", np.uint8, (len(names), *INPUT_SIZE, 3))

    def one(i, content):
        images[i] = read_image(content, INPUT_SIZE)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(one, range(len(names)), (encoded[name].tobytes() for name in names)))
    (work / "names.json").write_text(json.dumps(names))


class Program:
    """A StableHLO program and what it is to be given.

    Args:
        path: without the suffix; `programs.write_program` says what is there.

    Attributes:
        captured: list of what its inputs are after its arguments: a place in a list of variables, or an array.
        changed: of which of these variables its outputs are new values, in their order.
    """

    def __init__(self, path):
        captured = json.loads(path.with_suffix(".json").read_text())["captured"]
        with mlir.make_ir_context() as context:
            module = stablehlo.deserialize_portable_artifact(context, path.with_suffix(".mlir").read_bytes())
            remove_copies(module)
            kinds = next(op for op in module.body.operations if op.attributes["sym_name"].value == "main").type
            bytecode = mlir.module_to_bytecode(module)
        self.inputs = [(tuple(kind.shape), DTYPES[str(kind.element_type)]) for kind in kinds.inputs]
        self.captured = [
            x if isinstance(x, int) else jax.device_put(np.array(x).astype(dtype))
            for x, (_, dtype) in zip(captured, self.inputs[-len(captured) :], strict=True)
        ]
        places = [x for x in captured if isinstance(x, int)]
        self.changed = places if len(kinds.results) > 1 else []
        if len(kinds.results) != 1 + len(self.changed):
            raise SystemExit(f"{path}: {len(kinds.results)} outputs, and {len(places)} variables.")
        backend, device = jax.extend.backend.get_backend(), jax.local_devices()[0]
        options = xla_client.CompileOptions()
        options.num_replicas = options.num_partitions = 1
        self._executable = backend.compile_and_load(bytecode, xla_client.DeviceList((device,)), options)

    def __call__(self, variables, *arguments):
        """The result, a `jax.Array`; replaces in the list `variables` those that the program changes."""
        captured = [variables[x] if isinstance(x, int) else x for x in self.captured]
        result, *changed = self._executable.execute([*map(jax.device_put, arguments), *captured])
        for place, value in zip(self.changed, changed, strict=True):
            variables[place] = value
        return result

    def kinds(self):
        """Dict from the place of a variable to its shape and dtype, of those that it is given."""
        given = zip(self.captured, self.inputs[-len(self.captured) :], strict=True)
        return {x: kind for x, kind in given if isinstance(x, int)}


def remove_copies(module):
    """Takes TensorFlow's `mhlo.copy` out of a module: a value is a value, and JAX on a GPU refuses them."""
    copies = []

    def look(op):
        if op.name == "mhlo.copy":
            copies.append(op)
        return ir.WalkResult.ADVANCE

    module.operation.walk(look)
    for op in copies:
        op.results[0].replace_all_uses_with(op.operands[0])
        op.erase()


def run(args):
    """The trainings of one program, one after the other."""
    begin = time.perf_counter()
    step, extract = Program(args.programs / "train"), Program(args.programs / "extract")
    took = time.perf_counter() - begin
    print(f"{args.programs.name}: {jax.local_devices()[0].device_kind}, compiled in {took:.0f} s", flush=True)
    data = Data(args.programs, args.work)
    for settings in data.trainings:
        variables, weights = initial(settings, data.identities, step)
        parts = [functools.partial(program, variables) for program in (step, extract)]
        train(data, settings, *parts, args.results / "log.jsonl", settings.run_name)
        if args.keep and args.keep in settings.run_name:
            kept = {str(i): np.asarray(v) for i, v in enumerate(variables[:weights])}
            np.savez(args.results / f"{settings.run_name}.npz", **kept)


class Data:
    """The images of trainings that differ in the seed.

    Args:
        path: folder of their programs.
        work: folder with the decoded images.

    Attributes:
        trainings: list of their `Settings`.
        identities: number of training identities.
    """

    def __init__(self, path, work):
        content = json.loads((path / "training.json").read_text())
        self.trainings = [Settings.from_flags(flags) for flags in content["trainings"]]
        self.identities = content["identities"]
        self._dataset = ReidDataset(content["dataset"], pd.read_csv(path / "table.csv"))
        self._work = work
        names = {name: i for i, name in enumerate(json.loads((work / "names.json").read_text()))}
        splits = {split: self._dataset.split(split).path for split in ("train", *TEST_SPLITS)}
        self._rows = {split: [names[name] for name in paths] for split, paths in splits.items() if len(paths)}
        images = np.load(work / "images.npy", mmap_mode="r")
        self._tested = {split: images[rows] for split, rows in self._rows.items() if split != "train"}
        self._labels = np.unique(self._dataset.split("train").pid, return_inverse=True)[1].astype(np.int32)

    def epochs(self, settings):
        """The batches of epoch after epoch, two of them made ahead: images `(steps, batch, ...)`, and labels."""
        make = functools.partial(make_epoch, settings, self._rows["train"], self._labels, self._work)
        with concurrent.futures.ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
            pending = collections.deque()
            for epoch in range(1, settings.epochs + 3):
                if epoch <= settings.epochs:
                    pending.append(pool.submit(make, epoch))
                if epoch > 2:
                    file, order = pending.popleft().result()
                    images = np.load(file)
                    file.unlink()
                    yield images, self._labels[order]

    def test(self, extract, branches):
        """The results of `evaluate_features`; `extract` is the function of `extract_features`."""
        features = {split: extract_features(extract, images) for split, images in self._tested.items()}
        return evaluate_features(self._dataset, features, branches=branches)


def train(data, settings, step, extract, log, name):
    """Trains as `Settings` say, and tells a log of each epoch.

    Args:
        data: a `Data`.
        settings: one of its trainings.
        step: function from the images and labels of an epoch to the `(steps, 3)` results of its steps.
        extract: as in `Data.test`.
        log: `Path` of the log.
        name: of the run, for the log.
    """

    def print_line(**line):
        with open(log, "a") as file:
            file.write(json.dumps({"run": name, "epoch": epoch, **line}) + "\n")

    for epoch, (images, labels) in enumerate(data.epochs(settings), 1):
        begin = time.perf_counter()
        means = np.asarray(step(images, labels), np.float64).mean(axis=0)
        speed = round(labels.size / (time.perf_counter() - begin), 1)
        print_line(steps=len(labels), means=means.tolist(), images_per_second=speed)
        print(f"{name}: {epoch} {means.round(3).tolist()} {speed} images/s", flush=True)
        if settings.evaluates_after(epoch):
            begin = time.perf_counter()
            results = data.test(extract, settings.branches)
            took = time.perf_counter() - begin
            print_line(results=results)
            joint = results["single_query"]["joint"]
            print(f"{name}: {joint['rank1']:.1f}/{joint['mAP']:.1f} in {took:.0f} s", flush=True)


def initial(settings, identities, program):
    """A training's variables: fresh weights, drawn by Keras under JAX, and the optimizer's, which begin as 0.

    Returns:
        List of `jax.Array`, and how many of them, from the first, are the network's.
    """
    keras.backend.clear_session()
    keras.utils.set_random_seed(settings.seed)
    weights = [np.asarray(v) for v in settings.build_model(identities).variables]
    kinds = program.kinds()
    for i, weight in enumerate(weights):
        if kinds.get(i, (weight.shape,))[0] != weight.shape:
            raise SystemExit(f"Keras {keras.__version__} orders the variables otherwise than where it was written.")
    zeros = [np.zeros(*kinds[i]) for i in range(len(weights), max(kinds) + 1)]
    return [jax.device_put(x) for x in weights + zeros], len(weights)


def make_epoch(settings, rows, labels, work, epoch):
    """Writes the images of an epoch's batches to a file; gives its path and the order.

    Args:
        settings: the `Settings`.
        rows: where in images.npy the training images are.
        labels: `(n,)` their classes.
        work: folder of images.npy.
        epoch: from 1.
    """
    order = epoch_order(labels, settings.batch_size, settings.recipe, settings.seed, epoch)
    flat = order.ravel()
    images = np.load(work / "images.npy", mmap_mode="r")[np.asarray(rows)[flat]]
    images = augment(images, flat, settings.recipe, settings.seed, epoch)
    file = work / f"{settings.run_name}-{epoch}.npy"
    np.save(file, images.reshape(*order.shape, *images.shape[1:]))
    return file, order


if __name__ == "__main__":
    main()
