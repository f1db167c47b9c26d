"""Kills trainings with SIGKILL at random instants, goes on with each, and counts which end as if nothing had happened.

    python tests/stress/kill_resume.py [--trainings 25] [--kills 2] [--seed 0]

A training is of 4 epochs of 6 steps, of the whole network on a small dataset, with a checkpoint after every step, so
that a good part of the kills meets one half written. Identical means: log.csv, evaluations.csv and all of the last
checkpoint (weights, batch norm's averages, optimizer, position) have the bytes of a training that was left alone.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from hacnn_tf.data.synthetic import make_synthetic
from hacnn_tf.training.checkpoints import Checkpoints
from hacnn_tf.utils import cli

EPOCHS = 4

COMMAND = cli.Command(__doc__, "kill_resume")
COMMAND.group("Kills")
COMMAND.define("integer", "trainings", 25, "how many", lower_bound=1)
COMMAND.define("integer", "kills", 2, "of each training, at most: it may end before", lower_bound=1)
COMMAND.define("integer", "seed", 0, "of the instants", lower_bound=0)


def main(flags):
    with tempfile.TemporaryDirectory() as folder:
        data_root, whole = Path(folder) / "data", Path(folder) / "whole"
        make_synthetic(data_root / "synthetic", identities=(6, 4))
        started = time.monotonic()
        subprocess.run(command(data_root, whole), check=True, stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - started
        print(f"left alone: {seconds:.0f} s", flush=True)

        random, identical, kills = np.random.default_rng(flags.seed), 0, []
        for number in range(1, flags.trainings + 1):
            run_dir = Path(folder) / f"killed{number}"
            instants = random.uniform(0, seconds, flags.kills)
            torn = kill(command(data_root, run_dir), instants, run_dir)
            same = differences(whole, run_dir) == []
            identical, kills = identical + same, [*kills, *torn.values()]
            after = ", ".join(f"{instant:.1f}" for instant in torn) or "-"
            print(f"{number}: killed {after} s after its start, {'identical' if same else 'DIFFERENT'}", flush=True)
    left = f"{sum(kills)} of {len(kills)} kills left half-written files"
    print(f"{identical} of {flags.trainings} identical; {left}, seed {flags.seed}")
    if identical < flags.trainings:
        sys.exit(1)


def command(data_root, run_dir, *more, epochs=EPOCHS):
    """The training's command line, with further flags."""
    flags = [f"--data_root={data_root}", f"--run_dir={run_dir}", "--allow_subset", "--batch_size=8"]
    flags += ["--recipe=strong", "--batch_identities=4", "--triplet=1"]  # all that has a state or a random number
    return [sys.executable, "-m", "hacnn_tf.train", *flags, *more, f"--epochs={epochs}", "--checkpoint_every=1"]


def kill(args, instants, run_dir):
    """Runs a command until it ends by itself, killed first so many seconds after each start.

    Returns:
        Dict from the instant of each kill that found it alive to whether it left half-written files.
    """
    torn = {}
    for instant in instants:
        process = subprocess.Popen(args, stdout=subprocess.DEVNULL)
        try:
            process.wait(instant)
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            torn[instant] = any(run_dir.rglob(".*.part*"))
    subprocess.run(args, check=True, stdout=subprocess.DEVNULL)  # an error of before is one of now
    return torn


def differences(run_dir, other):
    """What of two finished trainings is not the same to the last bit, as a list of names."""
    tables = ("log.csv", "evaluations.csv")
    found = [name for name in tables if (run_dir / name).read_bytes() != (other / name).read_bytes()]
    (_, a), (_, b) = (Checkpoints(folder / "checkpoints").newest() for folder in (run_dir, other))
    return found + [
        name for name in a.keys() | b.keys() if name not in a.keys() & b.keys() or not same(a[name], b[name])
    ]


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


if __name__ == "__main__":
    COMMAND.run(main)
