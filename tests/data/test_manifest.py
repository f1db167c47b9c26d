"""Manifests: read as they are, refused with one sentence, and never anything else, whatever is in them."""

import csv
import decimal
import os
import sys

import numpy as np
import pandas as pd
import pytest

from hacnn_tf.data.manifest import read_manifest
from hacnn_tf.utils.errors import InputError

LINES = [
    "path,pid,camid,split,hour",
    "a.jpg,alice,door,train,9",
    "b/a.jpg,bob,door,train,10",
    '"c, d.jpg",007,1,query,11',
    "e.jpg,-1,East,gallery,12",
]
FILES = ["a.jpg", "b/a.jpg", "c, d.jpg", "e.jpg"]


@pytest.fixture
def folder(tmp_path):
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def write(folder, content):
    path = folder / "manifest.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_names_stay_as_they_are(folder):
    rows = read_manifest(write(folder, "\n".join(LINES)))
    assert list(rows.columns) == ["path", "pid", "camid", "split", "hour"]
    assert list(rows.path) == [f"{folder}/{name}" for name in FILES]
    assert list(rows.pid) == ["alice", "bob", "007", "-1"]
    assert list(rows.camid) == ["door", "door", "1", "East"]
    assert list(rows.hour) == [9, 10, 11, 12]


