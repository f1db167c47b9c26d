"""Makes the paper's tables of accuracy from run folders; trains nothing.

    python -m hacnn_tf.tables --table table5 --dataset synthetic

Writes TABLE.csv (a line a cell, with its run folders), TABLE.md and TABLE.html, and prints the Markdown. All seeds
found count; runs with other settings than the table's are named and left out.
"""

from hacnn_tf import cli
from hacnn_tf.paper.accuracy import accuracy_sheet
from hacnn_tf.paper.experiments import TABLES, WITH_BOXES, Selection
from hacnn_tf.paper.runs import RunFolders

COMMAND = cli.Command(__doc__, "hacnn_tf.tables")
COMMAND.define("enum", "table", None, "which", enum_values=list(TABLES))
COMMAND.group("Table")


def define_selection(command):
    """The flags that say which runs a table is made of; `selection` reads them."""
    command.define("list", "dataset", [], "synthetic, cuhk03, market1501, dukemtmc; the paper's if not given")
    command.define(
        "enum",
        "boxes",
        None,
        f"boxes of {' and '.join(WITH_BOXES)} where the table doesn't say; detected if not given",
        enum_values=["detected", "labelled"],
    )
    command.define("boolean", "allow_subset", False, "the datasets are parts")
    command.define("integer", "epochs", None, "of the trainings; as in hacnn_tf.train if not given", lower_bound=1)
    command.group("Runs")
    command.define("string", "runs_dir", "runs", "folder that holds the run folders")
    command.define("string", "results_dir", "results", "where tables and figures go")
    command.group("Places")


def selection(flags):
    """The `Selection` that these flags ask for."""
    return Selection(tuple(flags.dataset), flags.boxes, flags.epochs, flags.allow_subset)


def main(flags):
    cli.require(flags, "table")
    sheet = accuracy_sheet(flags.table, selection(flags), RunFolders(flags.runs_dir))
    sheet.write(flags.results_dir)
    print(sheet.markdown(), end="")


define_selection(COMMAND)

if __name__ == "__main__":
    COMMAND.run(main)
