"""Boxes in a frame of a video, as detectors give them, to crops."""

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.types import Pixels


class Detections(Protocol):
    """The boxes that a detector found."""

    @property
    def xyxy(self) -> ArrayLike: ...


def crop_boxes(frame: Pixels, boxes: ArrayLike | Detections) -> list[Pixels | InputError]:
    """What of a frame is in each box.

    Args:
        frame: `(height, width, 3)` uint8 array.
        boxes: `(n, 4)` numbers, x and y of the left upper and the right lower corner in pixels; or an object that has
            them as `.xyxy`. What lies outside of the frame is cut off.

    Returns:
        List of `(h, w, 3)` views of the frame, h and w at least 1; or of what is wrong with a box.

    Raises:
        InputError: boxes are not `(n, 4)` numbers.
    """
    return [_crop(frame, box) for box in _corners(boxes)]


def _corners(boxes: ArrayLike | Detections) -> NDArray[np.float64]:
    try:
        boxes = np.asarray(getattr(boxes, "xyxy", boxes), dtype=float)
        return boxes.reshape(-1, 4) if boxes.size == 0 else boxes.reshape(len(boxes), 4)
    except (ValueError, TypeError) as error:
        raise InputError(f"Boxes must be (n, 4): left, top, right and bottom in pixels ({error}).") from None


def _crop(frame: Pixels, box: NDArray[np.float64]) -> Pixels | InputError:
    """What of a frame is in a box, or what is wrong with the box."""
    shown = f"({', '.join(f'{value:g}' for value in box)})"
    if not np.isfinite(box).all():
        return InputError(f"{shown} is not finite")
    if not (box[:2] < box[2:]).all():
        return InputError(f"{shown} is empty: its left upper corner must be before its right lower one (not its size)")
    if box.max() <= 2:  # shares reach beyond 1 where a box reaches beyond the frame
        return InputError(f"{shown} is at most two pixels: multiply shares of a frame by its width and height")
    height, width = frame.shape[:2]
    left, top = np.floor(np.clip(box[:2], 0, (width, height))).astype(int)
    right, bottom = np.ceil(np.clip(box[2:], 0, (width, height))).astype(int)
    if left < right and top < bottom:
        return frame[top:bottom, left:right]
    return InputError(f"{shown} is outside of the frame, which is {width} × {height} (width × height) pixels")
