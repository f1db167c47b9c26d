"""How probable it is that an image that was found shows the person that was searched for."""

import dataclasses
import shlex

import pandas as pd

from hacnn_tf.evaluation.calibration import Calibration
from hacnn_tf.gallery.database import Database
from hacnn_tf.gallery.naming import DISTANCE, PROBABILITY
from hacnn_tf.reid import ReID
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.text import printable


@dataclasses.dataclass(frozen=True)
class Probabilities:
    """Gives what a search found its probabilities.

    By default they are as if one of the images that were compared showed the person. As if every second one did,
    nearly all that is said to be probable in a search among thousands would be wrong.

    Attributes:
        calibration: a `Calibration`.
        count: images that were compared.
        prior: the share of them that shows the person, before anybody looks, above 0 and below 1; None: one of them.
        uncalibrated: path of the database, if the calibration is its model's, of other cameras perhaps.
    """

    calibration: Calibration
    count: int
    prior: float | None = None
    uncalibrated: str | None = None

    @classmethod
    def find(
        cls, database: Database, model: ReID, where: str | None = None, prior: float | None = None
    ) -> "tuple[Probabilities | None, str]":
        """The one of a search: by the calibration of the database, or else of its model.

        Args:
            database: a `Database`.
            model: its `ReID`.
            where: the condition of the search.
            prior: see `Probabilities`.

        Returns:
            It, and its `note`. None and an empty text if neither has a calibration; None and why it cannot be used if
            that is damaged, of another network, of a newer format, or not of int8 as one of them is, without which a
            search goes on.

        Raises:
            InputError: the database holds features of another model.
        """
        database.check_model(model)
        try:
            own = database.calibration
            calibration = own or model.calibration
        except InputError as error:
            return None, str(error)
        if not calibration:
            return None, ""
        try:
            database.check_precision(model)
        except InputError as error:
            return None, f"No probabilities: {error}"
        probabilities = cls(calibration, database.count(where), prior, None if own else database.path)
        return probabilities, probabilities.note

    def add(self, found: pd.DataFrame, at_least: float = 0.0) -> tuple[pd.DataFrame, int]:
        """What a search found by L2 distance, with a column of probabilities.

        Args:
            found: `pandas.DataFrame` of `Database.search`.
            at_least: leave out what is less probable.

        Returns:
            `pandas.DataFrame` with the column `PROBABILITY`, float64 in [0, 1]; and how many rows were left out.

        Raises:
            InputError: the prior is not above 0 and below 1.
        """
        prior = 1 / max(self.count, 2) if self.prior is None else self.prior
        found = found.assign(**{PROBABILITY: self.calibration.probability(found[DISTANCE], prior)})
        kept = found[found[PROBABILITY] >= at_least].reset_index(drop=True)
        return kept, len(found) - len(kept)

    @property
    def note(self) -> str:
        """What the probabilities are of, and how far they go."""
        shown = f"1 in {max(self.count, 2):,}" if self.prior is None else f"a share of {self.prior:g}"
        note = (
            f"Probabilities are as if {shown} of the images compared showed the person, on cameras like those of "
            f"{printable(self.calibration.dataset)}."
        )
        if self.uncalibrated is None:
            return note
        return (
            f"{note} On others, most of what they call probable may be wrong: with labelled images of yours, "
            f"{_calibrate(self.uncalibrated)}."
        )


def limits(found: int, less: int, at_least: float, top: int) -> list[str]:
    """What a search by `at_least` does not show, as sentences: what is less probable, and what it was not asked for."""
    if less:
        return [f"{less:,} below {at_least:g} {'is' if less == 1 else 'are'} left out."]
    if at_least and found == top:
        return [f"All {top:,} that were asked for are at {at_least:g} or above: there may be more."]
    return []


def not_calibrated(database: str) -> str:
    """How to get probabilities of searches in a database where there are none."""
    return f"Neither {database} nor its model is calibrated: for probabilities, {_calibrate(database)}."


def _calibrate(database: str) -> str:
    """The command that calibrates a database."""
    named = f"--database {shlex.quote(database)} --dataset folder --data_root LABELLED --test_share 1"
    return f"python -m hacnn_tf.calibrate {named}"
