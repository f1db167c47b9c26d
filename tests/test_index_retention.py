"""What --remove and --keep_days of index delete, what they ask before, and the line of --audit."""

import contextlib
import datetime
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import filelock
import numpy as np
import pandas as pd
import pytest

pytest.importorskip("lancedb", reason='needs the extra "search"')

from hacnn_tf import index
from hacnn_tf.gallery import Database
from hacnn_tf.gallery.audit import system_user
from hacnn_tf.gallery.lock import writing
from hacnn_tf.gallery.retention import kept_anyway, older_than
from tests.conftest import command, fails
from tests.gallery.conftest import bytes_below


@pytest.fixture
def doors(tmp_path):
    """A database of three images of camera 1 and two of camera 2, without a model."""
    model = SimpleNamespace(name="none", fingerprint="none", feature_dim=4, precision="float32")
    rows = pd.DataFrame({"path": [f"/p{i}.jpg" for i in range(5)], "bytes": 1, "modified": 1, "camid": [1, 1, 1, 2, 2]})
    rows["time"] = pd.Series(pd.NaT, rows.index, "datetime64[us]")
    database = Database.create(tmp_path / "doors.lance", model, rows)
    database.write(rows, np.ones((5, 4), np.float32))
    database.tidy()
    return database


def cameras(database):
    return sorted(Database(database.path).rows(["camid"]).camid)


def test_what_is_only_said_in_part_deletes_nothing(doors):
    for where in ("camid = 2 adn path like '%p1%'", "camid = 2 limit 1", "camid = 2) or (camid = 1", "camid = 2;", ""):
        said = fails(index, [f"--database={doors.path}", f"--remove={where}", "--yes"])
        assert f"The condition {where!r} cannot be used: " in said
        assert cameras(doors) == [1, 1, 1, 2, 2]


def test_without_a_terminal_removing_needs_to_be_said_yes_to(doors, capsys, monkeypatch):
    args = [f"--database={doors.path}", "--remove=camid = 2"]
    for stdin in (open(os.devnull), None):  # noqa: SIM115
        monkeypatch.setattr("sys.stdin", stdin)
        said = fails(index, args)
        assert f"--remove would delete 2 of 5 images from {doors.path} for good: add --yes" in said
        assert cameras(doors) == [1, 1, 1, 2, 2]
    command(index, *args, "--yes")
    assert capsys.readouterr().out == f"2 removed from {doors.path}, 3 left.\n"
    assert cameras(doors) == [1, 1, 1]


@pytest.mark.parametrize(
    ("answer", "left"), [(b"y\n", 3), (b" YES\n", 3), (b"n\n", 5), (b"\n", 5), (b"\xff\n", 5), (b"\4", 5)]
)
def test_on_a_terminal_it_asks(doors, capsys, monkeypatch, answer, left):
    ours, theirs = os.openpty()
    with open(theirs) as stdin, open(os.dup(theirs), "w") as stderr, open(ours, "rb", buffering=0) as terminal:
        monkeypatch.setattr("sys.stdin", stdin)
        monkeypatch.setattr("sys.stderr", stderr)
        os.write(ours, answer)
        with contextlib.nullcontext() if left == 3 else pytest.raises(SystemExit, match=r"Nothing was deleted\.$"):
            command(index, f"--database={doors.path}", "--remove=camid = 2")
        os.set_blocking(ours, False)
        shown = b"".join(iter(lambda: terminal.read(1000), None))
        assert f"Delete 2 of 5 images from {doors.path} for good? [y/N] " in shown.decode("latin1")
    assert capsys.readouterr().out == (f"2 removed from {doors.path}, 3 left.\n" if left == 3 else "")
    assert len(cameras(doors)) == left


def test_others_may_write_while_somebody_thinks(doors, tmp_path, monkeypatch):
    def written(*_):
        rows = doors.rows(doors.columns, "camid = 2").head(1).assign(path="/new.jpg")
        Database(doors.path).write(rows, np.ones((1, 4), np.float32))

    monkeypatch.setattr(index, "_ask", written)
    said = fails(index, [f"--database={doors.path}", "--remove=camid = 2", f"--audit={tmp_path}/log"])
    assert "Now 3 images match, not 2: nothing was deleted. Run it again." in said
    assert len(cameras(doors)) == 6 and not (tmp_path / "log").exists()


def test_fewer_than_were_said_yes_to_are_removed(doors, monkeypatch):
    monkeypatch.setattr(index, "_ask", lambda *_: Database(doors.path).remove("path = '/p3.jpg'"))
    command(index, f"--database={doors.path}", "--remove=camid = 2")
    assert cameras(doors) == [1, 1, 1]


def test_nothing_to_remove_is_no_question(doors, capsys):
    doors.tidy()
    before = sorted(entry.name for entry in Path(doors.path).rglob("*"))
    for sure in ([], ["--yes"]):
        command(index, f"--database={doors.path}", "--remove=camid = 7", *sure)
        assert capsys.readouterr().out == f"None of the 5 images in {doors.path} matches; nothing was deleted.\n"
    assert sorted(entry.name for entry in Path(doors.path).rglob("*")) == before


