"""From the distance of two features to the probability that they are of the same person.

Log-odds fall linearly with the squared distance: a logistic curve, applied by NumPy alone. `hacnn_tf.calibrate` fits
it, and says why this one.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import check_format, expanded, write_json
from hacnn_tf.utils.types import FilePath

FORMAT = 1  # of a calibration's file; raised when older code would misread a newer one
METHOD = "logistic"
PRIOR = 0.5  # as many pairs of one person as of two


class OtherNetworkError(InputError):
    """A calibration is of another network, and says nothing of this one's distances."""


@dataclasses.dataclass(frozen=True)
class Calibration:
    """A curve from L2 distance to probability, of one network on the images of some cameras.

    A probability depends on how often pairs are of the same person before anybody looks, the prior. The curve is for
    equally many pairs of one person and of two; another prior shifts its log-odds (Bayes' rule).

    Attributes:
        fingerprint: of the network, see `hacnn_tf.reid.ReID`.
        intercept: log-odds at distance 0.
        slope: of the log-odds by the squared distance, below 0.
        dataset: name of the dataset that it was fitted on.
        persons: identities there.
        same, different: pairs of one person and of two there.
        brier: Brier score, with equally many pairs of both kinds, of such a curve of half of the persons on the others;
            0.25 is that of always saying 0.5.

    >>> from hacnn_tf import ReID
    >>> calibration = ReID.from_preset("hacnn_cuhk03_detected").calibration
    >>> calibration.probability([1.0, 1.2]).round(2)
    array([0.99, 0.76])
    >>> calibration.probability([1.0, 1.2], prior=1 / 1000).round(2)  # as if one of 1,000 images showed the person
    array([0.16, 0.  ])
    """

    fingerprint: str
    intercept: float
    slope: float
    dataset: str
    persons: int
    same: int
    different: int
    brier: float

    def probability(self, distances: ArrayLike, prior: float = PRIOR) -> NDArray[np.float64]:
        """The probability that pairs of images are of the same person.

        Args:
            distances: L2 distances of their features, an array of any shape.
            prior: the share of such pairs that are of the same person, above 0 and below 1. Of N images compared with
                a query, one of which shows the person, it is 1 / N.

        Returns:
            float64 array of the shape of `distances`, in [0, 1].

        Raises:
            InputError: the prior is out of range.
        """
        check_prior(prior)
        log_odds = self.intercept + self.slope * np.square(distances, dtype=float) + np.log(prior / (1 - prior))
        return (1 + np.tanh(log_odds / 2)) / 2  # the logistic function, which overflows nowhere

    def to_json(self) -> dict[str, Any]:
        """What its file holds."""
        return {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "method": METHOD,
            "coefficients": {"intercept": self.intercept, "squared_distance": self.slope},
            "prior": PRIOR,
            "dataset": self.dataset,
            "persons": self.persons,
            "pairs": {"same": self.same, "different": self.different},
            "brier": self.brier,
        }

    def write(self, path: FilePath) -> None:
        """Writes its file, whole or not at all. Raises `InputError` if it cannot."""
        write_json(path, self.to_json())

    @classmethod
    def read(cls, path: FilePath, fingerprint: str) -> "Calibration":
        """Reads a file that `write` wrote. Arguments and errors are those of `parse`."""
        try:
            text = Path(expanded(path)).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read ({error}): calibrate again, or remove it.") from None
        return cls.parse(text, path, fingerprint)

    @classmethod
    def parse(cls, text: str, place: FilePath, fingerprint: str) -> "Calibration":
        """The calibration in a text of JSON.

        Args:
            text: as in its file.
            place: where that is, for people.
            fingerprint: of the network that it is to be used with.

        Raises:
            InputError: it is damaged, or of a newer format.
            OtherNetworkError: it is of another network; this is an `InputError` too.
        """
        again = "calibrate again with python -m hacnn_tf.calibrate"
        try:
            content = json.loads(text)
            check_format(place, content.get("format"), FORMAT)
            line, pairs = content["coefficients"], content["pairs"]
            calibration = cls(
                str(content["fingerprint"]),
                float(line["intercept"]),
                float(line["squared_distance"]),
                str(content["dataset"]),
                int(content["persons"]),
                int(pairs["same"]),
                int(pairs["different"]),
                float(content["brier"]),
            )
            if (content["method"], content["prior"]) != (METHOD, PRIOR):
                raise ValueError("it holds another kind of curve")
            numbers = [calibration.intercept, calibration.slope, calibration.brier]
            if not np.isfinite(numbers).all() or calibration.slope >= 0:
                raise ValueError("its curve does not fall")
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
            raise InputError(f"The calibration in {place} is damaged ({reason}): {again}, or remove it.") from None
        if calibration.fingerprint != fingerprint:
            raise OtherNetworkError(
                f"The calibration in {place} is of another network ({calibration.fingerprint}) than this one "
                f"({fingerprint}): {again}, or remove it."
            )
        return calibration


def check_prior(prior: float) -> None:
    """Raises `InputError` unless it is above 0 and below 1."""
    if not 0 < prior < 1:
        raise InputError(f"A prior is a share of pairs, above 0 and below 1, and not {prior}.")
