"""All tables and figures of a results folder on one page that needs no other file."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from hacnn_tf.paper.run_folders import RunFolders
from hacnn_tf.training.recipes import format_flag
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import expanded, write_text
from hacnn_tf.utils.html import page, section
from hacnn_tf.utils.types import FilePath

if TYPE_CHECKING:
    from hacnn_tf.paper.table import Table

TITLE = "HA-CNN: the paper's tables and figures"
INTRODUCTION = f"""<h1>{TITLE}</h1>
<p>Harmonious Attention Network for Person Re-Identification (Li, Zhu, Gong, CVPR 2018), reproduced by hacnn_tf.
Columns on a blue ground are measured here, those on white are the paper's.</p>
"""


def write_report(results_dir: FilePath, runs_dir: FilePath, names: Iterable[str]) -> Path:
    """Writes `report.html` into a results folder.

    Args:
        results_dir: holds the pages of tables and figures.
        runs_dir: holds the run folders whose settings are listed; none if it does not exist.
        names: of the tables and figures; those that are not there are left out.

    Returns:
        The report's path.

    Raises:
        InputError: none is there, one is no page of ours, or the report cannot be written.
    """
    results_dir, runs_dir = Path(expanded(results_dir)), Path(expanded(runs_dir))
    found = [name for name in names if (results_dir / f"{name}.html").exists()]
    if not found:
        raise InputError(f"{results_dir} holds no table or figure: make some with python -m hacnn_tf.reproduce.")
    sections = [section(results_dir / f"{name}.html") for name in found]
    runs = RunFolders(runs_dir) if runs_dir.is_dir() else None
    if runs and runs.all():
        found.append("runs")
        sections.append(_settings_table(runs).html())
    links = " ".join(f'<a href="#{name}">{name}</a>' for name in found)
    path = results_dir / "report.html"
    write_text(path, page(TITLE, f"{INTRODUCTION}<nav>{links}</nav>\n{''.join(sections)}"))
    return path


def _settings_table(runs: RunFolders) -> "Table":
    """The settings in which runs differ, a run a line; those that all have, in a note."""
    import pandas as pd

    from hacnn_tf.paper.table import Table

    rows = {}
    for run in runs.all():
        values = {
            **run.settings.to_flags(),
            "revision": run.revision,
            **run.code[0]["versions"],
            "images": run.trained,
        }
        rows[run.path.name] = {
            name: "" if value in (None, ()) else format_flag(value) for name, value in values.items()
        }
    shown = pd.DataFrame.from_dict(rows, orient="index").fillna("")  # runs of other versions say other things
    common = [name for name in shown if shown[name].nunique() == 1]
    told = ", ".join(f"{name} {value}" for name, value in shown[common].iloc[0].items() if value)
    notes = [f"In {runs.folder}; all of them: {told}."]
    return Table("runs", "Run settings", shown, shown.drop(columns=common).rename_axis("run"), notes, runs.left_out)
