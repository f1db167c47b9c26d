"""The database of features at a million images: time, memory, size, and what its index misses. Beside FAISS.

    python benchmarks/large_database.py [--rows 1000000] [--queries 100] [--folder /tmp]

Writes random features that lie in clusters, as those of identities do, searches for others of the same clusters, and
compares the nearest 20 with exact ones of a plain matrix product. FAISS, if installed (pip install faiss-cpu), gets the
same features, lists and share of lists.
"""

import functools
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from hacnn_tf.gallery import Database
from hacnn_tf.gallery import nearest as module
from hacnn_tf.gallery.nearest import EXACT_ROWS, LISTS_SEARCHED, ROWS_A_LIST
from hacnn_tf.utils import cli
from hacnn_tf.utils.errors import InputError

SEED, DIM, LATENT, IMAGES, TOP, BLOCK = 0, 1024, 64, 20, 20, 10_000
SHARES = (0.02, 0.05, 0.1, 0.2)
SPREAD = 0.5  # of an identity's images around it, as a share of that of identities


COMMAND = cli.Command(__doc__, "large_database")
COMMAND.group("Measurement")
COMMAND.define(
    "integer", "rows", 1_000_000, "how many features; an index is of more than 100,000", lower_bound=EXACT_ROWS + 1
)
COMMAND.define("integer", "queries", 100, "how many", lower_bound=1)
COMMAND.define("path", "folder", "/tmp", "where they are written, and removed again")


class RandomModel:
    """What a database wants to know of a model."""

    name, fingerprint, feature_dim, precision = "random", "random", DIM, "float32"


def main(flags):
    print(f"{os.cpu_count()} cores, seed {SEED}")
    if not Path(flags.folder).is_dir():
        raise InputError(f"--folder {flags.folder} is no folder.")
    with tempfile.TemporaryDirectory(dir=flags.folder) as folder:
        compare(Path(folder), flags.rows, flags.queries)


def compare(folder, rows, count):
    features = np.lib.format.open_memmap(folder / "features.npy", "w+", np.float32, (rows, DIM))
    queries = write_features(features, count)
    exact = nearest(queries, features)

    database = timed("adding to the database", lambda: fill(folder / "people.lance", features))
    print(f"  {size(folder / 'people.lance') / 2**20:,.0f} MiB on disk, {features.nbytes / 2**20:,.0f} MiB of features")
    timed("tidying and building the index", database.tidy)
    print(f"  {size(folder / 'people.lance') / 2**20:,.0f} MiB on disk")

    def search(where=None, exactly=False):
        return lambda query: database.search(query[None], where, TOP, exactly)[0].path.str[1:].astype(int)

    module.EXACT_ROWS = rows
    measure("exact, without the index", search(), queries, exact)
    module.EXACT_ROWS = EXACT_ROWS
    measure("exact", search(exactly=True), queries, exact)
    for share in SHARES:
        module.LISTS_SEARCHED = share
        measure(f"by index, {share:.0%} of its lists", search(), queries, exact)
    module.LISTS_SEARCHED = LISTS_SEARCHED
    measure("one camera of ten", search("camid = 3"), queries, nearest(queries, features, range(3, rows, 10)))
    print(f"  most memory so far: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:,.1f} GiB")
    faiss_rows(features, queries, exact)


def measure(name, find, queries, exact=None):
    """Prints how long `find`, from a query to row numbers, takes, and how many of the `exact` ones it gives."""
    find(queries[0])
    found, seconds = [], []
    for query in queries:
        started = time.perf_counter()
        found.append(find(query))
        seconds.append(time.perf_counter() - started)
    told = f"median {1e3 * np.median(seconds):,.0f} ms, slowest {1e3 * max(seconds):,.0f} ms"
    if exact is not None:
        recall = np.mean([len(set(f) & set(e)) / TOP for f, e in zip(found, exact, strict=True)])
        told += f", recall@{TOP} {recall:.3f}"
    print(f"search, {name}: {told}", flush=True)


def write_features(features, count):
    """Fills an array with features, and gives queries of the same identities."""
    rng = np.random.default_rng(SEED)
    spread = rng.normal(size=(LATENT, DIM)).astype(np.float32) / LATENT**0.5
    identities = rng.normal(size=(len(features) // IMAGES, LATENT)).astype(np.float32)

    def images(of):
        noise = rng.normal(size=(len(of), LATENT)).astype(np.float32) * SPREAD
        halves = ((identities[of] + noise) @ spread).reshape(len(of), 2, DIM // 2)
        return (halves / np.linalg.norm(halves, axis=-1, keepdims=True)).reshape(len(of), DIM)

    for start in range(0, len(features), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(features)))
        features[rows] = images(rows * 7 % len(identities))
    return images(rng.integers(len(identities), size=count))


def nearest(queries, features, among=None):
    """The row numbers of the `TOP` nearest, exactly, of all or `among` a range of rows.

    Halves have length 1, so that the largest product is the least distance.
    """
    among = among or range(len(features))
    best = np.full((len(queries), TOP), -np.inf, np.float32), np.zeros((len(queries), TOP), int)
    for start in range(0, len(among), 10 * BLOCK):
        some = among[start : start + 10 * BLOCK]
        products = queries @ features[some.start : some.stop : some.step].T
        rows = np.broadcast_to(some, products.shape)
        values, rows = np.hstack([best[0], products]), np.hstack([best[1], rows])
        order = np.argpartition(-values, TOP - 1, axis=1)[:, :TOP]
        best = np.take_along_axis(values, order, 1), np.take_along_axis(rows, order, 1)
    return best[1]


def fill(path, features):
    def table(start):
        numbers = np.arange(start, min(start + BLOCK, len(features)))
        rows = pd.DataFrame({"path": [f"p{i}" for i in numbers], "bytes": 0, "modified": 0, "camid": numbers % 10})
        return rows.assign(time=pd.Timestamp("2026-11-25") + pd.to_timedelta(numbers, unit="s"))

    database = Database.create(path, RandomModel, table(0))
    for start in range(0, len(features), BLOCK):
        database.write(table(start), np.asarray(features[start : start + BLOCK]))
    return database


def faiss_rows(features, queries, exact):
    try:
        import faiss
    except ImportError:
        print("FAISS is not installed: pip install faiss-cpu")
        return

    def find_in(index):
        return lambda query: index.search(query[None], TOP)[1][0]

    flat = faiss.IndexFlatL2(DIM)
    timed("FAISS, adding, flat", functools.partial(flat.add, features))
    measure("FAISS, exact", find_in(flat), queries, exact)
    flat.reset()
    lists = len(features) // ROWS_A_LIST
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(DIM), DIM, lists)
    timed("FAISS, training and adding, IVF", lambda: (index.train(features[: 256 * lists]), index.add(features)))
    for share in SHARES:
        index.nprobe = max(1, int(share * lists))
        measure(f"FAISS, IVF, {share:.0%} of its lists", find_in(index), queries, exact)


def size(folder):
    return sum(entry.stat().st_size for entry in Path(folder).rglob("*") if entry.is_file())


def timed(what, function):
    started = time.perf_counter()
    result = function()
    print(f"{what}: {time.perf_counter() - started:,.1f} s", flush=True)
    return result


if __name__ == "__main__":
    COMMAND.run(main)
