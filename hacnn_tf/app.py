"""A page to find a person in a database of indexed images, in a browser.

    python -m hacnn_tf.app --database people.lance
    python -m hacnn_tf.app --auth users --add_user NAME
    python -m hacnn_tf.app --database people.lance --auth users --audit audit.jsonl

Choose or drop an image, filter by camera and time, see the nearest; click one to see where the network looks (of
exports, only a Keras file shows it), or to search with it. Only this machine can open the page unless --host says
otherwise, and it asks for no password unless --auth names a file of users. --add_user adds a user to that file, or
changes a password: it asks twice at a terminal, or reads one line of standard input.
"""

import contextlib
import getpass
import ipaddress
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from absl.flags import FlagValues

from hacnn_tf.gallery.audit import Audit
from hacnn_tf.gallery.auth import Users, check_name, set_password
from hacnn_tf.gallery.naming import check_there
from hacnn_tf.utils import cli
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import locked
from hacnn_tf.utils.packages import check_installed
from hacnn_tf.utils.signals import Stopped
from hacnn_tf.utils.text import printable
from hacnn_tf.utils.waiting import announced

COMMAND = cli.Command(__doc__, "hacnn_tf.app")
COMMAND.group("Search")
COMMAND.define("path", "database", None, "what python -m hacnn_tf.index made")
COMMAND.define("path", "model", None, "new location of the database's model, if it was moved")
COMMAND.group("Page")
COMMAND.define("string", "host", "127.0.0.1", "address to listen on")
COMMAND.define("integer", "port", 7860, "port to listen on", lower_bound=1, upper_bound=65535)
COMMAND.group("Access")
COMMAND.define("path", "auth", None, "file of users: only they see the page, with a password")
COMMAND.define("string", "add_user", None, "add a user to --auth, or change a password, and exit")
COMMAND.define("path", "audit", None, "log who searched for what to this file, before anything is shown")

PREFIX, LOCK, SHOWN = "hacnn_tf-page-", "page.lock", "shown"  # of the folder of a page that is open
UNGUARDED = "Anyone who reaches this address can see and search the images: --auth adds a password."
UNENCRYPTED = "Passwords and images are sent unencrypted: put a TLS proxy in front of the page."


def main(flags: FlagValues) -> None:
    if flags.add_user is not None:
        _add_user(flags)
        return
    cli.require(flags, "database")
    check_there(flags.database)
    users = Users(flags.auth) if flags.auth else None
    cli.check_apart(flags, "auth", "audit")
    audit = Audit(flags.audit, COMMAND.name)
    _check_listening(flags.host, flags.port)
    from hacnn_tf.gallery import Database

    with _temporary_folder() as shown:
        database = Database(flags.database)
        if database.outdated:
            print(database.outdated, file=sys.stderr)
        model = database.load_model(flags.model)
        with announced("Opening the page"), _without_proxies():
            browser = _import_browser(shown)
            blocks = browser.page(database, model, audit)
            address = browser.launch(blocks, flags.host, flags.port, users)
        if not _is_loopback(flags.host):
            print(UNENCRYPTED if users else UNGUARDED, file=sys.stderr)
        print(f"Find a person on {address} (Ctrl-C ends it)", flush=True)
        try:
            signal.pause()
        except Stopped as stopped:
            if stopped.number != signal.SIGTERM:  # by which a service is asked to end, and then has ended well
                raise
        finally:
            blocks.close(verbose=False)


@contextlib.contextmanager
def _temporary_folder() -> Iterator[str]:
    """A folder for images of people: gone when the page is, or when the next one opens if that was killed."""
    for former in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{LOCK}"):
        with contextlib.suppress(InputError, OSError):
            if former.parent.lstat().st_uid != os.getuid():  # whose lock may be a link to a file of ours
                continue
            with locked(former):  # or the page is open
                if set(os.listdir(former.parent)) <= {LOCK, SHOWN}:
                    shutil.rmtree(former.parent)
    with tempfile.TemporaryDirectory(prefix=PREFIX) as own, locked(Path(own) / LOCK):
        yield f"{own}/{SHOWN}"


def _add_user(flags: FlagValues) -> None:
    """Raises `InputError` if the user cannot be added; nothing is written then."""
    given = {name for name in flags if flags[name].present}
    if given != {"add_user", "auth"}:
        raise InputError("--add_user takes --auth, the file to write, and nothing else.")
    check_name(flags.add_user)
    new = set_password(flags.auth, flags.add_user, _ask_password(flags.add_user))
    print(f"{flags.add_user} {'may open' if new else 'has a new password for'} the page of --auth {flags.auth}.")


def _ask_password(name: str) -> str:
    try:
        if not (sys.stdin and sys.stdin.isatty()):
            return sys.stdin.buffer.readline().decode().rstrip("\r\n") if sys.stdin else ""
        password = getpass.getpass(f"Password of {name}: ")
        if getpass.getpass("Again: ") == password:
            return password
    except (EOFError, UnicodeDecodeError):
        raise InputError("A password is one line of UTF-8: nothing was written.") from None
    raise InputError("The two passwords differ: nothing was written.")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_listening(host: str, port: int) -> None:
    """Raises `InputError` if nobody can listen there; Gradio itself would say it in many lines, and late."""
    try:
        with socket.create_server((host, port)):
            pass
    except (OSError, TypeError) as error:  # of what is no text
        reason = getattr(error, "strerror", None) or error
        where = f"{printable(host)}:{port}"
        raise InputError(f"{where} cannot be listened on ({reason}): name another --host or --port.") from None


@contextlib.contextmanager
def _without_proxies() -> Iterator[None]:
    """While the context lasts, the environment names no proxies, which would be asked for Gradio's own server.

    Not even those that are not to be used may stand there: Gradio's HTTP client refuses some kinds (SOCKS) as it is
    made. Afterwards they are there again, for a database in a bucket.
    """
    proxies = {name: os.environ.pop(name) for name in list(os.environ) if name.lower().endswith("_proxy")}
    try:
        yield
    finally:
        os.environ |= proxies


def _import_browser(folder: str) -> ModuleType:
    """The module with the page, which will keep what is shown and uploaded in a folder."""
    # Gradio reads these when it is imported, or launched. Its history would keep searches in browsers, for good.
    os.environ |= {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_RUN_HISTORY": "False"}
    check_installed(["gradio"], "the page", "app")
    from hacnn_tf.gallery import browser

    return browser


if __name__ == "__main__":
    COMMAND.run(main)
