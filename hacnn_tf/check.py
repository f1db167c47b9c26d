"""Checks a dataset before a long training: opens every image and lists all that is wrong in one table.

    python -m hacnn_tf.check --dataset cuhk03 --split 767_700 --data_root /path/to/datasets
    python -m hacnn_tf.check --dataset folder --data_root people        images of your own, see data/README.md

Finds images that are broken, of an unusual size or mode, or the same under two identities or cameras; queries without a
match; people in both train and query; identities without an image; images unknown to the protocol, and images missing
from the folder. Exits with 1 if it finds any. Other files, and images not in the folder's manifest, are left out and
counted by type.
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from absl.flags import FlagValues

from hacnn_tf.data.dataset_options import DatasetOptions, dataset_names
from hacnn_tf.data.decode import mat_of
from hacnn_tf.utils import cli
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import atomic_write, check_new_path
from hacnn_tf.utils.text import aligned, printable
from hacnn_tf.utils.types import FilePath

if TYPE_CHECKING:
    from hacnn_tf.data.dataset import ReidDataset

SHOWN = 10  # of each kind of problem

COMMAND = cli.Command(__doc__, "hacnn_tf.check")
COMMAND.define_dataset(DatasetOptions)
COMMAND.group("Output")
COMMAND.define("path", "output", None, "also write the table there, as .csv; must not exist yet")


def main(flags: FlagValues) -> None:
    if flags.output:
        check_new_path(flags.output, suffix=".csv")
    asked = cli.given_options(DatasetOptions, flags)
    dataset, incomplete = _read(asked, flags.data_root)
    print(dataset.summary())

    import pandas as pd

    from hacnn_tf.data.cuhk03 import mat_images
    from hacnn_tf.data.problems import COLUMNS, check_images

    mats = {Path(mat) for path in dataset.table.path if (mat := mat_of(path))}
    listed = [path for mat in mats if asked.boxes for path in mat_images(mat, asked.boxes)]
    problems = check_images(dataset, listed)
    if incomplete:
        lacking = pd.DataFrame([("incomplete", flags.data_root, lack) for lack in incomplete], columns=COLUMNS)
        problems = pd.concat([lacking, problems])
    if flags.output:
        with atomic_write(flags.output) as part:
            problems.to_csv(part, index=False, errors="replace")
    if len(problems):
        shown = problems.groupby("problem", sort=False).head(SHOWN)
        shown = shown.assign(path=shown.path.map(printable))
        print("\n" + aligned(shown).encode(errors="replace").decode())  # file names may be anything
        if more := len(problems) - len(shown):
            print(f"and {more:,} more: " + (f"see {flags.output}" if flags.output else "--output FILE.csv writes all"))
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in problems.problem.value_counts().items())
        count = f"{len(problems):,} problem{'s' * (len(problems) > 1)}"
        raise InputError(f"{count} among {len(dataset.table):,} images of {dataset.name}: {kinds}.")
    print(f"{len(dataset.table):,} images, nothing wrong.")


def _read(asked: DatasetOptions, data_root: FilePath) -> "tuple[ReidDataset, list[str]]":
    """The dataset, whole or not, and what it lacks: of several, a sentence each."""
    from hacnn_tf.data.read import read_one, read_options

    try:
        return read_options(asked, data_root), []
    except InputError:
        if asked.allow_subset:
            raise
    dataset = read_options(dataclasses.replace(asked, allow_subset=True), data_root)
    incomplete = []
    for name in dataset_names(asked.dataset):
        try:
            read_one(name, asked, data_root)
        except InputError as error:
            incomplete.append(str(error))
    return dataset, incomplete


if __name__ == "__main__":
    COMMAND.run(main)
