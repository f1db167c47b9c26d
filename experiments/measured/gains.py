"""What each kind of attention gains, seed by seed: rows of Tables 5 and 6, less the row without it.

    python experiments/measured/gains.py --dataset cuhk03 --validation 384 --epochs 12 --precision mixed_bfloat16

The same seed draws the same batches for every network, so that two of them are compared seed by seed. Prints Rank-1/mAP
in percent, the paper's of Market-1501.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from hacnn_tf import cli
from hacnn_tf.errors import InputError
from hacnn_tf.paper.layouts import TABLES, Selection
from hacnn_tf.paper.published import number, read_published
from hacnn_tf.paper.run_folders import RunFolders
from hacnn_tf.paper.table import NOTHING, markdown, signed

GAINS = [("table5", name, "No Attention") for name in ("SSA", "SCA", "SSA+SCA", "HRA", "All")]
GAINS += [("table5", "All", "SSA+SCA"), ("table6", "w/ CAIL", "w/o CAIL")]
MEASURES = ("rank1", "mAP")
PUBLISHED = ("Market-1501 R1", "Market-1501 mAP")

COMMAND = cli.Command(__doc__, "gains")
COMMAND.define("enum", "part", "joint", "of the feature", enum_values=["joint", "global", "local"])
COMMAND.group("Feature")
Selection.define_flags(COMMAND)
COMMAND.define(
    "string", "runs_dir", None, "folder that holds the run folders; the records beside this file if not given"
)
COMMAND.group("Places")


def main(flags):
    selection, runs = Selection.from_flags(flags), RunFolders(flags.runs_dir or Path(__file__).parent)
    measured = _measured(flags.part, selection, runs)
    gains = {(table, row, without): _differences(measured[row], measured[without]) for table, row, without in GAINS}
    seeds = sorted({seed for gain in gains.values() for seed in gain})
    if not seeds:
        raise InputError(
            f"No two networks in {runs.folder} have these settings and one seed. " + " ".join(runs.left_out)
        )
    shown = {}
    for (table, row, without), gain in gains.items():
        cells = {f"seed {seed}": _pair(gain[seed]) if seed in gain else NOTHING for seed in seeds}
        values = np.array(list(gain.values())).reshape(-1, len(MEASURES))
        paper = _published(table, row, without) if flags.part == "joint" else NOTHING
        means = dict(zip(("Rank-1, mean ± sd", "mAP, mean ± sd"), map(_mean, values.T), strict=True))
        shown[f"{row} − {without}"] = {"paper": paper, **cells, **means}
    print(markdown(pd.DataFrame.from_dict(shown, orient="index")))


def _measured(part, selection, runs):
    """Dict from a row of Tables 5 and 6 to a dict from seed to its `MEASURES`."""
    tables = [TABLES[name] for name in ("table5", "table6")]
    columns = selection.columns(tables[0])  # both tables have the same
    if len(columns) != 1:
        raise InputError("Gains are of one dataset: name it with --dataset.")
    return {
        row.name: {
            run.settings.seed: np.array([results["single_query"][part][measure] for measure in MEASURES])
            for run, results in runs.select(selection.settings(row, columns[0]))
        }
        for table in tables
        for row in table.rows
    }


def _differences(having, lacking):
    """Dict from seed to the gain, of the seeds that both networks have."""
    return {seed: having[seed] - lacking[seed] for seed in sorted(having.keys() & lacking.keys())}


def _published(table, row, without):
    cells = read_published(table)
    return _pair([number(cells.loc[row, name]) - number(cells.loc[without, name]) for name in PUBLISHED])


def _mean(values):
    if len(values) < 2:
        return NOTHING
    return f"{_signed(values.mean())} ± {values.std(ddof=1):.1f}"


def _pair(values):
    return "/".join(map(_signed, values))


def _signed(value):
    return signed(value).replace("-", "−")


if __name__ == "__main__":
    COMMAND.run(main)