def test_what_was_replaced_goes_also_where_nothing_matches(doors):
    rows = doors.rows(doors.columns, "camid = 2")
    doors.write(rows.assign(camid=9), np.full((len(rows), 4), 0.123, np.float32))
    doors.write(rows, np.ones((len(rows), 4), np.float32))
    replaced = np.full(4, 0.123, np.float32).tobytes()
    assert replaced in bytes_below(Path(doors.path))
    command(index, f"--database={doors.path}", "--remove=camid = 9", "--yes")
    assert replaced not in bytes_below(Path(doors.path)) and cameras(doors) == [1, 1, 1, 2, 2]


def test_a_removal_that_was_interrupted_is_finished_without_a_question(doors, capsys, monkeypatch):
    args = [f"--database={doors.path}", "--remove=camid = 2"]
    with monkeypatch.context() as patched:
        patched.setattr(Database, "tidy", lambda _: signal.raise_signal(signal.SIGINT))
        with pytest.raises(SystemExit):
            command(index, *args, "--yes")
    assert Database(doors.path).removing
    capsys.readouterr()
    command(index, *args)
    assert capsys.readouterr().out == f"0 removed from {doors.path}, 3 left.\n"
    assert not Database(doors.path).removing


@contextlib.contextmanager
def clock_of(zone):
    """Has the local clock be that of a time zone."""
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TZ", zone)
            time.tzset()
            yield
    finally:
        time.tzset()


@pytest.fixture
def ages(tmp_path):
    """A database of images that are 31 and 29 days old, of one without a time and of one of next year."""
    with clock_of("UTC"):  # days of 24 hours, when clocks are changed too
        yield aged_images(tmp_path / "ages.lance")


def aged_images(path):
    model = SimpleNamespace(name="none", fingerprint="none", feature_dim=4, precision="float32")
    days = {"old": 31, "aged": 30.001, "recent": 29.999, "never": None, "coming": -365}
    now = datetime.datetime.now()
    times = [pd.NaT if age is None else now - datetime.timedelta(days=age) for age in days.values()]
    rows = pd.DataFrame({"path": [f"/{name}.jpg" for name in days], "bytes": 1, "modified": 1, "camid": 1})
    rows["time"] = pd.Series(times, dtype="datetime64[us]")
    database = Database.create(path, model, rows)
    database.write(rows, np.arange(20, dtype=np.float32).reshape(5, 4) + 0.1)
    database.tidy()
    return database


def names(database):
    return sorted(Path(path).stem for path in Database(database.path).rows(["path"]).path)


def test_what_is_older_than_days_is_gone_for_good_and_what_has_no_time_is_counted(ages, tmp_path, capsys):
    features = {name: ages.feature([f"/{name}.jpg"]).tobytes() for name in ("old", "aged", "recent")}
    args, log = [f"--database={ages.path}", "--keep_days=30", "--yes"], tmp_path / "audit.jsonl"
    command(index, *args, f"--audit={log}")
    line = capsys.readouterr().out
    cutoff = r"time < timestamp '(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)'"
    said = re.fullmatch(
        rf"(\S+) {cutoff}: 2 removed from {ages.path}, 3 left\. 1 without a time and 1 from the future are kept\.\n",
        line,
    )
    utc = datetime.datetime.fromisoformat(said[1])
    assert utc.utcoffset() == datetime.timedelta(0) and abs(time.time() - utc.timestamp()) < 60
    ago = datetime.datetime.now() - datetime.datetime.fromisoformat(said[2])
    assert datetime.timedelta(days=30) <= ago < datetime.timedelta(days=30, minutes=1)
    assert names(ages) == ["coming", "never", "recent"]
    left = b"".join(file.read_bytes() for file in Path(ages.path).rglob("*") if file.is_file())
    assert features["recent"] in left and b"/recent.jpg" in left
    for name in ("old", "aged"):
        assert features[name] not in left and f"/{name}.jpg".encode() not in left
    command(index, *args, f"--audit={log}")
    assert f"None of the 3 images in {ages.path} matches; nothing was deleted. 1 without" in capsys.readouterr().out
    begun, first, second = map(json.loads, log.read_text().splitlines())
    assert (begun["where"], begun["removing"], begun["of"]) == (first["where"], 2, 5)
    assert (first["command"], first["database"], first["removed"], first["left"]) == (
        "hacnn_tf.index",
        ages.path,
        2,
        3,
    )
    assert first["where"] in line and first["time"] == said[1]
    assert (second["removed"], second["left"]) == (0, 3), "that it ran is known too"
    assert log.stat().st_mode & 0o777 == 0o600


