"""The evaluation of a network on a dataset's test images."""

from hacnn_tf.data.images import load_images
from hacnn_tf.evaluation.features import extract_features, feature_function
from hacnn_tf.evaluation.protocols import evaluate_features


class Evaluator:
    """Evaluates networks on the test images of a dataset, which it reads once.

    Args:
        dataset: a `ReidDataset`.
        input_size: (height, width) of the networks' input, in pixels.
        cache_dir: see `hacnn_tf.data.images.load_images`.
        xla: compile the extraction with XLA.
    """

    def __init__(self, dataset, input_size=(160, 64), cache_dir=None, xla=False):
        self.dataset, self.xla = dataset, xla
        self._images = {
            split: load_images(dataset.split(split).path, input_size, cache_dir)
            for split in ("query", "gallery", "multi_query")
            if len(dataset.split(split))
        }

    def features(self, function):
        """Dict from split to `(n, d)` float32 features; `function` is as in `extract_features`."""
        return {split: extract_features(function, images) for split, images in self._images.items()}

    def run(self, model):
        """The results of `evaluate_features` for a `HACNN`."""
        return evaluate_features(self.dataset, self.features(feature_function(model, self.xla)))
