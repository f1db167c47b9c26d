"""Workers meet before TensorFlow connects them, which may wait an hour and hears no Ctrl-C meanwhile.

TensorFlow 2.21 cannot do it alone: `MultiWorkerMirroredStrategy()` holds Python's lock while it connects, so made in a
thread it leaves the main thread neither signals nor a time limit, and with the default handlers SIGTERM stays unheard.
No public option limits this wait (`CommunicationOptions` limits later exchanges). The register timeout of its
coordination service, not public, ended that for an absent chief (13 s for 8), but not for another worker (still there
after 60 s).
"""

import contextlib
import hashlib
import json
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.text import preview

WAIT_SECONDS = 300
PAUSE_SECONDS = 0.2  # between calls
CALL_SECONDS = 5
CALL_CHARACTERS = 2000  # at most
ABSENT = (
    "Worker {} did not come within {} s: start the same command on each machine of TF_CONFIG, and see that their ports "
    "can be reached."
)


def meet(
    addresses: Sequence[str], index: int, agreement: Mapping[str, str], wait_seconds: float = WAIT_SECONDS
) -> None:
    """Waits until all workers are there, and checks that all were started alike: each calls the chief, which answers.

    Args:
        addresses: "HOST:PORT" of each worker, the chief's first.
        index: which of them is this process.
        agreement: dict from what must be the same everywhere, for people, to a text.
        wait_seconds: how long to wait for the others.

    Raises:
        InputError: this worker's port is taken, others do not come in time (names them), or one has another agreement
            (names what differs).
    """
    digests = {what: hashlib.sha256(text.encode()).hexdigest() for what, text in agreement.items()}
    try:
        listener = _listen(int(addresses[index].rpartition(":")[2]))
    except OSError as error:
        raise InputError(f"{addresses[index]}, this worker's in TF_CONFIG, cannot be used: {error.strerror}.") from None
    with listener:  # the port is TensorFlow's afterwards
        if index:
            refusal = _call(addresses[0], [index, digests], wait_seconds)
        else:
            refusal = _answer(listener, addresses, digests, wait_seconds)
    if refusal:
        raise InputError(refusal)


def _listen(port: int) -> socket.socket:
    """A listener for IPv4 and IPv6, as TensorFlow has it, or for IPv4 alone where there is no other."""
    if socket.has_dualstack_ipv6():
        with contextlib.suppress(OSError):  # it may be switched off
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _call(chief: str, message: list[Any], wait_seconds: float) -> str:
    """Calls the chief until it is there, and gives its answer: why not to begin, or ""."""
    host, _, port = chief.rpartition(":")
    deadline = time.monotonic() + wait_seconds
    while time.monotonic() < deadline:
        try:
            with socket.create_connection((host.strip("[]"), int(port)), CALL_SECONDS) as connection:
                connection.sendall(json.dumps(message).encode() + b"\n")
                connection.settimeout(wait_seconds + CALL_SECONDS)  # the chief is there, and waits for others
                return json.loads(connection.makefile().read())
        except (OSError, ValueError):  # no such name, not there yet, or gone again
            time.sleep(PAUSE_SECONDS)
    return ABSENT.format(f"0 at {chief}", wait_seconds)


def _answer(listener: socket.socket, addresses: Sequence[str], digests: Mapping[str, str], wait_seconds: float) -> str:
    """The chief's part: waits until all others have called, and answers them."""
    deadline = time.monotonic() + wait_seconds
    callers: dict[int, tuple[socket.socket, Mapping[str, str]]] = {}
    while len(callers) < len(addresses) - 1 and (left := deadline - time.monotonic()) > 0:
        listener.settimeout(left)
        with contextlib.suppress(OSError, ValueError, TypeError):  # nobody came, or a stranger
            connection, _ = listener.accept()
            connection.settimeout(CALL_SECONDS)
            worker, theirs = json.loads(connection.makefile().readline(CALL_CHARACTERS))
            if worker in range(1, len(addresses)):
                connection.setblocking(False)
                callers[worker] = connection, theirs if isinstance(theirs, dict) else {}  # of a former version
        callers = {worker: called for worker, called in callers.items() if _waits(called[0])}
    refusal = ""
    if absent := [f"{i} at {address}" for i, address in enumerate(addresses) if i and i not in callers]:
        refusal = ABSENT.format(preview(absent), wait_seconds)
    elif others := sorted(worker for worker, (_, theirs) in callers.items() if theirs != digests):
        theirs = callers[others[0]][1]
        different = " and ".join(what for what in digests if theirs.get(what) != digests[what])
        refusal = f"Worker {others[0]} was started with other {different} than worker 0: start all alike."
    for connection, _ in callers.values():
        with connection, contextlib.suppress(OSError):  # it has left again
            connection.sendall(json.dumps(refusal).encode())
    return refusal


def _waits(connection: socket.socket) -> bool:
    """Whether who called is still there, and did not end while others were waited for."""
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except BlockingIOError:  # it says no more, as it should
        return True
    except OSError:
        return False
