"""Images of one's own: a manifest, a folder for each identity, or names like Market-1501's; split if they are not."""

import dataclasses
import os
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pandas as pd

from hacnn_tf.data.dataset import (
    DISTRACTOR,
    JUNK,
    NO_CAMERA,
    Counts,
    ReidDataset,
    check_counts,
    check_tracks,
    matched,
    without_unasked,
)
from hacnn_tf.data.folders import FILE_NAME, FOLDERS, identities_left_out, list_folders
from hacnn_tf.data.listing import BROKEN_LINK, LeftOut, is_hidden, list_images, no_image, only
from hacnn_tf.data.manifest import TEXTS, as_names, find_manifest, read_manifest, unlisted
from hacnn_tf.data.validation import searchable, split_off
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import expanded
from hacnn_tf.utils.text import preview
from hacnn_tf.utils.types import FilePath

TEST_SHARE, SPLIT_SEED = 0.5, 0
EXAMPLES = {"camera": "_cam([0-9]+)_", "track": "_(cam[0-9]+_t[0-9]+)_"}  # of patterns
LAYOUTS = (
    "make a folder for each person's images, or name images like 0002_c1s1_000451_03.jpg (identity 2, camera 1), or "
    "list them in a manifest, as data/README.md says"
)
CAMERA_FOLDER = re.compile(r"cam(era)?[-_ ]?([0-9]+|[a-z])", re.IGNORECASE)  # VIPeR and PRID2011 have cam_a and cam_b
# As other tools and datasets call them.
SPLIT_FOLDER = re.compile(
    r"(bbox_|bounding_box_)?(train|test)|train_all|training|testing|val|valid|validation|query|gallery|multi[-_]query|"
    "gt_bbox|probe",
    re.IGNORECASE,
)


def read_custom(
    place: FilePath,
    test_share: float | None = None,
    split_seed: int | None = None,
    camera_pattern: str | None = None,
) -> ReidDataset:
    """A dataset of one's own. The first of these that fits says how it is laid out:

    - a `.csv` or `.parquet` file, or a folder with `manifest.csv` or `manifest.parquet`: see `read_manifest`
    - a folder with `bounding_box_train`, `query` and `bounding_box_test`: see `list_folders`
    - a folder of images, whose names begin like 0002_c1 (identity 2, camera 1)
    - a folder of folders: each is an identity, and holds its images, or folders of them, one a camera

    Which files are images is as `hacnn_tf.data.listing` has it.

    Names of identities and cameras become numbers from 1, in their order, those that are trained on before all others;
    pid -1 stays junk, camid -1 a camera that is not known. Where there is no split, one is drawn, which depends on
    nothing but the arguments and the names of files, identities and cameras.

    Args:
        place: path of the folder, or of the manifest.
        test_share: share of the identities, in (0, 1], to test on where there is no split; `TEST_SHARE` if None.
        split_seed: of a split that is drawn; `SPLIT_SEED` if None.
        camera_pattern: regular expression with one group that finds the camera in the name of a file; if None, it is
            as the layout says; in folders of identities the `c1` of names like 0002_c1 if all have it, else the folder
            in the identity's folder, else not known (refused if most have it).

    Returns:
        A `ReidDataset`, which may have no training images; a split that was drawn is its `made_splits["split.csv"]`.

    Raises:
        InputError: nothing of this kind is there, or it cannot be used; says what and what to do.
    """
    place, left_out = Path(expanded(place)), LeftOut()
    name, made = os.path.basename(os.path.abspath(place)), {}
    if manifest := find_manifest(place):
        rows = read_manifest(manifest)
        more = tuple(name for name in rows if name not in (*TEXTS, "time"))
        left_out = LeftOut(unlisted(place, rows.path), columns=more)
    elif any((place / FOLDERS[split]).is_dir() for split in ("train", "gallery")):
        rows, files = list_folders(place)
        left_out = LeftOut(files, identities_left_out(files, rows.pid))
    else:
        rows, left_out = _read_folder(place, find_cameras=camera_pattern is None)
    if camera_pattern is not None:
        if manifest and "camid" in rows:
            raise InputError(
                f"{manifest} says the cameras in its column camid: leave --camera_pattern out, or that column, as for "
                "a run that was trained with the pattern."
            )
        rows = rows.assign(camid=_cameras(rows.path, camera_pattern))
        check_tracks(rows, f"{place} has, with the cameras of --camera_pattern,")
    rows = rows.sort_values("path", ignore_index=True, key=lambda paths: paths.str.normalize("NFC"))
    if "split" in rows:
        if test_share is not None or split_seed is not None:
            raise InputError(f"{place} has a split of its own: leave --test_share and --split_seed out.")
    else:
        seed = SPLIT_SEED if split_seed is None else split_seed
        drawn = _draw_split(_numbered(rows), place, TEST_SHARE if test_share is None else test_share, seed)
        trained, tested = (drawn.pid[drawn.split == split].nunique() for split in ("train", "query"))
        name += f" {trained}/{tested}, split seed {seed}"
        rows = rows.assign(split=rows.path.map(dict(zip(drawn.path, drawn.split, strict=True))))
        columns = [column for column in TEXTS if column in rows]
        split = rows[columns].assign(path=rows.path.map(os.path.abspath)).astype(object)
        made["split.csv"] = split.where(split.notna(), "")  # of images without a track, as files have it
    everything = _numbered(rows).assign(split=rows.split)
    table, unasked = without_unasked(everything)
    left_out = dataclasses.replace(left_out, files={**left_out.files, **unasked})
    dataset = ReidDataset(name, table, left_out=left_out, made_splits=made)
    check_counts(dataset, place, {"query": Counts(), "gallery": Counts()}, allow_subset=True)
    return dataset


