"""app, as typed: its users, what it warns of and refuses, its temporary folder, and proxies."""

import contextlib
import os
import pty
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.request import getproxies

import pytest

pytest.importorskip("gradio", reason='needs the extra "app"')

from hacnn_tf import app
from hacnn_tf.gallery.auth import Users, set_password
from tests.conftest import command, fails

pytestmark = pytest.mark.usefixtures("opened_once")

PROXIES = {  # none of which may be asked for the page's own server, nor keep it from coming up
    "http_proxy": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://[nonsense",
    "all_proxy": "socks5h://127.0.0.1:9",
    "no_proxy": ".corp.example",
}


def test_what_a_killed_page_left_goes_when_the_next_one_opens(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name, content in (("killed", app.SHOWN), ("mine", "config.json")):
        (tmp_path / f"{app.PREFIX}{name}" / content).mkdir(parents=True)
        (tmp_path / f"{app.PREFIX}{name}" / app.LOCK).touch()
    mine = tmp_path / f"{app.PREFIX}mine"
    with app._temporary_folder() as first:
        assert {*tmp_path.iterdir()} == {Path(first).parent, mine}
        Path(first).mkdir()
        with app._temporary_folder():
            assert Path(first).exists(), "of a page that is open"
    assert list(tmp_path.iterdir()) == [mine] and (mine / "config.json").exists()


def test_what_another_users_page_left_stays(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    theirs = tmp_path / f"{app.PREFIX}theirs"
    theirs.mkdir()
    (theirs / app.LOCK).touch()
    monkeypatch.setattr("os.getuid", lambda: theirs.stat().st_uid + 1)
    with app._temporary_folder():
        assert (theirs / app.LOCK).exists()


@pytest.mark.parametrize(
    ("password", "words"), [("correct horse\n", None), ("short\n", "8 characters"), ("", "8 char")]
)
def test_a_user_is_added_from_a_pipe(tmp_path, password, words):
    users = tmp_path / "users"
    args = [sys.executable, "-m", "hacnn_tf.app", f"--auth={users}", "--add_user=anna"]
    done = subprocess.run(args, input=password, capture_output=True, text=True)
    if words:
        assert done.returncode == 1 and words in done.stderr and not users.exists()
        return
    assert (done.returncode, done.stdout) == (0, f"anna may open the page of --auth {users}.\n"), done.stderr
    assert Users(users).check("anna", "correct horse")
    done = subprocess.run(args, input="battery staple\n", capture_output=True, text=True)
    assert done.stdout == f"anna has a new password for the page of --auth {users}.\n"
    assert Users(users).check("anna", "battery staple") and not Users(users).check("anna", "correct horse")


@pytest.mark.parametrize("again", ["correct horse", "correct house"])
def test_a_password_is_asked_for_twice_at_a_terminal_and_not_shown(tmp_path, again):
    """At a terminal that it controls, which is where `getpass` asks."""
    users = tmp_path / "users"
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-m", "hacnn_tf.app", f"--auth={users}", "--add_user=anna"])
    shown = b""
    for prompt, typed in ((b"Password of anna: ", "correct horse"), (b"Again: ", again)):
        while prompt not in shown:
            shown += os.read(terminal, 1000)
        os.write(terminal, f"{typed}\n".encode())
    with contextlib.suppress(OSError):  # Linux says so when the other end is closed
        while more := os.read(terminal, 1000):
            shown += more
    os.close(terminal)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    same = again == "correct horse"
    assert code == (0 if same else 1) and users.exists() == same
    assert b"horse" not in shown and (b"may open" if same else b"differ: nothing was written.") in shown


@pytest.fixture
def unserved(monkeypatch):
    """A command opens a page and ends, as if it had been served; the flag of a port that is free."""
    from hacnn_tf.gallery import browser

    monkeypatch.setattr(browser, "launch", lambda blocks, host, port, users: f"http://{host}:{port}/")
    monkeypatch.setattr("signal.pause", lambda: None)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"--port={free.getsockname()[1]}"


def test_a_page_for_everybody_in_the_network_says_so(people, unserved, tmp_path, capsys):
    set_password(tmp_path / "users", "anna", "correct horse")
    warned = []
    for flags in (["--host=0.0.0.0"], ["--host=0.0.0.0", f"--auth={tmp_path}/users"], ["--host=localhost"], []):
        command(app, f"--database={people}", unserved, *flags)
        warned.append(capsys.readouterr().err)
    assert warned[0].startswith("Anyone who reaches this address can see") and warned[0].count("\n") == 1
    assert warned[1].startswith("Passwords and images are sent unencrypted: put a TLS proxy")
    assert warned[2:] == ["", ""]


def test_the_model_that_is_named_is_opened_and_what_is_outdated_is_told(people, unserved, monkeypatch, capsys):
    from hacnn_tf.gallery import Database, browser

    named = []
    monkeypatch.setattr(Database, "load_model", lambda database, model: named.append(model))
    monkeypatch.setattr(Database, "outdated", "Read otherwise.")
    monkeypatch.setattr(browser, "page", lambda database, model, audit: SimpleNamespace(close=lambda verbose: None))
    command(app, f"--database={people}", unserved, "--model=runs/mine")
    assert named == ["runs/mine"] and capsys.readouterr().err == "Read otherwise.\n"


def test_proxies_are_there_again_for_a_database_in_a_bucket(monkeypatch):
    for name, value in PROXIES.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    with app._without_proxies():
        assert set(before) - set(os.environ) == set(PROXIES) and not getproxies()
    assert dict(os.environ) == before


def test_bad_input_ends_in_a_sentence(people, tmp_path):
    (tmp_path / "open").touch()
    (tmp_path / "open").chmod(0o644)
    users = tmp_path.parent / f"{tmp_path.name}-users"
    set_password(users, "anna", "correct horse")
    for args, words in (
        ([], "--database must be given"),
        ([f"--database={tmp_path}/none.lance"], "is not a database of features"),
        ([f"--database={tmp_path}/none.lance", "--port=0"], "--port"),
        ([f"--database={people}", f"--auth={tmp_path}/none"], "none cannot be read (No such file or directory): add a"),
        ([f"--database={people}", f"--auth={tmp_path}/open"], "others may read or write it: chmod 600 it"),
        ([f"--database={people}", f"--audit={tmp_path}"], "is not a file that you may append to"),
        ([f"--database={people}", f"--auth={users}", f"--audit={users}"], "--auth and --audit name one file"),
        (["--add_user=anna"], "--add_user takes --auth"),
        (["--add_user=anna", f"--auth={tmp_path}/new", "--port=9"], "--add_user takes --auth"),
        (["--add_user=anna", f"--auth={tmp_path}/new", f"--database={people}"], "--add_user takes --auth"),
        (["--add_user=a:b", f"--auth={tmp_path}/new"], "'a:b' is not a name of a user"),
    ):
        assert words in fails(app, args)
    assert os.listdir(tmp_path) == ["open"]
