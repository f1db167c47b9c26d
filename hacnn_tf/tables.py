"""Makes the paper's tables of accuracy from run folders; trains nothing.

    python -m hacnn_tf.tables --table table5 --dataset synthetic

Writes TABLE.csv (a line a cell, with its run folders), TABLE.md and TABLE.html, and prints the Markdown. All seeds
found count; runs with other settings than the table's are named and left out.
"""

from absl.flags import FlagValues

from hacnn_tf.paper.layouts import TABLES, Selection
from hacnn_tf.paper.run_folders import RunFolders
from hacnn_tf.utils import cli

COMMAND = cli.Command(__doc__, "hacnn_tf.tables")
COMMAND.group("Table")
COMMAND.define("enum", "table", None, "which", enum_values=list(TABLES))
COMMAND.define_options(Selection)
COMMAND.group("Places")
COMMAND.define("path", "runs_dir", "runs", "folder that holds the run folders")
COMMAND.define("path", "results_dir", "results", "where the table goes")
COMMAND.require("table")


def main(flags: FlagValues) -> None:
    selection, runs = cli.given_options(Selection, flags), RunFolders(flags.runs_dir)
    from hacnn_tf.paper.accuracy import accuracy_table

    table = accuracy_table(flags.table, selection, runs)
    table.write(flags.results_dir)
    print(table.markdown(), end="")


if __name__ == "__main__":
    COMMAND.run(main)
