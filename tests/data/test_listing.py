"""What every reader takes of a folder: all that Pillow decodes, whatever links lead there; and counts of the rest."""

import io
import itertools
import os
import shutil
import socket
import stat
import subprocess
from pathlib import Path

import PIL.Image
import PIL.ImageFile
import pytest

from hacnn_tf.data import listing
from hacnn_tf.data.listing import LeftOut, count_kinds, image_suffixes, list_images
from hacnn_tf.utils.errors import InputError
from tests.data.conftest import touch


def listed(folder):
    """The images, and the kinds of what is left out, by their paths below a folder."""
    images, left_out = list_images(folder)
    return (
        [os.path.relpath(path, folder) for path in images],
        {os.path.relpath(path, folder): kind for path, kind in left_out.items()},
    )


def test_every_kind_that_pillow_decodes_is_an_image():
    decoded = set()
    for suffix, name in PIL.Image.registered_extensions().items():
        for mode in ("RGB", "1", "P"):
            file = io.BytesIO()
            try:
                PIL.Image.new(mode, (8, 8)).save(file, name)
                if name != "EPS":  # which Ghostscript decodes
                    PIL.Image.open(file).load()
                    decoded.add(suffix)
                break
            except Exception:  # whatever Pillow raises for a mode or format that it does not write or read
                continue
    assert decoded >= {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".mpo", ".jp2", ".ppm"}
    assert decoded - image_suffixes() <= {".icns", ".ico"}  # icons, which are decoded before their size is known


def test_a_folder_that_goes_while_others_are_listed_is_none(tmp_path, monkeypatch):
    touch(tmp_path, "a/1.jpg", "b/2.jpg")
    join = Path.__truediv__

    def join_and_remove(folder, name):
        path = join(folder, name)
        if folder == tmp_path and name == "b":  # both are listed, none is read
            shutil.rmtree(path)
        return path

    with monkeypatch.context() as patch:
        patch.setattr(Path, "__truediv__", join_and_remove)
        assert listing.list_images(tmp_path) == ([join(tmp_path, "a/1.jpg")], {})
    with pytest.raises(InputError, match="gone cannot be read: No such file"):
        listing.list_images(tmp_path / "gone")


def test_what_pillow_only_knows_by_name_is_none():
    PIL.Image.init()
    readers = {name: reader for name, (reader, _) in PIL.Image.OPEN.items() if isinstance(reader, type)}
    stubs = {name for name, reader in readers.items() if issubclass(reader, PIL.ImageFile.StubImageFile)}
    assert stubs and not stubs & listing.image_formats()
    assert (
        not {".ico", ".icns", ".eps", ".ps", ".wmf", ".hdf", ".h5", ".mpg", ".pdf", ".txt", ".mat", ".csv"}
        & image_suffixes()
    )


def test_the_format_of_a_plugin_is_an_image_as_soon_as_it_is_registered(tmp_path, monkeypatch):
    touch(tmp_path, "a.heic")
    assert listed(tmp_path) == ([], {"a.heic": ".heic"})
    PIL.Image.init()
    monkeypatch.setitem(PIL.Image.OPEN, "HEIF", (PIL.ImageFile.ImageFile, None))
    monkeypatch.setitem(PIL.Image.EXTENSION, ".heic", "HEIF")
    assert listed(tmp_path) == (["a.heic"], {})


def test_images_and_what_is_left_out(tmp_path):
    touch(tmp_path, "a.webp", "b/c.JPG", "b/d/e.Tiff", "b/f.heic", "g.HEIC", "notes.txt", "image", "b/x.tar.gz")
    images, left_out = listed(tmp_path)
    assert images == ["a.webp", "b/c.JPG", "b/d/e.Tiff"]
    assert left_out == {
        "b/f.heic": ".heic",
        "b/x.tar.gz": ".gz",
        "g.HEIC": ".heic",
        "image": "extensionless file",
        "notes.txt": ".txt",
    }


@pytest.mark.parametrize(
    "name",
    [
        "._0001_c1_1.jpg",
        ".DS_Store",
        ".git/a.jpg",
        "Thumbs.db",
        "thumbs.DB",
        "desktop.ini",
        "__MACOSX/a.jpg",
        "@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg",
        "$RECYCLE.BIN/a.jpg",
        "Icon\r",
    ],
)
def test_what_is_hidden_or_the_systems_is_skipped(name, tmp_path):
    assert listed(touch(tmp_path, name, f"deep/{name}", "a.jpg")) == (["a.jpg"], {})


def test_a_hidden_folder_that_is_named_is_read(tmp_path):
    assert listed(touch(tmp_path / ".people", "a.jpg")) == (["a.jpg"], {})


def test_links_are_followed(tmp_path):
    touch(tmp_path / "store", "alice/1.jpg", "bob.jpg")
    root = touch(tmp_path / "people", "carol/1.jpg")
    (root / "alice").symlink_to(tmp_path / "store" / "alice")
    (root / "twin").symlink_to("alice")
    (root / "bob").mkdir()
    (root / "bob" / "x.jpg").symlink_to(tmp_path / "store" / "bob.jpg")
    assert listed(root) == (["alice/1.jpg", "bob/x.jpg", "carol/1.jpg", "twin/1.jpg"], {})
    (tmp_path / "root").symlink_to(root)
    assert listed(tmp_path / "root")[0] == listed(root)[0]


