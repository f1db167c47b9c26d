"""Which images there are, and their cameras and times: from names, EXIF and manifests."""

import os

import pandas as pd
import PIL.Image
import pytest

pytest.importorskip("lancedb", reason='needs the extra "search"')

from hacnn_tf.gallery.columns import fields_of
from hacnn_tf.gallery.images import find_images
from hacnn_tf.gallery.times import times_taken
from hacnn_tf.utils.errors import InputError


def image(path, exif=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", (8, 16)).save(path, exif=exif or PIL.Image.Exif())
    return str(path)


def test_all_images_below_a_folder_with_their_cameras(tmp_path):
    for name in ("0002_c3s1_000451_03.jpg", "deep/er/0003_c12_1.png", "deep/person.JPG", ".hidden/x.jpg", ".y.jpg"):
        image(tmp_path / name)
    (tmp_path / "notes.txt").touch()
    rows, left_out = find_images(tmp_path)
    assert left_out == {str(tmp_path / "notes.txt"): ".txt"}
    assert [os.path.relpath(path, tmp_path) for path in rows.path] == [
        "0002_c3s1_000451_03.jpg",
        "deep/er/0003_c12_1.png",
        "deep/person.JPG",
    ]
    assert rows.camid.tolist()[:2] == [3, 12] and pd.isna(rows.camid[2])
    assert rows.bytes.tolist() == [os.path.getsize(path) for path in rows.path]
    assert rows.modified.tolist() == [os.stat(path).st_mtime_ns for path in rows.path]


def test_paths_are_absolute_wherever_one_stands(tmp_path, monkeypatch):
    expected = image(tmp_path / "people/a.jpg")
    monkeypatch.chdir(tmp_path)
    assert find_images("people")[0].path.tolist() == [expected]


@pytest.mark.parametrize(("pattern", "cameras"), [(r"cam(\d+)/", [1, 2]), (r"^(\w+)/", ["cam1", "cam2"])])
def test_a_pattern_finds_the_camera_in_the_path(tmp_path, pattern, cameras):
    for name in ("cam1/a.jpg", "cam2/b.jpg"):
        image(tmp_path / name)
    assert find_images(tmp_path, pattern)[0].camid.tolist() == cameras


@pytest.mark.parametrize(
    ("pattern", "tracks"),
    [
        (r"/t(\d+)_", ["07", "07", "12", None]),
        (r"/t0?(\d+)_", [7, 7, 12, None]),
        (r"(cam.*/t\d+)_", ["cam1/t07", "cam1/t07", "cam2/t12", None]),
    ],
)
def test_a_pattern_finds_the_track_in_the_path(tmp_path, pattern, tracks):
    for name in ("cam1/t07_0.jpg", "cam1/t07_1.jpg", "cam2/t12_0.jpg", "cam2/x.jpg"):
        image(tmp_path / name)
    found = find_images(tmp_path, r"cam(\d)/", pattern)[0].track
    assert found.astype(object).where(found.notna(), None).tolist() == tracks
    assert "track" not in find_images(tmp_path)[0]


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("/(.).*jpg", "has 1 tracks with more than one camera, t: a track is of one person and one camera"),
        ("none(.)", r"--track_pattern none\(.\) finds no track in any of the paths, as cam1/t0.jpg"),
        ("t.", r"--track_pattern t. has 0 groups: put parentheses around the track"),
    ],
)
def test_tracks_that_cannot_be(tmp_path, pattern, words):
    for name in ("cam1/t0.jpg", "cam2/t1.jpg"):
        image(tmp_path / name)
    with pytest.raises(InputError, match=words):
        find_images(tmp_path, r"cam(\d)/", pattern)


@pytest.mark.parametrize("flag", ["camera_pattern", "track_pattern"])
def test_an_empty_pattern_is_no_pattern_left_out(flag, tmp_path):
    (tmp_path / "0001_c1.jpg").touch()
    with pytest.raises(InputError, match=f"--{flag}  has 0 groups"):
        find_images(tmp_path, **{flag: ""})


