"""Compares hacnn_tf with torchreid on this machine: one Markdown table, one JSON.

    bash benchmarks/run.sh [--rounds 5] [--output results/benchmarks]

Each side is a process of its own; they take turns, so that a noisy machine disturbs both alike. Figures are medians of
rounds, ratios are medians of the rounds' ratios, and in brackets stands what they spread over.
"""

import contextlib
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from worker import Worker, WorkError

from hacnn_tf.training.code import code_revision, processor
from hacnn_tf.utils import cli
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import write_json, write_text

HERE = Path(__file__).parent
PEERS = {
    "as shipped": {},
    "channels_last": {"channels_last": True},
    "torch.compile": {"channels_last": True, "compiled": True},
}
MARKET = {"queries": 3368, "gallery": 19732, "identities": 750, "junk": 3819, "distractors": 2798}


def define_flags(command, trained_on, output, rounds):
    """Defines the flags of a `cli.Command` that compares both sides with a network trained on some dataset."""
    command.define("path", "peer_python", None, "interpreter of the peers' environment")
    command.define("path", "torchreid", None, "torchreid's unpacked source distribution")
    command.define("path", "run_dir", None, f"finished training on {trained_on}")
    command.define("path", "data_root", "data", f"folder that holds {trained_on}")
    command.define("path", "output", output, "folder for table.md, figures.json and log.txt")
    command.define("integer", "rounds", rounds, "how often each is measured", lower_bound=1)


COMMAND = cli.Command(__doc__, "compare")
COMMAND.group("Comparison")
define_flags(COMMAND, "the synthetic dataset", "results/benchmarks", 5)
COMMAND.define("boolean", "compile", True, "measure torch.compile too, which compiles for minutes")
COMMAND.define("boolean", "large", True, "rank large galleries too")


class Comparison:
    """Asks both sides in turn, and collects what they answer.

    Attributes:
        ours, peer: the sides, `Worker`s.
        machine: what they run on, as `describe` has it.
        figures: dict from (side, name) to the list of the rounds' figures.
        errors: dict from (side, name) to what a side said that cannot do it.
    """

    def __init__(self, ours, peer, rounds):
        self.ours, self.peer, self._rounds = ours, peer, rounds
        self.machine = describe(ours, peer)
        self.figures, self.errors = {}, {}

    def measure(self, key, requests, rounds=None):
        """Asks for figures round by round. `requests`: dict from (side, name) to a request; `key`: of the answer."""
        for round_number in range(rounds or self._rounds):
            for (side, name), request in requests.items():
                if (side, name) in self.errors:
                    continue
                try:
                    answer = getattr(self, side).ask(**request)
                except WorkError as error:
                    self.errors[side, name] = str(error)
                    self.figures.pop((side, name), None)
                    continue
                self.figures.setdefault((side, name), []).append(answer[key])
                print(f"round {round_number + 1}  {side:<5} {name:<48} {answer[key]:12.4g}", flush=True)

    def ratio(self, above, below):
        """Round by round, one figure over another, and the other's name; None if one of them could not be measured.

        Below may be several names, of which the largest counts.
        """
        names = [name for name in ([below] if isinstance(below, tuple) else below) if name in self.figures]
        if not names or above not in self.figures:
            return None
        best = max(names, key=lambda name: statistics.median(self.figures[name]))
        return [a / b for a, b in zip(self.figures[above], self.figures[best], strict=True)], best[1]


def main(flags):
    variants = {name: kind for name, kind in PEERS.items() if flags.compile or "compiled" not in kind}
    with compared(flags) as (comparison, rows):
        rows += limits(comparison)
        rows += networks(comparison, variants)
        rows += latency(comparison)
        rows += accuracy(comparison)
        rows += ranking(comparison)
        rows += pipeline(comparison)
        rows += start(flags)
        rows += large(flags.output) if flags.large else []


