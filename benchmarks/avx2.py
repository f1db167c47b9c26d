"""Training beside torchreid as on a processor without AVX-512: oneDNN, MKL and PyTorch are held to AVX2.

    python benchmarks/avx2.py --peer_python .venv-peers/bin/python --torchreid .venv-peers/torchreid-0.2.5 \\
        --run_dir runs/benchmark [--rounds 3] [--output results/avx2]

`benchmarks/run.sh` makes what it needs. Caches, clock and memory stay this processor's. See `compare.py` for how the
sides take turns.
"""

import os

from compare import PEERS, compared, define_flags, row

from hacnn_tf.utils import cli

HELD = {"ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
STEP = {"work": "train", "size": 32, "precision": "float32", "repeats": 4}
PRODUCTS = {"work": "sgemm", "size": 2048, "repeats": 5, "precision": "float32", "tf32": False}

COMMAND = cli.Command(__doc__, "avx2")
COMMAND.group("Comparison")
define_flags(COMMAND, "the synthetic dataset", "results/avx2", 3)


def main(flags):
    os.environ |= HELD  # read by the sides as they start
    limit, ours = ("ours", "matrix products, float32, AVX2"), ("ours", "train, batch 32, float32, AVX2")
    peers = {("peer", f"train, batch 32, float32, AVX2, {name}"): STEP | variant for name, variant in PEERS.items()}
    with compared(flags) as (comparison, rows):
        comparison.measure("gflops", {limit: PRODUCTS})
        comparison.measure("per_second", {ours: STEP, **peers})
        share, _ = comparison.ratio(ours, limit)
        rows.append(row(f"limit: {limit[1]}", comparison.figures[limit], "GFLOP/s"))
        rows.append(
            row(
                ours[1],
                comparison.figures[ours],
                "images/s",
                share=[6 * comparison.machine["macs"] * value / 1e9 for value in share],
                shipped=comparison.ratio(ours, next(iter(peers)))[0],
                best=comparison.ratio(ours, peers),
            )
        )
        measured = {name: values for name, values in comparison.figures.items() if name in peers}
        rows += [row(f"peer: {name[1]}", values, "images/s") for name, values in measured.items()]


if __name__ == "__main__":
    COMMAND.run(main)