def test_tracks_of_a_manifest(tmp_path):
    for name in "abc":
        image(tmp_path / f"{name}.jpg")
    manifest = tmp_path / "manifest.csv"
    for values, expected in (("1.0 2.0 ", [1, 2, None]), ("1 x ", ["1", "x", None]), ("7 7 7", [7, 7, 7])):
        lines = [f"{name}.jpg,{value}" for name, value in zip("abc", values.split(" "), strict=True)]
        manifest.write_text("\n".join(["path,Track", *lines]) + "\n")
        found = find_images(tmp_path)[0].track
        assert found.astype(object).where(found.notna(), None).tolist() == expected
    with pytest.raises(InputError, match="says the tracks in its column track: leave --track_pattern out"):
        find_images(tmp_path, track_pattern="(.)")
    manifest.write_text("path,track,last_seen\na.jpg,1,1\n")
    with pytest.raises(InputError, match="has a column last_seen, which a database has itself"):
        find_images(tmp_path)


def test_a_manifest_gives_what_it_says_and_keeps_types(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        image(tmp_path / name)
    (tmp_path / "manifest.csv").write_text(
        "path,pid,camid,time,coat\nb.jpg,2,7,2026-11-24T10:00:00+02:00,red\na.jpg,1,8,2026-11-24 09:30Z,\n"
    )
    for place in (tmp_path, tmp_path / "manifest.csv"):
        rows, _ = find_images(place)
        assert list(rows.columns) == ["path", "bytes", "modified", "camid", "pid", "time", "coat"]
        assert rows.pid.tolist() == [1, 2] and rows.camid.tolist() == [8, 7]
        assert rows.time.tolist() == [pd.Timestamp("2026-11-24 09:30"), pd.Timestamp("2026-11-24 08:00")]


def test_times_with_a_zone_and_without_are_not_mixed(tmp_path):
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        image(tmp_path / name)
    (tmp_path / "manifest.csv").write_text("path,time\na.jpg,2026-11-24T10:00+02:00\nb.jpg,2026-11-24\nc.jpg,\n")
    with pytest.raises(InputError, match=r"a zone \(2026-11-24T10:00\+02:00\) and without \(2026-11-24\): write"):
        find_images(tmp_path)


def test_empty_values_are_missing_and_numbers_stay_numbers(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        image(tmp_path / name)
    (tmp_path / "manifest.csv").write_text(",path,pid,height,coat\n0,a.jpg,01,170,\n1,b.jpg,1,,red\n")
    rows, _ = find_images(tmp_path)
    assert list(rows.columns) == ["path", "bytes", "modified", "camid", "pid", "height", "coat"]
    assert rows.height.dtype == "Int64" and rows.height[0] == 170 and pd.isna(rows.height[1])
    assert pd.isna(rows.coat[0]) and rows.coat[1] == "red"
    assert rows.pid.tolist() == ["01", "1"], "two persons"


def test_no_value_becomes_another(tmp_path):
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        image(tmp_path / name)
    lines = ["path,ticket,long", "a.jpg,12345678901234567,1", "b.jpg,,12345678901234567890123", "c.jpg,-2,3"]
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    rows, _ = find_images(tmp_path)
    assert rows.ticket.dropna().tolist() == [12345678901234567, -2]
    assert rows.long.tolist() == ["1", "12345678901234567890123", "3"]
    (tmp_path / "manifest.csv").unlink()
    pd.DataFrame({"path": ["a.jpg", "b.jpg"], "seen": [True, None]}).to_parquet(tmp_path / "manifest.parquet")
    assert find_images(tmp_path)[0].seen[0] is True


def test_whole_numbers_with_gaps_keep_all_digits_in_parquet(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        image(tmp_path / name)
    tickets = pd.array([12345678901234567, None], dtype="Int64")
    pd.DataFrame({"path": ["a.jpg", "b.jpg"], "ticket": tickets}).to_parquet(tmp_path / "manifest.parquet")
    rows, _ = find_images(tmp_path)
    assert rows.ticket[0] == 12345678901234567 and pd.isna(rows.ticket[1]) and rows.ticket.dtype == "Int64"


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_identities_and_cameras_after_a_gap_are_whole_numbers(suffix, tmp_path):
    """pandas makes floats of them: whoever then fills the gap writes -1.0."""
    for name in "abc":
        image(tmp_path / f"{name}.jpg")
    rows = pd.DataFrame({"path": ["a.jpg", "b.jpg", "c.jpg"], "pid": [3, None, 12], "camid": [None, 2, 1]}).fillna(-1)
    assert rows.pid.dtype == rows.camid.dtype == float
    path = tmp_path / f"manifest.{suffix}"
    rows.to_csv(path, index=False) if suffix == "csv" else rows.to_parquet(path)
    found, _ = find_images(path)
    assert found.pid.dtype == int and found.camid.dtype == "Int64"
    assert found.pid.tolist() == [3, -1, 12] and found.camid.tolist() == [pd.NA, 2, 1]  # -1: not known


def test_links_to_folders_are_followed_and_other_files_counted(tmp_path):
    image(tmp_path / "store" / "0002_c3_1.webp")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "store").symlink_to(tmp_path / "store")
    (tmp_path / "images" / "up").symlink_to("..")
    (tmp_path / "images" / "a.heic").touch()
    rows, left_out = find_images(tmp_path / "images")
    images = str(tmp_path / "images")
    assert rows.path.tolist()[0] == f"{images}/store/0002_c3_1.webp" and rows.camid[0] == 3
    assert left_out[f"{images}/a.heic"] == ".heic" and left_out[f"{images}/up"] == "circular link"


def test_a_link_to_nothing_is_listed_and_cannot_be_read(tmp_path):
    (tmp_path / "a.jpg").symlink_to(tmp_path / "none")
    assert find_images(tmp_path)[0][["bytes", "modified"]].to_numpy().tolist() == [[-1, -1]]


def test_a_manifest_of_paths_alone_is_enough(tmp_path):
    image(tmp_path / "0002_c4_1.jpg")
    (tmp_path / "manifest.csv").write_text("path\n0002_c4_1.jpg\n")
    assert find_images(tmp_path)[0].camid.tolist() == [4]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pid,camid\n1,2\n", "lacks the column path"),
        ("path\nnone.jpg\n", "1 of the 1 images in .* are not there"),
        ("path,feature\na.jpg,1\n", "has a column feature, which a database has itself"),
        ("path,time\na.jpg,soon\n", "has invalid times"),
        ("path,time\na.jpg,20261124153000\n", "has invalid times"),
        ("path,time\na.jpg,03/11/2026 08:00\n", "has invalid times"),
        ("path,coat colour\na.jpg,red\n", "has columns called coat colour"),
        ("path,_distance\na.jpg,1\n", "has columns called _distance"),
        (
            "path,track,images,last_seen\na.jpg,1,1,1\n",
            "images and last_seen, .*: rename it, or leave the column track",
        ),
        ("path\na.jpg\n../{folder}/a.jpg\n", "more than once"),
        ("path\na.jpg\na.jpg\n", "more than once"),
        ("path\n", "lists no images"),
    ],
)
def test_manifests_that_cannot_be_used(tmp_path, text, words):
    image(tmp_path / "a.jpg")
    (tmp_path / "manifest.csv").write_text(text.replace("{folder}", tmp_path.name))
    with pytest.raises(InputError, match=words):
        find_images(tmp_path)


