"""A trained network ready to use: images in, features out."""

import collections
import functools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from concurrent.futures import Future
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import PIL.Image
from numpy.typing import ArrayLike

from hacnn_tf.data.boxes import Detections, crop_boxes
from hacnn_tf.data.decode import UnreadableImagesError, own_copy, read_image
from hacnn_tf.data.parallel import decoding_pool
from hacnn_tf.export import Extractor
from hacnn_tf.export.extractor import CALIBRATION
from hacnn_tf.preset import find_model, load_model, write_preset
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import atomic_write, check_new_path, expanded
from hacnn_tf.utils.options import PRECISIONS
from hacnn_tf.utils.text import preview
from hacnn_tf.utils.types import Features, FilePath, ImageLike, Pixels
from hacnn_tf.utils.waiting import bar

if TYPE_CHECKING:
    from hacnn_tf.evaluation.calibration import Calibration

BATCH = 64  # images extracted at a time
READ_AHEAD = 2  # batches that are decoded while one is extracted
R = TypeVar("R", bound="ReID")
ALONE = (str, os.PathLike, bytes, bytearray, memoryview, PIL.Image.Image)  # what is one image, and no list of them


class ReID:
    """Features of any images of persons, from a trained HA-CNN. One object serves any number of threads.

    It can be pickled, so that `multiprocessing` (by "spawn"), Dask, Ray and Spark carry it: by the place that it was
    opened from, which must be there in the other process too, and hold the same weights. A process that is forked after
    it was opened cannot use it, which is an `InputError`.

    Make it with `from_preset`. Features are `(n, 1024)` float32: of each image the global and the local feature, each
    of length 1 (§3.2); `(n, 512)`, the global one alone, if it was trained without the local branch. The smaller the L2
    distance of two, the more alike the persons.

    Attributes:
        name: what it was made from, for people.
        network: the `HACNN`; None if it came from an export that is a program and not a network. Features keep the
            weights that it had when it was opened: save one that was trained further, as in
            `model.network.save("mine.keras")`, and open that.
        fingerprint: hex digest of the trained weights. Features can be compared if this is the same: it stays when
            the network is exported, saved as a preset or set to compute in another precision.
        input_size: (height, width) in pixels that images are resized to.
        feature_dim: numbers in a feature.
        branches: whose features stand side by side in a feature, see `HACNN.branches`.
        precision: of its arithmetic or weights, as in "float32" or "int8"; distances of int8 are somewhat others.
        extract: function from `(n, *input_size, 3)` uint8 images to `(n, feature_dim)` float32 features, for those who
            decode and resize themselves.

    >>> from hacnn_tf import ReID
    >>> model = ReID.from_preset("runs/quickstart")
    >>> features = model.embed(["data/synthetic/detected/query/0201_c1_1.jpg"])
    >>> features.shape
    (1, 1024)
    >>> model.calibration is None  # until it is calibrated
    True
    """

    def __init__(self, name: str, extractor: Extractor) -> None:
        self.name, self.network, self.fingerprint = name, extractor.network, extractor.fingerprint
        self.input_size, self.feature_dim = extractor.input_size, extractor.feature_dim
        self.branches, self.precision, self.extract = extractor.branches, extractor.precision, extractor.extract
        self._extractor = extractor

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles what it was opened from, and not the network: whoever unpickles it opens that, and checks it."""
        if self._extractor.source is None:
            raise InputError(
                f"{self.name} was not opened from a file, and cannot be sent to another process: save it with "
                "save_to_preset, and open that with ReID.from_preset."
            )
        return _reopened, (type(self), *self._extractor.source, self.fingerprint)

    @functools.cached_property
    def calibration(self) -> "Calibration | None":
        """From distances to probabilities, as `python -m hacnn_tf.calibrate` has kept it beside the model; or None.

        Raises:
            InputError: it is damaged, of another network (`OtherNetworkError`), or of a newer format.
        """
        from hacnn_tf.evaluation.calibration import Calibration  # most uses do without

        if self._extractor.source is None:
            return None
        path = find_model(self._extractor.source[0]).calibration
        return Calibration.read(path, self.fingerprint) if path.exists() else None

    def calibration_of_copy(self) -> "Calibration | None":
        """As `calibration`, for a copy of the model; None, and a line on standard error, if it is another network's."""
        from hacnn_tf.evaluation.calibration import OtherNetworkError

        try:
            return self.calibration
        except OtherNetworkError as error:
            print(f"{error} The copy of {self.name} has none.", file=sys.stderr)
            return None

    @classmethod
    def from_preset(cls: type[R], preset: FilePath, precision: str | None = None) -> R:
        """Opens a trained network.

        Args:
            preset: a run folder, a folder that `save_to_preset` or `hacnn_tf.export` wrote, a file or SavedModel of
                such an export in any format, or the name of a preset that comes with hacnn_tf.
            precision: dtype policy to compute in, as "mixed_bfloat16"; that of the training if not given. Of exports,
                Keras files take any and OpenVINO's "float32" or "mixed_bfloat16".

        Returns:
            A `ReID`.

        Raises:
            InputError: it is none of these, damaged, needs a runtime that is not installed, or has its own precision;
                there is no such precision; Keras is set to a backend that is not installed, or that is none of
                TensorFlow, PyTorch and JAX; the backend was in use before this process was forked.
        """
        _check_one_of("precision", precision, (None, *PRECISIONS))
        return cls(expanded(preset), load_model(preset, precision))

    def embed(self, images: ImageLike | Iterable[ImageLike]) -> Features:
        """Features of images, in batches, with a progress bar on a terminal if it takes long.

        Args:
            images: an iterable, such as a list or a generator, of paths, bytes of image files, `PIL.Image`s or uint8
                arrays, `(height, width, 3)` in RGB or `(height, width)` in grey; each shows one person. One of these
                alone will do. `hacnn_tf.data.decode.read_image` has all that is read; an image has the same pixels,
                turned upright by its EXIF orientation, whichever way it is given.

        Returns:
            `(n, feature_dim)` float32 array, in the order of `images`.

        Raises:
            UnreadableImagesError: some cannot be read; `problems` has them all.

        >>> features = model.embed(image for image in [bytes_of_a_jpeg, np.zeros((128, 48, 3), np.uint8)])
        >>> float(np.linalg.norm(features[0] - features[1])) > 0
        True
        """
        listed = _listed(images)
        total = len(listed) if isinstance(listed, Sized) else None
        return self._embed_all(listed, total, functools.partial(_called, listed), _once(listed))

    def embed_tracks(self, tracks: Iterable[ImageLike | Iterable[ImageLike]]) -> Features:
        """Features of tracks: of each one feature, the mean of its images' (see `pool_tracks`), to compare as usual.

        Args:
            tracks: an iterable of tracks, each an iterable of images of one person, as in `embed`. Generators are
                read as they are needed.

        Returns:
            `(n, feature_dim)` float32 array, in the order of `tracks`.

        Raises:
            InputError: a track has no images, or this is one image; `UnreadableImagesError`: some cannot be read.

        >>> model.embed_tracks([["a.jpg", "b.png"], ["person.jpg"]]).shape
        (2, 1024)
        """
        from hacnn_tf.evaluation.tracks import pool_tracks  # most uses do without

        pixels = isinstance(tracks, np.ndarray) and tracks.ndim in (2, 3) and tracks.dtype == np.uint8
        if pixels or isinstance(tracks, ALONE):
            raise InputError("embed_tracks takes a list of tracks, and this is one image: give it as [[image]].")
        names: list[str] = []  # of images that were taken so far
        sizes: list[int] = []

        def images() -> Iterator[ImageLike | InputError]:
            for number, track in enumerate(tracks):
                before = len(names)
                track_once = _once(tracks) or _once(track)
                for i, image in enumerate(_listed(track)):
                    names.append(_path_or(f"image {i} of track {number}", image))
                    yield own_copy(image, track_once)
                sizes.append(len(names) - before)
                if not sizes[-1]:
                    raise InputError(f"Track {number} has no images: leave it out, or give it some.")

        features = self._embed_all(images(), None, names.__getitem__, once=False)
        return pool_tracks(features, np.repeat(np.arange(len(sizes)), sizes), self.branches)

    def _embed_all(
        self, images: Iterable[ImageLike | InputError], total: int | None, called: Callable[[int], str], once: bool
    ) -> Features:
        """As `embed`; `called` says what an image is called, by its number, and `once` is as in `own_copy`."""
        self._extractor.check_process()
        features, problems = [], []
        for i, outcome in enumerate(bar(self._embed_each(images, once, whole=True), "Extracting features", total)):
            if isinstance(outcome, InputError):
                problems.append(f"{called(i)} ({outcome})")
            else:
                features.append(outcome)
        if problems:
            raise UnreadableImagesError(problems, len(features) + len(problems))
        return np.stack(features) if features else np.zeros((0, self.feature_dim), np.float32)

    def embed_each(self, images: ImageLike | Iterable[ImageLike]) -> Iterator[Features | InputError]:
        """As `embed`, but a generator, which goes on after an image that cannot be read.

        Args:
            images: as in `embed`; of an iterable some hundred are taken ahead. If it raises, it does so here after the
                features of all that it gave.

        Yields:
            For each image its feature, a `(feature_dim,)` float32 array, or the `InputError` that says why there is
            none, as in "empty file".

        >>> [type(outcome).__name__ for outcome in model.embed_each([bytes_of_a_jpeg, b""])]
        ['ndarray', 'InputError']
        """
        self._extractor.check_process()
        listed = _listed(images)
        return self._embed_each(listed, _once(listed))

    def _embed_each(
        self, images: Iterable[ImageLike | InputError], once: bool, whole: bool = False
    ) -> Iterator[Features | InputError]:
        """As `embed_each`.

        Args:
            images: as there.
            once: as in `own_copy`.
            whole: what the iterator raises is raised at once, since there is no use in a part.
        """
        images = iter(images)
        failures: list[Exception] = []
        with decoding_pool() as pool:
            ahead: collections.deque[list[Future]] = collections.deque()

            def read_on() -> None:
                batch = []
                try:
                    for image in islice(() if failures else images, BATCH):
                        batch.append(pool.submit(self._read, own_copy(image, once)))
                except Exception as failure:  # of the iterator
                    if whole:
                        raise
                    failures.append(failure)  # raised when all that it gave has its feature
                if batch:
                    ahead.append(batch)

            for _ in range(READ_AHEAD):
                read_on()
            while ahead:
                batch = [image.result() for image in ahead.popleft()]
                read_on()
                yield from self._outcomes(batch)
        if failures:
            raise failures[0]

    def embed_boxes(self, frame: ImageLike, boxes: ArrayLike | Detections) -> Features:
        """Features of the persons in one frame of a video, of all boxes or none. For trackers: `embed_boxes_each`.

        Args:
            frame: `(height, width, 3)` uint8 array in RGB (OpenCV gives BGR: `frame[..., ::-1]`), or whatever else
                `embed` takes as one image.
            boxes: `(n, 4)` numbers, x and y of the left upper and the right lower corner in pixels, as detectors give
                them; or an object that has them as `.xyxy`, such as `supervision.Detections`. What lies outside of the
                frame is cut off.

        Returns:
            `(n, feature_dim)` float32 array, in the order of `boxes`; n may be 0.

        Raises:
            InputError: the frame is none, boxes are not `(n, 4)` numbers, or some have nothing of the frame; names ten.

        >>> model.embed_boxes(np.zeros((480, 640, 3), np.uint8), [[10, 20, 60, 150], [300.5, 9, 351, 140]]).shape
        (2, 1024)
        """
        crops = self._crops(frame, boxes)
        whole = [crop for crop in crops if not isinstance(crop, InputError)]
        if len(whole) < len(crops):
            problems = [f"box {i} {crop}" for i, crop in enumerate(crops) if isinstance(crop, InputError)]
            raise InputError(
                f"{len(problems):,} of {len(crops):,} boxes cannot be cut out of the frame: "
                f"{preview(problems, 10, '; ')}. embed_boxes_each gives the features of the others."
            )
        return self.embed(whole)

    def embed_boxes_each(self, frame: ImageLike, boxes: ArrayLike | Detections) -> list[Features | InputError]:
        """As `embed_boxes`, but a box that has nothing of the frame does not cost the features of the others.

        Args:
            frame, boxes: as in `embed_boxes`.

        Returns:
            For each box its feature, a `(feature_dim,)` float32 array, or the `InputError` that says why there is none,
            as in "(700, 0, 800, 90) is outside of the frame, which is 640 × 480 (width × height) pixels".

        Raises:
            InputError: the frame is none, or boxes are not `(n, 4)` numbers.

        A tracker goes on with the boxes that have features:

        >>> frame, boxes = np.zeros((480, 640, 3), np.uint8), np.array([[10, 20, 60, 150], [700, 0, 800, 90]])
        >>> outcomes = model.embed_boxes_each(frame, boxes)
        >>> seen = [isinstance(outcome, np.ndarray) for outcome in outcomes]
        >>> features = np.reshape([outcomes[i] for i in np.flatnonzero(seen)], (-1, model.feature_dim))  # maybe none
        >>> boxes[seen], features.shape
        (array([[ 10,  20,  60, 150]]), (1, 1024))
        """
        return list(self._embed_each(self._crops(frame, boxes), once=False))

    def _crops(self, frame: ImageLike, boxes: ArrayLike | Detections) -> list[Pixels | InputError]:
        """What of a frame is in each box, or why there is nothing."""
        self._extractor.check_process()
        try:
            pixels = read_image(frame)
        except InputError as reason:
            raise InputError(f"The frame cannot be read ({reason}).") from None
        return crop_boxes(pixels, boxes)

    def save_to_preset(self, folder: FilePath, dtype: str = "float32") -> None:
        """Writes the network without its classifiers into a folder that `from_preset` opens, whole or not at all.

        Args:
            folder: to be made: `config.json`, `model.weights.h5`, `metadata.json`, and `calibration.json` if there is a
                calibration; one of another network is left out, with a line on standard error.
            dtype: of the weights in the file, "float32" or "float16", which takes half the room.

        Raises:
            InputError: it exists or cannot be written, there is no such dtype, this is no `HACNN` (as an export that is
                a program) or one that was trained further since it was opened, its calibration is damaged, or it was
                opened before this process was forked.

        >>> model.save_to_preset("exports/mine")
        >>> ReID.from_preset("exports/mine").fingerprint == model.fingerprint
        True
        """
        if self.network is None:
            raise InputError(f"{self.name} is a program and not a network: make the preset from its run folder.")
        if type(self.network).__name__ != "HACNN":  # its weights and fingerprint would say nothing of what it computes
            raise InputError(f"{self.name} is a {type(self.network).__name__}, and a preset holds a HACNN alone.")
        _check_one_of("dtype", dtype, ("float32", "float16"))
        self._extractor.check_process()
        check_new_path(folder)
        from hacnn_tf.evaluation.features import fingerprint  # most uses do without

        if fingerprint(self.network) != self.fingerprint:
            raise InputError(
                f"The network of {self.name} has other weights now than its features are of: save it, as in "
                'model.network.save("mine.keras"), and make the preset of ReID.from_preset("mine.keras").'
            )
        calibration = self.calibration_of_copy()
        with atomic_write(folder) as part:
            write_preset(part, self.network, self.fingerprint, dtype)
            if calibration:
                calibration.write(part / CALIBRATION)

    def _read(self, image: ImageLike | InputError) -> Pixels | InputError:
        """The pixels that the network sees of an image, or the `InputError` that says why there are none."""
        if isinstance(image, InputError):
            return image
        try:
            return read_image(image, self.input_size)
        except InputError as reason:
            return InputError(str(reason))  # without the pixels and bytes that its traceback would hold

    def _outcomes(self, batch: list[Pixels | InputError]) -> list[Features | InputError]:
        """The features of what `_read` gave, and its errors, in order."""
        images = [image for image in batch if not isinstance(image, InputError)]
        features = iter(self.extract(np.stack(images))) if images else iter(())
        return [image if isinstance(image, InputError) else next(features).copy() for image in batch]