def _read_folder(place: Path, find_cameras: bool) -> tuple[pd.DataFrame, LeftOut]:
    """Path, pid and perhaps camid of the images in a folder without any split; and what is left out."""
    found, left_out = list_images(place)
    paths = [path.relative_to(place) for path in found]
    if not paths:
        raise InputError(f"{place} holds no images{only(left_out)}: {LAYOUTS}.")
    beside = [path for path in paths if len(path.parts) == 1]
    if 0 < len(beside) < len(paths):
        raise InputError(f"{place} holds images beside folders of images ({preview(beside)}): {LAYOUTS}.")
    if deep := [path for path in paths if len(path.parts) > 3]:
        raise InputError(f"{place} holds images deeper than IDENTITY/CAMERA/IMAGE ({preview(deep)}): {LAYOUTS}.")
    matches = [match for path in paths if (match := FILE_NAME.match(path.name))]
    unnamed = [path for path in paths if not FILE_NAME.match(path.name)]
    rows = pd.DataFrame({"path": [str(place / path) for path in paths]})
    if beside:
        if unnamed:
            raise InputError(f"{place} does not say who {len(unnamed):,} images show ({preview(unnamed)}): {LAYOUTS}.")
        rows = rows.assign(pid=[int(match[1]) for match in matches], camid=[int(match[2]) for match in matches])
        return rows, LeftOut(left_out, identities_left_out(left_out, rows.pid))
    identities = {path.parts[0] for path in paths}
    splits = sorted(filter(SPLIT_FOLDER.fullmatch, identities))
    if splits and len(splits) >= min(2, len(identities)):  # a single one among others may be somebody's name
        raise InputError(
            f"{place} holds folders called like splits, not like identities ({preview(splits)}): name one of them, or "
            "say in a manifest's column split which image is of which."
        )
    if any(path.parts[1] in (FOLDERS["train"], FOLDERS["gallery"]) for path in paths):
        raise InputError(f"{place} holds whole datasets, not identities ({preview(sorted(identities))}): name one.")
    if all(map(CAMERA_FOLDER.fullmatch, identities)):
        raise InputError(
            f"{place} holds folders called like cameras, not like identities ({preview(sorted(identities))}): put "
            "those into a folder for each identity, as in alice/cam1, or list the images in a manifest."
        )
    rows["pid"] = _folder_names(paths, 0, f"{place} has folders of identities called")
    everything = LeftOut(left_out, _folders_left_out(place, left_out, identities))
    if not find_cameras:
        return rows, everything
    if not unnamed:
        return rows.assign(camid=[int(match[2]) for match in matches]), everything
    without = [path for path in paths if len(path.parts) == 2]
    if 0 < len(without) < len(paths):
        raise InputError(
            f"{place} has folders of cameras for some of the images and none for {len(without):,} "
            f"({preview(without)}): put those into folders as well, or find the camera in all names with "
            "--camera_pattern."
        )
    if without and len(unnamed) < len(matches):
        raise InputError(
            f"{place} has cameras in the names of {len(matches):,} images, as c1 in 0002_c1, and none in those of "
            f"{len(unnamed):,} ({preview(unnamed)}): rename these, or find the camera in all names with "
            "--camera_pattern."
        )
    if not without:
        rows["camid"] = _folder_names(paths, 1, f"{place} has folders of cameras called")
    return rows, everything


def _folder_names(paths: Sequence[Path], level: int, where: str) -> pd.Series:
    """The names that folders give, `as_names`. Two folders beside each other whose names are the same are refused."""
    folders = pd.Series([unicodedata.normalize("NFC", path.parts[level]) for path in paths])
    names = as_names(folders, where)
    beside = folders.groupby([names, pd.Series([path.parts[:level] for path in paths])]).unique()
    if twins := [" and ".join(map(repr, spelled)) for spelled in beside if len(spelled) > 1]:
        raise InputError(f"{where} {preview(twins)}, which are one name: rename one of them.")
    return names