@contextlib.contextmanager
def compared(flags):
    """A `Comparison`, whose sides end with the context, and a list for the table's rows.

    What was measured is written when the context ends, however it ends. If it ends early, to files of another name, so
    that an earlier comparison's stay. Raises `InputError` unless all flags that are needed were given.
    """
    cli.require(flags, "peer_python", "torchreid", "run_dir")
    output = Path(flags.output)
    output.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(open(output / "log.txt", "w"))
        ours = Worker(sys.executable, str(HERE / "ours.py"), flags.run_dir, flags.data_root, log=log)
        peer = Worker(flags.peer_python, str(HERE / "peer.py"), flags.torchreid, log=log)
        stack.callback(peer.close)
        stack.callback(ours.close)
        comparison, rows, suffix = Comparison(ours, peer, flags.rounds), [], "-partial"
        try:
            yield comparison, rows
            suffix = ""
        finally:
            write(output, comparison, rows, suffix)


def write(output, comparison, rows, suffix):
    """Writes `figures.json` and `table.md`, with a suffix to their names, and prints the table."""
    machine = comparison.machine
    figures = {f"{side}: {name}": values for (side, name), values in comparison.figures.items()}
    errors = {f"{side}: {name}": text for (side, name), text in comparison.errors.items()}
    write_json(
        output / f"figures{suffix}.json", {"machine": machine, "figures": figures, "errors": errors, "table": rows}
    )
    table = markdown(machine, rows, errors)
    write_text(output / f"table{suffix}.md", table)
    print(table)


def describe(ours, peer):
    """The machine and what runs on it, as a dict."""
    mine, theirs = ours.ask(work="machine"), peer.ask(work="machine")
    if (mine["device"] == "CPU") != (theirs["device"] == "CPU"):
        raise InputError(f"TensorFlow runs on {mine['device']}, PyTorch on {theirs['device']}: install both for one.")
    return {
        "processor": processor(),
        "cores": mine["cores"],
        "device": theirs["device"],
        "system": platform.platform(),
        "python": platform.python_version(),
        "tensorflow": mine["tensorflow"],
        "torch": theirs["torch"],
        "macs": mine["macs"],
        "revision": code_revision(),
        "date": time.strftime("%Y-%m-%d"),
    }


def limits(comparison):
    """What the machine can do: products of matrices and copies of memory; the faster library counts."""
    gpu = comparison.machine["device"] != "CPU"
    size, repeats = (8192, 20) if gpu else (2048, 5)
    kinds = {"float32": ("float32", False), "bfloat16": ("bfloat16", False)}
    if gpu:
        kinds["TF32"] = ("float32", True)
    for kind, (precision, tf32) in kinds.items():
        request = {"work": "sgemm", "size": size, "repeats": repeats, "precision": precision, "tf32": tf32}
        comparison.measure("gflops", {(side, f"products, {kind}"): request for side in ("ours", "peer")})
    comparison.measure("gbytes", {("ours", "memory copy"): {"work": "bandwidth", "repeats": 3}})
    for kind in kinds:
        names = [(side, f"products, {kind}") for side in ("ours", "peer")]
        best = max(names, key=lambda name: statistics.median(comparison.figures[name]))
        comparison.figures["limit", kind] = comparison.figures[best]
        yield row(f"limit: matrix products, {kind}", comparison.figures[best], "GFLOP/s")
    yield row("limit: memory copy", comparison.figures["ours", "memory copy"], "GB/s")


