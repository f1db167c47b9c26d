"""k-reciprocal re-ranking at Market-1501's size, beside torchreid's: seconds, peak memory, and whether both agree.

    python benchmarks/large_reranking.py [--torchreid .venv-peers/torchreid-0.2.5] [--rounds 3]

--torchreid is its unpacked source distribution, of which run.sh makes one; its re-ranking needs NumPy alone. The sides
take turns, each time in a process of its own, from features to all distances, which both hold. Features are random
about a centre for every identity. torchreid's function squares what it is given: L2 distances here, as published.
"""

import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from compare import spread
from large_ranking import peak_bytes, resident_bytes

from hacnn_tf.evaluation import rank_matches, rerank
from hacnn_tf.utils import cli

COMMAND = cli.Command(__doc__, "large_reranking")
COMMAND.group("Measurement")
COMMAND.define("path", "torchreid", None, "torchreid's unpacked source distribution; ours alone if not given")
COMMAND.define("integer", "rounds", 3, "how often each is measured", lower_bound=1)
COMMAND.define("integer", "queries", 3368, "number of queries", lower_bound=1)
COMMAND.define("integer", "gallery", 19732, "number of gallery images", lower_bound=1)
COMMAND.define("integer", "identities", 751, "number of identities", lower_bound=1)
COMMAND.define("enum", "side", None, "measure this one in this process", enum_values=["ours", "torchreid"])
COMMAND.define("path", "output", None, "with --side: where the distances go, as .npy")


def main(flags):
    if flags.side:
        return measure(flags)
    sides = ["ours", "torchreid"] if flags.torchreid else ["ours"]
    figures = {side: [] for side in sides}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(flags.rounds):
            for side in sides:
                arguments = [f"--side={side}", f"--output={folder}/{side}.npy", *sys.argv[1:]]
                done = subprocess.run([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True)
                if done.returncode:
                    sys.exit(f"{side} ended with code {done.returncode}: -9 is for want of memory.")
                figures[side].append(json.loads(done.stdout))
                print(f"round {number + 1}  {side:<9} {done.stdout}", end="", flush=True)
        report(figures)
        compare({side: np.load(f"{folder}/{side}.npy", mmap_mode="r") for side in sides}, flags)


def measure(flags):
    """One re-ranking; prints a line of JSON."""
    query, gallery = np.split(make_case(flags)[0], [flags.queries])
    before = resident_bytes()
    start = time.perf_counter()
    if flags.side == "ours":
        distances = np.empty((len(query), len(gallery)), np.float32)
        for row, found in zip(distances, rerank(query, gallery), strict=True):
            row[:] = found
    else:
        re_ranking = load(f"{flags.torchreid}/torchreid/reid/utils/rerank.py").re_ranking
        distances = re_ranking(l2(query, gallery), l2(query, query), l2(gallery, gallery))
    print(json.dumps({"seconds": time.perf_counter() - start, "bytes_above_features": peak_bytes() - before}))
    np.save(flags.output, distances)


def make_case(flags):
    """The features, identities and cameras of queries and gallery; the same each time."""
    rng = np.random.default_rng(0)
    n = flags.queries + flags.gallery
    pids = rng.integers(0, flags.identities, n)
    features = rng.standard_normal((flags.identities, 1024), np.float32)[pids]
    for row, blur in zip(features, np.sqrt(rng.uniform(3, 18, n)).astype(np.float32), strict=True):
        row += blur * rng.standard_normal(1024, np.float32)
        row /= np.linalg.norm(row)
    return features, pids, rng.integers(1, 7, n)


def l2(a, b):
    """The `(n, m)` L2 distances, without a second matrix of that size."""
    distances = a @ b.T
    distances *= -2
    distances += np.einsum("ij,ij->i", a, a)[:, None]
    distances += np.einsum("ij,ij->i", b, b)
    return np.sqrt(np.maximum(distances, 0, out=distances), out=distances)


def load(path):
    """The module in a file."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def report(figures):
    for side, rounds in figures.items():
        peak = max(found["bytes_above_features"] for found in rounds)
        print(f"{side}: {spread([found['seconds'] for found in rounds])} s, {peak / 2**20:,.0f} MiB above the features")
    if len(figures) > 1:
        ratios = [peer["seconds"] / ours["seconds"] for ours, peer in zip(*figures.values(), strict=True)]
        print(f"torchreid takes {spread(ratios)} times as long")


def compare(distances, flags):
    """Prints the accuracy of both, beside that without re-ranking, and by how much they differ."""
    features, *labels = (np.split(array, [flags.queries]) for array in make_case(flags))
    columns = [column for pair in labels for column in pair]
    for name, options in {"none": {}, **{side: {"distances": rows_of(d)} for side, d in distances.items()}}.items():
        found = rank_matches(*features, *columns, **options)
        cmc, mean_ap, mean_inp = found.cmc()[0], found.mean_average_precision(), found.mean_inverse_negative_penalty()
        print(f"re-ranking {name}: Rank-1 {100 * cmc:.2f}, mAP {100 * mean_ap:.2f}, mINP {100 * mean_inp:.2f}")
    if len(distances) > 1:
        ours, peer = distances.values()
        differences = np.abs(ours - peer)
        print(f"greatest difference {differences.max():.1e}, {np.mean(differences > 1e-5):.1e} of them above 1e-5")


def rows_of(distances):
    return lambda *_: (np.array(row) for row in distances)


if __name__ == "__main__":
    COMMAND.run(main)
