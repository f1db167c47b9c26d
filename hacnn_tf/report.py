"""Puts all tables and figures of a results folder on one page that needs no other file.

python -m hacnn_tf.report --results_dir results
"""

from pathlib import Path

import pandas as pd

from hacnn_tf import cli
from hacnn_tf.errors import InputError
from hacnn_tf.files import write_text
from hacnn_tf.paper.runs import RunFolders
from hacnn_tf.paper.sheet import Sheet, page, section
from hacnn_tf.reproduce import EXPERIMENTS

COMMAND = cli.Command(__doc__, "hacnn_tf.report")
COMMAND.define("string", "results_dir", "results", "folder that holds the tables and figures")
COMMAND.define("string", "runs_dir", "runs", "folder that holds the run folders, for their settings")
COMMAND.group("Places")

TITLE = "HA-CNN: the paper's tables and figures"
INTRODUCTION = """<h1>HA-CNN: the paper's tables and figures</h1>
<p>Harmonious Attention Network for Person Re-Identification (Li, Zhu, Gong, CVPR 2018), reproduced by hacnn_tf.
Columns on a blue ground are measured here; the others are the paper's.</p>
"""


def main(flags):
    results = Path(flags.results_dir)
    found = [name for name in EXPERIMENTS if (results / f"{name}.html").exists()]
    if not found:
        raise InputError(f"{results} holds no table or figure: make some with the scripts in experiments/.")
    sections = "".join(section(results / f"{name}.html") for name in found)
    links = " ".join(f'<a href="#{name}">{name}</a>' for name in found)
    runs = RunFolders(flags.runs_dir).all() if Path(flags.runs_dir).is_dir() else []
    if runs:
        links, sections = links + ' <a href="#runs">runs</a>', sections + _settings_sheet(runs).html()
    path = results / "report.html"
    write_text(path, page(TITLE, f"{INTRODUCTION}<nav>{links}</nav>\n{sections}"))
    print(path)


def _settings_sheet(runs):
    """Every setting of every run, a run a line."""
    rows = {
        run.path.name: {**vars(run.settings), "revision": run.revision, **run.versions, "images": run.fingerprint}
        for run in runs
    }
    shown = pd.DataFrame.from_dict(rows, orient="index").fillna("").astype(str)
    return Sheet("runs", "Run settings", shown, shown.rename_axis("run"), [f"In {runs[0].path.parent}."])


if __name__ == "__main__":
    COMMAND.run(main)