def networks(comparison, variants):
    """Training and extraction, images a second."""
    gpu, macs = comparison.machine["device"] != "CPU", comparison.machine["macs"]
    for work, flops, precision, size in [
        (work, flops, precision, size)
        for size in ((32, 128, 512) if gpu else (32,))
        for work, flops, precision in (
            ("train", 6 * macs, "float32"),
            ("extract", 2 * macs, "float32"),
            *([("train", 6 * macs, "bfloat16")] if gpu else []),
            ("extract", 2 * macs, "bfloat16"),
        )
    ]:
        for tf32 in (False, True) if gpu and precision == "float32" else (False,):
            kind = "TF32" if tf32 else precision
            what = f"{work}, batch {size}, {kind}"
            request = {"work": work, "size": size, "precision": precision, "repeats": 20 if gpu else 4, "tf32": tf32}
            ours = {("ours", f"{what}, XLA {'on' if xla else 'off'}"): request | {"xla": xla} for xla in (False, True)}
            peers = {("peer", f"{what}, {name}"): request | variant for name, variant in variants.items()}
            comparison.measure("per_second", ours | peers)
            best = max(ours, key=lambda name: statistics.median(comparison.figures.get(name, [0])))
            other = next(name for name in ours if name != best)
            if best in comparison.figures:
                share, _ = comparison.ratio(best, ("limit", kind))
                shipped = comparison.ratio(best, next(iter(peers)))
                yield row(
                    best[1],
                    comparison.figures[best],
                    "images/s",
                    share=[flops * value / 1e9 for value in share],
                    shipped=shipped and shipped[0],
                    best=comparison.ratio(best, peers),
                )
            for name in (other, *peers):
                if name in comparison.figures:
                    yield row(f"{name[0]}: {name[1]}", comparison.figures[name], "images/s")


def latency(comparison):
    """One image, from the bytes of a JPEG to its feature."""
    request = {"work": "latency", **comparison.ours.ask(work="jpeg"), "repeats": 30}
    name = "one image, JPEG bytes to feature"
    comparison.measure("seconds", {("ours", name): request, ("peer", name): request})
    yield slower_peer(comparison, name, name, 1e3, "ms")


def accuracy(comparison):
    """What bfloat16 costs in accuracy, on the synthetic dataset."""
    for precision in ("float32", "bfloat16"):
        measures = comparison.ours.ask(work="accuracy", precision=precision)
        text = f"Rank-1 {measures['rank1']:.2f}, mAP {measures['mAP']:.2f}"
        yield {"what": f"synthetic dataset, {precision}", "figure": text}


def ranking(comparison):
    """Features in memory to CMC and mAP, at the size of Market-1501."""
    ours = comparison.ours
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/features.npz"
        ours.ask(work="make_features", path=path, **MARKET)
        begun, whole = "ranking, distances and argsort alone", "ranking, to the end"
        comparison.measure(
            "seconds",
            {
                ("ours", "ranking"): {"work": "ranking", "path": path},
                ("ours", "bare product"): {"work": "product", "path": path},
                ("peer", begun): {"work": "ranking", "path": path, "whole": False},
            },
        )
        request = {"work": "ranking", "path": path, "whole": True}
        comparison.measure("seconds", {("peer", whole): request}, rounds=1)  # takes a minute
        measures = ours.ask(work="ranking", path=path)
    found = f"Rank-1 {measures['rank1']:.1f}, mAP {measures['mAP']:.1f}, of nobody's network"
    what = f"ranking, random features of Market-1501's size ({found})"
    yield slower_peer(comparison, "ranking", begun, 1, "s") | {"what": f"{what}; peer: distances and argsort alone"}
    of_product = comparison.ratio(("ours", "ranking"), ("ours", "bare product"))[0]
    yield row("ranking, Market-1501 size, × the bare matrix product", of_product, "")
    if ("peer", whole) in comparison.figures:
        yield row("peer: ranking, Market-1501 size, Python, once", comparison.figures["peer", whole], "s")


def pipeline(comparison):
    """Batches from memory, from the second epoch on; and the decoding before the first."""
    requests = {
        ("ours", "batches of 32 from memory"): {"work": "batches", "size": 32},
        ("ours", "decoding and resizing JPEGs"): {"work": "decode"},
    }
    comparison.measure("per_second", requests)
    eaten = max(
        (name for name in comparison.figures if name[0] == "ours" and name[1].startswith("train")),
        key=lambda name: statistics.median(comparison.figures[name]),
    )
    for name in requests:
        ratio = comparison.ratio(name, eaten)[0]
        yield row(f"{name[1]}; ratio: to what training eats", comparison.figures[name], "images/s", shipped=ratio)
    answer = comparison.ours.ask(work="batches", size=32)
    yield {"what": "read from disk meanwhile", "figure": f"{answer['read_bytes']} bytes"}


