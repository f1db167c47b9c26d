"""The audit file: whole lines from any number of processes, digests that sha256sum gives, and no answer without one."""

import errno
import json
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone

import pandas as pd
import pytest

from hacnn_tf.gallery.audit import Audit, system_user
from hacnn_tf.utils.errors import InputError


def sha256sum(content):
    return subprocess.run(["sha256sum"], input=content, capture_output=True, check=True).stdout.split()[0].decode()


@pytest.fixture
def images():
    return [b"anna.jpg", b"anna_2.jpg"]


def ask(audit, images, found=("/door/1.jpg", "/door/\udcff.jpg")):
    """A search by two images of one person."""
    return audit.run_search(
        lambda: [pd.DataFrame({"path": list(found)})],
        [images],
        "people.lance",
        "ben",
        {"where": "camid = 1", "top": 20},
    )


def test_a_line_says_who_asked_for_what_and_names_no_image(images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SUDO_USER", raising=False)
    path = tmp_path / "log/audit.jsonl"
    before = datetime.now(timezone.utc) - timedelta(seconds=1)
    (found,) = ask(Audit(path, "hacnn_tf.search"), images)
    assert found.path[0] == "/door/1.jpg"
    line = json.loads(path.read_text())
    assert before <= datetime.fromisoformat(line.pop("time")) <= datetime.now(timezone.utc)
    assert line == {
        "command": "hacnn_tf.search",
        "sudo_user": None,
        "user": "ben",
        "database": f"{tmp_path}/people.lance",
        "where": "camid = 1",
        "top": 20,
        "queries": [sha256sum(b"anna.jpg"), sha256sum(b"anna_2.jpg")],
        "found": [sha256sum(b"/door/1.jpg"), sha256sum(b"/door/\xff.jpg")],
    }
    assert path.stat().st_mode & 0o777 == 0o600
    assert "anna" not in path.read_text() and "door" not in path.read_text()


def test_a_database_in_a_bucket_is_named_as_it_was_given(tmp_path):
    Audit(tmp_path / "a", "c").removed("s3://bucket/p.lance", "true", 1, 0)
    assert json.loads((tmp_path / "a").read_text())["database"] == "s3://bucket/p.lance"


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ("camid = 'north' and time > timestamp '2026-11-01'", None),
        ("path like '/door/%.jpg'", None),
        ("path like '%anna.jpg' and regexp_like(path, '^/door/(anna|ben).jpg')", None),
        ("path like '/door/anna+1.jpg'", f"path like '{sha256sum(b'/door/anna+1.jpg')}'"),
        ("regexp_like(path, '(anna|ben).jpg') or \"like\" = 3", None),
        ("path != 'door/anna.jpg'", f"path != '{sha256sum(b'door/anna.jpg')}'"),
        ("path = 's3://b/a%.JPG' or camid = '1.5'", f"path = '{sha256sum(b's3://b/a%.JPG')}' or camid = '1.5'"),
        ("starts_with(path, '/door/2026/') and day > '2026/11/24'", None),
        ("\"o'clock\" = 3 and path = '/1.jpg'", f"\"o'clock\" = 3 and path = '{sha256sum(b'/1.jpg')}'"),
        ("path != '/door/1.jpg' and camid = 'a'", f"path != '{sha256sum(b'/door/1.jpg')}' and camid = 'a'"),
        (
            "path in ('/o''neil.jpg', '/é.jpg')",
            f"path in ('{sha256sum(b'/o' + bytes([39]) + b'neil.jpg')}', '{sha256sum('/é.jpg'.encode())}')",
        ),
    ],
)
def test_paths_in_conditions_are_digests_too(where, kept, tmp_path):
    audit = Audit(tmp_path / "a", "c")
    audit.removing("p.lance", where, 1, 1)
    audit.run_search(lambda: [pd.DataFrame({"path": []})], [[b"anna"]], "p.lance", None, {"where": where})
    assert [json.loads(line)["where"] for line in audit.path.read_text().splitlines()] == 2 * [kept or where]


def test_a_line_has_reached_the_disk_before_there_is_an_answer(images, tmp_path, monkeypatch):
    synced, fsync = [], os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda file: (synced.append((tmp_path / "audit.jsonl").stat().st_size), fsync(file))
    )
    ask(Audit(tmp_path / "audit.jsonl", "hacnn_tf.search"), images)
    assert synced == [(tmp_path / "audit.jsonl").stat().st_size] and synced[0] > 0


def test_who_became_another_by_sudo_is_told(images, tmp_path, monkeypatch):
    monkeypatch.setenv("SUDO_USER", "anna")
    ask(Audit(tmp_path / "a", "c"), images)
    assert json.loads((tmp_path / "a").read_text())["sudo_user"] == "anna"


def test_each_query_has_a_line_and_what_was_there_stays(images, tmp_path):
    path = tmp_path / "audit.jsonl"
    path.touch(0o640)  # as logrotate may make it
    path.write_text("before\n")
    rows = [pd.DataFrame({"path": ["/1.jpg"]}), pd.DataFrame({"path": ["/2.jpg"]})]
    Audit(path, "c").run_search(lambda: rows, [[image] for image in images], "p.lance", None, {})
    first, *lines = path.read_text().splitlines()
    assert first == "before"
    assert [json.loads(line)["found"] for line in lines] == [[sha256sum(b"/1.jpg")], [sha256sum(b"/2.jpg")]]


