"""A dataset indexed and searched: rate beside bare extraction, size, time of a search, the evaluation's measures.

    python benchmarks/indexing.py --model RUN [--dataset cuhk03 --data_root DATA] [--precision mixed_bfloat16]

All images go into a database that is removed again. Indexing and the extraction of pixels that are decoded already
take turns. Then every query is searched for, among the gallery images that its protocol admits, and what that gives for
Rank-1 and mAP is compared with `hacnn_tf.evaluation`.
"""

import contextlib
import io
import tempfile
import time
from pathlib import Path

import numpy as np
from large_database import size

from hacnn_tf import ReID
from hacnn_tf.data.dataset import JUNK
from hacnn_tf.data.dataset_options import DatasetOptions
from hacnn_tf.data.load import load_images
from hacnn_tf.data.read import read_options
from hacnn_tf.evaluation import evaluate_features
from hacnn_tf.gallery import Database
from hacnn_tf.gallery.images import find_images
from hacnn_tf.gallery.indexing import index
from hacnn_tf.reid import BATCH
from hacnn_tf.utils import cli

COMMAND = cli.Command(__doc__, "indexing")
COMMAND.group("Network")
COMMAND.define("path", "model", None, "a run folder, an export, a preset's folder or name")
COMMAND.define_precision()
COMMAND.define_dataset(DatasetOptions)

ROUNDS = 3
PART = 2048  # images of a round


def main(flags):
    cli.require(flags, "model")
    model = ReID.from_preset(flags.model, flags.precision)
    dataset = read_options(cli.given_options(DatasetOptions, flags), flags.data_root)
    with tempfile.TemporaryDirectory() as folder:
        images = listed(dataset, Path(folder))
        print(f"{model.name} on {len(images):,} images of {dataset.name}")
        rates(model, images[:PART], Path(folder))
        path = Path(folder) / "people.lance"
        seconds = timed(lambda: index(model, images, path))
        print(f"all: {seconds:,.0f} s, {len(images) / seconds:,.0f} images/s, {size(path) / 2**20:,.1f} MiB on disk")
        compare(model, dataset, Database(path))


def listed(dataset, folder):
    table = dataset.table.assign(path=[str(Path(path).absolute()) for path in dataset.table.path])
    table.to_csv(folder / "manifest.csv", index=False)
    return find_images(folder)[0]


def rates(model, images, folder):
    pixels = load_images(images.path, model.input_size)

    def bare():
        for start in range(0, len(pixels), BATCH):
            model.extract(pixels[start : start + BATCH])

    bare()
    for round_ in range(ROUNDS):
        alone = len(pixels) / timed(bare)
        with contextlib.redirect_stdout(io.StringIO()):
            indexed = len(pixels) / timed(lambda: index(model, images, folder / f"round{round_}.lance"))  # noqa: B023
        print(f"bare extraction {alone:,.0f} images/s, indexing {indexed:,.0f} images/s: {indexed / alone:.2f}")


def compare(model, dataset, database):
    queries, gallery = dataset.split("query"), dataset.split("gallery")
    features = {"query": model.embed(list(queries.path)), "gallery": model.embed(list(gallery.path))}
    expected = evaluate_features(dataset, features)["single_query"]["joint"]
    first, precisions, seconds = [], [], []
    for feature, row in zip(features["query"], queries.itertuples(), strict=True):
        where = f"split = 'gallery' and pid <> {JUNK} and not (pid = {row.pid} and camid = {row.camid})"
        started = time.perf_counter()
        (found,) = database.search(feature[None], where, top=len(gallery))
        seconds.append(time.perf_counter() - started)
        hits = np.flatnonzero(found.pid == row.pid) + 1
        if not len(hits):
            continue  # without a match, as the evaluation leaves it out
        first.append(hits[0])
        precisions.append(np.mean(np.arange(1, len(hits) + 1) / hits))
    few = features["query"][:100]
    search = timed(lambda: database.search(few, "camid = 1", top=20)) / len(few)
    print(f"a search for the nearest 20, filtered: {1e3 * search:,.1f} ms")
    print(f"a search for the order of all, filtered: median {1e3 * np.median(seconds):,.1f} ms")
    print(f"Rank-1, mAP by searching: {100 * np.mean(np.array(first) == 1):.4f}, {100 * np.mean(precisions):.4f}")
    print(f"Rank-1, mAP by evaluate:  {expected['rank1']:.4f}, {expected['mAP']:.4f}")


def timed(function):
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


if __name__ == "__main__":
    COMMAND.run(main)
