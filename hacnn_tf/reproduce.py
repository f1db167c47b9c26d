"""Trains what the paper's tables and figures need, and makes them.

    python -m hacnn_tf.reproduce --experiment table5 --dataset synthetic --seeds 0,1,2
    python -m hacnn_tf.reproduce --experiment all --dataset synthetic                     and one page with all of them

First prints what it will train and about how long that takes. Finished runs are not repeated; interrupted ones resume.
"""

import sys
from pathlib import Path

from absl.flags import FlagValues

from hacnn_tf.paper.layouts import EXPERIMENTS, Selection, listed
from hacnn_tf.training.settings import Settings
from hacnn_tf.utils import cli
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.signals import run_stoppable
from hacnn_tf.utils.startup import require_tensorflow
from hacnn_tf.utils.text import preview

COMMAND = cli.Command(__doc__, "hacnn_tf.reproduce", once=False)
COMMAND.group("Experiment")
COMMAND.define("list", "experiment", None, f"which, separated by commas: {', '.join(EXPERIMENTS)}; or all")
COMMAND.define_options(Selection)
COMMAND.group("Training")
COMMAND.define("path", "data_root", "data", "folder that holds the datasets")
COMMAND.define("list", "seeds", ["0"], "train with each of these; figures show the first")
COMMAND.define("path", "cache_dir", None, "as of hacnn_tf.train")
COMMAND.define("integer", "checkpoint_every", 0, "as of hacnn_tf.train", lower_bound=0)
COMMAND.define("boolean", "skip_missing", False, "do without the datasets that cannot be read, if one can be")
COMMAND.group("Figures")
COMMAND.define("integer", "examples", 6, "pairs, images or queries in a figure", lower_bound=1, upper_bound=100)
COMMAND.define("list_of_paths", "images", [], "image files for figure6, instead of random queries")
COMMAND.group("Places")
COMMAND.define("path", "runs_dir", "runs", "folder that holds the run folders")
COMMAND.define("path", "results_dir", "results", "where tables and figures go")
COMMAND.require("experiment")


def main(flags: FlagValues) -> None:
    experiments, selection, seeds = _experiments(flags), cli.given_options(Selection, flags), _seeds(flags)
    if flags.images and "figure6" not in experiments:
        raise InputError("--images is for figure6: leave it out, or add that to --experiment.")

    require_tensorflow()
    from hacnn_tf.paper.report import write_report
    from hacnn_tf.paper.reproduction import Reproduction

    reproduction = Reproduction(
        experiments,
        selection,
        seeds,
        listed(flags.images),
        flags.examples,
        flags.data_root,
        flags.runs_dir,
        flags.results_dir,
    )
    todo, failed = reproduction.plan(), set()
    for i, (settings, path) in enumerate(todo, start=1):
        cli.print_line(f"\n[{i}/{len(todo)}] {path}")
        if not _train(settings, path, flags):
            failed.add(path)  # which may be trained by another process: the others do not wait for it
    whole = [name for name in experiments if not reproduction.needs(name) & failed]
    made = [name for name in whole if reproduction.make(name)]
    if "all" in flags.experiment and not failed:
        print(write_report(flags.results_dir, flags.runs_dir, made))
    if failed:
        without = ", ".join(name for name in experiments if name not in whole)
        raise InputError(
            f"{len(failed)} of {len(todo)} trainings ended with an error, for the reasons above: "
            f"{preview(sorted(failed))}; without them there is no {without}. Once that is mended, the same command "
            "goes on with them."
        )
    if reproduction.missing and not (flags.skip_missing and reproduction.found_any):
        raise InputError(" ".join(reproduction.missing))


def _experiments(flags: FlagValues) -> list[str]:
    asked = listed(flags.experiment)
    unknown = [name for name in asked if name not in (*EXPERIMENTS, "all")]
    if unknown or not asked:
        raise InputError(f"--experiment takes {', '.join(EXPERIMENTS)} or all, not {','.join(unknown)!r}.")
    return EXPERIMENTS if "all" in asked else asked


def _seeds(flags: FlagValues) -> list[int]:
    seeds = listed(flags.seeds)
    if not seeds or not all(seed.isdecimal() and int(seed) < 2**32 for seed in seeds):
        raise InputError(f"--seeds takes whole numbers below 2**32, separated by commas, not {','.join(seeds)!r}.")
    return [int(seed) for seed in seeds]


def _train(settings: Settings, path: Path, flags: FlagValues) -> bool:
    """Trains in a process of its own, which says what goes wrong; returns whether nothing did."""
    args = [f"--data_root={flags.data_root}", f"--run_dir={path}", f"--checkpoint_every={flags.checkpoint_every}"]
    args += [f"--cache_dir={flags.cache_dir}"] if flags.cache_dir else []
    return not run_stoppable([sys.executable, "-m", "hacnn_tf.train", *args, *settings.as_flags()])


if __name__ == "__main__":
    COMMAND.run(main)