def start(flags):
    """The import of the package, and a training's start up to its first step, in fresh processes."""
    code, imports, first = "import tensorflow", [], []
    for _ in range(flags.rounds):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL)
        imports.append(time.perf_counter() - begin)
        with tempfile.TemporaryDirectory(dir=flags.output) as folder:
            arguments = [f"--run_dir={folder}/run", f"--data_root={flags.data_root}", "--checkpoint_every=1"]
            begin = time.perf_counter()
            command = [sys.executable, "-m", "hacnn_tf.train", *arguments]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while not list(Path(folder).glob("run/checkpoints/*-step00001.npz")) and process.poll() is None:
                time.sleep(0.01)
            first.append(time.perf_counter() - begin)
            if process.poll() is not None:
                raise InputError(f"{' '.join(command)} ended before its first step.")
            process.kill()
            process.wait()
    yield row(f"python -c '{code}'", imports, "s")
    yield row("start of a training on the synthetic dataset to its first checkpoint, after one step", first, "s")


def large(output):
    """Galleries of MSMT17's size, and of Market-1501 with distractors on disk."""
    for what, arguments in {
        "ranking, MSMT17 size (11,659 × 82,161)": ["--queries=11659", "--gallery=82161"],
        **{
            f"ranking, Market-1501 + {n // 1000}k distractors, gallery memory-mapped": [
                "--queries=3368",
                f"--gallery={19732 + n}",
                "--identities=750",
                "--known=19732",
                f"--on_disk={output}",
            ]
            for n in (125_000, 250_000, 500_000)
        },
    }.items():
        command = [sys.executable, str(HERE / "large_ranking.py"), *arguments]
        answer = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        print(what, answer, flush=True)
        figure = f"{answer['seconds']:.1f} s, {answer['bytes_above_features'] / 2**20:,.0f} MiB above the features"
        yield {"what": what, "figure": figure}


def slower_peer(comparison, ours, peer, scale, unit):
    """A row on times, where the ratio is the peer's over ours."""
    values = [scale * value for value in comparison.figures["ours", ours]]
    ratio = comparison.ratio(("peer", peer), ("ours", ours))
    if ratio is None:
        return row(ours, values, unit)
    theirs = scale * statistics.median(comparison.figures["peer", peer])
    return row(f"{ours}; peer {theirs:.3g} {unit}", values, unit, shipped=ratio[0])


def row(what, values, unit, share=None, shipped=None, best=None):
    """A line of the table: texts by column."""
    cells = {"what": what, "figure": f"{spread(values)} {unit}".strip()}
    if share:
        cells["share"] = spread(share)
    if shipped:
        cells["shipped"] = spread(shipped)
    if best:
        cells["best"] = f"{spread(best[0])}, {best[1].rpartition(', ')[2]}"
    return cells


def spread(values):
    """Median [least to greatest], in three digits."""
    ordered = [statistics.median(values), min(values), max(values)]
    median, least, greatest = (f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in ordered)
    return median if len(values) == 1 else f"{median} [{least} to {greatest}]"


def markdown(machine, rows, errors):
    """The table, below a line on the machine."""
    columns = {
        "what": "what",
        "figure": "measured",
        "share": "share of matrix products",
        "shipped": "× peer as shipped",
        "best": "× peer's best",
    }
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, {machine['device']}; TensorFlow {machine['tensorflow']}, "
        f"PyTorch {machine['torch']}, revision {machine['revision']}, {machine['date']}.",
        "",
        f"| {' | '.join(columns.values())} |",
        f"|{'---|' * len(columns)}",
        *(f"| {' | '.join(cells.get(column, '') for column in columns)} |" for cells in rows),
        *(f"\n{name}: {text}" for name, text in errors.items()),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    COMMAND.run(main)
