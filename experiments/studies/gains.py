"""What each kind of attention gains, seed by seed: rows of Tables 5 and 6, less the row without it.

    python experiments/studies/gains.py --dataset cuhk03 --validation 384 --epochs 12 --precision mixed_bfloat16

The same seed draws the same batches for every network, so that two of them are compared seed by seed. Prints Rank-1/mAP
in percent, the paper's of Market-1501. Table 5 is compared in three readings of "No Attention": with a local branch on
even stripes, the same without interaction ("w/o CAIL"), and with the global branch alone ("one branch"). Below, how
well seeds tell gains from chance.
"""

import functools
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from hacnn_tf.paper.layouts import TABLES, Row, Selection
from hacnn_tf.paper.published import number, read_published
from hacnn_tf.paper.run_folders import RunFolders
from hacnn_tf.paper.table import NOTHING, markdown, signed
from hacnn_tf.utils import cli
from hacnn_tf.utils.errors import InputError

NONE, ONE_BRANCH, WITHOUT_CAIL = "No Attention", ", one branch", ", w/o CAIL"
# "No Attention" adds Eq. 6's crops still, of even stripes. Does CAIL help by itself? The paper's may not have it.
NEITHER = Row(NONE + WITHOUT_CAIL, dict.fromkeys(("spatial", "channel", "regional", "interaction"), False))
# Another reading of Table 5: without hard attention there is no local branch.
NONE_ALONE = NONE + ONE_BRANCH
ALONE = [
    Row(row.name + ONE_BRANCH, {**row.switches, "local": False})
    for row in TABLES["table5"].rows
    if not row.switches.get("regional", True)
]
ROWS = [*TABLES["table5"].rows, *TABLES["table6"].rows, NEITHER, *ALONE]
KINDS = ("SSA", "SCA", "SSA+SCA", "HRA", "All")
GAINS = [  # a row, and the row without what it has
    *((kind, NONE) for kind in KINDS),
    ("All", "SSA+SCA"),
    ("w/ CAIL", "w/o CAIL"),
    (NONE, NEITHER.name),
    *((kind, NEITHER.name) for kind in ("All", "w/o CAIL")),
    *((row.name, NONE_ALONE) for row in ALONE[1:]),
    *((kind, NONE_ALONE) for kind in ("HRA", "All", NONE)),
]
READINGS = {  # by what a gain is over: words, colour and mark of the figure
    NONE: ("here, No Attention with a local branch on stripes", "#0072b2", "D"),
    NONE_ALONE: ("here, No Attention without a local branch", "#d55e00", "s"),
}
RECORDS = Path(__file__).parents[1] / "measured"
MEASURES = ("rank1", "mAP")
FEWEST = 5  # degrees of freedom by which chance is told
PUBLISHED = ("Market-1501 R1", "Market-1501 mAP")

COMMAND = cli.Command(__doc__, "gains")
COMMAND.group("Feature")
COMMAND.define("enum", "part", "joint", "of the feature", enum_values=["joint", "global", "local"])
COMMAND.define_options(Selection)
COMMAND.group("Places")
COMMAND.define("path", "runs_dir", None, "holds the run folders; those in experiments/measured by default")
COMMAND.define("path", "figure", None, "also draw the gains of Table 5 there, as .png")


def main(flags):
    selection = cli.given_options(Selection, flags)
    if len(selection.dataset) != 1:
        raise InputError("Gains are of one dataset: name it with --dataset.")
    if flags.figure and flags.part != "joint":
        raise InputError(
            f"--figure shows gains of the joint feature beside the paper's: leave it or --part {flags.part} out."
        )
    runs = RunFolders(flags.runs_dir or RECORDS / selection.dataset[0])
    measured = measure(flags.part, selection, runs)
    gains = find_gains(measured, runs)
    print(gains_table(flags.part, gains), *noise(measured), sep="\n\n")
    for sentence in runs.left_out:
        print(f"Left out: {sentence}", file=sys.stderr)
    if flags.figure:
        gains_figure(gains).savefig(flags.figure, dpi=100)


def find_gains(measured, runs):
    """Dict from each of `GAINS` that can be compared to a dict from seed to the gain, an array of Rank-1 and mAP.

    Args:
        measured: as `measure` returns it.
        runs: the `RunFolders`, for the sentence.

    Raises:
        InputError: no two networks can be compared.
    """
    gains = {gain: _differences(*(measured[name] for name in gain)) for gain in GAINS}
    gains = {gain: by_seed for gain, by_seed in gains.items() if by_seed}
    if not gains:
        raise InputError(
            f"No two networks in {runs.folder} have these settings and one seed. " + " ".join(runs.left_out)
        )
    return gains


def gains_table(part, gains):
    """What `main` prints, as Markdown; `gains` as `find_gains` returns it."""
    seeds, shown = sorted(set().union(*gains.values())), {}
    for (row, without), by_seed in gains.items():
        cells = {f"seed {seed}": _pair(by_seed[seed]) if seed in by_seed else NOTHING for seed in seeds}
        published = _published(row, without) if part == "joint" else None
        paper = _pair(published) if published else NOTHING
        rank1, mean_ap = map(_mean, np.transpose([*by_seed.values()]))
        means = {"Rank-1, mean ± sd": rank1, "mAP, mean ± sd": mean_ap}
        shown[f"{row} − {without}"] = {"paper": paper, **cells, **means}
    return markdown(pd.DataFrame.from_dict(shown, orient="index"))


