"""Pictures: example pairs (Figure 5), attention (Figure 6), rankings, augmentation."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import keras
import matplotlib
import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from hacnn_tf.data.augmentation import augment
from hacnn_tf.data.dataset import ReidDataset
from hacnn_tf.data.load import load_images
from hacnn_tf.evaluation import extract_features, feature_function
from hacnn_tf.evaluation.ranking import searched_rows
from hacnn_tf.models import HACNN, INPUT_SIZE
from hacnn_tf.models.hacnn import region_sizes
from hacnn_tf.utils.types import Features, Pixels, Size

if TYPE_CHECKING:
    from hacnn_tf.training.recipes import Recipe

REGION_COLOURS = ["red", "blue", "green", "violet"]  # head to lower legs, as in the paper's Figure 6
RIGHT, WRONG = (0, 114, 178), (213, 94, 0)  # blue and vermilion, told apart by the colour-blind too
DASH = 16  # pixels of the frame of what is wrong, and as many between two
SCALE, GAP, FRAME, LETTERS = 2, 8, 4, 22  # pixels: of a pixel, between pictures, around one, of a line of text
SHOWN = 10  # gallery images of a ranking
SEED = 0  # of what is chosen at random


def cross_view_pairs(dataset: ReidDataset, count: int) -> Image.Image:
    """Figure 5: random test persons, each as two cameras see them.

    Args:
        dataset: a `ReidDataset`.
        count: of pairs, at most; fewer where there are no more persons.

    Returns:
        `PIL.Image`.
    """
    rng = np.random.default_rng(SEED)
    views = [rows for _, rows in dataset.tested().groupby("pid") if rows.camid.nunique() > 1]
    paths = []
    for index in rng.permutation(len(views))[:count]:
        first = views[index].sample(1, random_state=rng)
        other = views[index][views[index].camid != first.camid.iloc[0]].sample(1, random_state=rng)
        paths += [first.path.iloc[0], other.path.iloc[0]]
    pictures = load_images(paths, INPUT_SIZE)
    grid = _Grid(1, len(paths), INPUT_SIZE, spaced=range(2, len(paths), 2))
    for i, picture in enumerate(pictures):
        grid.put(0, i, picture)
    return grid.image


def attention(model: HACNN, paths: Sequence[str]) -> Image.Image:
    """Figure 6: each image, then at every level the regions of hard attention and the map of soft attention.

    What the network does not have of these is left out. The soft map is the mean over channels, drawn over the grey
    image from its least value (dark) to its largest (bright).

    Args:
        model: a trained `HACNN`.
        paths: of the images, see `hacnn_tf.data.decode`.

    Returns:
        `PIL.Image`, a row an image.

    Raises:
        InputError: an image cannot be read.
    """
    return attention_of(model, load_images(paths, model.input_shape[1:3]))


def attention_of(model: HACNN, images: Pixels) -> Image.Image:
    """As `attention`, of images that were read.

    Args:
        model: a trained `HACNN`.
        images: `(n, height, width, 3)` uint8 array in RGB, of the size that the model takes.

    Returns:
        `PIL.Image`, a row an image.
    """
    maps = _attention_maps(model, images)
    columns: list[Iterable[Image.Image | Pixels]] = [images]
    for level in range(3):
        for name, draw in (("regions", _draw_regions), ("soft", _draw_soft)):
            if level < len(maps.get(name, [])):
                columns.append([draw(*pair) for pair in zip(images, maps[name][level], strict=True)])
    grid = _Grid(len(images), len(columns), (images.shape[1], images.shape[2]), titled=True)
    for j, column in enumerate(columns):
        grid.title(j, f"({chr(ord('a') + j)})")
        for i, picture in enumerate(column):
            grid.put(i, j, picture)
    return grid.image


def ranking(model: HACNN, dataset: ReidDataset, count: int) -> Image.Image:
    """Random queries with their regions of hard attention, and the nearest gallery images, right and wrong framed.

    Queries of a network without the local branch are shown as they are. As in the evaluation, gallery images of the
    query's person before the same camera, and junk, are left out.

    Args:
        model: a trained `HACNN`.
        dataset: a `ReidDataset`.
        count: of queries, at most.

    Returns:
        `PIL.Image`, a row a query.
    """
    query, gallery = random_queries(dataset, count), dataset.split("gallery")
    queries, candidates = (load_images(rows.path, model.input_shape[1:3]) for rows in (query, gallery))
    function = feature_function(model)
    features = [extract_features(function, images) for images in (queries, candidates)]
    regions = _attention_maps(model, queries).get("regions")
    shown = [_draw_regions(*pair) for pair in zip(queries, regions[0], strict=True)] if regions else queries

    grid = _Grid(len(query), SHOWN + 1, (queries.shape[1], queries.shape[2]), spaced=[1])
    people = query.pid, gallery.pid, query.camid, gallery.camid
    for i, (distances, _) in enumerate(searched_rows(features[0], features[1], *people)):
        grid.put(i, 0, shown[i])
        nearest = np.argsort(distances, kind="stable")[:SHOWN]
        for place, found in enumerate(nearest[np.isfinite(distances[nearest])], start=1):
            colour = RIGHT if gallery.pid[found] == query.pid[i] else WRONG
            grid.put(i, place, candidates[found], frame=colour)
    return grid.image


def augmented(dataset: ReidDataset, recipe: "Recipe", count: int) -> Image.Image:
    """Random training images, and below each what the network sees of it in the first three epochs.

    Args:
        dataset: a `ReidDataset`.
        recipe: a `hacnn_tf.training.recipes.Recipe`.
        count: of images, at most.

    Returns:
        `PIL.Image`, a column an image.
    """
    paths = dataset.split("train").path
    rows = np.random.default_rng(SEED).permutation(len(paths))[:count]
    images = load_images(paths[rows], INPUT_SIZE)
    seen = [augment(images, rows, recipe, SEED, epoch) for epoch in (1, 2, 3)]
    grid = _Grid(1 + len(seen), len(rows), INPUT_SIZE)
    for i, batch in enumerate([images, *seen]):
        for j, picture in enumerate(batch):
            grid.put(i, j, picture)
    return grid.image


def random_queries(dataset: ReidDataset, count: int) -> pd.DataFrame:
    """The rows of random queries of a dataset, at most `count`: those of `ranking`."""
    query = dataset.split("query")
    return query.sample(min(count, len(query)), random_state=np.random.default_rng(SEED)).reset_index(drop=True)


def _attention_maps(model: HACNN, images: Pixels) -> dict[str, list[Features]]:
    """What the `attention_extractor` of a `HACNN` gives, as arrays; an empty dict if it has none."""
    extractor = model.attention_extractor()
    found = extractor(images) if extractor else {}
    return {name: [keras.ops.convert_to_numpy(x) for x in values] for name, values in found.items()}


class _Grid:
    """Pictures of one (height, width) in rows and columns on white; a wider gap before the columns `spaced`."""

    def __init__(self, rows: int, columns: int, size: Size, spaced: Sequence[int] = (), titled: bool = False) -> None:
        self._size = (size[1] * SCALE, size[0] * SCALE)
        self._extra = [2 * GAP * sum(before <= j for before in spaced) for j in range(columns)]
        self._top = LETTERS if titled else 0
        width = columns * (self._size[0] + GAP) + GAP + self._extra[-1]
        self.image = Image.new("RGB", (width, rows * (self._size[1] + GAP) + GAP + self._top), "white")

    def _corner(self, row: int, column: int) -> tuple[int, int]:
        x = GAP + column * (self._size[0] + GAP) + self._extra[column]
        return x, GAP + self._top + row * (self._size[1] + GAP)

    def put(
        self, row: int, column: int, picture: Image.Image | Pixels, frame: tuple[int, int, int] | None = None
    ) -> None:
        x, y = self._corner(row, column)
        picture = picture if isinstance(picture, Image.Image) else _enlarged(picture)
        if frame:
            right, bottom = x + self._size[0] + FRAME, y + self._size[1] + FRAME
            self.image.paste(frame, (x - FRAME, y - FRAME, right, bottom))
            if frame == WRONG:  # dashed, for who sees no colours
                for left in range(x + DASH, right, 2 * DASH):
                    self.image.paste("white", (left, y - FRAME, min(left + DASH, right), bottom))
                for top in range(y + DASH, bottom, 2 * DASH):
                    self.image.paste("white", (x - FRAME, top, right, min(top + DASH, bottom)))
        self.image.paste(picture, (x, y))

    def title(self, column: int, text: str) -> None:
        x, _ = self._corner(0, column)
        font = ImageFont.load_default(LETTERS - 6)
        ImageDraw.Draw(self.image).text((x + self._size[0] / 2, GAP), text, "black", font, anchor="ma")


def _enlarged(pixels: Pixels) -> Image.Image:
    image = Image.fromarray(pixels)
    return image.resize((image.width * SCALE, image.height * SCALE), Image.Resampling.BICUBIC)


def _draw_regions(pixels: Pixels, centres: Features) -> Image.Image:
    """The image with the regions at `centres`, `(T, 2)` of (t_y, t_x) in [-1, 1] (Eq. 5)."""
    picture = _enlarged(pixels)
    draw = ImageDraw.Draw(picture)
    height, width = region_sizes(pixels.shape[:2])[0]
    half = SCALE * np.array([width, height])  # a pixel of the first level's map is two of the image
    for i, (t_y, t_x) in enumerate(centres):
        middle = np.array([(t_x + 1) * picture.width / 2, (t_y + 1) * picture.height / 2])
        draw.rectangle([*(middle - half), *(middle + half)], None, REGION_COLOURS[i % len(REGION_COLOURS)], width=3)
    return picture


def _draw_soft(pixels: Pixels, soft: Features) -> Image.Image:
    """The grey image under the map `(h, w, c)`, averaged over channels and spread over the whole range of colours."""
    mean = soft.astype(np.float32).mean(axis=-1)
    spread = (mean - mean.min()) / max(float(np.ptp(mean)), 1e-6)
    grey = _enlarged(pixels).convert("L")
    heat = np.asarray(Image.fromarray(spread).resize(grey.size, Image.Resampling.BILINEAR))
    colours = matplotlib.colormaps["inferno"](heat)[..., :3] * 255
    return Image.fromarray((0.35 * np.asarray(grey)[..., None] + 0.65 * colours).astype(np.uint8))