def test_links_do_not_run_in_circles(tmp_path):
    root = touch(tmp_path / "people", "a/1.jpg", "b/1.jpg")
    (root / "self").symlink_to(".")
    (root / "a" / "up").symlink_to("..")
    (root / "a" / "b").symlink_to("../b")
    (root / "b" / "a").symlink_to("../a")
    images, left_out = listed(root)
    assert images == ["a/1.jpg", "a/b/1.jpg", "b/1.jpg", "b/a/1.jpg"]
    assert left_out == dict.fromkeys(["self", "a/up", "a/b/a", "b/a/up", "b/a/b"], "circular link")


def test_a_link_to_what_lies_around_the_folder_is_not_followed(tmp_path):
    """Neither around the folder that was named, nor around one that a link leads to: the whole disk would be listed."""
    touch(tmp_path, "store/alice/1.jpg", "store/bob/1.jpg", "people/carol/1.jpg")
    (tmp_path / "people" / "alice").symlink_to(tmp_path / "store" / "alice")
    (tmp_path / "store" / "alice" / "all").symlink_to("..")
    (tmp_path / "people" / "root").symlink_to("/")
    (tmp_path / "people" / "up").symlink_to(tmp_path)
    images, left_out = listed(tmp_path / "people")
    assert images == ["alice/1.jpg", "carol/1.jpg"]
    assert left_out == dict.fromkeys(["alice/all", "root", "up"], "circular link")


def test_links_between_many_folders_end(tmp_path):
    """Each of 30 folders holds links to all the others: more ways through them than could ever be walked."""
    for name in (names := [f"p{i}" for i in range(30)]):
        touch(tmp_path, f"{name}/1.jpg")
    for name, other in itertools.permutations(names, 2):
        (tmp_path / name / other).symlink_to(f"../{other}")
    with pytest.raises(InputError, match=r"Links lead to .* by more than 100 names: remove some of the links"):
        list_images(tmp_path)


def test_links_to_nothing(tmp_path):
    """One with an image's name is an image that is not there, which whoever reads it says."""
    for name in ("a.jpg", "p7", "b.txt"):
        (tmp_path / name).symlink_to("gone")
    (tmp_path / "loop").symlink_to("loop")
    broken = dict.fromkeys(["b.txt", "loop", "p7"], "broken link")
    assert listed(tmp_path) == (["a.jpg"], broken)


def test_pipes_and_sockets_are_no_images(tmp_path):
    """To open a pipe is to wait for whoever writes into it."""
    os.mkfifo(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").symlink_to("a.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "c.jpg"))
    assert stat.S_ISSOCK((tmp_path / "c.jpg").stat().st_mode)
    assert listed(tmp_path) == ([], dict.fromkeys(["a.jpg", "b.jpg", "c.jpg"], "special file"))


def test_very_deep_folders(tmp_path):
    deep = tmp_path.joinpath(*"d" * 1200)
    subprocess.run(["mkdir", "-p", deep], check=True)
    touch(deep, "a.jpg")
    assert list_images(tmp_path)[0] == [deep / "a.jpg"]
    subprocess.run(["rm", "-r", tmp_path / "d"], check=True)  # deeper than Python's own removal goes


def test_folders_that_cannot_be_read(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"none cannot be read: No such file or directory"):
        list_images(tmp_path / "none")
    touch(tmp_path, "a/1.jpg")

    def closed(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(InputError, match=f"{tmp_path} cannot be read: Permission denied"):
        list_images(tmp_path)


def test_counts_of_kinds():
    def left_out(**counts):
        return {f"{kind}{i}": kind for kind, count in counts.items() for i in range(count)}

    assert count_kinds({}) == ""
    assert count_kinds(left_out(**{".txt": 1, ".heic": 3})) == "3 .heic, 1 .txt"
    assert (
        count_kinds(left_out(**{".a": 1, "broken link": 1, "special file": 2}))
        == "2 special files, 1 .a, 1 broken link"
    )
    assert count_kinds(left_out(**{".a\n": 1200})) == r"1,200 '.a\n'"
    many = count_kinds(left_out(**{f".{i:02}": 1 + (i < 9) for i in range(40)}))
    assert many.startswith("2 .00, 2 .01, ") and many.endswith("2 .08 and 31 of other kinds")


def test_lines_of_a_summary():
    assert LeftOut().lines() == []
    identities = {f"people/p{i}": "" for i in range(1, 6)}
    assert LeftOut({"people/p1/a.heic": ".heic"}, identities).lines() == [
        "left out: 1 .heic",
        "identities without an image: 5 (p1, p2, p3 and 2 more)",
    ]


def test_a_large_folder_says_how_far_its_listing_is(tmp_path, monkeypatch):
    shown = []

    def bar(items, what, unit):
        shown.append((what, unit, list(items)))
        return shown[-1][-1]

    monkeypatch.setattr(listing, "bar", bar)
    touch(tmp_path, "a/1.jpg", "b/2.txt")
    assert listed(tmp_path) == (["a/1.jpg"], {"b/2.txt": ".txt"})
    ((what, unit, files),) = shown
    assert (what, unit, len(files)) == ("Listing", "file", 2)
