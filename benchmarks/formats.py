"""Every format and precision of an export beside torchreid's HACNN: images a second, and what they cost in accuracy.

    bash benchmarks/run.sh --nolarge      makes the peers' environment and a run, if there are none
    python benchmarks/formats.py --peer_python .venv-peers/bin/python --torchreid .venv-peers/torchreid-0.2.5 \\
        --run_dir runs/benchmark [--data_root data] [--rounds 3] [--output results/formats]

int8 is calibrated on 256 training images of the run, accuracy is that on its test images. See `compare.py` for how
the sides take turns.
"""

import os

from compare import PEERS, compared, define_flags, limits, row, slower_peer
from worker import WorkError

from hacnn_tf.utils import cli

VARIANTS = [
    *(("saved_model", precision) for precision in ("float32", "mixed_bfloat16")),
    *(("onnx", precision) for precision in ("float32", "float16", "int8")),
    *(("openvino", precision) for precision in ("float32", "float16", "mixed_bfloat16", "int8")),
    *(("litert", precision) for precision in ("float32", "float16", "int8")),
]
EXTENSIONS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_int8", "amx_bf16")

COMMAND = cli.Command(__doc__, "formats")
COMMAND.group("Comparison")
define_flags(COMMAND, "the dataset to measure on", "results/formats", 3)
COMMAND.define("boolean", "accuracy", True, "evaluate each variant too")


def main(flags):
    peers_onnx = os.path.abspath(f"{flags.output}/torchreid.onnx")
    with compared(flags) as (comparison, rows):
        found = ", ".join(extensions()) or "none of the vector extensions asked for"
        comparison.machine["processor"] += f" ({found})"
        rows += limits(comparison)
        comparison.peer.ask(work="to_onnx", path=peers_onnx)
        for size in (32, 1):
            rows += speeds(comparison, size, peers_onnx)
        rows += images(comparison)
        rows += accuracies(comparison) if flags.accuracy else []


def extensions():
    """Those vector extensions of the processor on which the ratios depend."""
    with open("/proc/cpuinfo") as file:
        flags = next((line.split() for line in file if line.startswith("flags")), [])
    return [name for name in EXTENSIONS if name in flags]


def speeds(comparison, size, peers_onnx):
    """Pixels to features, images a second."""
    repeats = 4 if size > 1 else 30
    what = f"batch {size}"
    ours = {
        ("ours", f"{what}, {form}, {precision}"): {
            "work": "extract_export",
            "form": form,
            "precision": precision,
            "size": size,
            "repeats": repeats,
        }
        for form, precision in VARIANTS
    }
    peers = {
        precision: {
            ("peer", f"{what}, {precision}, {name}"): {
                "work": "extract",
                "size": size,
                "precision": precision,
                "repeats": repeats,
                **variant,
            }
            for name, variant in PEERS.items()
        }
        for precision in ("float32", "bfloat16")
    }
    # Not PyTorch's doing, and of use to nobody who does not export it, so it stands beside the peer's best.
    exported = ("ours", f"{what}, float32, torchreid in ONNX Runtime")
    request = {"work": "extract_file", "path": peers_onnx, "size": size, "repeats": repeats}
    comparison.measure("per_second", {**ours, **peers["float32"], **peers["bfloat16"], exported: request})
    shipped = next(iter(peers["float32"]))
    for name in ours:
        if name in comparison.figures:
            exact = ours[name]["precision"] in ("float32", "float16")
            share = comparison.ratio(name, ("limit", "float32"))[0]
            against = peers["float32"] if exact else peers["float32"] | peers["bfloat16"]
            yield row(
                name[1],
                comparison.figures[name],
                "images/s",
                share=[2 * comparison.machine["macs"] * value / 1e9 for value in share] if exact else None,
                shipped=(comparison.ratio(name, shipped) or [None])[0],
                best=comparison.ratio(name, against),
            )
    for name in (*peers["float32"], *peers["bfloat16"], exported):
        if name in comparison.figures:
            yield row(f"peer: {name[1]}", comparison.figures[name], "images/s")


def images(comparison):
    """One JPEG's bytes to its feature, and a folder of JPEGs beside the bare extraction of their pixels."""
    jpeg = comparison.ours.ask(work="jpeg")
    name = "one image, JPEG bytes to feature"
    forms = {("ours", f"{name}, {form}"): form for form in ("saved_model", "onnx", "openvino")}
    requests = {key: {"work": "embed", "form": form, **jpeg, "repeats": 30} for key, form in forms.items()}
    comparison.measure("seconds", requests | {("peer", name): {"work": "latency", **jpeg, "repeats": 30}})
    for _, text in forms:
        yield slower_peer(comparison, text, name, 1e3, "ms")
    whole, bare = ("ours", "a folder of JPEGs, onnx"), ("ours", "their pixels, onnx")
    comparison.measure("per_second", {key: {"work": "folder", "decode": key == whole} for key in (whole, bare)})
    yield row("a folder of JPEGs to features, onnx", comparison.figures[whole], "images/s")
    yield row("the same, × bare extraction", comparison.ratio(whole, bare)[0], "")


def accuracies(comparison):
    """Rank-1 and mAP of every variant on the test images of the run."""
    for form, precision in VARIANTS:
        try:
            measures = comparison.ours.ask(work="accuracy_export", form=form, precision=precision)
        except WorkError as error:
            what, text = f"{form}, {precision}", str(error)
        else:
            what = f"{measures['dataset']}: {form}, {precision}"
            text = f"Rank-1 {measures['rank1']:.2f}, mAP {measures['mAP']:.2f}"
        print(form, precision, text, flush=True)
        yield {"what": what, "figure": text}


if __name__ == "__main__":
    COMMAND.run(main)