def test_names_of_what_a_search_says_of_tracks_are_kept_for_it_only_where_there_are_tracks(tmp_path):
    image(tmp_path / "t1_a.jpg")
    (tmp_path / "manifest.csv").write_text("path,images,first_seen\nt1_a.jpg,3,early\n")
    rows, _ = find_images(tmp_path)
    assert rows.images.tolist() == [3] and rows.first_seen.tolist() == ["early"]
    with pytest.raises(InputError, match=r"column images and first_seen, .*: rename it, or leave --track_pattern out"):
        find_images(tmp_path, track_pattern="t([0-9])")


def test_places_without_images(tmp_path):
    with pytest.raises(InputError, match="holds no images, nor do the folders in it"):
        find_images(tmp_path)
    (tmp_path / "a.heic").touch()
    with pytest.raises(InputError, match=r"nor do the folders in it, only 1 \.heic\."):
        find_images(tmp_path)
    with pytest.raises(InputError, match="is not there"):
        find_images(tmp_path / "none")
    image(tmp_path / "a.jpg")
    with pytest.raises(InputError, match="finds no camera in any of the paths, as "):
        find_images(tmp_path, r"cam(\d)")
    with pytest.raises(InputError, match="no regular expression"):
        find_images(tmp_path, "(")
    with pytest.raises(InputError, match="groups"):
        find_images(tmp_path, "cam")


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("cam1_20261124_153005.jpg", "2026-11-24 15:30:05"),
        ("2026-11-24T15-30-05_3.png", "2026-11-24 15:30:05"),
        ("2026-11-24 15.30.05.250.jpg", "2026-11-24 15:30:05.250"),
        ("20261124153005.jpg", "2026-11-24 15:30:05"),
        ("PXL_20261124_153005123.jpg", "2026-11-24 15:30:05.123"),
        ("cam_01_20261124153005123_PERSON.jpg", "2026-11-24 15:30:05.123"),
        ("2026112415300512.jpg", None),
        ("202611241530051234.jpg", None),
        ("0002_c1s1_000451_03.jpg", None),
        ("20261124_256099.jpg", None),
        ("20261324_153005.jpg", None),
        ("12026112415300500.jpg", None),
    ],
)
def test_a_time_in_the_name(name, time):
    (found,) = times_taken([f"/none/{name}"])
    assert found == pd.Timestamp(time) if time else pd.isna(found)