def test_absolute_paths_and_paths_above(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("manifests")
    up = "../" * (len(other.parts) - 1)
    lines = ["pid,path", f"1,{folder}/a.jpg", f"2,{up[:-1]}{folder}/e.jpg"]
    rows = read_manifest(write(other, "\n".join(lines)))
    assert rows.path[0] == f"{folder}/a.jpg" and (other / rows.path[1]).samefile(folder / "e.jpg")
    assert "camid" not in rows


def test_a_relative_and_an_absolute_path_are_one(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "link").symlink_to("b")
    write(folder, f"path,pid\na.jpg,1\n{folder}/a.jpg,2\nb/a.jpg,3\nlink/a.jpg,3\n")
    with pytest.raises(InputError, match=f"gives 1 images more than one identity, camera or track: {folder}/a.jpg"):
        read_manifest("manifest.csv")
    write(folder, "path,pid\nb/a.jpg,3\nlink/a.jpg,3\n")
    with pytest.raises(InputError, match=r"lists 1 images more than once: .*b/a\.jpg"):
        read_manifest("manifest.csv")


def test_columns_that_a_spreadsheet_has_left_empty(folder):
    assert read_manifest(write(folder, "path,pid,,\na.jpg,1,,\ne.jpg,2, ,\n")).columns.tolist() == ["path", "pid"]


def test_a_byte_order_mark_and_carriage_returns(folder):
    assert list(read_manifest(write(folder, "\ufeffpath,pid\r\na.jpg,1\r\n\r\ne.jpg,2\r\n")).pid) == ["1", "2"]


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_columns_may_be_separated_as_a_german_excel_does(mark, folder):
    content = "\ufeffpath;pid;note\r\na.jpg;7;1,5\r\nb/a.jpg;anna;\r\n".replace(";", mark)
    rows = read_manifest(write(folder, content))
    assert rows.pid.tolist() == ["7", "anna"] and rows.note.tolist() == ["1,5", ""]


def test_without_identities_if_none_are_needed(folder):
    assert list(read_manifest(write(folder, "path\na.jpg"), needed=()).columns) == ["path"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "lacks the columns path and pid: it is empty"),
        ("file,camid\na.jpg,1", "lacks the columns path and pid: it has file, camid"),
        ("path;pid|camid\na.jpg;1|2", "lacks the columns path and pid: it has path;pid"),
        ("sep=;\npath;pid\na.jpg;1", "lacks the columns path and pid: it has sep="),
        ("\ufeffpath;pid\na.jpg;1".encode("utf-16"), "is not a CSV file in UTF-8"),
        ("path,PID,pid\na.jpg,1,2", "more than one column pid"),
        ("path,pid\na.jpg,1\ne.jpg,  \n", "does not say the pid of 1 images: .*e.jpg"),
        ("path,pid\na.jpg,anna\ne.jpg,NA\n", "does not say the pid of 1 images: .*e.jpg"),
        ("path,pid,,\na.jpg,1,x,y\n", "more than one column without a name"),
        ("path,pid\na.jpg,1\ne.jpg,nan\n", "does not say the pid of 1 images: .*e.jpg"),
        ("path,pid\na.jpg,anna\ne.jpg,NULL\n", "does not say the pid of 1 images: .*e.jpg"),
        ("path,pid,camid\na.jpg,1,2\ne.jpg,2,#N/A\n", "does not say the camid of 1 images: .*e.jpg"),
        ("path,pid\na.jpg,1\ne.jpg,2.02311E+13\n", r"has the pid 2\.02311E\+13, as spreadsheets write long numbers"),
        ("path,pid,camid\na.jpg,1,1.0\ne.jpg,2,<NA>\n", "does not say the camid of 1 images: .*e.jpg"),
        ("path,pid\na.jpg,1.0\ne.jpg,1.5\n", "has the pid 1.5: write names or whole numbers"),
        ("path,pid,camid\na.jpg,1,door\ne.jpg,1,-1.5\n", "has the camid -1.5: write"),
        ("path,pid\na.jpg,9007199254740992.0\n", r"has the pid 9007199254740992.0: .* only below 2\*\*53"),
        ("path,pid\na.jpg,1e+16\ne.jpg,1e+999\n", r"has the pid 1e\+16, 1e\+999: .* only below 2\*\*53"),
        ("path,pid\n" + "".join(f"a.jpg,{i}.5\n" for i in range(1500)), "the pid 0.5, 1.5, 2.5 and 1,497 more: write"),
        ("path,pid\n", "lists no images"),
        ("path,pid,pid\na.jpg,1,2", "more than one column pid"),
        ("path,pid\na.jpg,1\nb/a.jpg\n", "Line 3 of .* has 1 values, and its first line 2 names"),
        ("path,pid\na.jpg,1,2\n", "Line 2 of .* has 3 values"),
        ("path,pid\na.jpg,1\n,2\n", "does not say the path of 1 images: row 2"),
        ("path,pid\na.jpg,\nb/a.jpg,\n", "does not say the pid of 2 images: .*a.jpg, .*b/a.jpg"),
        ("path,pid,camid\na.jpg,1,\n", "does not say the camid of 1 images"),
        ("path,pid,split\na.jpg,1,test\ne.jpg,1,\n", "does not say the split of 1 images"),
        ("path,pid,split\na.jpg,1,test\n", "has a split test: train, query, gallery, multi_query are known"),
        ("path,pid\na.jpg,1\n./a.jpg,2\n", "gives 1 images more than one identity, camera or track: .*a.jpg"),
        ("path,pid,camid\na.jpg,1,1\na.jpg,1,2\n", "gives 1 images more than one identity, camera or track"),
        ("path,pid\na.jpg,1\na.jpg,1\n", "lists 1 images more than once: .*a.jpg"),
        ("path,pid,track\na.jpg,1,1\na.jpg,1,2\n", "gives 1 images more than one identity, camera or track"),
        ("path,pid,track\na.jpg,1,7\ne.jpg,2,7\n", "has 1 tracks with more than one identity, 7: a track is of one"),
        (
            "path,pid,camid,track\na.jpg,1,1,x\ne.jpg,1,2,x\n",
            "has 1 tracks with more than one camera, x: a track is",
        ),
        ("path,pid,track\na.jpg,1,1.5\ne.jpg,2,\n", "has the track 1.5: write names or whole numbers"),
        ("path,pid\na.jpg,1\nb/../a.jpg,1\n", "lists 1 images more than once: .*a.jpg"),
        ("path,pid\nb/a.jpg,1\nb\\a.jpg,1\n", "lists 1 images more than once: .*b/a.jpg"),
        ("path,pid\na.jpg,1\nb/../a.jpg,2\n", "gives 1 images more than one identity, camera or track: .*a.jpg"),
        ("path,pid\nb,1\nx.jpg,2\na.jpg,1\n", "2 of the 3 images in .* are not there: .*/b, .*/x.jpg;"),
        ("path,pid\n" + "".join(f"{i}.png,1\n" for i in range(1500)), "1,500 of .*2.png and 1,497 more;"),
        ("path,pid\na.jpg,Zoë".encode("latin-1"), "is not a CSV file in UTF-8"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is not a CSV file in UTF-8"),
        ('path,pid\n"a.jpg,1', "is not a CSV file in UTF-8"),
        ('"pa\nth",pid\na.jpg,1', r"it has 'pa\\nth', pid"),
    ],
)
def test_what_is_wrong_is_said(content, sentence, folder):
    path = write(folder, content)
    with pytest.raises(InputError, match=sentence) as error:
        read_manifest(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "sentence"), [("x.txt", "must end in .csv"), ("x.csv", "No such file"), (".", ".csv")]
)
def test_what_is_no_manifest(name, sentence, tmp_path):
    with pytest.raises(InputError, match=sentence):
        read_manifest(tmp_path / name)


