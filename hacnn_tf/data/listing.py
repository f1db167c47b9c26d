"""Which files of a folder are images, which are left out, and which are skipped: the same for every reader."""

import collections
import dataclasses
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

import PIL.Image

from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.text import preview, printable
from hacnn_tf.utils.types import FilePath
from hacnn_tf.utils.waiting import bar

# Pillow knows these by name, and decodes them with another program (EPS: Ghostscript), only on Windows, or not at all;
# and icons before it has said how many pixels they have.
NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "ICNS", "ICO", "MPEG", "WMF"}
READ_AS_JPEG = {"MPO"}  # two views of a stereo camera in a JPEG, which Pillow's JPEG reader opens
SYSTEM_NAMES = {  # of Windows, macOS and storage servers, in lower case
    "thumbs.db",
    "ehthumbs.db",
    "ehthumbs_vista.db",
    "desktop.ini",
    "$recycle.bin",
    "system volume information",
    "__macosx",
    "icon\r",
    "lost+found",
    "@eadir",
    "#recycle",
    "#snapshot",
}
NO_EXTENSION, BROKEN_LINK, CIRCULAR_LINK = "extensionless file", "broken link", "circular link"
SPECIAL, NESTED = "special file", "nested image"
KINDS_SHOWN = 9
MOST_NAMES = 100  # of one folder: links between folders multiply, and a walk along all of them might never end


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """What a reader found in a folder and does not use.

    Attributes:
        files: dict from path to kind: those of `list_images`, and "nested image", "unlisted image" or "unasked
            multi_query image".
        identities: of each identity whose files are all left out, from the path of its folder (or first file) to a
            text that says so.
        columns: of a manifest, those that say nothing to a reader.
    """

    files: Mapping[str, str] = dataclasses.field(default_factory=dict)
    identities: Mapping[str, str] = dataclasses.field(default_factory=dict)
    columns: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Sentences of a summary; none if nothing is left out."""
        lines = [f"left out: {count_kinds(self.files)}"] if self.files else []
        if self.columns:
            lines.append(f"columns without a use here: {preview(self.columns)}")
        if self.identities:
            names = preview([os.path.basename(path) for path in self.identities])
            lines.append(f"identities without an image: {len(self.identities):,} ({names})")
        return lines


def image_formats() -> set[str]:
    """The formats that Pillow decodes by itself, by Pillow's names, those of plugins that are registered among them."""
    PIL.Image.init()
    return set(PIL.Image.OPEN) - NOT_DECODED


def open_image(file: FilePath | IO[bytes]) -> PIL.Image.Image:
    """`PIL.Image.open`, but never by another program: an EPS may be called .jpg too."""
    return PIL.Image.open(file, formats=sorted(image_formats()))