def _folders_left_out(place: Path, left_out: Mapping[str, str], read: Collection[str]) -> dict[str, str]:
    """The folders of identities that hold no image, as `LeftOut.identities`; `read` are the names of those that do."""
    inside: dict[str, dict[str, str]] = {
        entry: {} for entry in sorted(os.listdir(place)) if entry not in read and not is_hidden(entry)
    }
    for path, kind in left_out.items():
        inside.get(Path(path).relative_to(place).parts[0], {})[path] = kind
    return {
        str(place / name): no_image(name, files)
        for name, files in inside.items()
        if left_out.get(str(place / name), BROKEN_LINK) == BROKEN_LINK  # else a file, or a circle
    }


def group_regex(what: str, pattern: str) -> re.Pattern[str]:
    """The pattern of a "camera" or "track", compiled.

    Raises:
        InputError: it is no regular expression with one group.
    """
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise InputError(f"--{what}_pattern {pattern} is no regular expression: {error}.") from None
    if compiled.groups != 1:
        raise InputError(
            f"--{what}_pattern {pattern} has {compiled.groups} groups: put parentheses around the {what}, and nothing "
            f"else, as in {EXAMPLES[what]}."
        )
    return compiled


def _cameras(paths: pd.Series, pattern: str) -> pd.Series:
    """What the group of a pattern finds in the name of each file."""
    compiled = group_regex("camera", pattern)
    found = [compiled.search(os.path.basename(path)) for path in paths]
    if unmatched := [path for path, match in zip(paths, found, strict=True) if not match or not match[1]]:
        raise InputError(
            f"--camera_pattern {pattern} finds no camera in {len(unmatched):,} of {len(paths):,} names: "
            f"{preview(unmatched)}."
        )
    return as_names(pd.Series([match[1] for match in found if match]), f"--camera_pattern {pattern} finds the camera")


def _numbered(rows: pd.DataFrame) -> pd.DataFrame:
    """Path, pid and camid as numbers, and track where there is one; a camera that is not known is each image's own."""
    table = rows[["path"]].assign(pid=_numbers(rows, "pid"), camid=-_numbers(rows, "path"))
    if "camid" in rows:
        cameras = _numbers(rows, "camid")
        table["camid"] = cameras.where(cameras > NO_CAMERA, table.camid)
    return table.assign(track=rows.track) if "track" in rows else table


def _numbers(rows: pd.DataFrame, column: str) -> pd.Series:
    """Whole numbers as they are; texts numbered from 1, those of whole numbers first, by value; -1 stays.

    Those that are trained on come before all others, so that they keep their numbers when test images come or go.
    """
    values = rows[column]
    if pd.api.types.is_integer_dtype(values):
        return values
    trained = set(values[rows.split == "train"]) if "split" in rows else set()
    ordered = sorted(set(values) - {str(JUNK)}, key=lambda text: (text not in trained, *_order(text)))
    return values.map({str(JUNK): JUNK} | {text: i for i, text in enumerate(ordered, 1)}).astype(int)


def _order(text: str) -> tuple[bool, int, str]:
    number = re.fullmatch("-?[0-9]{1,18}", text)
    return not number, int(text) if number else 0, text


def _draw_split(table: pd.DataFrame, place: Path, share: float, seed: int) -> pd.DataFrame:
    """The table with a split: queries have matches in the gallery, and who is nobody in particular is there too."""
    people = table[table.pid > DISTRACTOR]
    count, most = people.pid.nunique(), len(searchable(people))
    if not 0 < share <= 1:
        raise InputError(f"--test_share is a share of the identities, above 0 and up to 1, not {share:g}.")
    if len(people) > 1 and people.camid.nunique() == 1:
        raise InputError(
            f"All images in {place} that show an identity are of one camera, and a match is counted under another: "
            "list them in a manifest without a column camid, so that every image counts as a camera's of its own, and "
            "leave --camera_pattern out."
        )
    asked = int(share * count + 1e-6)  # 0.29 of 100 are 29
    if not 0 < asked <= most:
        raise InputError(
            f"--test_share {share:g} of the {count:,} identities in {place} are {asked:,} to test on; there must be "
            f"one, and {most:,} at most: those that were seen by at least two cameras, and not only once by each (or, "
            "where cameras are not known, on two images)."
        )
    drawn = split_off(people, asked, seed)
    queries = drawn[drawn.split == "query"]
    alone = queries.index[~matched(queries, drawn[drawn.split == "gallery"])]
    drawn.loc[alone, "split"] = "gallery"
    others = table[table.pid <= DISTRACTOR].assign(split="gallery")
    return pd.concat([drawn, others], ignore_index=True)