def test_an_image_in_two_splits(folder):
    rows = read_manifest(write(folder, "path,pid,split\na.jpg,1,query\na.jpg,1,gallery\n"))
    assert list(rows.split) == ["query", "gallery"]


def test_parquet(folder):
    pytest.importorskip("pyarrow")
    path = folder / "manifest.parquet"
    content = {"path": FILES, "pid": [3, 20, -1, 3], "camid": [1.0, 2.0, 2.0, 1.0], "tags": [["x"], [], None, ["y"]]}
    pd.DataFrame(content, index=[5, 6, 7, 8]).to_parquet(path)
    rows = read_manifest(path)
    assert list(rows.path) == [f"{folder}/{name}" for name in FILES]
    assert list(rows.pid) == ["3", "20", "-1", "3"] and list(rows.camid) == ["1", "2", "2", "1"]
    pd.DataFrame(content | {"pid": [3, None, 1, 1]}).to_parquet(path)
    with pytest.raises(InputError, match="does not say the pid of 1 images: b/a"):
        read_manifest(path)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("1.0", "1"),
        ("-1.0", "-1"),
        ("-0.0", "0"),
        ("12.", "12"),
        ("3.000", "3"),
        ("1.2e+05", "120000"),
        ("9007199254740991.0", "9007199254740991"),
        ("9007199254740993", "9007199254740993"),
        ("a1", "a1"),
        ("1.50b", "1.50b"),
        ("007", "007"),
        ("007.0", "007.0"),
        ("+1", "+1"),
        ("1e3", "1e3"),
        ("2E-01", "2E-01"),
        ("1.0.0", "1.0.0"),
        ("nan", "nan"),
        ("inf", "inf"),
        (" bob ", "bob"),
        ("zo\u0308e", "z\u00f6e"),
    ],
)
def test_names_and_numbers(text, name, folder):
    """Beside names and whole numbers; nan is a name where not all others are numbers."""
    content = f"path,pid,camid\na.jpg,{text},{text}\nb/a.jpg,alice,alice\ne.jpg,1,1\n"
    rows = read_manifest(write(folder, content))
    assert rows.pid.tolist() == rows.camid.tolist() == [name, "alice", "1"]


def test_whole_numbers_as_pandas_writes_them_after_a_gap(folder):
    """pandas' own reader is the judge: a whole column of numbers, with and without points."""
    numbers = pd.Series([-1, 0, 3, 2**31])
    for written in (numbers, numbers.astype(float), numbers.astype("Float64"), numbers.astype(object)):
        content = pd.DataFrame({"path": FILES, "pid": written}).to_csv(index=False)
        rows = read_manifest(write(folder, content))
        assert rows.pid.astype(int).tolist() == pd.read_csv(folder / "manifest.csv").pid.tolist() == numbers.tolist()


