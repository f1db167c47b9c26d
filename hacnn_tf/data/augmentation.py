"""Random changes of training images, each a function of seed, epoch and image alone."""

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np
import PIL.Image

from hacnn_tf.utils.types import Integers, Pixels, Size

if TYPE_CHECKING:
    from hacnn_tf.training.recipes import Recipe

GREY = (124, 116, 104)  # about what the network takes for the mean of all pixels; in the place of what is not known
ERASED_AREA = (0.02, 0.4)  # shares of the image (Zhong et al., Random Erasing Data Augmentation, 2017)
ERASED_ASPECT = (0.3, 1 / 0.3)  # height / width; drawn uniformly in its logarithm, so that neither is preferred
TRIES = 100  # for a rectangle that fits


@dataclasses.dataclass(frozen=True)
class Change:
    """What happens to an image, in this order.

    Attributes:
        grey: take its colours away, as a camera does at night.
        flip: mirror it left to right.
        shift: (y, x), by how many pixels its content moves down and right; what comes in from outside is `GREY`.
        hole: (top, left, height, width) in pixels of the rectangle that becomes `GREY`; None: none.
    """

    grey: bool
    flip: bool
    shift: tuple[int, int]
    hole: tuple[int, int, int, int] | None


def augment(images: Pixels, rows: Integers, recipe: "Recipe", seed: int, epoch: int) -> Pixels:
    """A batch as its recipe has it, changed or as it is.

    Args:
        images: `(n, height, width, 3)` uint8 array.
        rows: `(n,)` ints, which of all training images they are.
        recipe: a `hacnn_tf.training.recipes.Recipe`.
        seed: of the training.
        epoch: from 1.

    Returns:
        Array as `images`; `images` itself under a recipe that changes nothing.
    """
    if not recipe.augments:
        return images
    size = images.shape[1], images.shape[2]
    changes = [draw(recipe, size, seed, epoch, row) for row in rows]
    return np.stack([apply(image, change) for image, change in zip(images, changes, strict=True)])


def draw(recipe: "Recipe", size: Size, seed: int, epoch: int, row: int) -> Change:
    """The change of one image in one epoch.

    Args:
        recipe, seed, epoch: as in `augment`.
        size: (height, width) of the image.
        row: which of all training images it is.

    Returns:
        A `Change`.
    """
    rng = np.random.default_rng([seed, epoch, row + 1])  # NumPy takes [seed, epoch, 0] for [seed, epoch]
    # All is drawn whatever the recipe has, so that one of its parts doesn't change what another does.
    flip = rng.random() < 0.5
    shift = rng.uniform(-1, 1, size=2)
    erased = rng.random() < recipe.erasing
    hole = _hole(size, rng)
    grey = rng.random() < recipe.grey
    most = recipe.crop_padding
    y, x = np.clip(np.rint(shift * (most + 0.5)), -most, most).astype(int).tolist()
    return Change(grey, bool(recipe.flip and flip), (y, x), hole if erased else None)


def apply(image: Pixels, change: Change) -> Pixels:
    """A changed copy of a `(height, width, 3)` uint8 image."""
    height, width = image.shape[:2]
    changed = np.empty_like(image)
    changed[:] = GREY
    y, x = change.shift
    source = without_colour(image) if change.grey else image
    source = source[:, ::-1] if change.flip else source
    (to_y, from_y), (to_x, from_x) = _overlap(height, y), _overlap(width, x)
    changed[to_y, to_x] = source[from_y, from_x]
    if change.hole:
        top, left, rows, columns = change.hole
        changed[top : top + rows, left : left + columns] = GREY
    return changed


def without_colour(image: Pixels) -> Pixels:
    """A `(height, width, 3)` uint8 image with its brightness (ITU-R BT.601's luma) in all three channels."""
    return np.asarray(PIL.Image.fromarray(image).convert("L").convert("RGB"))


def _overlap(side: int, shift: int) -> tuple[slice, slice]:
    """Where in a row of pixels the shifted content lies, and where it comes from, as slices."""
    shift = min(max(shift, -side), side)
    return slice(max(shift, 0), side + min(shift, 0)), slice(max(-shift, 0), side - max(shift, 0))


def _hole(size: Size, rng: np.random.Generator) -> tuple[int, int, int, int] | None:
    height, width = size
    for _ in range(TRIES):
        area = height * width * rng.uniform(*ERASED_AREA)
        aspect = math.exp(rng.uniform(*np.log(ERASED_ASPECT)))
        rows, columns = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < rows <= height and 0 < columns <= width:
            return int(rng.integers(height - rows + 1)), int(rng.integers(width - columns + 1)), rows, columns
    return None
