"""Workers find each other before TensorFlow connects them, which may wait an hour and hears no Ctrl-C meanwhile.

TensorFlow 2.21 cannot do it alone: `MultiWorkerMirroredStrategy()` holds Python's lock while it connects, so made in a
thread it leaves the main thread neither signals nor a time limit, and with the default handlers SIGTERM stays unheard.
Its coordination service's register timeout, not public, ended the wait for an absent chief (13 s for 8), but not that
for another worker (still there after 60 s); its key-value store and gathering need all to be connected already. With
that service off, peers can be asked one by one and Ctrl-C is heard, but only by private functions of TensorFlow.
"""

import hashlib
import json
import socket
import threading
import time

from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import preview

WAIT_SECONDS = 300
PAUSE_SECONDS = 0.2  # between calls
CALL_SECONDS = 5
MESSAGE_BYTES = 200  # at most, of what another worker says
HEARD = b"."


def meet(addresses, index, agreement, wait_seconds=WAIT_SECONDS):
    """Waits until all workers are there, and checks that all were started alike.

    Args:
        addresses: list of "HOST:PORT", one a worker.
        index: which of them is this process.
        agreement: text that must be the same everywhere.
        wait_seconds: how long to wait for the others.

    Raises:
        InputError: this worker's port is taken, others do not come in time (names them), or one has another agreement.
    """
    mine = hashlib.sha256(agreement.encode()).hexdigest()
    everybody = set(range(len(addresses)))
    reached, seen, done = {index}, {index: mine}, threading.Event()
    deadline = time.monotonic() + wait_seconds
    with _listen(addresses[index]) as listener:
        hearing = threading.Thread(target=_hear, args=(listener, seen, done))
        hearing.start()
        try:
            # A worker may leave, and free its port for TensorFlow, once it has reached all and all have reached it.
            while everybody - reached or everybody - seen.keys():
                for other in everybody - reached:
                    if _tell(addresses[other], {"worker": index, "agreement": mine}):
                        reached.add(other)
                if time.monotonic() > deadline:
                    absent = [f"{i} at {a}" for i, a in enumerate(addresses) if i not in reached or i not in seen]
                    raise InputError(
                        f"Worker {preview(absent)} did not come within {wait_seconds} s: start the same command on "
                        "each machine of TF_CONFIG, and see that their ports can be reached."
                    )
                time.sleep(PAUSE_SECONDS)
        finally:
            done.set()
            hearing.join()
    for other, agreement in seen.items():
        if agreement != mine:
            raise InputError(
                f"Worker {other} was started with other flags or data than worker {index}: start all alike."
            )


def _listen(address):
    try:
        return socket.create_server(("", int(address.rpartition(":")[2])))
    except OSError as error:
        raise InputError(f"{address}, this worker's in TF_CONFIG, cannot be used: {error.strerror}.") from None


def _tell(address, message):
    """Calls another worker; whether it has heard."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), CALL_SECONDS) as connection:
            connection.sendall(json.dumps(message).encode())
            connection.shutdown(socket.SHUT_WR)
            return connection.recv(1) == HEARD
    except (OSError, UnicodeError):  # nobody there, or no such name
        return False


def _hear(listener, seen, done):
    """Notes in `seen` who calls, and with which agreement, until `done`."""
    listener.settimeout(PAUSE_SECONDS)
    while not done.is_set():
        try:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(CALL_SECONDS)
                text = b""
                while len(text) < MESSAGE_BYTES and (more := connection.recv(MESSAGE_BYTES)):
                    text += more
                message = json.loads(text)
                worker, agreement = int(message["worker"]), str(message["agreement"])
                connection.sendall(HEARD)
            seen[worker] = agreement
        except (OSError, ValueError, KeyError, TypeError, OverflowError):  # nobody, or a stranger
            continue