def test_floats_in_parquet(folder):
    pytest.importorskip("pyarrow")
    path = folder / "manifest.parquet"

    def read(pids):
        pd.DataFrame({"path": FILES, "pid": pids}).to_parquet(path)
        return read_manifest(path).pid.tolist()

    for dtype in ("float64", "float32", "float16"):
        assert read(pd.Series([3, -1, 0, 12], dtype=dtype)) == ["3", "-1", "0", "12"]
    large = [3, -1, 0, 2**60 + 1]
    assert read(large) == list(map(str, large))
    assert read([decimal.Decimal(text) for text in ("1.00", "2", "-1.0", "3")]) == ["1", "2", "-1", "3"]
    for pids, words in (
        (np.float64([1, 2, 2.5, 3]), "has the pid 2.5: "),
        (np.float64([1, 2, np.inf, 3]), "has the pid inf: "),
        (np.float64(large), r"has the pid 1.15\d+e\+18: .* only below 2\*\*53"),
        (np.float32([1, 2, 3, 2**24]), r"has the pid 16777216.0: .* only below 2\*\*24"),
        (np.float64([1, 2, np.nan, 3]), "does not say the pid of 1 images: .*c, d.jpg"),
    ):
        with pytest.raises(InputError, match=words):
            read(pids)


def test_spaces_around_values_and_columns_in_capitals(folder):
    content = "path , PID, camid, Split,hour\na.jpg, alice, door , train, 9\n e.jpg,alice ,door,train,10\n"
    rows = read_manifest(write(folder, content))
    assert list(rows) == ["path", "pid", "camid", "split", "hour"]
    assert rows.path.tolist() == [f"{folder}/a.jpg", f"{folder}/e.jpg"]
    assert rows.drop(columns="path").to_numpy().tolist() == [["alice", "door", "train", h] for h in (9, 10)]


def test_a_file_whose_name_is_exactly_that_comes_first(folder):
    for name in (" a.jpg", "b\\a.jpg"):
        (folder / name).touch()
    rows = read_manifest(write(folder, "path,pid\n a.jpg,1\nb\\a.jpg,2\na.jpg,3\nb/a.jpg,4\n"))
    assert rows.path.tolist() == [f"{folder}/{name}" for name in (" a.jpg", "b\\a.jpg", "a.jpg", "b/a.jpg")]


def test_paths_as_windows_and_macos_write_them(folder):
    composed, apart = "J\u00fcrgen.jpg", "Ju\u0308rgen.jpg"
    try:
        (folder / "b" / apart).touch()
        (folder / composed).touch()
    except OSError:
        pytest.skip("this file system has other names")
    rows = read_manifest(write(folder, f"path,pid\nb\\a.jpg,1\nb\\{composed},2\n{apart},3\n"))
    assert [os.path.basename(path) for path in rows.path] == ["a.jpg", apart, composed]
    assert all(map(os.path.isfile, rows.path))