def test_a_time_in_exif_unless_the_name_has_one(tmp_path):
    exif = PIL.Image.Exif()
    exif[0x0132] = "2026:01:02 03:04:05"
    changed = image(tmp_path / "a.jpg", exif)
    exif.get_ifd(0x8769)[0x9004] = "2026:01:01 08:00:00"
    digitized = image(tmp_path / "b.jpg", exif)
    exif.get_ifd(0x8769)[0x9003] = "2025:12:31 23:59:59"
    taken, named = (image(tmp_path / name, exif) for name in ("c.jpg", "20261124_153005.jpg"))
    exif[0x0132] = "0000:00:00 00:00:00"
    del exif.get_ifd(0x8769)[0x9003], exif.get_ifd(0x8769)[0x9004]
    never = image(tmp_path / "d.jpg", exif)
    (tmp_path / "text.jpg").write_text("no image")
    found = times_taken([changed, digitized, taken, named, never, tmp_path / "text.jpg"])
    assert found[:2].astype(str).tolist() == ["2026-01-02 03:04:05", "2026-01-01 08:00:00"]
    assert found[2:4].astype(str).tolist() == ["2025-12-31 23:59:59", "2026-11-24 15:30:05"]
    assert found[4:].isna().all()


def test_times_need_a_day_and_are_found_however_the_column_is_spelled(tmp_path):
    (tmp_path / "a.jpg").touch(), (tmp_path / "b.jpg").touch()
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("path,Time\na.jpg,2026-11-24 08:00:00+02:00\nb.jpg,\n")
    rows, _ = find_images(manifest)
    assert rows.time[0] == pd.Timestamp("2026-11-24 06:00:00") and pd.isna(rows.time[1]) and "Time" not in rows
    for odd in ("2026-11", "2026-11-24 25:00:00", "x" * 1000):
        manifest.write_text(f"path,time\na.jpg,{odd}\nb.jpg,2026-11-24 08:00:00\n")
        with pytest.raises(InputError, match="has invalid times: ") as error:
            find_images(manifest)
        assert len(str(error.value)) < 500 + len(str(manifest)) and "\n" not in str(error.value)


