"""Users of the page: their file, its mode, and passwords that are theirs alone."""

import hashlib
import subprocess
import sys
import time

import pytest

from hacnn_tf.gallery.auth import Users, check_name, set_password
from hacnn_tf.utils.errors import InputError


@pytest.fixture(scope="module")
def users(tmp_path_factory):
    path = tmp_path_factory.mktemp("auth") / "users"
    assert set_password(path, "anna", "correct horse") is True
    assert set_password(path, "ben@door", "battery staple") is True
    return path


@pytest.mark.parametrize(
    ("name", "password", "right"),
    [
        ("anna", "correct horse", True),
        ("ben@door", "battery staple", True),
        ("anna", "battery staple", False),
        ("anna", "correct horse ", False),
        ("anna", "", False),
        ("Anna", "correct horse", False),
        ("nobody", "correct horse", False),
        ("", "", False),
        ("anna:scrypt", "\udcff", False),
    ],
)
def test_who_may_enter(users, name, password, right):
    assert Users(users).check(name, password) is right


def test_the_file_has_salted_hashes_that_anybody_can_compute(users):
    lines = [line.split(":") for line in users.read_text().splitlines()]
    assert [line[:2] for line in lines] == [["anna", "scrypt-16384-8-5"], ["ben@door", "scrypt-16384-8-5"]]
    salts = [bytes.fromhex(line[2]) for line in lines]
    assert len(set(salts)) == 2 and all(len(salt) == 16 for salt in salts)
    expected = hashlib.scrypt(b"correct horse", salt=salts[0], n=16384, r=8, p=5).hex()
    assert lines[0][3] == expected and "horse" not in users.read_text()
    assert users.stat().st_mode & 0o777 == 0o600


def test_the_same_password_has_another_hash(tmp_path):
    for name in "ab":
        set_password(tmp_path / "users", name, "correct horse")
    one, other = (tmp_path / "users").read_text().splitlines()
    assert one.split(":")[3] != other.split(":")[3]


def test_a_new_password_takes_the_place_of_the_old_one(users, tmp_path):
    path = tmp_path / "users"
    path.touch(0o600)
    path.write_text(users.read_text())
    assert set_password(path, "anna", "another one") is False
    (tmp_path / "link").symlink_to(path)
    assert set_password(tmp_path / "link", "anna", "a third one") is False and (tmp_path / "link").is_symlink()
    assert Users(path).check("anna", "a third one") and not Users(path).check("anna", "another one")
    set_password(path, "anna", "another one")
    now = Users(path)
    asked = [("anna", "another one"), ("anna", "correct horse"), ("ben@door", "battery staple")]
    assert [now.check(*guess) for guess in asked] == [True, False, True]
    assert path.stat().st_mode & 0o777 == 0o600


def test_users_that_several_processes_add_at_once_are_all_there(tmp_path):
    script = (
        "import sys\nfrom hacnn_tf.gallery.auth import set_password\n"
        "for i in range(4): set_password(sys.argv[1], f'{sys.argv[2]}{i}', 'correct horse')\n"
    )
    args = [sys.executable, "-c", script, tmp_path / "users"]
    started = [subprocess.Popen([*args, letter]) for letter in "abc"]
    assert [process.wait(60) for process in started] == [0, 0, 0]
    names = [line.split(":")[0] for line in (tmp_path / "users").read_text().splitlines()]
    assert sorted(names) == [f"{letter}{i}" for letter in "abc" for i in range(4)]


def test_an_accent_is_one_letter_or_two(tmp_path):
    check_name("jose\u0301")
    set_password(tmp_path / "users", "jos\u00e9", "caf\u00e9 du coin")
    assert Users(tmp_path / "users").check("jose\u0301", "cafe\u0301 du coin")


def test_a_user_is_added_where_the_last_was_taken_out(tmp_path):
    (tmp_path / "users").touch(0o600)
    assert set_password(tmp_path / "users", "ben", "correct horse") is True
    assert Users(tmp_path / "users").check("ben", "correct horse")


def test_names_that_nobody_has_take_as_long(users):
    """Within a factor of three, on a machine that does other things too; without the hash it would be thousands."""
    known = Users(users)

    def seconds(name):
        start = time.process_time()
        assert not known.check(name, "wrong password")
        return time.process_time() - start

    seconds("anna")
    assert seconds("nobody") > seconds("anna") / 3


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_file_that_others_can_read_or_write_is_refused(users, tmp_path, mode):
    path = tmp_path / "users"
    path.write_text(users.read_text())
    path.chmod(mode)
    for use in (Users, lambda path: set_password(path, "carl", "correct horse")):
        with pytest.raises(InputError, match=f"{path} holds passwords' hashes, and others may .*: chmod 600 it"):
            use(path)
    assert path.read_text() == users.read_text()


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\nb", "a/b", "*"])
def test_names_that_no_user_can_have(tmp_path, name):
    with pytest.raises(InputError, match="is not a name of a user"):
        set_password(tmp_path / "users", name, "correct horse")
    assert not (tmp_path / "users").exists()


def test_a_short_password_is_refused(tmp_path):
    with pytest.raises(InputError, match="8 characters at least"):
        set_password(tmp_path / "users", "anna", "1234567")
    assert not (tmp_path / "users").exists()
    assert set_password(tmp_path / "users", "anna", "12345678") is True


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, r"cannot be read \(No such file or directory\): add a user with python -m hacnn_tf\.app"),
        ("", "has no users: add a user"),
        ("anna:correct horse\n", "is damaged in line 1"),
        (f"anna:scrypt-1024-8-1:{'0' * 32}:{'0' * 128}\n", "line 1, or of another version"),
        (f"anna:scrypt-16384-8-5:{'0' * 32}:{'0' * 127}\n", "is damaged in line 1"),
        ("\0\udcff", "is damaged in line 1"),
    ],
)
def test_what_is_no_file_of_users(tmp_path, content, words):
    path = tmp_path / "users"
    if content is not None:
        path.touch(0o600)
        path.write_text(content, errors="surrogateescape")
    with pytest.raises(InputError, match=words):
        Users(path)
