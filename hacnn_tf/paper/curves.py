"""Curves of trainings: the two losses, identity accuracy, Rank-1 and mAP by epoch, CMC, and rates of acceptance."""

from collections.abc import Iterable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from hacnn_tf.evaluation import CMC_LENGTH, RATES, parts_of
from hacnn_tf.training.run_folder import RunFolder
from hacnn_tf.utils.types import Results

MARKS = {"markersize": 4, "markevery": 0.04}  # a share of the axes' diagonal: many points are no thick line
STYLES: dict[str, dict[str, Any]] = {  # told apart without colours too
    "joint": {"color": "#0072b2", "marker": "o", **MARKS},
    "global": {"color": "#d55e00", "marker": "s", **MARKS},
    "local": {"color": "black", "marker": "^", **MARKS},
}


def curves(found: Iterable[tuple[RunFolder, Results]]) -> Figure:
    """Loss, identity accuracy, and Rank-1 and mAP by epoch, and CMC after the last, a line a seed.

    Rank-1 and mAP are as far apart as `--eval_every` has it; without it there is a point after the last epoch. Trained
    weights that a run began from have one at epoch 0.

    Args:
        found: list of (`RunFolder`, results), as `RunFolders.select` gives it.

    Returns:
        `matplotlib` figure.
    """
    figure = Figure(figsize=(10, 7), layout="constrained")
    losses, accuracy, tests, cmc = figure.subplots(2, 2).flat
    for run, results in found:
        log = run.read_rows("log")
        epochs = [int(row["epoch"]) for row in log]
        for branch in run.settings.branches:
            losses.plot(epochs, [float(row[f"{branch}_loss"]) for row in log], label=branch, **STYLES[branch])
        accuracy.plot(epochs, [100 * float(row["identity_accuracy"]) for row in log], ".-", color="tab:gray")
        tested = run.read_rows("evaluations")
        epochs = [int(row["epoch"]) for row in tested]
        for part in parts_of(run.settings.branches):
            for measure, name, style in (("rank1", "Rank-1", "-"), ("mAP", "mAP", "--")):
                values = [float(row[f"{part}_{measure}"]) for row in tested]
                tests.plot(epochs, values, style, label=f"{part}, {name}", **STYLES[part])
        for part, measures in results["single_query"].items():
            cmc.plot(range(1, CMC_LENGTH + 1), measures["cmc"], label=part, **STYLES[part])
    losses.set(xlabel="epoch", ylabel="nats", title="loss", yscale="log")
    accuracy.set(xlabel="epoch", ylabel="%", title="identity accuracy (training)", ylim=(0, 100))
    tests.set(xlabel="epoch", ylabel="%", title="Rank-1 and mAP (single query)", ylim=(0, 100))
    cmc.set(xlabel="rank", ylabel="matching rate, %", title="CMC (single query)", xlim=(1, CMC_LENGTH))
    first, last = losses.get_xlim()
    tests.set_xlim(min(first, tests.dataLim.x0 - 0.5), last)  # also where it has one point, or one of epoch 0
    for axes in (losses, accuracy, tests):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (losses, tests, cmc):
        _legend(axes)
    for axes in (losses, accuracy, tests, cmc):
        axes.grid(alpha=0.3)
    return figure


def acceptance(found: Iterable[tuple[RunFolder, Results]]) -> Figure:
    """TAR, and DIR of an open set, over FAR, after the last epoch, a line a seed and part of the feature.

    A line ends where there are too few impostors, or queries of persons who are not in the gallery.

    Args:
        found: as in `curves`; results of before these were measured are passed over.

    Returns:
        `matplotlib` figure.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    pairs, queries = figure.subplots(1, 2)
    for _, results in found:
        for part, measures in results["single_query"].items():
            for axes, (name, rate) in zip((pairs, queries), RATES.items(), strict=True):
                if name in measures:  # None is not drawn
                    axes.plot(measures[name]["far"], measures[name][rate], label=part, **STYLES[part])
    pairs.set(xlabel="FAR, % of pairs of two persons", ylabel="TAR, %", title="verification (single query)")
    queries.set(
        xlabel="FAR, % of queries of persons not in the gallery", ylabel="DIR, %", title="open set (single query)"
    )
    for axes in (pairs, queries):
        axes.set(xscale="log", ylim=(0, 100))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.grid(alpha=0.3)
        _legend(axes)
    return figure


def _legend(axes: Axes) -> None:
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))  # one a label, not one a seed
    axes.legend(handles.values(), handles.keys())
