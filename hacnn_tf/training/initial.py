"""Trainings that begin from trained weights."""

from typing import TYPE_CHECKING

from hacnn_tf.training.settings import Settings
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.text import preview

if TYPE_CHECKING:
    from hacnn_tf.models import HACNN
    from hacnn_tf.reid import ReID

OWN = ("name", "trainable", "dtype", "num_identities")  # of a network's config: what may differ from a trained one's


class InitialWeights:
    """The weights of a trained network, all but its classifiers', for a training to begin from.

    Args:
        settings: the `Settings` of the training.
        trained: a `ReID`, what their `init_from` opens.

    Attributes:
        fingerprint: of the trained weights, see `ReID`.

    Raises:
        InputError: it is a program and not a network, or another network than these settings'.
    """

    def __init__(self, settings: Settings, trained: "ReID") -> None:
        if trained.network is None:
            raise InputError(
                f"--init_from {settings.init_from} is a program, which cannot be trained: name the run folder, preset "
                "or Keras file that it was exported from."
            )
        there, here = trained.network.get_config(), settings.build_model(num_identities=1).get_config()
        differing = [name for name in here if name not in OWN and there[name] != here[name]]
        if differing:
            named = preview([f"{name} {there[name]} there, {here[name]} here" for name in differing], 10)
            raise InputError(
                f"--init_from {settings.init_from} is another network than these settings' ({named}): "
                "give the training its switches, or begin from another."
            )
        self.fingerprint = trained.fingerprint
        self._weights = trained.network.feature_extractor().get_weights()

    def give(self, network: "HACNN") -> None:
        """Gives a network of these settings the weights; its classifiers keep theirs."""
        network.feature_extractor().set_weights(self._weights)
