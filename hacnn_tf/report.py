"""Puts all tables and figures of a results folder on one page that needs no other file.

python -m hacnn_tf.report --results_dir results
"""

from pathlib import Path

from absl.flags import FlagValues

from hacnn_tf.paper.layouts import EXPERIMENTS
from hacnn_tf.utils import cli
from hacnn_tf.utils.errors import InputError

COMMAND = cli.Command(__doc__, "hacnn_tf.report")
COMMAND.group("Places")
COMMAND.define("path", "results_dir", "results", "folder that holds the tables and figures")
COMMAND.define("path", "runs_dir", "runs", "folder that holds the run folders, for their settings")


def main(flags: FlagValues) -> None:
    from hacnn_tf.paper.report import write_report

    if flags["runs_dir"].present and not Path(flags.runs_dir).is_dir():
        raise InputError(f"{flags.runs_dir} is not a folder of runs: leave --runs_dir out, or mend it.")
    print(write_report(flags.results_dir, flags.runs_dir, EXPERIMENTS))


if __name__ == "__main__":
    COMMAND.run(main)
