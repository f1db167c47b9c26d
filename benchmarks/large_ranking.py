"""Time and peak memory of ranking large galleries, each in a process of its own; prints a line of JSON.

    python benchmarks/large_ranking.py --queries 11659 --gallery 82161 [--on_disk DIR]

With --on_disk the gallery's features are a memory map of a file there, which was just written: the system holds it in
memory if it can. Features are random: neither time nor memory depends on them.
"""

import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from hacnn_tf.evaluation.ranking import rank_matches
from hacnn_tf.utils import cli
from hacnn_tf.utils.errors import InputError

COMMAND = cli.Command(__doc__, "large_ranking")
COMMAND.group("Measurement")
COMMAND.define("integer", "queries", 11659, "number of queries", lower_bound=1)
COMMAND.define("integer", "gallery", 82161, "number of gallery images", lower_bound=1)
COMMAND.define("integer", "identities", 3060, "number of identities among them", lower_bound=1)
COMMAND.define("integer", "known", None, "gallery images of these identities, the rest being distractors; all")
COMMAND.define("path", "on_disk", None, "folder for the gallery's features")


def main(flags):
    if flags.on_disk and not Path(flags.on_disk).is_dir():
        raise InputError(f"--on_disk {flags.on_disk} is no folder.")
    rng = np.random.default_rng(0)
    pids = [rng.integers(1, flags.identities + 1, n) for n in (flags.queries, flags.gallery)]
    pids[1][flags.known or flags.gallery :] = flags.identities + 1
    camids = [rng.integers(1, 16, n) for n in (flags.queries, flags.gallery)]
    with tempfile.TemporaryDirectory(dir=flags.on_disk) as folder:
        query, gallery = np.empty((flags.queries, 1024), np.float32), _empty(flags, Path(folder))
        for features in (query, gallery):
            for start in range(0, len(features), 4096):
                part = rng.standard_normal(features[start : start + 4096].shape, np.float32)
                features[start : start + 4096] = part / np.linalg.norm(part, axis=1, keepdims=True)
        if flags.on_disk:
            gallery.flush()
            del features, gallery  # and with them the writable map
            gallery = np.load(Path(folder) / "gallery.npy", mmap_mode="r")
        before = resident_bytes()
        start = time.perf_counter()
        rank_matches(query, gallery, *pids, *camids)
        seconds = time.perf_counter() - start
        # The pages of the map count as the process's too; all are there while nobody else needs the memory.
        mapped = gallery.nbytes if flags.on_disk else 0
        above = max(0, peak_bytes() - mapped - before)
        print(json.dumps({"seconds": seconds, "bytes_above_features": above}))


def _empty(flags, folder):
    shape = (flags.gallery, 1024)
    if not flags.on_disk:
        return np.empty(shape, np.float32)
    return np.lib.format.open_memmap(folder / "gallery.npy", "w+", np.float32, shape)


def peak_bytes():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def resident_bytes():
    with open("/proc/self/status") as file:
        return 1024 * int(next(line for line in file if line.startswith("VmRSS")).split()[1])


if __name__ == "__main__":
    COMMAND.run(main)
