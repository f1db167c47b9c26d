"""Workers that meet, that do not, and that were not started alike."""

import contextlib
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from hacnn_tf.training.rendezvous import meet
from hacnn_tf.utils.errors import InputError


@pytest.fixture
def addresses():
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return [f"127.0.0.1:{port}" for port in ports]


def together(addresses, agreements):
    def worker(index):
        try:
            return meet(addresses, index, {"flags": "-", "code": agreements[index]}, wait_seconds=20)
        except InputError as error:
            return str(error)

    with ThreadPoolExecutor(len(addresses)) as pool:
        return list(pool.map(worker, range(len(addresses))))


def test_all_come(addresses):
    assert together(addresses, ["same"] * 3) == [None] * 3
    with socket.create_server(("127.0.0.1", int(addresses[0].split(":")[1]))):
        pass  # the port is free again


def test_one_was_started_otherwise(addresses):
    said = together(addresses, ["same", "same", "other"])
    assert said == ["Worker 2 was started with other code than worker 0: start all alike."] * 3


def has_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return socket.has_dualstack_ipv6()
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="there is no IPv6 here")
@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_all_come_by_ipv6(addresses, host):
    assert together([address.replace("127.0.0.1", host) for address in addresses], ["same"] * 3) == [None] * 3


def test_who_left_while_others_were_waited_for_has_not_come(addresses):
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(meet, addresses, 0, {}, 5)
        for worker, stays in ((1, False), (2, True)):
            caller = called(addresses[0])
            caller.sendall(json.dumps([worker, {}]).encode() + b"\n")
            if not stays:
                time.sleep(0.2)
                caller.close()
        with caller, pytest.raises(InputError, match=f"Worker 1 at {addresses[1]} did not come within 5 s"):
            waiting.result()


def called(address):
    host, port = address.split(":")
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection((host, int(port)), 1)


def test_one_does_not_come(addresses):
    with pytest.raises(InputError, match=f"Worker 1 at {addresses[1]}, 2 at {addresses[2]} did not come within 1 s"):
        meet(addresses, 0, {}, wait_seconds=1)


def test_the_chief_does_not_come(addresses):
    with pytest.raises(InputError, match=f"Worker 0 at {addresses[0]} did not come within 1 s"):
        meet(addresses, 1, {}, wait_seconds=1)


def test_a_stranger_is_no_worker(addresses):
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(meet, addresses[:2], 0, {}, 4)
        for content in (b"GET / HTTP/1.1\r\n\r\n", b"[1]", b'[1, "a"]', b"", b"x" * 5000):
            while not waiting.done():
                try:
                    with socket.create_connection(("127.0.0.1", int(addresses[0].split(":")[1])), 1) as stranger:
                        stranger.sendall(content)
                    break
                except ConnectionRefusedError:
                    continue
        with pytest.raises(InputError, match=r"Worker 1 at .* did not come"):
            waiting.result()


def test_a_port_that_is_taken(addresses):
    with (
        socket.create_server(("", int(addresses[0].split(":")[1]))),
        pytest.raises(InputError, match=f"{addresses[0]}, this worker's in TF_CONFIG, cannot be used: Address"),
    ):
        meet(addresses, 0, {})
