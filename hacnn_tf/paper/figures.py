"""Figures 5 and 6, rankings, curves and augmentation: pictures, and pages that hold them."""

import base64
import dataclasses
import html
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.figure
from PIL import Image

from hacnn_tf.data.dataset import ReidDataset
from hacnn_tf.data.decode import mat_of
from hacnn_tf.evaluation import RATES, drawing
from hacnn_tf.paper.curves import acceptance, curves
from hacnn_tf.paper.run_folders import folded
from hacnn_tf.training.recipes import RECIPES
from hacnn_tf.training.run_folder import RunFolder
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import atomic_write, write_text
from hacnn_tf.utils.html import page
from hacnn_tf.utils.text import preview
from hacnn_tf.utils.types import FilePath, Results


@dataclasses.dataclass
class Figure:
    """Pictures and where they come from.

    Attributes:
        name: of its files.
        title: for people.
        pictures: dict from what is shown, for people, to a `PIL.Image` or a `matplotlib` figure.
        notes: sentences below them.
    """

    name: str
    title: str
    pictures: Mapping[str, Image.Image | matplotlib.figure.Figure]
    notes: list[str]

    def markdown(self) -> str:
        """The title and the notes, as Markdown."""
        return "\n".join([f"**{self.title}**", "", *(f"- {note}" for note in self.notes)]) + "\n"

    def write(self, folder: FilePath) -> list[Path]:
        """Writes NAME-WHAT.jpg (or .png, of curves) for each picture, and NAME.html, into a folder.

        Returns:
            The paths.

        Raises:
            InputError: it cannot, or there is no picture.
        """
        if not self.pictures:
            raise InputError(f"{self.title}: no finished run to show. {preview(self.notes, separator=' ')}".rstrip())
        paths, parts = [], [f'<h2 id="{self.name}">{html.escape(self.title)}</h2>\n']
        for what, picture in self.pictures.items():
            file = io.BytesIO()
            if isinstance(picture, Image.Image):
                suffix, kind = "jpg", "image/jpeg"
                picture.save(file, "jpeg", quality=90, subsampling=0)
            else:
                suffix, kind = "png", "image/png"
                picture.savefig(file, format="png")
            paths.append(Path(folder) / f"{self.name}-{_slug(what)}.{suffix}")
            with atomic_write(paths[-1]) as part:
                part.write_bytes(file.getvalue())
            data, caption = base64.b64encode(file.getvalue()).decode(), html.escape(what)
            parts.append(
                f'<figure><img alt="{html.escape(self.title)}: {caption}" src="data:{kind};base64,{data}">'
                f"<figcaption>{caption}</figcaption></figure>\n"
            )
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        paths.append(Path(folder) / f"{self.name}.html")
        write_text(paths[-1], page(self.title, "".join(parts) + f"<ul>{notes}</ul>\n"))
        return paths


def pairs_figure(datasets: Mapping[str, ReidDataset], count: int) -> Figure:
    """Figure 5. `datasets` is a dict from what it is, for people, to `ReidDataset`; `count` is of pairs from each."""
    shown = {what: drawing.cross_view_pairs(dataset, count) for what, dataset in datasets.items()}
    notes = [f"Random test identities (seed {drawing.SEED}), each as two of the cameras see it."]
    return Figure("figure5", "Figure 5. Example cross-view matched pairs", shown, notes)


def augmentation_figure(datasets: Mapping[str, ReidDataset], count: int) -> Figure:
    """Training images under the recipe "strong". `datasets` is as in `pairs_figure`; `count` is of images from each."""
    recipe = RECIPES["strong"]
    shown = {what: drawing.augmented(dataset, recipe, count) for what, dataset in datasets.items()}
    changes = (
        f"mirrored half of the time, shifted by up to {recipe.crop_padding} pixels, and erased in a rectangle with "
        f"probability {recipe.erasing:g}"
    )
    notes = [
        f"Random training images (seed {drawing.SEED}), and below each what the network sees in epochs 1 to 3: "
        f"{changes}."
    ]
    return Figure("augmentation", "Training images under --recipe strong", shown, notes)


def attention_figure(runs: Mapping[str, tuple[RunFolder, ReidDataset]], images: Sequence[str], count: int) -> Figure:
    """Figure 6.

    Args:
        runs: dict from what is shown, for people, to (`RunFolder`, `ReidDataset`).
        images: paths of image files; empty for random queries of each dataset.
        count: of random queries.
    """
    shown, notes = {}, [LETTERS]
    for what, (run, dataset) in runs.items():
        paths = images or drawing.random_queries(dataset, count).path.tolist()
        model, epoch = run.load_model()
        shown[what] = drawing.attention(model, paths)
        notes.append(f"{what}: {run.path}, epoch {epoch}; {', '.join(map(_called, paths))}.")
    return Figure("figure6", "Figure 6. Harmonious attention", shown, notes)


def _called(path: str) -> str:
    """The name of an image without its folder, and with cuhk-03.mat if it lies in there."""
    return os.path.relpath(path, os.path.dirname(mat_of(path) or path))


def ranking_figure(runs: Mapping[str, tuple[RunFolder, ReidDataset]], count: int) -> Figure:
    """Queries and their nearest gallery images. `runs` is as in `attention_figure`; `count` is of queries."""
    shown, notes = {}, ["Queries with the regions of the first level; found images framed blue: right, dashed: wrong."]
    for what, (run, dataset) in runs.items():
        model, epoch = run.load_model()
        shown[what] = drawing.ranking(model, dataset, count)
        notes.append(f"{what}: {run.path}, epoch {epoch}; random queries (seed {drawing.SEED}).")
    return Figure("ranking", "Rankings", shown, notes)


def curves_figure(found: Mapping[str, Sequence[tuple[RunFolder, Results]]], left_out: Sequence[str]) -> Figure:
    """Loss, identity accuracy and CMC, and what thresholds accept, if that was measured.

    Args:
        found: dict from what is shown, for people, to what `RunFolders.select` gives.
        left_out: `RunFolders.left_out`.
    """
    shown: dict[str, matplotlib.figure.Figure] = {}
    notes = []
    for what, selected in found.items():
        if not selected:
            continue
        notes.append(f"{what}: {', '.join(folded(str(run.path) for run, _ in selected))}.")
        shown[what] = curves(selected)
        if any(RATES.keys() <= results["single_query"]["joint"].keys() for _, results in selected):
            shown[f"{what}, acceptance"] = acceptance(selected)
    return Figure("curves", "Curves", shown, notes + [f"Left out: {sentence}" for sentence in left_out])


LETTERS = (
    "(a) the image; (b), (d), (f) the regions of hard attention at levels 1 to 3 (red, blue, green, violet); "
    "(c), (e), (g) soft attention at levels 1 to 3, mean over channels, from its least value in the image (dark) "
    "to its largest (bright)."
)


def _slug(text: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in text.lower()).split())
