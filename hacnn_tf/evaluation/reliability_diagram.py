"""The reliability diagram of a calibration: probabilities that were said beside shares that were observed."""

from matplotlib.figure import Figure

from hacnn_tf.evaluation.calibration_fit import Reliability


def reliability_diagram(measured: Reliability, title: str) -> Figure:
    """Observed share by predicted probability, and how many pairs that is.

    Args:
        measured: a `Reliability`.
        title: what was measured, for people.

    Returns:
        `matplotlib` figure.
    """
    figure = Figure(figsize=(5.5, 6.5), layout="constrained")
    shares, pairs = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    rows = measured.table
    shares.plot([0, 1], [0, 1], "--", color="tab:gray", label="predicted = observed")
    shares.plot(rows.predicted, rows.observed, "o-", color="tab:blue", label=f"Brier score {measured.brier:.4f}")
    shares.set(ylabel="observed share of one person", ylim=(-0.02, 1.02))
    shares.set_title(title, fontsize="medium")
    shares.legend(loc="upper left")
    pairs.bar(rows.low, rows.pairs, rows.high - rows.low, align="edge", color="tab:blue", edgecolor="white")
    pairs.set(xlabel="predicted probability, of equally many pairs of one person and of two", ylabel="pairs")
    pairs.set(yscale="log", xlim=(-0.02, 1.02))
    for axes in (shares, pairs):
        axes.grid(alpha=0.3)
    return figure