def image_suffixes() -> set[str]:
    """The suffixes of image files, in lower case and with the dot.

    They are asked for anew each time: after `pillow_heif.register_heif_opener()`, .heic is one of them.
    """
    formats = image_formats() | READ_AS_JPEG
    return {suffix.lower() for suffix, name in PIL.Image.registered_extensions().items() if name in formats}


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden, or one that operating systems leave behind: skipped, and not counted."""
    return name.startswith(".") or name.lower() in SYSTEM_NAMES


def list_images(folder: FilePath) -> tuple[list[Path], dict[str, str]]:
    """The images in a folder and in the folders in it.

    Links are followed, except those to a folder that they lie in themselves. A folder that is reached by two names is
    listed under both. A link to nothing is an image if its name is an image's, so that who reads it says that it is not
    there.

    Args:
        folder: path of the folder.

    Returns:
        The paths of the images, sorted; and a dict from the path of what is left out to its kind: its suffix, as in
        ".heic", or "extensionless file", "broken link", "circular link" or "special file" (a pipe, a device). What is
        hidden (`is_hidden`) is in neither.

    Raises:
        InputError: a folder cannot be read, is reached by more than `MOST_NAMES` names, or images have names that are
            not in UTF-8.
    """
    suffixes = image_suffixes()
    images: list[Path] = []
    left_out: dict[str, str] = {}
    try:
        for path, entry in bar(_walk(Path(folder)), "Listing", unit="file"):
            if kind := _kind_left_out(entry, suffixes) if entry else CIRCULAR_LINK:
                left_out[str(path)] = kind
            else:
                images.append(path)
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}.") from None
    _check_names(images)
    return sorted(images, key=lambda path: path.parts), dict(sorted(left_out.items()))


def _walk(folder: Path) -> Iterator[tuple[Path, "os.DirEntry[str] | None"]]:
    """The files in a folder and in those in it, except what is hidden; and folders that links lead back to, as None."""
    names: collections.Counter[tuple[int, int]] = collections.Counter()
    todo = [(folder, _folders_around(folder))]
    while todo:
        parent, around = todo.pop()
        try:
            here, found = _inode(parent), os.scandir(parent)
        except FileNotFoundError:
            if parent == folder:
                raise
            continue  # removed since it was listed, as old days of a camera are
        with found:
            if here in around:
                yield parent, None
                continue
            names[here] += 1
            if names[here] > MOST_NAMES:
                raise InputError(f"Links lead to {parent} by more than {MOST_NAMES} names: remove some of the links.")
            for entry in found:
                path = parent / entry.name
                if is_hidden(entry.name):
                    continue
                if _is_folder(entry):
                    linked = _folders_around(path) if entry.is_symlink() else set()
                    todo.append((path, around | {here} | linked))
                else:
                    yield path, entry


def count_kinds(left_out: Mapping[str, str]) -> str:
    """The kinds of what is left out with their numbers, most frequent first: "3 .heic, 1 broken link"."""
    counts = sorted(collections.Counter(left_out.values()).items(), key=lambda item: (-item[1], item[0]))
    shown = [
        f"{count:,} {printable(kind)}{'s' * (count > 1 and not kind.startswith('.'))}"
        for kind, count in counts[:KINDS_SHOWN]
    ]
    more = sum(count for _, count in counts[KINDS_SHOWN:])
    return ", ".join(shown) + (f" and {more:,} of other kinds" if more else "")


def only(left_out: Mapping[str, str]) -> str:
    """What there is in the place of images, to end a sentence with: ", only 3 .heic"; nothing if there is nothing."""
    return f", only {count_kinds(left_out)}" if left_out else ""


def no_image(identity: str, left_out: Mapping[str, str]) -> str:
    """What to say of an identity all of whose files are left out."""
    return f"identity {printable(identity)} has no image{only(left_out) or ': its folder is empty'}"


def _inode(path: FilePath) -> tuple[int, int]:
    """What a file is known by, whatever it is called."""
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _folders_around(path: FilePath) -> set[tuple[int, int]]:
    """The folders that what a path leads to lies in."""
    return {_inode(parent) for parent in Path(os.path.realpath(path)).parents}


def _kind_left_out(entry: os.DirEntry[str], suffixes: Collection[str]) -> str | None:
    """Why what is no folder is left out; None if it is an image."""
    suffix = os.path.splitext(entry.name)[1].lower()
    if _is_file(entry):
        return None if suffix in suffixes else suffix or NO_EXTENSION
    if os.path.exists(entry):
        return SPECIAL
    return None if suffix in suffixes else BROKEN_LINK


def _is_folder(entry: os.DirEntry[str]) -> bool:
    # Of what is no link it is known without a look at the file, which is slow on network disks.
    return os.path.isdir(entry) if entry.is_symlink() else entry.is_dir()


def _is_file(entry: os.DirEntry[str]) -> bool:
    return os.path.isfile(entry) if entry.is_symlink() else entry.is_file()


def _check_names(paths: Iterable[Path]) -> None:
    """The names of images go into records that are in UTF-8."""
    if undecodable := [path for path in map(str, paths) if re.search(r"[\ud800-\udfff]", path)]:  # of other bytes
        raise InputError(
            f"The names of {len(undecodable):,} images are not in UTF-8: {preview(undecodable)}; rename them."
        )
