"""Makes the pages of docs/results: each table of the records below the command that prints it.

    python -m experiments.pages

Runs from the checkout's root. What a command leaves out is not on the pages, so that a new record changes only the
tables that it belongs to.
"""

import re
import shlex
import textwrap
from pathlib import Path

import pandas as pd

from experiments.measured import keep
from experiments.studies import gains
from hacnn_tf import tables
from hacnn_tf.evaluation import parts_of
from hacnn_tf.paper.accuracy import accuracy_table
from hacnn_tf.paper.layouts import Selection
from hacnn_tf.paper.run_folders import RunFolders
from hacnn_tf.paper.table import NOTHING, markdown
from hacnn_tf.paper.table8 import networks_table
from hacnn_tf.utils.cli import given_options, parse
from hacnn_tf.utils.files import write_text

FOLDER = Path("docs/results")
RECORDS = Path("experiments/measured")
MADE = "*Made by `python -m experiments.pages` from the [records](../../experiments/measured/README.md).*"
COMMAND_WIDTH = 116


def cuhk03():
    trained = "--dataset cuhk03 --epochs 60 --precision mixed_bfloat16"
    validated = "--dataset cuhk03 --validation 384 --epochs 12 --precision mixed_bfloat16"
    tested = [run for run in RunFolders(RECORDS / "cuhk03").all() if not run.settings.validation]
    yield "# CUHK03, detected boxes, 767/700"
    yield MADE
    yield (
        "All 14,097 boxes: 7,365 training images, 1,400 queries and 5,332 gallery images, as published. They were "
        "recompressed once and are stored at 128×64, smaller than the network's 160×64: not quite the paper's data. No "
        "recipe option was chosen on the test set; initial weights, batch norm in the channel attention and "
        "Inception-A were, and region scales compared, after 5 epochs, on labelled boxes of 416 of its 700 people "
        "([how](../studies/search.md#initial-weights))."
    )
    yield "## Every run on the test set"
    yield _shell(f"python -m hacnn_tf.train {trained} --data_root DATA --eval_every 10")
    yield (
        "Joint feature, single query, in percent; *trapezoid* is the Market-1501 toolkit's mAP "
        "([both](../protocols.md#measures)): the paper does not say which is its own. Hours of training alone, on "
        "shared machines. `strong` was trained on an NVIDIA H200 ([how](../../benchmarks/GPU.md#measured-on-an-h200)). "
        "The command now decodes JPEGs more exactly, and draws other initial weights from a seed."
    )
    yield markdown(keep.runs_table(tested, FOLDER))
    yield (
        "Before revision 043228d, weight decay acted on attention too: `adamw` 52.0/48.8 (seed 0, 8023b14) and "
        "53.3/49.4 (seed 1, 2878908; its record: `git show d9016eb^:experiments/measured/before-043228d`), "
        "`strong` 51.0/48.8 (c8c9f72). `paper` after 12 epochs is in the "
        "[search](../studies/search.md#at-length-on-the-test-set)."
    )
    yield from table(f"--table table4 {trained}")
    yield from table(f"--table table5 {trained}")
    yield from gained(trained)
    yield from table(f"--table table7 {trained}")
    yield from table(f"--table table7 {trained} --recipe strong")
    yield "## By epoch"
    yield "Rank-1/mAP on the test set, and the epoch's mean losses, global/local."
    for run in tested:
        yield from by_epoch(run)
    yield "![Two seeds: loss falls, identity accuracy, Rank-1 and mAP rise by epoch; CMC](../cuhk03_curves.png)"
    yield _shell(
        f"python -m hacnn_tf.reproduce --experiment curves {trained} --data_root DATA --runs_dir {RECORDS / 'cuhk03'}"
    )
    yield "## Validation identities: Tables 5, 6 and 7"
    yield (
        "12 epochs on 383 of the training identities, tested on the other 384: 763 queries, 0.13 points each. [Does "
        "attention help?](../studies/attention.md) says what the tables show."
    )
    settings = 'DATASET=cuhk03 DATA_ROOT=DATA SEEDS="0 1 2" EPOCHS=12 PRECISION=mixed_bfloat16'
    yield "\n".join(
        [
            "```bash",
            f"{settings} bash experiments/table5.sh --validation 384",
            f"{settings} bash experiments/table6.sh --validation 384",
            f"python -m hacnn_tf.train {validated} \\",
            "    --data_root DATA --seed 0 --nolocal --nospatial --nochannel",
            "```",
        ]
    )
    yield (
        "The last is a row that the paper's tables do not have; others add `--noregional` or `--nointeraction`, and "
        "take other seeds."
    )
    for name in ("table5", "table6", "table7"):
        yield from table(f"--table {name} {validated}")
    yield "### Seed by seed"
    yield "Rank-1/mAP of the joint feature, and of the local one."
    yield from gained(validated)
    yield from gained(f"{validated} --part local")
    yield "With `paper`, which adds nothing to §4:"
    yield from gained(f"{validated} --recipe paper")


