"""The evaluation of a network on a dataset's test images."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from hacnn_tf.data.dataset import ReidDataset
from hacnn_tf.evaluation.features import extract_features, feature_function
from hacnn_tf.evaluation.protocols import evaluate_features
from hacnn_tf.utils.types import TEST_SPLITS as TEST_SPLITS
from hacnn_tf.utils.types import Features, Pixels, Results, Tensor

if TYPE_CHECKING:
    from hacnn_tf.models import HACNN


class Evaluator:
    """Evaluates networks on the test images of a dataset.

    Args:
        dataset: a `ReidDataset`.
        images: dict from split to `(n, height, width, 3)` uint8 array, as `hacnn_tf.data.load.load_splits` gives it.
        xla: compile the extraction with XLA.
    """

    def __init__(self, dataset: ReidDataset, images: Mapping[str, Pixels], xla: bool = False) -> None:
        self._dataset, self._xla = dataset, xla
        self._compiled: tuple[HACNN, Callable[[Tensor], Tensor]] | None = None
        self._images = {split: images[split] for split in TEST_SPLITS if split in images}

    def features(self, function: Callable[[Pixels], Tensor]) -> dict[str, Features]:
        """Dict from split to `(n, d)` float32 features; `function` is as in `extract_features`."""
        return {split: extract_features(function, images) for split, images in self._images.items()}

    def run(self, model: "HACNN") -> Results:
        """The results of `evaluate_features` for a `HACNN`.

        Traces its extraction anew, which takes seconds. With XLA it is compiled once for a network, whatever its
        weights are by then.
        """
        features = self.features(self._program(model) if self._xla else feature_function(model))
        return evaluate_features(self._dataset, features, branches=model.branches)

    def _program(self, model: "HACNN") -> Callable[[Tensor], Tensor]:
        """The extraction with the weights of the time of its call: XLA keeps whatever it has compiled."""
        import tensorflow as tf

        if self._compiled is None or self._compiled[0] is not model:
            self._compiled = model, tf.function(model.feature_extractor(), jit_compile=True, autograph=False)
        return self._compiled[1]
