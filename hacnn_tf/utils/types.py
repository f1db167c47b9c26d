"""The types and names that all modules share. What an array's numbers mean, docstrings say."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

BRANCHES = ("global", "local")  # of the network, in the order of their features
TEST_SPLITS = ("query", "gallery", "multi_query")  # of a dataset
FilePath = str | os.PathLike[str]
Pixels = NDArray[np.uint8]
Features = NDArray[np.float32]
Integers = NDArray[np.integer]
ImageLike = FilePath | bytes | bytearray | memoryview | PIL.Image.Image | Pixels
Size = tuple[int, int]  # height, width
Extract = Callable[[Pixels], Features]
Distances = Callable[[Features, Features], Iterator[Features]]
Results = dict[str, dict[str, dict[str, Any]]]  # by setting, part and measure, see `evaluate_features`
Tensor = Any  # of Keras or its backend, also an array: what there is has no type in common
Shape = tuple[Any, ...]  # of a tensor: ints, and None for any number
