"""Tables 2 to 7: the published accuracy, the measured one and the difference."""

import numpy as np
import pandas as pd

from hacnn_tf.errors import InputError
from hacnn_tf.paper.experiments import TABLES
from hacnn_tf.paper.published import number, read_published
from hacnn_tf.paper.sheet import NOTHING, Sheet

MEASURES = {"R1": "rank1", "mAP": "mAP"}


def accuracy_sheet(name, selection, runs):
    """One of Tables 2 to 7 from run folders.

    Args:
        name: "table2" to "table7".
        selection: a `Selection`.
        runs: `RunFolders`.

    Returns:
        A `Sheet`. Its data has a line a cell: `row`, `column`, `measure` (R1 or mAP), `published`, `measured` (the mean
        over seeds), `sd` (the sample standard deviation; NaN for one seed), `difference` (measured less published), all
        in percent; `seeds` and `runs`, separated by spaces.

    Raises:
        InputError: no finished run belongs to the table.
    """
    table, published = TABLES[name], read_published(name)
    columns = selection.columns(table)
    measured, sources = {}, []
    for column in columns:
        for row in table.rows:
            found = runs.select(selection.settings(row, column))
            values = [results[column.query][row.part] for _, results in found if column.query in results]
            measured[row.name, column.name] = ([run for run, _ in found], values)
            sources += [run for run, _ in found if run not in sources]
    if not sources:
        raise InputError(
            f"No finished run in {runs.folder} belongs to {name}: train with bash experiments/{name}.sh. "
            + " ".join(runs.left_out)
        )
    data = pd.DataFrame(
        [
            _cell(row, column, measure, published, *measured.get((row, column), ([], [])))
            for row in published.index
            for column in dict.fromkeys([*(c.name for c in table.columns), *(c.name for c in columns)])
            for measure in MEASURES
        ]
    )
    notes = _settings(sources) + [f"Left out: {sentence}" for sentence in runs.left_out]
    title = f"Table {name[-1]}. {table.title}"
    return Sheet(name, title, data, _shown(data, published.index), [_legend(data), *notes])


def _cell(row, column, measure, published, runs, values):
    name = f"{column} {measure}".strip()
    value = number(published.loc[row, name]) if name in published else np.nan
    sample = np.array([v[MEASURES[measure]] for v in values])
    mean = sample.mean() if len(sample) else np.nan
    return {
        "row": row,
        "column": column,
        "measure": measure,
        "published": value,
        "measured": mean,
        "sd": sample.std(ddof=1) if len(sample) > 1 else np.nan,
        "difference": mean - value,
        "seeds": " ".join(str(run.settings.seed) for run in runs[: len(values)]),
        "runs": " ".join(str(run.path) for run in runs[: len(values)]),
    }


def _shown(data, rows):
    """The cells side by side; of the kinds of figure only those that the column has."""
    shown = pd.DataFrame(index=rows)
    for (column, measure), cells in data.groupby(["column", "measure"], sort=False):
        cells = cells.set_index("row")
        name = f"{column} {measure}".strip()
        if cells.published.notna().any():
            shown[name] = [_text(value) for value in cells.published]
        if cells.measured.notna().any():
            shown[f"{name} measured"] = [
                _text(mean) + ("" if np.isnan(sd) else f" ± {sd:.1f}")
                for mean, sd in zip(cells.measured, cells.sd, strict=True)
            ]
        if cells.difference.notna().any():
            shown[f"{name} difference"] = [_text(value, "+.1f") for value in cells.difference]
    return shown


def _text(value, form=".1f"):
    return NOTHING if np.isnan(value) else format(value, form)


def _legend(data):
    several = data.sd.notna().any()
    return "In percent, single query unless said otherwise" + (
        "; measured: mean ± sample standard deviation over seeds." if several else "; measured with one seed."
    )


def _settings(runs):
    """A sentence for each group of runs that differ in nothing but switches and seed."""
    groups = {}
    for run in runs:
        s = run.settings
        part = ", a part of it" if s.allow_subset else ""
        text = (
            f"{run.dataset_name}{part}: {s.epochs} epochs, batch {s.batch_size}, Adam {s.learning_rate:g}, "
            f"{s.precision}, {s.num_regions} regions, revision {run.revision}, "
            f"TensorFlow {run.versions['tensorflow']}; runs in "
        )
        groups.setdefault((text, run.path.parent), []).append(run.path.name)
    return [f"{text}{folder}: {', '.join(names)}." for (text, folder), names in groups.items()]