def test_what_may_be_of_another_zone_is_not_from_the_future(ages):
    latest = ages.rows(["time"]).time.max()
    for hours, future in ((23, 0), (25, 1)):
        said = kept_anyway(ages, latest - datetime.timedelta(hours=hours))
        assert said == f"1 without a time and {future} from the future are kept."


def test_days_are_by_the_local_clock(ages, capsys):
    for zone, name in (("UTC-14", "east"), ("UTC+12", "west")):
        with clock_of(zone):
            expected = datetime.datetime.now() - datetime.timedelta(days=400)
            command(index, f"--database={ages.path}", "--keep_days=400")
        cutoff = datetime.datetime.fromisoformat(re.search(r"timestamp '([^']+)'", capsys.readouterr().out)[1])
        assert abs(cutoff - expected) < datetime.timedelta(minutes=1), name


@pytest.mark.parametrize(
    ("now", "cutoff"),
    [
        ("2026-03-29 12:00:00", "2026-03-28 11:00:00"),  # the night was an hour shorter
        ("2026-10-25 12:00:00", "2026-10-24 13:00:00"),
        ("2026-06-15 12:00:00", "2026-06-14 12:00:00"),
    ],
)
def test_a_day_has_24_hours_also_where_the_clock_changes(now, cutoff):
    with clock_of("CET-1CEST,M3.5.0,M10.5.0/3"):
        assert older_than(1, datetime.datetime.fromisoformat(now)) == f"time < timestamp '{cutoff}'"


def test_without_a_terminal_keeping_days_needs_to_be_said_yes_to(ages, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    said = fails(index, [f"--database={ages.path}", "--keep_days=30", f"--audit={tmp_path}/log"])
    assert f"--keep_days would delete 2 of 5 images from {ages.path} for good: add --yes" in said
    assert len(names(ages)) == 5 and not (tmp_path / "log").exists()


def test_a_removal_has_a_line_too_and_none_is_begun_that_could_have_none(doors, tmp_path):
    args = [f"--database={doors.path}", "--remove=camid = 2", "--yes"]
    (tmp_path / "file").touch()
    assert "is not a folder" in fails(index, [*args, f"--audit={tmp_path}/file/log"])
    assert cameras(doors) == [1, 1, 1, 2, 2]
    command(index, *args, f"--audit={tmp_path}/log")
    before, after = audited(tmp_path / "log")
    assert (after["where"], after["removed"], after["left"], after["user"]) == ("camid = 2", 2, 3, system_user())
    assert {name: before[name] for name in ("command", "user", "database", "where", "removing", "of")} == {
        **{name: after[name] for name in ("command", "user", "database", "where")},
        "removing": 2,
        "of": 5,
    }


def audited(log):
    return list(map(json.loads, log.read_text().splitlines()))


def test_a_removal_that_is_killed_has_its_line(doors, tmp_path):
    """After the rows are deleted, and before the files are written anew: the worst moment."""
    log, killed = (
        tmp_path / "log",
        (
            "import os, signal, sys, lancedb\nfrom hacnn_tf import index\n"
            "lancedb.db.LanceDBConnection.create_table = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
            "index.COMMAND.run(index.main)\n"
        ),
    )
    args = [f"--database={doors.path}", "--remove=camid = 2", "--yes", f"--audit={log}"]
    assert subprocess.run([sys.executable, "-c", killed, *args]).returncode == -signal.SIGKILL
    assert cameras(doors) == [1, 1, 1]
    (line,) = audited(log)
    assert (line["where"], line["removing"], line["of"], line["user"]) == ("camid = 2", 2, 5, system_user())
    command(index, *args)
    assert [(line["removing"], line["of"]) for line in audited(log)[:2]] == [(2, 5), (0, 3)]
    assert (audited(log)[2]["removed"], audited(log)[2]["left"]) == (0, 3) and not Database(doors.path).removing


def test_nothing_is_deleted_without_its_line(doors, tmp_path, monkeypatch):
    monkeypatch.setattr("os.write", lambda *_: 7)  # all that the disk has room for
    args = [f"--database={doors.path}", "--remove=camid = 2", "--yes", f"--audit={tmp_path}/log"]
    assert f"{tmp_path}/log (the disk is full): nothing is deleted without it." in fails(index, args)
    assert cameras(doors) == [1, 1, 1, 2, 2]


def test_a_removal_waits_for_who_is_writing(doors, capsys, monkeypatch):
    """As in cron, where an image that is written this second must not keep what is too old for another day."""
    held, waited, acquire = threading.Event(), threading.Event(), filelock.FileLock.acquire

    def write():
        with writing(doors.path):
            held.set()
            return waited.wait(60)

    def acquire_while_held(*args, **kwargs):
        waited.set()
        return acquire(*args, **kwargs)

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write)
        assert held.wait(60)
        monkeypatch.setattr(filelock.FileLock, "acquire", acquire_while_held)
        command(index, f"--database={doors.path}", "--remove=camid = 2", "--yes")
        assert writer.result()
    assert capsys.readouterr().out == f"2 removed from {doors.path}, 3 left.\n"
