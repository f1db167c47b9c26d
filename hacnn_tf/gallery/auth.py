"""Who may open the page: a file of users and salted hashes of their passwords."""

import hashlib
import hmac
import os
import re
import secrets
import unicodedata
from pathlib import Path

from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import expanded, locked, write_text
from hacnn_tf.utils.types import FilePath

N, R, P = 2**14, 8, 5  # of scrypt: 16 MiB a guess, as OWASP recommends
KIND = f"scrypt-{N}-{R}-{P}"
SHORTEST = 8  # characters of a password
WRITE_WAIT = 60  # seconds that a user who is added waits for others to be
ADD = "add a user with python -m hacnn_tf.app --auth FILE --add_user NAME"
NAME = r"[\w.@+-]+"
LINE = re.compile(rf"({NAME}):{KIND}:([0-9a-f]{{32}}):([0-9a-f]{{128}})")


class Users:
    """The users of a file that `set_password` wrote, as they were when it was read.

    Args:
        path: of the file, a line a user: name, kind of hash, salt, hash.

    Raises:
        InputError: it is not there or none such, has no users, or others than its owner can read or write it.
    """

    def __init__(self, path: FilePath) -> None:
        self._hashes = _read(Path(expanded(path)))
        if not self._hashes:
            raise InputError(f"{path} has no users: {ADD}.")

    def __contains__(self, name: str) -> bool:
        return normal(name) in self._hashes

    def check(self, name: str, password: str) -> bool:
        """Whether this is the password of that user; names that nobody has take as long as others."""
        known = self._hashes.get(normal(name))
        salt, expected = known or (bytes(16), bytes(64))
        return hmac.compare_digest(_hash(password, salt), expected) and known is not None


def set_password(path: FilePath, name: str, password: str) -> bool:
    """Gives a user a password, in a file that is made with mode 600 if there is none. Processes wait for each other.

    Args:
        path: of the file.
        name: of the user, letters, digits and `._@+-`; written in the NFKC normal form, as all that is typed is read.
        password: of `SHORTEST` characters or more, likewise.

    Returns:
        Whether the user is new.

    Raises:
        InputError: no user can have this name or password, or the file cannot be used or written.
    """
    check_name(name)
    path, name = Path(os.path.realpath(expanded(path))), normal(name)  # not a link: what it leads to
    if len(password) < SHORTEST:
        raise InputError(f"A password has {SHORTEST} characters at least: nothing was written.")
    salt = secrets.token_bytes(16)
    hashed = _hash(password, salt)
    with locked(path.with_name(f".{path.name}.lock"), path, WRITE_WAIT):
        hashes = _read(path) if path.exists() else {}
        new = name not in hashes
        hashes[name] = salt, hashed
        lines = [f"{user}:{KIND}:{salt.hex()}:{hashed.hex()}\n" for user, (salt, hashed) in hashes.items()]
        write_text(path, "".join(lines), private=True)
    return new


def check_name(name: str) -> None:
    """Raises `InputError` if no user can be called this."""
    if not re.fullmatch(NAME, normal(name)):
        raise InputError(f"{name!r} is not a name of a user: use letters, digits, and . _ @ + - alone.")


def _read(path: Path) -> dict[str, tuple[bytes, bytes]]:
    """Salt and hash by user."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            closed = not os.fstat(file.fileno()).st_mode & 0o077
            lines = file.read().splitlines()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): {ADD}.") from None
    if not closed:
        raise InputError(f"{path} holds passwords' hashes, and others may read or write it: chmod 600 it.")
    users = {}
    for number, line in enumerate(lines, start=1):
        if not (match := LINE.fullmatch(line)):
            raise InputError(f"{path} is damaged in line {number}, or of another version: take that line out.")
        users[match[1]] = bytes.fromhex(match[2]), bytes.fromhex(match[3])
    return users


def normal(text: str) -> str:
    """A text as keyboards of every kind give it."""
    return unicodedata.normalize("NFKC", text)


def _hash(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(normal(password).encode(errors="surrogatepass"), salt=salt, n=N, r=R, p=P)
