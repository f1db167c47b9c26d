"""index, as typed: what is new, what has changed, and what it refuses."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import PIL.Image
import pytest

pytest.importorskip("lancedb", reason='needs the extra "search"')

from hacnn_tf import ReID, index
from hacnn_tf.gallery import Database
from hacnn_tf.preset import FOR_USE
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import locked
from tests.conftest import command, fails
from tests.gallery.conftest import MODEL, make_features, make_rows

pytestmark = pytest.mark.usefixtures("opened_once")


def copy_first(gallery, folder, names):
    """Copies the first images of the gallery, under these names."""
    for name, file in zip(names, sorted(gallery.iterdir()), strict=False):
        shutil.copy(file, folder / name)


def test_indexing_again_takes_only_what_is_new_or_has_changed(small_run, gallery, query, tmp_path, capsys, monkeypatch):
    images, path = tmp_path / "images", tmp_path / "people.lance"
    shutil.copytree(gallery, images)
    (images / "0001_c1_broken.jpg").write_text("no image")
    for name in ("a.heic", "b.HEIC", "notes.txt", "Thumbs.db", "._0001_c1_1.jpg"):
        (images / name).touch()
    args = [f"--model={small_run}", f"--images={images}", f"--database={path}"]
    command(index, *args)
    told = capsys.readouterr()
    assert "32 added, 0 replaced, 0 as they were, 0 metadata updated, 1 that cannot be read; 32 in all" in told.out
    assert told.out.endswith("32 in all, none with a time; left out: 2 .heic, 1 .txt.\n")
    assert "0001_c1_broken.jpg cannot be read: not an image that Pillow reads; left out." in told.err
    names = sorted(os.listdir(gallery))
    shutil.copy(query[0], images / names[5])
    shutil.copy(query[1], images / "0099_c3_1.jpg")
    command(index, *args)
    assert "1 added, 1 replaced, 31 as they were, 0 metadata updated, 1 that cannot" in capsys.readouterr().out
    model, database = ReID.from_preset(small_run), Database(path)
    (found,) = database.search(model.embed(query[0]), top=1)
    assert os.path.basename(found.path[0]) == names[5] and found.distance[0] < 1e-3
    assert database.rows(["camid"], "path like '%0099_c3_1.jpg'").camid.tolist() == [3]
    (images / "0001_c1_broken.jpg").unlink()
    before = sorted(entry.name for entry in path.rglob("*"))
    command(index, *args)
    assert "0 added, 0 replaced, 33 as they were, 0 metadata updated, 0 that cannot" in capsys.readouterr().out
    assert sorted(entry.name for entry in path.rglob("*")) == before
    (images / "0099_c3_1.jpg").write_text("no image any more")
    monkeypatch.setattr(Database, "outdated", "Read otherwise.")
    command(index, *args)
    told = capsys.readouterr()
    assert told.err.startswith("Read otherwise.\n")
    assert "0 added, 0 replaced, 32 as they were, 0 metadata updated, 1 that cannot" in told.out
    assert "0099_c3_1.jpg cannot be read: not an image that Pillow reads; its row stays as it was." in told.err


def test_a_replaced_file_of_the_same_size_is_indexed_again(small_run, tmp_path, capsys):
    path, features = tmp_path / "people.lance", []
    for colour in ("red", "blue"):
        PIL.Image.new("RGB", (8, 16), colour).save(tmp_path / "a.bmp")
        command(index, f"--model={small_run}", f"--images={tmp_path}", f"--database={path}")
        features.append(Database(path).feature([tmp_path / "a.bmp"]))
    assert "0 added, 1 replaced, 0 as they were, 0 metadata updated" in capsys.readouterr().out
    assert not np.array_equal(*features)


def test_what_is_said_of_an_image_can_be_corrected_without_extracting_it_again(
    small_run, gallery, tmp_path, capsys, monkeypatch
):
    names = [f"20261124_08000{i}.jpg" for i in range(3)]
    copy_first(gallery, tmp_path, names)
    path, manifest = tmp_path / "people.lance", tmp_path / "manifest.csv"
    args = [f"--model={small_run}", f"--images={tmp_path}", f"--database={path}"]
    manifest.write_text("path,camid,coat\n" + "".join(f"{name},1,red\n" for name in names))
    command(index, *args)
    before = Database(path).feature([str(tmp_path / name) for name in names])
    manifest.write_text(f"path,camid,coat\n{names[0]},1,red\n{names[1]},2,red\n{names[2]},1,\n")
    monkeypatch.setattr(ReID, "_read", None)  # no image is opened
    command(index, *args)
    assert "0 added, 0 replaced, 1 as they were, 2 metadata updated, 0 that cannot" in capsys.readouterr().out
    rows = Database(path).rows(["path", "camid", "coat", "time", "feature"]).sort_values("path", ignore_index=True)
    assert rows.camid.tolist() == [1, 2, 1] and rows.coat.isna().tolist() == [False, False, True]
    assert [f"{time:%Y%m%d_%H%M%S}.jpg" for time in rows.time] == names
    np.testing.assert_array_equal(np.stack(rows.feature), before)


def test_rows_of_files_that_are_gone_are_counted_and_can_still_be_corrected(small_run, gallery, tmp_path, capsys):
    names = [f"c{i}.jpg" for i in range(3)]
    copy_first(gallery, tmp_path, names)
    path, manifest = tmp_path / "people.lance", tmp_path / "manifest.csv"
    args = [f"--model={small_run}", f"--images={tmp_path}", f"--database={path}"]
    manifest.write_text("path,camid\n" + "".join(f"{name},1\n" for name in names))
    command(index, *args)
    assert "gone" not in capsys.readouterr().out
    (tmp_path / names[0]).unlink()
    (tmp_path / names[1]).unlink()
    before = Database(path).rows(["path", "bytes", "modified"])
    manifest.write_text(f"path,camid\n{names[0]},2\n{names[2]},1\n")
    command(index, *args)
    told = capsys.readouterr()
    assert "0 replaced, 1 as they were, 1 metadata updated, 0 that cannot be read; 3 in all" in told.out
    assert f"; 2 rows are of files that are gone from {tmp_path}, which --remove would delete." in told.out
    assert not told.err
    rows = Database(path).rows(["path", "camid", "bytes", "modified"]).sort_values("path", ignore_index=True)
    assert rows.camid.tolist() == [2, 1, 1]
    pd.testing.assert_frame_equal(rows[before.columns], before.sort_values("path", ignore_index=True))
    command(index, f"--database={path}", "--list=camid = 1")
    assert capsys.readouterr().out == "".join(f"{tmp_path}/{name}\n" for name in names[1:])


def test_rows_of_other_folders_and_what_was_never_indexed_are_not_gone(small_run, gallery, tmp_path, capsys):
    for name in ("door", "door 2"):
        (tmp_path / name).mkdir()
        shutil.copy(min(gallery.iterdir()), tmp_path / name / "a.jpg")
        (tmp_path / name / "manifest.csv").write_text("path,camid\na.jpg,1\n")
        command(index, f"--model={small_run}", f"--images={tmp_path / name}", f"--database={tmp_path}/p.lance")
    (tmp_path / "door 2/a.jpg").unlink()
    (tmp_path / "door/manifest.csv").write_text("path,camid\na.jpg,1\nnever.jpg,1\n")
    capsys.readouterr()
    command(index, f"--model={small_run}", f"--images={tmp_path}/door", f"--database={tmp_path}/p.lance")
    told = capsys.readouterr()
    assert "1 as they were, 0 metadata updated, 0 that cannot be read, 1 listed but not there; 2 in all" in told.out
    assert "gone" not in told.out and not told.err


def test_what_is_listed_is_in_order_and_a_line_each(tmp_path, capsys):
    rows = make_rows(range(3)).assign(path=["/b.jpg", "/a\n\x1b[2J.jpg", "/c.jpg"])
    Database.create(tmp_path / "p.lance", MODEL, rows[:0]).write(rows, make_features(3))
    command(index, f"--database={tmp_path}/p.lance", "--list=true")
    assert capsys.readouterr().out == "'/a\\n\\x1b[2J.jpg'\n/b.jpg\n/c.jpg\n"


def test_tracks_that_last_for_hours_are_counted(small_run, gallery, tmp_path, capsys):
    for name, file in zip(
        ("a_080000.jpg", "a_090001.jpg", "b_080000.jpg", "b_090000.jpg"), sorted(gallery.iterdir()), strict=False
    ):
        shutil.copy(file, tmp_path / name.replace("_", "_20261124_"))
    args = [f"--model={small_run}", f"--images={tmp_path}", f"--database={tmp_path}/p.lance", "--track_pattern=([ab])_"]
    command(index, *args)
    assert "4 in all in 2 tracks, 1 of them longer than an hour, none with a camera." in capsys.readouterr().out


def test_a_manifest_of_another_day_may_hold_other_kinds_of_values(small_run, gallery, tmp_path, capsys):
    files = sorted(gallery.iterdir())[:2]
    for file in files:
        shutil.copy(file, tmp_path)
    path = tmp_path / "people.lance"
    for line in (f"{files[0].name},door,170", f"{files[1].name},7,"):
        (tmp_path / "manifest.csv").write_text(f"path,camid,height\n{line}\n")
        for _ in range(2):
            command(index, f"--model={small_run}", f"--images={tmp_path}", f"--database={path}")
        assert "0 added, 0 replaced, 1 as they were, 0 metadata updated" in capsys.readouterr().out.splitlines()[-1]
    rows = Database(path).rows(["camid", "height"])
    assert rows.camid.tolist() == ["door", "7"] and rows.height.isna().tolist() == [False, True]
    (tmp_path / "manifest.csv").write_text(f"path,shoes\n{files[0].name},red\n")
    with pytest.raises(SystemExit, match=r"has the columns .*height.*, and these images .*shoes"):
        command(index, f"--model={small_run}", f"--images={tmp_path}", f"--database={path}")


def test_a_column_may_say_nothing_of_the_first_images(small_run, gallery, tmp_path, monkeypatch):
    monkeypatch.setattr("hacnn_tf.gallery.indexing.BATCH", 1)
    copy_first(gallery, tmp_path, ("a.jpg", "b.jpg"))
    (tmp_path / "manifest.csv").write_text("path,coat\na.jpg,\nb.jpg,red\n")
    path = tmp_path / "people.lance"
    command(index, f"--model={small_run}", f"--images={tmp_path}", f"--database={path}")
    assert Database(path).rows(["coat"]).coat.dropna().tolist() == ["red"]


def test_what_was_stopped_while_it_tidied_is_tidied_by_the_same_command(small_run, gallery, tmp_path, monkeypatch):
    path = tmp_path / "people.lance"
    shutil.copy(min(gallery.iterdir()), tmp_path / "a.jpg")
    args = f"--model={small_run}", f"--images={tmp_path}", f"--database={path}"
    monkeypatch.setattr("hacnn_tf.gallery.database.MOST_VERSIONS", 1)
    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(Database, "tidy", lambda _: signal.raise_signal(signal.SIGINT))
        command(index, *args)
    assert Database(path).untidy
    command(index, *args)
    assert not Database(path).untidy


def test_a_database_of_which_all_was_removed_is_indexed_into_again(small_run, gallery, tmp_path, capsys):
    path = tmp_path / "people.lance"
    shutil.copy(min(gallery.iterdir()), tmp_path / "a.jpg")
    for args in ([f"--model={small_run}", f"--images={tmp_path}"], ["--remove=true", "--yes"]) * 2:
        command(index, *args, f"--database={path}")
    said = [line for line in capsys.readouterr().out.splitlines() if str(path) in line]
    assert ["1 added" in said[0], "1 removed" in said[1], "1 added" in said[2], "1 removed" in said[3]] == [True] * 4


def test_what_is_missing_is_said_before_any_image_is_extracted(small_run, gallery, tmp_path, monkeypatch):
    monkeypatch.setattr(ReID, "embed_each", None)
    args = [f"--model={small_run}", f"--images={gallery}", f"--database={tmp_path}/p.lance"]
    for error, sentence in (
        (ModuleNotFoundError(name="nowhere"), "nowhere is not installed, which a database needs: pip install"),
        (ImportError("libgomp.so.1: cannot open"), "a database needs is installed, but cannot be loaded (libgomp.so.1"),
    ):
        monkeypatch.setattr("hacnn_tf.gallery.lance._missing", error)
        assert sentence in fails(index, args)


def test_flags_of_a_network_reach_it(gallery, tmp_path, monkeypatch):
    asked = []

    def open_model(*how):
        asked.append(how)
        raise InputError("That is all.")

    monkeypatch.setattr(index, "open_model", open_model)
    monkeypatch.setattr(index, "find_model", lambda _: None)
    flags = ["--precision=mixed_bfloat16", "--runtime=tensorflow"]
    args = ["--model=mine", f"--images={gallery}", f"--database={tmp_path}/p.lance", *flags]
    assert "That is all." in fails(index, args)
    assert asked == [("mine", "mixed_bfloat16", "tensorflow")]


def test_what_has_no_camera_or_track_though_others_have_is_counted(small_run, gallery, tmp_path, capsys):
    patterns = {"camera": "_c([12])_", "track": "(.*_c1)_"}
    flags = [f"--{name}_pattern={pattern}" for name, pattern in patterns.items()]
    command(index, f"--model={small_run}", f"--images={gallery}", f"--database={tmp_path}/p.lance", *flags)
    names = [path.name for path in gallery.iterdir()]
    cameras, tracks = (sum(not re.search(pattern, name) for name in names) for pattern in patterns.values())
    assert 0 < cameras < tracks
    assert f", {cameras} without a camera, {tracks} without a track, none with a time.\n" in capsys.readouterr().out


def test_a_track_is_of_one_camera_also_over_two_runs(small_run, gallery, tmp_path, monkeypatch):
    copy_first(gallery, tmp_path, ("t1_cam1.jpg", "t2_cam2.jpg"))
    path = tmp_path / "p.lance"
    args = [f"--model={small_run}", f"--images={tmp_path}", f"--database={path}", "--camera_pattern=cam([0-9])"]
    args.append("--track_pattern=t([0-9])_")
    command(index, *args)
    shutil.copy(tmp_path / "t1_cam1.jpg", tmp_path / "t1_cam2.jpg")
    assert "1 tracks with more than one camera, 1: a track is of one person" in fails(index, args)
    other = tmp_path / "others"
    other.mkdir()
    (tmp_path / "t1_cam2.jpg").rename(other / "t1_cam2.jpg")
    args[1] = f"--images={other}"
    monkeypatch.setattr(ReID, "embed_each", None)  # before any image is extracted
    assert f"{path} would have 1 tracks with more than one camera, 1: " in fails(index, args)
    shutil.rmtree(other)
    (tmp_path / "t1_cam1.jpg").rename(tmp_path / "t1_cam3.jpg")
    args[1] = f"--images={tmp_path}"
    moved = f"; 1 rows are of files that are gone from {tmp_path}, which may be of images that were moved"
    assert moved in fails(index, args)
    assert len(Database(path)) == 2


def test_times_are_stored_and_what_is_too_old_is_removed(small_run, gallery, tmp_path, capsys):
    files = sorted(gallery.iterdir())[:6]
    for i, file in enumerate(files):
        shutil.copy(file, tmp_path / f"2026112{i}_080000_c1.jpg")
    path = tmp_path / "people.lance"
    command(index, f"--model={small_run}", f"--images={tmp_path}", f"--database={path}")
    assert Database(path).rows(["time"]).time.max() == pd.Timestamp("2026-11-25 08:00:00")
    command(index, f"--database={path}", "--remove=time < timestamp '2026-11-23 00:00:00'", "--yes")
    assert capsys.readouterr().out.endswith(f"3 removed from {path}, 3 left.\n")
    assert Database(path).rows(["time"]).time.min() == pd.Timestamp("2026-11-23 08:00:00")
    assert len(list(tmp_path.glob("*.jpg"))) == 6, "the images themselves are left alone"


def test_a_model_that_is_not_named_is_the_databases(small_run, gallery, tmp_path, capsys):
    command(index, f"--model={small_run}", f"--images={gallery}", f"--database={tmp_path}/p.lance")
    capsys.readouterr()
    command(index, f"--images={gallery}", f"--database={tmp_path}/p.lance")
    said = capsys.readouterr().out
    assert said.startswith(f"Features are those of {small_run}.\n") and "0 added, 0 replaced, 32 as they were" in said
    (tmp_path / "new").mkdir()
    copy_first(gallery, tmp_path / "new", ["0001_c1.jpg"])
    command(index, f"--images={tmp_path}/new", f"--database={tmp_path}/new.lance")
    assert Database(tmp_path / "new.lance").preset == FOR_USE


def test_index_refuses_what_it_cannot_use(small_run, gallery, people, tmp_path):
    model, images, database = f"--model={small_run}", f"--images={gallery}", f"--database={tmp_path}/p.lance"
    (tmp_path / "empty").mkdir()
    for args, words in (
        ([model, images], "--database must be given"),
        ([model, f"--images={tmp_path}/empty", database], "holds no images, nor do the folders in it"),
        ([model, f"--images={tmp_path}/none", database], "is not there"),
        ([f"--model={tmp_path}", images, database], "is not a run folder, preset or export"),
        ([model, images, f"--database={tmp_path}/people"], "must end in .lance"),
        (
            [model, database, "--remove=true"],
            "--remove goes with --database, --yes, --audit alone: leave --model out",
        ),
        ([model, images, database, "--yes"], "--yes answers the question of --remove and --keep_days: leave it out"),
        ([model, images, database, "--audit=log"], "--audit records what --remove and --keep_days delete: leave it"),
        (
            [images, database, "--keep_days=9"],
            "--keep_days goes with --database, --yes, --audit alone: leave --im",
        ),
        ([database, "--keep_days=9", "--remove=true"], "--remove goes with --database, --yes, --audit alone: lea"),
        ([database, "--list=true", "--yes"], "--list goes with --database alone: leave --yes out"),
        ([database, "--list=true", "--remove=true"], "--list goes with --database alone: leave --remove out"),
        ([database, "--list=true", "--audit=log"], "--list goes with --database alone: leave --audit out"),
        ([database, "--list=true", "--remove="], "--list goes with --database alone: leave --remove out"),
        ([f"--database={people}", "--list=", "--remove=true", "--yes"], "leave --remove and --yes out"),
        (
            [database, "--remove=true", "--precision=float32", "--runtime=onnx", "--camera_pattern=c"],
            "leave --precision and --runtime and --camera_pattern out",
        ),
        ([database, "--remove=true", "--track_pattern="], "leave --track_pattern out"),
        ([f"--database={people}", "--list="], "cannot be used: it says nothing"),
        ([f"--database={people}", "--list=camid ="], "cannot be used: it is not one whole condition"),
        ([database, "--keep_days=0"], "--keep_days"),
        ([database, "--keep_days=9"], "is not a database of features"),
        ([database, "--remove=true"], "is not a database of features"),
        ([f"--database={people}", "--remove="], "cannot be used: it says nothing"),
        ([f"--database={people}", "--remove=camid ="], "cannot be used: it is not one whole condition"),
        ([f"--database={people}", "--remove=camid = 1.5", "--yes"], "cannot be used on"),
    ):
        assert words in fails(index, args)
        assert os.listdir(tmp_path) == ["empty"]
    assert len(Database(people)) == 32


def test_images_none_of_which_can_be_read(small_run, tmp_path):
    (tmp_path / "a.jpg").write_text("no image")
    args = [f"--model={small_run}", f"--images={tmp_path}", f"--database={tmp_path}/p.lance"]
    assert "None of the 1 images can be read" in fails(index, args)
    assert not (tmp_path / "p.lance").exists()


def test_one_process_writes_at_a_time(small_run, gallery, people, monkeypatch):
    monkeypatch.setattr("hacnn_tf.gallery.lock.WRITE_WAIT", 0.1)
    with locked(people.with_name(f".{people.name}.lock")):
        args = [f"--model={small_run}", f"--images={gallery}", f"--database={people}"]
        assert re.search(r"people\.lance is being written by process \d+", fails(index, args))


@pytest.mark.slow
def test_what_was_killed_goes_on_with_the_same_command(programs, small_data_root, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for path in small_data_root.glob("synthetic/detected/bounding_box_train/*.jpg"):
        for copy in range(20):  # so many that no kill comes too late
            shutil.copy(path, images / f"{copy:02}{path.name[2:]}")
    in_small_batches = (
        "from hacnn_tf import index; from hacnn_tf.gallery import indexing; indexing.BATCH = 8;"
        "index.COMMAND.run(index.main)"
    )
    args = [sys.executable, "-c", in_small_batches, f"--model={programs('onnx')}", f"--images={images}"]
    whole, killed = tmp_path / "whole.lance", tmp_path / "killed.lance"
    subprocess.run([*args, f"--database={whole}"], check=True)
    rng = np.random.default_rng(0)
    for _ in range(3):
        before = sorted(killed.glob("_versions/*"))
        process = subprocess.Popen([*args, f"--database={killed}"], stdout=subprocess.DEVNULL)
        while process.poll() is None and sorted(killed.glob("_versions/*")) == before:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.5))
        process.kill()
        assert process.wait() == -signal.SIGKILL, "it had ended before"
        assert len(Database(killed)) % 8 == 0
    subprocess.run([*args, f"--database={killed}"], check=True)
    columns = ["path", "bytes", "modified", "camid", "feature"]
    expected, found = (Database(path).rows(columns).sort_values("path", ignore_index=True) for path in (whole, killed))
    pd.testing.assert_frame_equal(found[columns[:-1]], expected[columns[:-1]])
    np.testing.assert_allclose(np.stack(found.feature), np.stack(expected.feature), atol=1e-6)


def test_home_is_where_the_lock_is_too(small_run, gallery, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(gallery, tmp_path / "images")
    os.symlink(small_run, tmp_path / "run")
    command(index, "--model=~/run", "--images=~/images", "--database=~/p.lance")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".p.lance.lock", "images", "p.lance", "run"]
    assert (tmp_path / "p.lance").stat().st_mode & 0o777 == 0o700
    assert ReID.from_preset(Database("~/p.lance").preset).fingerprint == ReID.from_preset(small_run).fingerprint


def test_a_replaced_file_of_the_same_time_is_indexed_again(small_run, tmp_path, capsys):
    """As `cp -p` and `rsync -t` leave one."""
    for colour, size in (("red", (8, 16)), ("blue", (16, 32))):
        PIL.Image.new("RGB", size, colour).save(tmp_path / "a.bmp")
        os.utime(tmp_path / "a.bmp", ns=(10**18,) * 2)
        command(index, f"--model={small_run}", f"--images={tmp_path}", f"--database={tmp_path}/p.lance")
    assert "0 added, 1 replaced, 0 as they were" in capsys.readouterr().out
