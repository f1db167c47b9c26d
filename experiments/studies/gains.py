"""What each kind of attention gains, seed by seed: rows of Tables 5 and 6, less the row without it.

    python experiments/studies/gains.py --dataset cuhk03 --validation 384 --epochs 12 --precision mixed_bfloat16

The same seed draws the same batches for every network, so that two of them are compared seed by seed. Prints Rank-1/mAP
in percent, the paper's of Market-1501.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from hacnn_tf.paper.layouts import TABLES, Row, Selection
from hacnn_tf.paper.published import number, read_published
from hacnn_tf.paper.run_folders import RunFolders
from hacnn_tf.paper.table import NOTHING, markdown, signed
from hacnn_tf.utils import cli
from hacnn_tf.utils.errors import InputError

# The paper has no such row. "No Attention" adds Eq. 6's crops still, of even stripes: does CAIL help by itself?
NEITHER = Row("No Attention, w/o CAIL", dict.fromkeys(("spatial", "channel", "regional", "interaction"), False))
ROWS = [*TABLES["table5"].rows, *TABLES["table6"].rows, NEITHER]
GAINS = [("table5", name, "No Attention") for name in ("SSA", "SCA", "SSA+SCA", "HRA", "All")]
GAINS += [("table5", "All", "SSA+SCA"), ("table6", "w/ CAIL", "w/o CAIL"), (None, "No Attention", NEITHER.name)]
RECORDS = Path(__file__).parents[1] / "measured"
MEASURES = ("rank1", "mAP")
PUBLISHED = ("Market-1501 R1", "Market-1501 mAP")

COMMAND = cli.Command(__doc__, "gains")
COMMAND.define("enum", "part", "joint", "of the feature", enum_values=["joint", "global", "local"])
COMMAND.group("Feature")
COMMAND.define_options(Selection)
COMMAND.define("path", "runs_dir", None, "holds the run folders; those in experiments/measured by default")
COMMAND.group("Places")


def main(flags):
    selection = cli.given_options(Selection, flags)
    runs = RunFolders(flags.runs_dir or RECORDS / "".join(selection.dataset))
    print(gains_table(flags.part, selection, runs))


def gains_table(part, selection, runs):
    """What `main` prints, as Markdown. Raises `InputError` if no two networks can be compared.

    Args:
        part: of the feature, "joint", "global" or "local".
        selection: a `Selection` of one dataset.
        runs: `RunFolders`.
    """
    measured = _measured(part, selection, runs)
    gains = {gain: _differences(*(measured[name] for name in gain[1:])) for gain in GAINS}
    gains = {gain: by_seed for gain, by_seed in gains.items() if by_seed}
    if not gains:
        raise InputError(
            f"No two networks in {runs.folder} have these settings and one seed. " + " ".join(runs.left_out)
        )
    seeds, shown = sorted(set().union(*gains.values())), {}
    for (table, row, without), by_seed in gains.items():
        cells = {f"seed {seed}": _pair(by_seed[seed]) if seed in by_seed else NOTHING for seed in seeds}
        paper = _published(table, row, without) if table and part == "joint" else NOTHING
        rank1, mean_ap = map(_mean, np.transpose([*by_seed.values()]))
        means = {"Rank-1, mean ± sd": rank1, "mAP, mean ± sd": mean_ap}
        shown[f"{row} − {without}"] = {"paper": paper, **cells, **means}
    return markdown(pd.DataFrame.from_dict(shown, orient="index"))


def _measured(part, selection, runs):
    """Dict from the name of a row to a dict from seed to its `MEASURES`."""
    columns = selection.columns(TABLES["table5"])  # Table 6 has the same
    if len(columns) != 1:
        raise InputError("Gains are of one dataset: name it with --dataset.")
    return {
        row.name: {
            run.settings.seed: np.array([results["single_query"][part][measure] for measure in MEASURES])
            for run, results in runs.select(selection.settings(row, columns[0]))
        }
        for row in ROWS
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
