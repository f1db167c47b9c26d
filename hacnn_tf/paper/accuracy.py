"""Tables 2 to 7: the published accuracy, the measured one and the difference."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hacnn_tf.paper.layouts import TABLES, Selection
from hacnn_tf.paper.published import number, read_published
from hacnn_tf.paper.run_folders import RunFolders, folded
from hacnn_tf.paper.table import NOTHING, Table, signed
from hacnn_tf.training.run_folder import RunFolder
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.text import preview

MEASURES = {"R1": "rank1", "mAP": "mAP"}


def accuracy_table(name: str, selection: Selection, runs: RunFolders) -> Table:
    """One of Tables 2 to 7 from run folders.

    Args:
        name: "table2" to "table7".
        selection: a `Selection`.
        runs: `RunFolders`.

    Returns:
        A `Table`. Its data has a line a cell: `row`, `column`, `measure` (R1 or mAP), `published`, `measured` (the mean
        over seeds), `sd` (the sample standard deviation; NaN for one seed), `difference` (measured less published), all
        in percent; `seeds`, separated by spaces, and `runs`, by semicolons.

    Raises:
        InputError: no finished run belongs to the table.
    """
    table, published = TABLES[name], read_published(name)
    columns = selection.columns(table)
    measured: dict[tuple[str, str], list[tuple[RunFolder, dict[str, Any]]]] = {}
    sources: list[RunFolder] = []
    for column in columns:
        for row in table.rows:
            found = runs.select(selection.settings(row, column))
            found = [(run, results[column.query][row.part]) for run, results in found if column.query in results]
            measured[row.name, column.name] = found
            sources += [run for run, _ in found if run not in sources]
    if not sources:
        raise InputError(
            f"No finished run in {runs.folder} belongs to {name}: train with python -m hacnn_tf.reproduce "
            f"--experiment {name}. {preview(runs.left_out, separator=' ')}".rstrip()
        )
    rows = pd.Index(dict.fromkeys([*published.index, *(row.name for row in table.rows)]), name=published.index.name)
    data = pd.DataFrame(
        [
            _cell(row, column, measure, published, measured.get((row, column), []))
            for row in rows
            for column in dict.fromkeys([*(c.name for c in table.columns), *(c.name for c in columns)])
            for measure in MEASURES
        ]
    )
    notes = [_legend(data), *_settings(sources)]
    if len({run.revision for run in sources}) > 1:
        notes.append("These runs were not all trained by the same revision of the code.")
    if any("-dirty" in str(run.revision) for run in sources):
        notes.append("Not all of this code was committed: nobody else can get these figures.")
    if len({code["pixels"] for run in sources for code in run.code}) > 1:
        notes.append("Not all of these runs are known to have seen images decoded alike: worth a point or two.")
    title = f"Table {name[-1]}. {table.title}"
    return Table(name, title, data, _shown(data, rows), notes, runs.left_out)


def _cell(
    row: str, column: str, measure: str, published: pd.DataFrame, found: Sequence[tuple[RunFolder, Mapping[str, Any]]]
) -> dict[str, Any]:
    name = f"{column} {measure}".strip()
    value = number(published.loc[row, name]) if name in published and row in published.index else np.nan
    sample = np.array([values[MEASURES[measure]] for _, values in found])
    mean = sample.mean() if len(sample) else np.nan
    return {
        "row": row,
        "column": column,
        "measure": measure,
        "published": value,
        "measured": mean,
        "sd": sample.std(ddof=1) if len(sample) > 1 else np.nan,
        "difference": mean - value,
        "seeds": " ".join(str(run.settings.seed) for run, _ in found),
        "runs": "; ".join(str(run.path) for run, _ in found),
    }


def _shown(data: pd.DataFrame, rows: pd.Index) -> pd.DataFrame:
    """The cells side by side; of the kinds of figure only those that the column has."""
    shown = pd.DataFrame(index=rows)
    for (column, measure), cells in data.groupby(["column", "measure"], sort=False):
        cells = cells.set_index("row")
        name = f"{column} {measure}".strip()
        if cells.published.notna().any():
            shown[name] = [_text(value) for value in cells.published]
        if cells.measured.notna().any():
            counts = cells.seeds.str.split().str.len()
            shown[f"{name} measured"] = [
                _text(mean) + ("" if np.isnan(sd) else f" ± {sd:.1f}") + (f" (n = {n})" if 0 < n < counts.max() else "")
                for mean, sd, n in zip(cells.measured, cells.sd, counts, strict=True)
            ]
        if cells.difference.notna().any():
            shown[f"{name} difference"] = [_text(value, signed) for value in cells.difference]
    return shown


def _text(value: float, form: Callable[[float], str] = "{:.1f}".format) -> str:
    return NOTHING if np.isnan(value) else form(value)


def _legend(data: pd.DataFrame) -> str:
    several = data.sd.notna().any()
    return "In percent, single query unless said otherwise" + (
        "; measured: mean ± sample standard deviation over seeds." if several else "; measured with one seed."
    )


def _settings(runs: Iterable[RunFolder]) -> list[str]:
    """A sentence for each group of runs that differ in nothing but switches and seed."""
    groups: dict[tuple[str, Path], list[str]] = {}
    for run in runs:
        s = run.settings
        part = ", a part of it" if s.allow_subset else ""
        tested = run.read_test()[1]
        by = f", tested by {tested}" if tested and not str(run.revision).endswith(tested) else ""
        devices = dict.fromkeys(code["device"] for code in run.code if code["device"])
        on = f", on {' and then '.join(devices)}" if devices else ""
        text = (
            f"{run.dataset_name}{part}: {s.epochs} epochs, batch {s.batch_size}, recipe {s.recipe}, "
            f"{s.precision}, {s.num_regions} regions, revision {run.revision}{by}, "
            f"TensorFlow {run.code[0]['versions'].get('tensorflow')}{on}; runs in "
        )
        groups.setdefault((text, run.path.parent), []).append(run.path.name)
    return [f"{text}{folder}: {', '.join(folded(names))}." for (text, folder), names in groups.items()]
