"""Everything that is wrong with the images of a dataset, found before a long training finds some of it."""

import collections
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import pandas as pd

from hacnn_tf.data.dataset import DISTRACTOR, ReidDataset, matched
from hacnn_tf.data.decode import mat_of, read_image
from hacnn_tf.data.listing import NESTED, open_image
from hacnn_tf.data.parallel import in_threads
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.text import printable

COLUMNS = ["problem", "path", "detail"]
Problem = tuple[str, str, str]
MIN_SIDE = 16  # pixels; less shows nobody
USUAL = 0.9  # share of images of one size from which on others are suspect


def check_images(dataset: ReidDataset, listed_elsewhere: Iterable[str] = ()) -> pd.DataFrame:
    """Opens all images of a dataset, in parallel and with a progress bar on a terminal.

    Args:
        dataset: a `ReidDataset`.
        listed_elsewhere: further paths that exist and that its protocol should have.

    Returns:
        `pandas.DataFrame` with the columns `problem`, `path` and `detail`, a row each for: images that are "broken"; of
        an unusual "size", or wider than high; of a "mode" other than RGB; with the same pixels as one of another
        identity ("two identities") or of another camera, or one not known ("copy"); "trained and tested" for identities
        that are both; "no match" for queries that have none in the gallery; "no image" for identities all of whose
        files are left out; and "not in protocol" for images that no split has.
    """
    table = dataset.table
    paths = list(dict.fromkeys(table.path))
    inspected = dict(zip(paths, in_threads(lambda i: _inspect(paths[i]), len(paths), "Checking"), strict=True))
    problems = [
        *_broken(inspected),
        *_sizes(inspected),
        *(("mode", path, f"{i.mode}, used as RGB") for path, i in inspected.items() if i.mode not in ("RGB", None)),
        *_same_pixels(table, inspected),
        *_trained_and_tested(dataset),
        *_no_match(dataset),
        *(("no image", path, text) for path, text in dataset.left_out.identities.items()),
        *_not_in_protocol(dataset, listed_elsewhere),
    ]
    return pd.DataFrame(problems, columns=COLUMNS)


class Inspected(NamedTuple):
    """An image that was opened: (width, height), mode and a digest of its pixels; or the reason why it cannot be."""

    reason: str | None = None
    size: tuple[int, int] | None = None
    mode: str | None = None
    digest: bytes | None = None


def _inspect(path: str) -> Inspected:
    try:
        pixels = read_image(path)
    except InputError as reason:
        return Inspected(reason=str(reason))
    mode = None
    if not mat_of(path):
        with open_image(path) as image:
            mode = image.mode
    return Inspected(None, (pixels.shape[1], pixels.shape[0]), mode, hashlib.sha256(pixels.tobytes()).digest())


def _broken(inspected: Mapping[str, Inspected]) -> list[Problem]:
    return [("broken", path, i.reason) for path, i in inspected.items() if i.reason]


def _sizes(inspected: Mapping[str, Inspected]) -> Iterator[Problem]:
    sizes = {path: i.size for path, i in inspected.items() if i.size}
    (usual, count), *_ = collections.Counter(sizes.values()).most_common(1) or [((0, 0), 0)]
    for path, (width, height) in sizes.items():
        size = f"{width}×{height} (width×height)"
        if min(width, height) < MIN_SIDE:
            yield "size", path, f"{size}: below {MIN_SIDE} pixels"
        elif count >= USUAL * len(sizes) and (width, height) != usual:
            yield "size", path, f"{size}: others are {usual[0]}×{usual[1]}"
        elif width > height and count < USUAL * len(sizes):
            yield "size", path, f"{size}: wider than high"


def _same_pixels(table: pd.DataFrame, inspected: Mapping[str, Inspected]) -> Iterator[Problem]:
    """Of identities and cameras no number is told: those of one's own images are not the names that they have."""
    first: dict[tuple[bytes, tuple[int, int] | None], tuple[str, int, int]] = {}
    tested = table.split.isin(["query", "gallery"]) & (table.pid > DISTRACTOR)
    for path, pid, camid, searched in zip(table.path, table.pid, table.camid, tested, strict=True):
        image = inspected[path]
        if image.digest:
            other, other_pid, other_camid = first.setdefault((image.digest, image.size), (path, pid, camid))
            same = f"the same pixels as {printable(other)}"
            if pid != other_pid:
                yield "two identities", path, f"{same}, another identity"
            elif searched and camid != other_camid and path != other:
                yield "copy", path, f"{same}, which a query may find as a match under another camera"


def _trained_and_tested(dataset: ReidDataset) -> Iterator[Problem]:
    first = dataset.split("query").groupby("pid").path.first()
    for pid in dataset.trained_and_tested():
        yield "trained and tested", first[pid], "its identity is in train and in query"


def _no_match(dataset: ReidDataset) -> Iterator[Problem]:
    query = dataset.split("query")
    for path in query.path[~matched(query, dataset.split("gallery"))]:
        yield "no match", path, "the gallery does not have its identity under another camera"


def _not_in_protocol(dataset: ReidDataset, listed_elsewhere: Iterable[str]) -> Iterator[Problem]:
    known = set(dataset.table.path)
    nested = [path for path, kind in dataset.left_out.files.items() if kind == NESTED]
    for path in (*nested, *listed_elsewhere):
        if path not in known:
            yield "not in protocol", path, "no split has it"
