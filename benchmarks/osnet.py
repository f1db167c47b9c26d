"""HA-CNN beside OSNet, which a user might take instead: images a second, without a GPU, in float32.

    python benchmarks/osnet.py --peer_python .venv-peers/bin/python --torchreid .venv-peers/torchreid-0.2.5 \\
        --run_dir runs/benchmark [--data_root data] [--rounds 3] [--output results/osnet]

`benchmarks/run.sh` makes what it needs. OSNet is torchreid's, of random weights, compiled by PyTorch or as its ONNX
file in ONNX Runtime; 256×128 pixels are what it is published with, 160×64 what HA-CNN sees. Ratios are to HA-CNN, the
network of the run, in ONNX Runtime. `torchreid_accuracy.py` trains them. See `compare.py` for how the sides take turns.
"""

import os

from compare import PEERS, compared, define_flags, row, spread

from hacnn_tf.models import INPUT_SIZE
from hacnn_tf.utils import cli

NETWORKS = {
    "torchreid's HACNN": {"name": "hacnn", "input_size": INPUT_SIZE},
    **{
        f"OSNet {name}, {height}×{width}": {"name": f"osnet_{name}", "input_size": (height, width)}
        for name in ("x1_0", "x0_25")
        for height, width in ((256, 128), INPUT_SIZE)
    },
}

COMMAND = cli.Command(__doc__, "osnet")
COMMAND.group("Comparison")
define_flags(COMMAND, "the synthetic dataset", "results/osnet", 3)


def main(flags):
    files = {name: os.path.abspath(f"{flags.output}/{name}.onnx") for name in NETWORKS}
    with compared(flags) as (comparison, rows):
        for name, network in NETWORKS.items():
            comparison.peer.ask(work="to_onnx", path=files[name], **network)
        for size in (32, 1):
            rows += speeds(comparison, size, files)


def speeds(comparison, size, files):
    """Pixels to features, images a second, and × HA-CNN in ONNX Runtime."""
    call = {"size": size, "repeats": 4 if size > 1 else 30}
    here = ("ours", f"batch {size}, HA-CNN here, ONNX Runtime")
    requests = {
        here: {"work": "extract_export", "form": "onnx", "precision": "float32", **call},
        ("ours", f"batch {size}, HA-CNN here, TensorFlow"): {"work": "extract", "precision": "float32", **call},
    }
    for name, network in NETWORKS.items():
        compiled = {"work": "extract", "precision": "float32", **PEERS["torch.compile"], **network, **call}
        requests["peer", f"batch {size}, {name}, torch.compile"] = compiled
        requests["ours", f"batch {size}, {name}, ONNX Runtime"] = {"work": "extract_file", "path": files[name], **call}
    comparison.measure("per_second", requests)
    for key in requests:
        if key in comparison.figures:
            ratio = spread(comparison.ratio(key, here)[0])
            yield row(key[1], comparison.figures[key], f"images/s, {ratio} × HA-CNN")


if __name__ == "__main__":
    COMMAND.run(main)
