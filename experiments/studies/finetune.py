"""What trained weights are worth on other cameras, and by which recipe they are trained on.

    python experiments/studies/finetune.py --data_root DATA [--only choose|synthetic|cuhk03] [--seeds 0,1,2] [--table]

"choose" tries recipes from the bundled weights on 100 of the synthetic people, by the 100 others of the training set
(`--validation 100`). "synthetic" trains on the first 50, 100 and 200 of them, from fresh weights and from the bundled
ones, equally many steps, and searches the test set. "cuhk03" does so with real people before other cameras: it trains
on CUHK03's first pair of cameras, from there on people of the second pair, and searches the second pair's test set.
Finished trainings are not repeated; --table trains nothing.
"""

import argparse
import statistics
import sys
from pathlib import Path

from hacnn_tf.utils.cli import exit_on_error
from hacnn_tf.utils.signals import run_stoppable

PRESET = "hacnn_cuhk03_detected"
PRECISION = "mixed_bfloat16"
FROM_FRESH, FROM_TRAINED = "--recipe paper", f"--init_from {PRESET}"
PAIRS = {1: (1, 843), 2: (844, 1283)}  # identities of CUHK03's 767/700 that a pair of cameras saw
CHOICES = {  # 8 epochs of 25 steps
    "fresh": FROM_FRESH,
    "constant-5e-4": f"{FROM_TRAINED} --recipe paper",
    "cosine-5e-4": f"{FROM_TRAINED} --recipe paper --schedule cosine",
    "cosine-2e-4": f"{FROM_TRAINED} --recipe paper --schedule cosine --learning_rate 2e-4",
    "cosine-1e-4": f"{FROM_TRAINED} --recipe paper --schedule cosine --learning_rate 1e-4",
    "cosine-5e-5": f"{FROM_TRAINED} --recipe paper --schedule cosine --learning_rate 5e-5",
    "cosine-2e-5": f"{FROM_TRAINED} --recipe paper --schedule cosine --learning_rate 2e-5",
}
PERSONS, STEPS = (50, 100, 200), 200
MEASURES = ("rank1", "mAP")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--data_root", default="data")
    parser.add_argument("--runs_dir", type=Path, default="runs/finetune")
    parser.add_argument("--only", choices=["choose", "synthetic", "cuhk03"])
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--table", action="store_true", help="train nothing")
    args = parser.parse_args()
    seeds = args.seeds.split(",")
    for what in [args.only] if args.only else ["choose", "synthetic", "cuhk03"]:
        if what == "choose":
            trainings = [(name, choice(name, args.data_root)) for name in CHOICES]
        elif what == "synthetic":
            trainings = comparisons(read(what, args.data_root), PRESET, FROM_FRESH, args.runs_dir / what)
        else:
            table = read(what, args.data_root)
            base = args.runs_dir / "pair1"
            first = write_manifest(of_pair(table, 1), args.runs_dir / "pair1.csv")
            if not args.table:
                run(base, ["--dataset=folder", f"--data_root={first}", "--epochs=12", f"--precision={PRECISION}"])
            trainings = comparisons(of_pair(table, 2), base, "--recipe adamw", args.runs_dir / what)
        print(trained(what, list(trainings), seeds, args.runs_dir, args.table))


def choice(name, data_root):
    """The flags of one of `CHOICES`."""
    return ["--dataset=synthetic", f"--data_root={data_root}", "--validation=100", "--epochs=8", *CHOICES[name].split()]


def read(dataset, data_root):
    """The table of a dataset, its paths absolute."""
    from hacnn_tf.data import read_dataset

    table = read_dataset(dataset, data_root).table
    return table.assign(path=[str(Path(path).resolve()) for path in table.path])


def of_pair(table, pair):
    """The images of one pair of CUHK03's cameras."""
    return table[table.pid.between(*PAIRS[pair])]


def comparisons(table, base, from_fresh, manifests):
    """Names and flags of the trainings on the first persons of the training set, fresh and from `base`."""
    train = table.split == "train"
    for persons in PERSONS:
        first = sorted(table.pid[train].unique())[:persons]
        rows = table[~train | table.pid.isin(first)]
        manifest = write_manifest(rows, manifests / f"first{persons}.csv")
        epochs = max(1, round(STEPS / (sum(rows.split == "train") // 32)))
        for name, begin in (("fresh", from_fresh.split()), ("trained", [f"--init_from={base}"])):
            yield f"{persons}-{name}", ["--dataset=folder", f"--data_root={manifest}", f"--epochs={epochs}", *begin]


def write_manifest(rows, manifest):
    from hacnn_tf.utils.files import write_csv

    columns = ["path", "pid", "camid", "split"]
    manifest.parent.mkdir(parents=True, exist_ok=True)
    write_csv(manifest, columns, rows[columns].to_dict("records"))
    return manifest


def trained(what, trainings, seeds, runs_dir, table_only):
    """Trains what is not trained yet, and gives the table, Rank-1/mAP of the joint feature, as Markdown."""
    lines = [f"| {what} | Rank-1/mAP by seed | mean ± sd | revision |", "|---|---|---|---|"]
    for name, flags in trainings:
        found = []
        for seed in seeds:
            run_dir = runs_dir / f"{what}-{name}-seed{seed}"
            if not table_only:
                run(run_dir, [*flags, f"--seed={seed}", f"--precision={PRECISION}"])
            if results := finished(run_dir):
                found.append(results)
        if found:
            by_seed = ", ".join(f"{rank1:.1f}/{mean_ap:.1f}" for rank1, mean_ap, _ in found)
            revisions = ", ".join(dict.fromkeys(str(revision) for *_, revision in found))
            lines.append(f"| {name} | {by_seed} | {spread(found)} | {revisions} |")
    return "\n".join(lines)


def run(run_dir, flags):
    """Trains, or goes on with a training."""
    if code := run_stoppable([sys.executable, "-m", "hacnn_tf.train", f"--run_dir={run_dir}", *flags]):
        sys.exit(code)


def finished(run_dir):
    """(Rank-1, mAP, revision) of a finished training; None if it is not, which it says if it was begun."""
    from hacnn_tf.training.run_folder import RunFolder
    from hacnn_tf.utils.errors import InputError

    try:
        folder = RunFolder(run_dir)
        measures = folder.read_metrics()["single_query"]["joint"]
        return *(measures[name] for name in MEASURES), folder.revision
    except InputError as error:
        if run_dir.exists():
            print(f"Left out: {error}", file=sys.stderr)
        return None


def spread(found):
    """Mean ± standard deviation of Rank-1 and mAP over seeds."""
    if len(found) < 2:
        return ""
    columns = list(zip(*found, strict=True))[:2]
    return ", ".join(f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}" for values in columns)


if __name__ == "__main__":
    with exit_on_error("finetune"):
        main()