def test_texts_of_parquet_are_texts(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "a.jpg").touch(), (tmp_path / "b.jpg").touch()
    rows = pd.DataFrame({"path": ["a.jpg", "b.jpg"], "badge": ["7", "12"], "floor": [1, None]}).convert_dtypes()
    rows.to_parquet(tmp_path / "manifest.parquet")
    read, _ = find_images(tmp_path)
    assert read.badge.tolist() == ["7", "12"] and read.floor[0] == 1 and pd.isna(read.floor[1])


def test_times_of_parquet_that_have_a_zone_are_in_utc(tmp_path):
    image(tmp_path / "a.jpg")
    taken = pd.to_datetime(["2026-11-24T10:00:00"]).tz_localize("Europe/Helsinki")
    pd.DataFrame({"path": ["a.jpg"], "time": taken}).to_parquet(tmp_path / "manifest.parquet")
    assert find_images(tmp_path)[0].time.tolist() == [pd.Timestamp("2026-11-24 08:00:00")]


def test_what_a_manifest_lists_may_be_gone_but_not_all_of_it(tmp_path):
    image(tmp_path / "here.jpg")
    (tmp_path / "manifest.csv").write_text("path,camid\nhere.jpg,1\ngone.jpg,2\n")
    rows, _ = find_images(tmp_path)
    assert rows.path.tolist() == [str(tmp_path / "gone.jpg"), str(tmp_path / "here.jpg")]
    assert rows.bytes.tolist() == [-1, os.path.getsize(tmp_path / "here.jpg")]
    (tmp_path / "here.jpg").unlink()
    with pytest.raises(InputError, match=r"2 of the 2 images in .* are not there"):
        find_images(tmp_path)


def test_images_beside_a_manifest_that_does_not_list_them_are_counted(tmp_path):
    for name in ("a.jpg", "new/b.jpg"):
        image(tmp_path / name)
    (tmp_path / "manifest.csv").write_text("path\na.jpg\n")
    assert find_images(tmp_path)[1] == {str(tmp_path / "new/b.jpg"): "unlisted image"}
    assert find_images(tmp_path / "manifest.csv")[1] == {}


def test_a_camera_of_minus_1_is_not_known_among_names(tmp_path):
    for name in "ab":
        image(tmp_path / f"{name}.jpg")
    (tmp_path / "manifest.csv").write_text("path,camid\na.jpg,-1\nb.jpg,door\n")
    assert find_images(tmp_path)[0].camid.tolist() == [None, "door"]


def test_a_group_that_is_empty_finds_nothing(tmp_path):
    for name in ("cam1/track.jpg", "cam1/track7.jpg"):
        image(tmp_path / name)
    found = find_images(tmp_path, track_pattern=r"track(\d*)")[0].track
    assert found.isna().tolist() == [True, False]
    with pytest.raises(InputError, match="finds no track in any of the paths"):
        find_images(tmp_path, track_pattern=r"cam1(\d*)")


def test_lists_of_parquet_are_one_sentence(tmp_path):
    image(tmp_path / "a.jpg")
    rows = pd.DataFrame({"path": ["a.jpg"], "box": [[1, 2, 3, 4]]})
    rows.to_parquet(tmp_path / "manifest.parquet")
    found, _ = find_images(tmp_path)
    with pytest.raises(InputError, match="A column cannot be kept in a database: box holds list"):
        fields_of(found)