@functools.lru_cache(maxsize=1)  # a pool sends it with every task
def _reopened(kind: type[ReID], preset: str, precision: str | None, fingerprint: str) -> ReID:
    """The `ReID` that was pickled, opened again. Raises `InputError` if it is another now."""
    model = kind.from_preset(preset, precision)
    if model.fingerprint != fingerprint:
        raise InputError(
            f"{preset} is another network here ({model.fingerprint}) than the one that was pickled ({fingerprint}): "
            "put the same one there, or pickle a ReID of this one."
        )
    return model


def _listed(images: ImageLike | Iterable[ImageLike]) -> Iterable[Any]:
    """The images, of which one may have been given alone."""
    if images is None or isinstance(images, ALONE) or getattr(images, "ndim", 0) in (2, 3):  # OpenCV gives None
        return [images]
    return images


def _once(images: Any) -> bool:
    """Whether what was given is another by the time that the next is asked for, perhaps: lists keep theirs."""
    return not _ordered(images)


def _ordered(images: Any) -> bool:
    return hasattr(images, "__getitem__") and not isinstance(images, Mapping)


def _check_one_of(name: str, value: str | None, allowed: tuple[str | None, ...]) -> None:
    if value not in allowed:
        raise InputError(f"{name} must be one of {', '.join(filter(None, allowed))}, not {value}.")


def _called(images: Any, i: int) -> str:
    """What an image is called in a sentence: its path, or its place."""
    images = getattr(images, "iloc", images)  # a `pandas.Series`
    return _path_or(f"image {i}", images[i] if _ordered(images) else None)


def _path_or(place: str, image: Any) -> str:
    return os.fspath(image) if isinstance(image, (str, os.PathLike)) else place