def synthetic():
    trained = "--dataset synthetic --recipe adamw --epochs 8 --precision mixed_bfloat16"
    yield "# Synthetic people: Tables 5, 6 and 7"
    yield MADE
    yield (
        "The dataset is drawn by code: 1,600 training images of 200 people, and 400 queries and 800 gallery images of "
        "100 others. 8 epochs with `adamw`, three seeds: 21 runs of 3 to 4 minutes on two cores of an Intel Xeon "
        "with AMX. The length was chosen on validation identities. One query is 0.25 points. Striped HSV histograms, "
        "which learn nothing, reach Rank-1 5.0 ([how](../../benchmarks/README.md#what-colour-alone-can-do)). What the "
        "tables show is in [does attention help?](../studies/attention.md)"
    )
    yield _shell(
        'DATASET=synthetic SEEDS="0 1 2" EPOCHS=8 RECIPE=adamw PRECISION=mixed_bfloat16 bash experiments/all.sh'
    )
    for name in ("table5", "table6", "table7"):
        yield from table(f"--table {name} {trained}")
    yield "## Seed by seed"
    yield "Rank-1/mAP of the joint feature, and of the two halves."
    for part in ("", " --part global", " --part local"):
        yield from gained(f"{trained}{part}")


def table8():
    yield "# Table 8: size and complexity"
    yield "*Made by `python -m experiments.pages`, which builds and counts the networks; no training is needed.*"
    yield _shell("bash experiments/table8.sh")
    yield networks_table().markdown()


PAGES = {"cuhk03": cuhk03, "synthetic": synthetic, "table8": table8}


def page(blocks):
    """The Markdown of a page whose blocks stand one below the other."""
    return "\n\n".join(block.strip() for block in blocks) + "\n"


def table(flags):
    """The command of `hacnn_tf.tables` with these flags on a dataset's records, and its table."""
    line = f"{flags} --runs_dir {RECORDS / _dataset(flags)}"
    yield _shell(f"python -m hacnn_tf.tables {line}")
    values = parse(tables.COMMAND.values, ["tables", *shlex.split(line)])
    made = accuracy_table(values.table, given_options(Selection, values), RunFolders(values.runs_dir))
    yield made.markdown(left_out=False)


def gained(flags):
    """The command of `gains` with these flags, and its table."""
    yield _shell(f"python experiments/studies/gains.py {flags}")
    values = parse(gains.COMMAND.values, ["gains", *shlex.split(flags)])
    runs = RunFolders(RECORDS / _dataset(flags))
    measured = gains.measure(values.part, given_options(Selection, values), runs)
    yield gains.gains_table(values.part, gains.find_gains(measured, runs))
    yield from gains.noise(measured)


def by_epoch(run):
    """What a run that was tested on its way had after each of these epochs."""
    log, tested = (run.read_rows(name, run.settings.epochs) for name in ("log", "evaluations"))
    if len(tested) < 2:
        return
    losses, rows = {row["epoch"]: row for row in log}, {}
    for row in tested:
        parts = {
            part: f"{float(row[f'{part}_rank1']):.1f}/{float(row[f'{part}_mAP']):.1f}"
            for part in parts_of(run.settings.branches)
        }
        epoch = losses.get(row["epoch"])  # none of trained weights that it began from
        loss = (
            "/".join(f"{float(epoch[f'{branch}_loss']):.2f}" for branch in run.settings.branches) if epoch else NOTHING
        )
        rows[row["epoch"]] = {**parts, "loss": loss}
    yield f"`{run.path.name}`, revision {run.revision}:"
    yield markdown(pd.DataFrame.from_dict(rows, orient="index").rename_axis("epoch"))


def _dataset(flags):
    words = shlex.split(flags)
    return words[words.index("--dataset") + 1]


def _shell(line):
    """A command in a fence, broken between its flags."""
    line = re.sub(r" (?!--)", "\N{NO-BREAK SPACE}", line)
    lines = textwrap.wrap(line, COMMAND_WIDTH, break_long_words=False, break_on_hyphens=False)
    return "```bash\n" + " \\\n    ".join(lines).replace("\N{NO-BREAK SPACE}", " ") + "\n```"


def main():
    for name, blocks in PAGES.items():
        write_text(FOLDER / f"{name}.md", page(blocks()))


if __name__ == "__main__":
    main()