def noise(measured):
    """Sentences on how far a gain may be chance, one for each reading of Table 5; `measured` as of `measure`.

    Each figure is taken for the sum of one of its network, one of its seed, and chance, which is alike for all networks
    of a reading: what a least-squares fit of the others leaves.
    """
    measured = {name: by_seed for name, by_seed in measured.items() if name != "w/ CAIL"}  # which is "All"
    for branches in ("a local branch", "one branch"):
        networks = {n: by_seed for n, by_seed in measured.items() if (ONE_BRANCH in n) == (branches == "one branch")}
        cells = pd.DataFrame([(n, seed, *value) for n, by_seed in networks.items() for seed, value in by_seed.items()])
        if cells.empty:
            continue
        design = pd.get_dummies(cells[[0, 1]].astype(str)).to_numpy(float)
        values = cells[[2, 3]].to_numpy()
        fit, _, rank, _ = np.linalg.lstsq(design, values)
        if (free := len(values) - rank) < FEWEST:
            continue
        sd = np.sqrt(((values - design @ fit) ** 2).sum(axis=0) / free)
        single, three = (stats.t.ppf(0.975, free) * sd * np.sqrt(2 / count) for count in (1, 3))
        yield (
            f"Between networks with {branches}, chance is {_plain(sd)} a run (standard deviation, {free} degrees of "
            f"freedom): a gain is known to ±{_plain(single)} by one seed, and to ±{_plain(three)} by three (95%, over "
            "seeds; who is tested is another chance)."
        )


def gains_figure(gains):
    """A `matplotlib` figure of what Table 5's rows gain over "No Attention" in two readings, beside the paper's.

    A small mark is a seed, a large one the mean of several; `gains` as `find_gains` returns it.
    """
    from matplotlib.figure import Figure  # of the extra "plot", and the table needs none

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for measure, axes in enumerate(figure.subplots(1, 2, sharey=True)):
        published = [_published(kind, NONE)[measure] for kind in KINDS]
        axes.plot(published, "_", color="black", markersize=22, label="the paper, on Market-1501")
        for offset, (without, (label, colour, mark)) in zip((-0.2, 0.2), READINGS.items(), strict=True):
            for place, kind in enumerate((*KINDS, NONE)):
                by_seed = gains.get((kind + ONE_BRANCH, without)) or gains.get((kind, without))
                if by_seed:
                    values = [gain[measure] for gain in by_seed.values()]
                    axes.plot([place + offset] * len(values), values, mark, color=colour, markersize=3, alpha=0.6)
                    if len(values) > 1:
                        axes.plot(place + offset, np.mean(values), mark, color=colour, markersize=6, label=label)
        axes.axhline(0, color="gray", linewidth=0.8)
        axes.set(title=f"{('Rank-1', 'mAP')[measure]}, points gained over No Attention")
        axes.set_xticks(range(len(KINDS) + 1), [*KINDS, "none,\non stripes"])
        axes.grid(alpha=0.3, axis="y")
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))  # one a label, not one a point
    axes.legend(handles.values(), handles.keys(), loc="upper left", fontsize=8)
    return figure


def measure(part, selection, runs):
    """Dict from the name of a row to a dict from seed to its `MEASURES`.

    Args:
        part: of the feature, "joint", "global" or "local".
        selection: a `Selection` of one dataset.
        runs: `RunFolders`.
    """
    (column,) = selection.columns(TABLES["table5"])  # Table 6 has the same
    return {
        row.name: {
            run.settings.seed: np.array([results["single_query"][part][measure] for measure in MEASURES])
            for run, results in runs.select(selection.settings(row, column))
            if part in results["single_query"]
        }
        for row in ROWS
    }


def _differences(having, lacking):
    """Dict from seed to the gain, of the seeds that both networks have."""
    return {seed: having[seed] - lacking[seed] for seed in sorted(having.keys() & lacking.keys())}


@functools.cache
def _cells():
    return pd.concat([read_published("table5"), read_published("table6")])


def _published(row, without):
    """The paper's gain; None where it has none."""
    cells = _cells()
    row, without = row.removesuffix(ONE_BRANCH), without.removesuffix(ONE_BRANCH).removesuffix(WITHOUT_CAIL)
    if row == without or without not in cells.index:
        return None
    return [number(cells.loc[row, name]) - number(cells.loc[without, name]) for name in PUBLISHED]


def _mean(values):
    if len(values) < 2:
        return NOTHING
    return f"{_signed(values.mean())} ± {values.std(ddof=1):.1f}"


def _pair(values):
    return "/".join(map(_signed, values))


def _plain(values):
    return "/".join(f"{value:.1f}" for value in values)


def _signed(value):
    return signed(value).replace("-", "−")


if __name__ == "__main__":
    COMMAND.run(main)
