"""Calibrates distances: fits the probability that two images at some distance show the same person.

    python -m hacnn_tf.calibrate --model runs/mine --dataset folder --data_root labelled --test_share 1
    python -m hacnn_tf.calibrate --model exports/all --dataset cuhk03 --figure reliability.png
    python -m hacnn_tf.calibrate --database people.lance --dataset folder --data_root labelled --test_share 1

Uses the query-gallery pairs that a dataset's protocol compares, best from the cameras to be searched. People whom the
network was trained on are refused, as far as is known. Prints how far probabilities can be trusted: Brier score, a
table of predicted and observed shares, and how often searches would be right, for a curve fitted to half of the people
and measured on the others. The curve that is kept is fitted to all: calibration.json beside the model, where search and
app find it; with --database, for searches of that database alone.

The curve is logistic: log-odds by squared distance, fitted to all pairs by scikit-learn. Isotonic regression is no
better: Brier scores of hacnn_cuhk03_detected on 350 people of CUHK03 are 0.0452 (logistic) and 0.0456 (isotonic),
fitted to 350 others (mean of ten splits), 0.0459 and 0.0477 fitted to 20; and an isotonic curve gives the nearest
pairs 1, which no prior changes.

Probabilities need a prior, the share of pairs that show one person. The table assumes a half; a search among N images
assumes 1 / N, or its --prior.
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from absl.flags import FlagValues

from hacnn_tf.data.dataset_options import DatasetOptions
from hacnn_tf.data.load import load_splits
from hacnn_tf.evaluation.calibration import OtherNetworkError
from hacnn_tf.gallery.lock import check_writable
from hacnn_tf.gallery.naming import check_there
from hacnn_tf.preset import SHIPPED, Kind, find_model
from hacnn_tf.reid import ReID
from hacnn_tf.utils import cli
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import atomic_write, check_folder, check_new_path
from hacnn_tf.utils.packages import check_installed
from hacnn_tf.utils.text import aligned
from hacnn_tf.utils.types import FilePath

if TYPE_CHECKING:
    from hacnn_tf.data.dataset import ReidDataset
    from hacnn_tf.evaluation.calibration import Calibration
    from hacnn_tf.evaluation.calibration_fit import Reliability
    from hacnn_tf.gallery import Database

SURE = 0.9  # the probability from which on a line says how many pairs are right
ELSEWHERE = "write another with --output (a file for Python's Calibration.read) or --database (for its searches)."

COMMAND = cli.Command(__doc__, "hacnn_tf.calibrate")
COMMAND.group("Network")
COMMAND.define("path", "model", None, "a run folder, an export, a preset's folder or name; by default the database's")
COMMAND.define_dataset(DatasetOptions, default=None)
COMMAND.group("Dataset")
COMMAND.define("integer", "seed", 0, "of which half of the people the curve is measured on", lower_bound=0)
COMMAND.group("Output")
COMMAND.define("path", "database", None, "keep the curve in this database, for its searches alone")
COMMAND.define("path", "output", None, "keep the curve in this .json for Python, Calibration.read; must not exist yet")
COMMAND.define("path", "figure", None, "also draw the reliability diagram there, as .png; must not exist yet")
COMMAND.require("dataset")


def main(flags: FlagValues) -> None:
    if not (flags.model or flags.database):
        raise InputError("--model must be given, or --database, whose model it then is; --help lists the flags.")
    asked = cli.given_options(DatasetOptions, flags)
    check_installed(["sklearn"], "calibrate", "calibrate")
    if flags.figure:
        check_new_path(flags.figure, suffix=".png")
        check_installed(["matplotlib"], "--figure", "plot")
    place = _place(flags)
    database = None
    if flags.database:
        from hacnn_tf.gallery import Database

        database = Database(flags.database)
    from hacnn_tf.data.read import read_options

    dataset = read_options(asked, flags.data_root)
    print(dataset.summary(), flush=True)

    from hacnn_tf.evaluation import Evaluator
    from hacnn_tf.evaluation.calibration_fit import check_persons, fit_calibration

    _check_unseen(flags.model or ("" if database is None else database.preset), dataset, asked, flags.data_root)
    check_persons(dataset, flags.seed)
    model = ReID.from_preset(flags.model) if database is None else database.load_model(flags.model)
    if database is not None:
        database.check_precision(model)
    before = _before(flags, model, database)
    if before and before.dataset == dataset.name:
        print(f"The calibration that was there was fitted to {dataset.name} too: not compared.")
        before = None
    images = load_splits(dataset, ("query", "gallery"), model.input_size)
    features = Evaluator(dataset, images).features(model.extract)
    calibration, measured, former = fit_calibration(dataset, features, model.fingerprint, flags.seed, before)
    cli.print_line(_told(calibration, measured))
    if before and former:
        cli.print_line(f"The calibration that was there, of {before.dataset}, on the same persons:\n{_summary(former)}")
    if database is not None:
        database.keep_calibration(calibration)
    else:
        calibration.write(place)
    print(f"Calibration: {place}")
    if flags.figure:
        from hacnn_tf.evaluation.reliability_diagram import reliability_diagram

        with atomic_write(flags.figure) as part:
            reliability_diagram(measured, f"{model.name} on {dataset.name}").savefig(part)
        print(f"Figure: {flags.figure}")


def _place(flags: FlagValues) -> Path | str:
    """Where the curve goes. Raises `InputError` if it cannot, or if there is no such model or database."""
    if flags.database and flags.output:
        raise InputError("--database and --output are two places to keep one curve: leave one out.")
    beside = find_model(flags.model).calibration if flags.model else None
    if flags.database:
        check_there(flags.database)
        check_writable(flags.database)
        return flags.database
    if flags.output:
        check_new_path(flags.output, suffix=".json")
        return flags.output
    assert beside, "--model or --database is required"
    if SHIPPED.resolve() in beside.resolve().parents:  # the package too may lie behind a link
        raise InputError(f"{flags.model} comes with hacnn_tf and keeps the calibration that it came with: {ELSEWHERE}")
    try:
        check_folder(beside.parent)
    except InputError as error:
        raise InputError(f"{str(error).rstrip('.')}: {ELSEWHERE}") from None
    return beside


def _check_unseen(preset: FilePath, dataset: "ReidDataset", asked: DatasetOptions, data_root: FilePath) -> None:
    """Raises `InputError` if a network was trained on some of the persons; says so if that cannot be known."""
    from hacnn_tf.training.seen import whom_it_knows

    if words := whom_it_knows(preset, dataset, asked, data_root):
        raise InputError(
            f"{preset} {words}, so its distances flatter it: calibrate on other people, such as those that its "
            "training set aside for testing."
        )


def _before(flags: FlagValues, model: ReID, database: "Database | None") -> "Calibration | None":
    """The calibration that searches use now; None if there is none, or one that is to be replaced unread.

    Raises:
        InputError: the curve would replace that of another file in an export's folder. (A run or a preset has a folder
            of its own: what is of another network there is of before that was trained on.)
    """
    try:
        return (None if database is None else database.calibration) or model.calibration
    except OtherNetworkError:
        if not (flags.database or flags.output) and (place := find_model(flags.model)).kind is Kind.EXPORT:
            raise InputError(
                f"{place.calibration} is the calibration of another network than {flags.model}, perhaps of "
                f"another file in that folder: remove it, or {ELSEWHERE}"
            ) from None
    except InputError:  # it is damaged
        pass
    return None


def _told(calibration: "Calibration", measured: "Reliability") -> str:
    """What was fitted to what, and how good it is, as text."""
    rows = measured.table
    table = rows.assign(
        probability=[f"{row.low:.1f} to {row.high:.1f}" for row in rows.itertuples()],
        predicted=rows.predicted.map("{:.3f}".format),
        observed=rows.observed.map("{:.3f}".format),
        pairs=rows.pairs.map("{:,}".format),
    )[["probability", "predicted", "observed", "pairs"]]
    return (
        f"Fitted to {calibration.same:,} pairs of one person and {calibration.different:,} of two, of "
        f"{calibration.persons:,} persons.\n"
        "Measured on half of the persons, by the curve of the others, as if half of the pairs were of one person:\n"
        f"{aligned(table, str.rjust)}\n{_summary(measured)}\n"
        "Always saying 0.5 has a Brier score of 0.2500."
    )


def _summary(measured: "Reliability") -> str:
    """The Brier score, and how many are right of those that seem sure, as lines."""
    from hacnn_tf.evaluation.calibration_fit import LIKELY

    return (
        f"Brier score {measured.brier:.4f}; {_shares(SURE, *measured.at_least(SURE))}.\n"
        f"In searches among {measured.gallery:,} images, one of them the person's: "
        f"{_shares(LIKELY, *measured.searched)}."
    )


def _shares(probability: float, right: float, found: float) -> str:
    if math.isnan(right):
        return f"no pair is at {probability} or above"
    return f"of pairs at {probability} or above {right:.1%} are of one person, {found:.1%} of all that are"


if __name__ == "__main__":
    COMMAND.run(main)