def test_a_search_that_finds_nobody_has_a_line_too(images, tmp_path):
    def search():
        raise InputError("p.lance has no images for which 'camid = 7' holds.")

    with pytest.raises(InputError, match="has no images"):
        Audit(tmp_path / "a", "c").run_search(search, [images], "p.lance", "ben", {"where": "camid = 7"})
    line = json.loads((tmp_path / "a").read_text())
    assert (line["where"], line["found"]) == ("camid = 7", [])


def test_a_line_that_cannot_be_written_is_no_answer_and_leaves_no_half_line(tmp_path):
    """As on a full disk, of which the kernel says so after a part of it: of a file that may not grow."""
    path = tmp_path / "audit.jsonl"
    script = (
        "import resource, signal, sys\n"
        "from hacnn_tf.gallery.audit import Audit\n"
        "from hacnn_tf.utils.errors import InputError\n"
        "from tests.gallery.test_audit import ask\n"
        "audit = Audit(sys.argv[1], 'c')\n"
        "ask(audit, [b'anna'])\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "for more in (100, 0):\n"
        "    size = len(open(sys.argv[1]).read()) + more\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))\n"
        "    try: print(ask(audit, [b'anna']))\n"
        "    except InputError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True)
    first, second = done.stdout.splitlines()
    assert first == f"Cannot write the audit file {path} (the disk is full): nothing is shown without it."
    assert second == f"Cannot write the audit file {path} (File too large): nothing is shown without it."
    assert json.loads(path.read_text())["user"] == "ben", "one whole line, and nothing after it"


def test_half_a_line_in_a_file_that_may_only_grow_takes_no_other_line_along(images, tmp_path, monkeypatch):
    """As under `chattr +a`, on a full disk."""
    audit, write = Audit(tmp_path / "audit.jsonl", "c"), os.write

    def refused(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", refused)
        patch.setattr(os, "write", lambda file, content: write(file, content[:20]))
        with pytest.raises(InputError, match=r"\(the disk is full\): nothing is shown without it"):
            ask(audit, images)
    for _ in range(2):
        ask(audit, images)
    half, *whole = audit.path.read_text().splitlines()
    assert len(half) == 20 and [json.loads(line)["user"] for line in whole] == ["ben", "ben"]


def test_processes_at_once_mix_no_lines(tmp_path):
    path = tmp_path / "audit.jsonl"
    script = (
        "import sys\nfrom hacnn_tf.gallery.audit import Audit\nfrom tests.gallery.test_audit import ask\n"
        "for i in range(30): ask(Audit(sys.argv[1], sys.argv[2]), [b'anna'], [f'/{i}.jpg'] * 2000)\n"
    )
    args = [sys.executable, "-c", script, path]
    started = [subprocess.Popen([*args, f"process {i}"]) for i in range(3)]
    assert [process.wait(60) for process in started] == [0, 0, 0]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for i in range(3):
        own = [line["found"] for line in lines if line["command"] == f"process {i}"]
        assert own == [[sha256sum(f"/{number}.jpg".encode())] * 2000 for number in range(30)]
    assert len(lines) == 90


def test_no_line_goes_to_a_folder_called_like_a_bucket(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"s3://logs/audit\.jsonl is in a bucket"):
        Audit("s3://logs/audit.jsonl", "c")
    assert not list(tmp_path.iterdir())
    assert Audit(f"file://{tmp_path}/audit.jsonl", "c").path == tmp_path / "audit.jsonl"


@pytest.mark.parametrize("place", ["", "file/audit.jsonl", "pipe"])
def test_what_is_no_place_for_it_is_said_at_once(tmp_path, place):
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=r"--audit\.$|is not a folder that you may write to\.$"):
        Audit(tmp_path / place, "c")


@pytest.mark.parametrize("mode", [0o604, 0o602])
def test_a_file_that_everybody_may_read_or_change_is_not_added_to(mode, tmp_path):
    (tmp_path / "audit.jsonl").touch()
    (tmp_path / "audit.jsonl").chmod(mode)
    with pytest.raises(InputError, match="read or changed by every user of this machine: chmod 600 it"):
        Audit(tmp_path / "audit.jsonl", "c")


def test_without_a_file_nothing_is_recorded(images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(os.listdir())
    audit = Audit(None, "c")
    assert len(ask(audit, images)[0]) == 2
    audit.removing("p.lance", "true", 1, 1)
    audit.removed("p.lance", "true", 1, 0)
    assert sorted(os.listdir()) == before


def test_the_user_is_the_systems_and_not_the_environments(monkeypatch):
    for name in ("USER", "LOGNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody_else")
    assert system_user() == subprocess.run(["id", "-un"], capture_output=True, text=True).stdout.strip()


def test_a_user_without_a_name_is_a_number(monkeypatch):
    monkeypatch.setattr("os.getuid", lambda: 4_000_000_001)
    assert system_user() == "4000000001"
