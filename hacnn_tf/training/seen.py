"""Whether a network was trained on the persons that somebody is about to test on."""

import collections
import dataclasses
import filecmp
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from hacnn_tf.data.dataset_options import DISTRIBUTED, DatasetOptions
from hacnn_tf.preset import Kind, Place, find_model
from hacnn_tf.training.run_folder import RunFolder
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import expanded
from hacnn_tf.utils.text import preview
from hacnn_tf.utils.types import FilePath

if TYPE_CHECKING:
    from hacnn_tf.data.dataset import ReidDataset


def whom_it_knows(preset: FilePath, dataset: "ReidDataset", options: DatasetOptions, data_root: FilePath) -> str:
    """What persons of a dataset's queries and gallery a trained network, or one that it began from, was trained on.

    Runs know persons by the files of their images and, as bundled presets do, by the names of their datasets. Of others
    nothing is known. What cannot be known is said on standard error.

    Args:
        preset: as in `ReID.from_preset`; nothing is known of what is not there.
        dataset: a `ReidDataset`.
        options: that it was read by.
        data_root: where a run's dataset is, if it is not where it was.

    Returns:
        Words to follow the preset's name, as "was trained on 3 of the 9 persons who are tested here"; empty if none.
    """
    for nth, place in enumerate(_lineage(preset)):
        if words := _persons_known(place, dataset, options, data_root):
            return words if not nth else f"goes back to {place.path}, which {words}"
    return ""


def persons_seen(run: RunFolder, dataset: "ReidDataset", data_root: FilePath) -> tuple[int, int]:
    """How many persons of a dataset's queries and gallery a run was trained on, by the files of their images.

    A file is the same if it lies in the same place, or has the same name and content elsewhere.

    Args:
        run: a `RunFolder`.
        dataset: a `ReidDataset`.
        data_root: where the run's dataset is, if it is not where it was.

    Returns:
        How many of them, and of how many.

    Raises:
        InputError: it cannot be known: the run's images are elsewhere, or others now.
    """
    trained = {os.path.realpath(path) for path in _training_paths(run, data_root)}
    tested = dataset.tested()
    paths = tested.path.map(os.path.realpath)
    seen = paths.isin(trained)
    seen |= paths.isin(_copies(paths[~seen], trained))
    return tested.pid[seen].nunique(), tested.pid.nunique()


def _copies(paths: Iterable[str], originals: Iterable[str]) -> set[str]:
    """Those of some files that have the name and the content of an original."""
    alike = collections.defaultdict(list)
    for original in originals:
        alike[_name_and_size(original)].append(original)
    return {
        path
        for path in paths
        if (key := _name_and_size(path))[1]
        and any(filecmp.cmp(path, original, shallow=False) for original in alike[key])
    }


def _name_and_size(path: str) -> tuple[str, int]:
    """The size is 0 of what is not there any more, or lies in an archive."""
    try:
        return os.path.basename(path), os.path.getsize(path)
    except OSError:
        return os.path.basename(path), 0


def _lineage(preset: FilePath) -> Iterator[Place]:
    """Where a trained network lies, then where that lies which it began from, and so on."""
    passed: set[str] = set()
    while preset and (path := os.path.realpath(expanded(preset))) not in passed:
        passed.add(path)
        try:
            place = find_model(preset)
            yield place
            preset = _began_from(RunFolder(place.path)) if place.kind is Kind.RUN else ""
        except InputError as error:
            if len(passed) > 1:  # of the first, whoever opens it says what is wrong
                print(f"It is unknown whom the weights have seen. {error}", file=sys.stderr)
            return


def _began_from(run: RunFolder) -> str:
    """Where that lies which a run began from, or what it is called; empty if that is nothing."""
    if run.init_from and os.path.exists(run.init_from):
        return run.init_from
    return run.settings.init_from or ""  # it was moved with the run, perhaps, to the same place from here


def _persons_known(place: Place, dataset: "ReidDataset", options: DatasetOptions, data_root: FilePath) -> str:
    """As `whom_it_knows`, of one network alone."""
    trained: Mapping[str, Any] = place.trained_on
    if place.kind is Kind.RUN:
        try:
            run = RunFolder(place.path)
            trained = dataclasses.asdict(run.settings)
            seen, persons = persons_seen(run, dataset, data_root)
            if seen:
                return f"was trained on {seen:,} of the {persons:,} persons who are tested here"
        except InputError as error:
            print(error, file=sys.stderr)
    elif not trained:
        print(
            f"It is unknown whom {place.path} was trained on: see that nobody who is tested here is among them.",
            file=sys.stderr,
        )
    if trained and _share_persons(trained, dataclasses.asdict(options)):
        named = " ".join(str(trained[name]) for name in ("dataset", "split") if trained.get(name))
        return f"was trained on persons of {named}, some of whom are tested here"
    return ""


def _share_persons(trained: Mapping[str, Any], tested: Mapping[str, Any]) -> bool:
    """Whether persons of a training are tested, by what the two say of their datasets alone.

    Folders are their users', who may call them all the same. The persons that `hold_out` takes of one training set are
    always the first of one order.
    """
    there, here = (str(options.get("dataset")).split(",") for options in (trained, tested))
    shared = {*there} & {*here} & {*DISTRIBUTED}
    held_out = tested.get("validation", 0)
    if tested["split"] == "all" and not held_out:  # nobody of CUHK03 is tested
        shared -= {"cuhk03"}
    if not shared:
        return False
    if "cuhk03" in shared and any(trained.get(name) != tested[name] for name in ("split", "testset")):
        return True
    if not held_out:
        return False
    other = there != here or trained.get("boxes", tested["boxes"]) != tested["boxes"]
    return other or trained.get("validation", 0) < held_out


def _training_paths(run: RunFolder, data_root: FilePath) -> list[str]:
    """The paths of a run's training images: as they are read again, or else as the split that it drew names them."""
    problem = ""
    needs = "synthetic" if "synthetic" in run.settings.dataset.split(",") else ""  # which is made where it is not
    for root in dict.fromkeys((run.data_root or data_root, data_root)):
        needed = Path(expanded(root)) / needs
        try:
            if not os.path.exists(needed):  # False also where one may not look
                problem = problem or f"{needed} is not there."
            else:
                return list(run.read_dataset(root).split("train").path)
        except InputError as error:
            problem = str(error)
    if drawn := sorted(run.path.glob("split*.csv")):
        try:  # no more than is needed: some of its images may be gone
            how = {"usecols": ["path", "split"], "dtype": str, "keep_default_na": False}
            rows = pd.concat([pd.read_csv(split, **how) for split in drawn])
            trained = list(rows.path[rows.split == "train"])
            if any(map(os.path.exists, trained)):
                return trained
            problem = f"The training images in {preview(drawn)} are not there any more."
        except (OSError, ValueError) as error:
            problem = f"{preview(drawn)} cannot be read: {error}."
    raise InputError(f"Whether {run.path} was trained on persons who are tested here is not known. {problem}")