def test_parquet_without_pyarrow(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (folder / "manifest.parquet").touch()
    with pytest.raises(
        InputError, match=r'pyarrow is not installed, which .* needs: pip install -c constraints.txt -e "\.\[search\]"'
    ):
        read_manifest(folder / "manifest.parquet")


def is_valid(rows, folder):
    """What is promised of every table, by other means."""
    assert {"path", "pid"} <= set(rows) and len(rows)
    files = {os.path.realpath(folder / name) for name in [*FILES, "manifest.csv", "manifest.parquet"]}
    seen = {}
    for row in rows.to_dict("records"):
        assert os.path.realpath(row["path"]) in files
        assert all(
            isinstance(row[name], str) and row[name] for name in ("path", "pid", "camid", "split") if name in row
        )
        assert row.get("split", "train") in ("train", "query", "gallery", "multi_query")
        assert seen.setdefault(row["path"], (row["pid"], row.get("camid"))) == (row["pid"], row.get("camid"))
    return True


PIECES = [
    b",",
    b'"',
    b"\n",
    b"\r",
    b"\0",
    b"\xff",
    b"\xc3",
    b"-1",
    b"0",
    b"..",
    b"/",
    b"split",
    b"query",
    b"a.jpg",
    b"1e999",
]
PIECES += [
    b".0",
    b"1.5",
    b"1e+16",
    b"nan",
    b"\\",
    b"path",
    b"pid",
    b"9" * 30,
    "ü\u202e\u2028".encode(),
    b"NaN",
    b" ",
    b";",
]


def mutated(content, rng):
    """Content with some of its bytes changed, left out, repeated, or others put in."""
    content = bytearray(content)
    for _ in range(rng.integers(1, 3)):
        at, until = sorted(rng.integers(0, len(content) + 1, 2).tolist())
        until = min(until, at + 4)
        kind = rng.integers(5)
        if kind == 0:
            del content[at:until]
        elif kind == 1:
            content[at:at] = content[at:until]
        elif kind == 2:
            content[at:until] = PIECES[rng.integers(len(PIECES))]
        elif kind == 3:
            content[at:at] = PIECES[rng.integers(len(PIECES))]
        elif at < len(content):
            content[at] = rng.integers(256)
    return bytes(content)


def fuzz(path, content, inputs):
    """How many inputs gave a table."""
    good = 0
    for seed in range(inputs):
        path.write_bytes(mutated(content, np.random.default_rng(seed)))
        try:
            good += is_valid(read_manifest(path), path.parent)
        except InputError as error:
            assert "\n" not in str(error) and len(str(error)) < 2000
    return good


def test_mutated_csv(folder):
    good = fuzz(folder / "manifest.csv", "\n".join(LINES).encode(), 2000)
    assert 200 < good < 1800


def test_mutated_parquet(folder):
    pytest.importorskip("pyarrow")
    path = folder / "manifest.parquet"
    pd.DataFrame(list(csv.reader(LINES[1:])), columns=LINES[0].split(",")).to_parquet(path)
    good = fuzz(path, path.read_bytes(), 500)
    assert 5 < good < 250


def test_a_column_that_was_pandas_index_is_there(tmp_path):
    pytest.importorskip("pyarrow")
    rows = pd.DataFrame({"path": ["a.jpg", "b.jpg"], "pid": [1, 2], "camid": [3, 4]})
    for name in rows.path:
        (tmp_path / name).touch()
    for index in ("camid", ["camid", "pid"]):
        rows.set_index(index).to_parquet(tmp_path / "manifest.parquet")
        read = read_manifest(tmp_path / "manifest.parquet")
        assert read.camid.tolist() == ["3", "4"] and read.pid.tolist() == ["1", "2"]
    rows.rename(index={0: "x", 1: "y"}).to_parquet(tmp_path / "manifest.parquet")
    assert sorted(read_manifest(tmp_path / "manifest.parquet")) == ["camid", "path", "pid"]


def test_numbers_that_are_names_stay_as_they_are(tmp_path):
    (tmp_path / "a.jpg").touch(), (tmp_path / "b.jpg").touch()
    (tmp_path / "manifest.csv").write_text(
        "path,badge,shelf,score,floor\na.jpg,007,12E5,1e-05,1\nb.jpg,008,13E5,2.5,-2\n"
    )
    read = read_manifest(tmp_path / "manifest.csv", needed=())
    assert read.badge.tolist() == ["007", "008"] and read.shelf.tolist() == ["12E5", "13E5"]
    assert read.score.tolist() == [1e-5, 2.5] and read.floor.tolist() == [1, -2]


def test_a_zero_byte_is_not_a_missing_file(tmp_path):
    (tmp_path / "manifest.csv").write_text("path,pid\na\0.jpg,1\n")
    with pytest.raises(InputError, match=r"is not a CSV file in UTF-8 \(line 2 has a zero byte\)"):
        read_manifest(tmp_path / "manifest.csv")


def test_a_number_that_a_float_cannot_hold_stays_a_text(folder):
    rows = read_manifest(write(folder, "path,ticket\na.jpg,9007199254740993\nb/a.jpg,0.5"), needed=())
    assert rows.ticket.tolist() == ["9007199254740993", "0.5"]
