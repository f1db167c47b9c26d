"""The table that every reader gives: one row an image."""

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from hacnn_tf.data.listing import LeftOut, count_kinds
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import expanded
from hacnn_tf.utils.text import preview
from hacnn_tf.utils.types import TEST_SPLITS, FilePath

SPLITS = ("train", *TEST_SPLITS)
JUNK, DISTRACTOR = -1, 0  # identities of gallery images that show nobody in particular
NO_CAMERA = -1  # and below: cameras of images whose camera is not known, each its own
UNASKED = "unasked multi_query image"  # of an identity and camera that no query shows
WITHOUT_CAMERAS = (
    "Where cameras are not known, each image is its own: nothing is left out for being of the query's camera, so that "
    "near-duplicate frames of one sequence count as matches; the figures are higher than, and not comparable to, those "
    "of the usual protocol."
)


@dataclasses.dataclass(frozen=True)
class ReidDataset:
    """A person re-identification dataset.

    Attributes:
        name: what it is, for people: "CUHK03 767/700, detected boxes".
        table: `pandas.DataFrame`, one row an image, with the columns
            `path` (str, see `hacnn_tf.data.decode`), `pid` (int identity; -1 junk, 0 distractor), `camid` (int camera;
            negative: not known, another number for each image),
            `split` ("train", "query", "gallery", or "multi_query": further images of the queries' persons and cameras),
            and perhaps `track` (str name of the track, of one person and camera, that the image is of; may be missing).
        single_shot: evaluate against one random gallery image an identity, over repeats.
        left_out: what of its folders is not read, a `LeftOut`.
        made_splits: dict from file name to manifest (`hacnn_tf.data.manifest`), of the splits that were drawn and are
            to be kept with what was trained on them.

    Raises:
        InputError: a column is missing or of another type, a split is none of `SPLITS`, a person who is trained on or
            searched for has a number below 1, images whose cameras are not known share one, and so would count as of
            one camera, or a track is of two persons or cameras.
    """

    name: str
    table: pd.DataFrame
    single_shot: bool = False
    left_out: LeftOut = dataclasses.field(default_factory=LeftOut)
    made_splits: dict[str, pd.DataFrame] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if missing := {"path", "pid", "camid", "split"}.difference(self.table.columns):
            raise InputError(f"The table of {self.name} has no column {', '.join(sorted(missing))}.")
        for name in ("pid", "camid"):
            values = self.table[name]
            if len(values) and (not pd.api.types.is_integer_dtype(values) or values.isna().any()):
                raise InputError(f"The {name} in the table of {self.name} are {values.dtype}, not integers alone.")
        if unknown := sorted(map(str, set(self.table.split).difference(SPLITS))):
            raise InputError(f"{self.name} has a split {preview(unknown)}: {', '.join(SPLITS)} are known.")
        nobody = self.table[(self.table.pid <= DISTRACTOR) & (self.table.split != "gallery")]
        if len(nobody):
            raise InputError(
                f"{self.name} has images outside of the gallery of identity {DISTRACTOR} or below, which is nobody's: "
                f"number people from 1. {len(nobody):,} in all: {preview(nobody.path)}."
            )
        without = self.table[self.table.camid <= NO_CAMERA]
        if without.groupby("camid").path.nunique().gt(1).any():
            raise InputError(f"Each image of {self.name} whose camera is not known needs a negative number of its own.")
        known = self.table.assign(camid=self.table.camid.where(self.table.camid > NO_CAMERA))
        check_tracks(known, f"{self.name} has")

    def split(self, split: str) -> pd.DataFrame:
        """The rows of one split, as a `pandas.DataFrame` with a fresh index."""
        return self.table[self.table.split == split].reset_index(drop=True)

    def tested(self) -> pd.DataFrame:
        """The rows of query and gallery that show somebody: neither junk nor distractors."""
        return self.table[self.table.split.isin(["query", "gallery"]) & (self.table.pid > DISTRACTOR)]

    def fingerprint(self, splits: Sequence[str] = ("train",)) -> str:
        """A hex digest of the names, identities and cameras of some splits' images: of the training ones by default."""
        rows = self.table[self.table.split.isin(splits)]
        names = rows.path.str.rsplit("/", n=1).str[-1].str.normalize("NFC")  # a disk may have changed ü to u and ¨
        text = rows.assign(path=names).drop(columns="track", errors="ignore").to_csv(index=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def trained_and_tested(self) -> list[int]:
        """The identities that are both trained on and searched for, which no protocol has."""
        return sorted(set(self.split("train").pid) & set(self.split("query").pid))

    def summary(self) -> str:
        """The identities, images and cameras of each subset and what is left out, as text."""
        lines = [self.name, f"{'subset':<12}{'identities':>12}{'images':>10}{'cameras':>10}"]
        for split in SPLITS:
            rows = self.split(split)
            if len(rows):
                identities = rows.pid[rows.pid > DISTRACTOR].nunique()
                cameras = rows.camid[rows.camid > NO_CAMERA].nunique() or "-"
                lines.append(f"{split:<12}{identities:>12,}{len(rows):>10,}{cameras:>10}")
        counts = Counts.of(self.table)
        nobody = {f"junk ({JUNK})": counts.junk, f"distractors ({DISTRACTOR})": counts.distractors}
        if said := ", ".join(f"{count:,} {what}" for what, count in nobody.items() if count):
            lines.append(f"gallery images of nobody who is searched for: {said}")
        shown = self.table[self.table.pid > DISTRACTOR]
        identities, cameras = shown.pid.nunique(), shown.camid[shown.camid > NO_CAMERA].nunique()
        if cameras > identities:
            lines.append(f"{cameras:,} cameras and {identities:,} identities: is one taken for the other?")
        lines += self.left_out.lines()
        query, multi = self.split("query"), self.split("multi_query")
        if len(multi) and (alone := len(query) - len(query.merge(multi[["pid", "camid"]].drop_duplicates()))):
            lines.append(f"queries without multi_query images, left out of that setting: {alone:,}")
        if both := self.trained_and_tested():
            lines.append(
                f"identities both in train and in query: {len(both):,}; a network that is trained on them has higher "
                "figures than, and none comparable to, those of persons whom it has never seen"
            )
        if (self.table.camid <= NO_CAMERA).any():
            lines.append(WITHOUT_CAMERAS)
        return "\n".join(lines)


def check_tracks(rows: pd.DataFrame, where: str, remedy: str = "") -> None:
    """Checks that each track is of one person and one camera, where they are known.

    Args:
        rows: table of images; columns `track`, which may have gaps, `pid` and `camid`, as far as there are any.
        where: what has them, to begin a sentence with: "people.csv has".
        remedy: what to do besides naming them otherwise, to end it with.

    Raises:
        InputError: a track has two identities or two cameras.
    """
    for name, what in (("pid", "identity"), ("camid", "camera")):
        if {"track", name} <= set(rows.columns):
            several = rows.groupby("track")[name].nunique() > 1
            if several.any():
                raise InputError(
                    f"{where} {several.sum():,} tracks with more than one {what}, {preview(several.index[several])}: a "
                    f"track is of one person and one camera, and its name of no other, as c3-0017{remedy}."
                )


def make_table(paths: Iterable[str], pids: Iterable[int], camids: Iterable[int], split: str) -> pd.DataFrame:
    """A table of one split.

    Args:
        paths, pids, camids: equally long sequences of str, int, int; see `ReidDataset.table`.
        split: one of `SPLITS`.

    Returns:
        `pandas.DataFrame` with the columns of `ReidDataset.table`.
    """
    columns = {"path": list(paths), "pid": list(pids), "camid": list(camids)}
    return pd.DataFrame(columns).astype({"path": str, "pid": int, "camid": int}).assign(split=split)


@dataclasses.dataclass(frozen=True)
class Counts:
    """What a split is published to hold; None where it is not published."""

    images: int | None = None
    identities: int | None = None
    junk: int | None = None
    distractors: int | None = None

    @classmethod
    def of(cls, rows: pd.DataFrame) -> "Counts":
        """The counts of the rows of a table."""
        identities = rows.pid[rows.pid > DISTRACTOR].nunique()
        return cls(len(rows), identities, int((rows.pid == JUNK).sum()), int((rows.pid == DISTRACTOR).sum()))


def check_counts(dataset: ReidDataset, folder: FilePath, published: Mapping[str, Counts], allow_subset: bool) -> None:
    """Checks that a dataset can be used, and is what it is distributed as.

    Args:
        dataset: a `ReidDataset`.
        folder: where it was read from, for the message.
        published: dict from split to `Counts`.
        allow_subset: accept other counts.

    Raises:
        InputError: a split is empty, no query has a match in the gallery, or (without `allow_subset`) counts differ.
    """
    counts = {split: Counts.of(dataset.split(split)) for split in published}
    empty = [split for split, found in counts.items() if not found.images]
    if empty:
        left_out = f"; left out: {count_kinds(files)}" if (files := dataset.left_out.files) else ""
        raise InputError(f"{dataset.name}: no {' or '.join(empty)} images in {folder}{left_out}.")
    wrong = [
        f"{getattr(counts[split], what):,} {split} {what} instead of {expected:,}"
        for split, expectation in published.items()
        for what, expected in dataclasses.asdict(expectation).items()
        if expected is not None and getattr(counts[split], what) != expected
    ]
    if wrong and not allow_subset:
        raise InputError(
            f"{dataset.name} in {folder} holds {', '.join(wrong)}: "
            "get the rest, or pass --allow_subset to use this part of it."
        )
    for split in ("query", "multi_query"):
        queries = dataset.split(split)
        if (split == "query" or len(queries)) and not matched(queries, dataset.split("gallery")).any():
            raise InputError(
                f"{dataset.name} in {folder}: no {split} has a match in the gallery, the same identity under another "
                "camera; check that both are of the same dataset."
            )


def without_unasked(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """A table without the multi_query images that no query asks for with its identity and camera; and these.

    Returns:
        The table, and a dict from the path of each image that it lacks to its kind, as `LeftOut.files`.
    """
    pairs = pd.MultiIndex.from_frame(table[["pid", "camid"]])
    keep = (table.split != "multi_query") | pairs.isin(pairs[table.split == "query"])
    return table[keep].reset_index(drop=True), dict.fromkeys(table.path[~keep], UNASKED)


def matched(query: pd.DataFrame, gallery: pd.DataFrame) -> pd.Series:
    """Whether each query has a match in a gallery, its identity under another camera.

    Args:
        query, gallery: rows of a table; columns `pid` and `camid`.

    Returns:
        `pandas.Series` of bool, with the index of `query`.
    """
    cameras = gallery.groupby("pid").camid.agg(["min", "max"])
    seen = query[["pid", "camid"]].join(cameras, on="pid")
    return seen["min"].notna() & ((seen["min"] != seen.camid) | (seen["max"] != seen.camid))


def find_folder(data_root: FilePath, names: Sequence[str], dataset: str, source: str) -> Path:
    """The first of `names` that is a folder below `data_root`; if it holds another of them, as torchreid has it, that.

    Args:
        data_root: folder that holds datasets.
        names: what the dataset's folder may be called.
        dataset: its name, for people.
        source: how to get it, the end of a sentence.

    Returns:
        `pathlib.Path`.

    Raises:
        InputError: none does; says which were tried and where to get the dataset.
    """
    root = Path(expanded(data_root))
    for name in names:
        if (folder := root / name).is_dir():
            inner = (folder / name for name in names)
            return next((path for path in inner if path.is_dir() and any(path.iterdir())), folder)
    tried = " or ".join(f"{root / name}" for name in names)
    raise InputError(f"{dataset} not found: tried {tried}; {source}, or name its parent folder with --data_root.")
