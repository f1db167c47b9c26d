"""Workers that meet, that do not, and that were not started alike."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from hacnn_tf.training import devices
from hacnn_tf.training.devices import Devices
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
            return meet(addresses, index, agreements[index], wait_seconds=20)
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
    assert said[0] == "Worker 2 was started with other flags or data than worker 0: start all alike."
    assert all("was started with other flags or data than" in sentence for sentence in said)


def test_one_does_not_come(addresses):
    with pytest.raises(InputError, match=f"Worker 1 at {addresses[1]}, 2 at {addresses[2]} did not come within 1 s"):
        meet(addresses, 0, "same", wait_seconds=1)


def test_a_stranger_is_no_worker(addresses):
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(meet, addresses[:2], 0, "same", 4)
        for content in (b"GET / HTTP/1.1\r\n\r\n", b"[1]", b"", b"x" * 5000):
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
        meet(addresses, 0, "same")


@pytest.mark.parametrize(
    "config",
    [
        "no JSON",
        "[]",
        {"cluster": {"worker": ["a:1"]}},
        {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"index": 0}},
        {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}},
        {"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}},
        {"cluster": {"worker": ["a:1"]}, "task": {"type": "chief", "index": 0}},
        {"cluster": {"worker": ["a:1", "b"]}, "task": {"type": "worker", "index": 0}},
        {"cluster": {"worker": ["a:1"], "master": ["b:1"]}, "task": {"type": "worker", "index": 0}},
        {"cluster": {"chief": ["a:1"], "ps": ["b:1"]}, "task": {"type": "chief", "index": 0}},
        {"cluster": {"chief": ["a:1"], "evaluator": ["b:1"]}, "task": {"type": "chief", "index": 0}},
        {"cluster": {"chief": ["a:1"]}, "task": {"type": "evaluator", "index": 0}},
        {"cluster": {"evaluator": ["a:1"]}, "task": {"type": "evaluator", "index": 0}},
        {"cluster": 5, "task": 5},
    ],
)
def test_a_tf_config_that_is_none(config, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config if isinstance(config, str) else json.dumps(config))
    for strategy in ("auto", "multi_worker"):
        with pytest.raises(InputError, match=r"TF_CONFIG must be like .*\): set it so, or add --strategy one to train"):
            Devices.choose(strategy, 32)
    assert Devices.choose("one", 32).replicas == Devices.choose("mirrored", 32).replicas == 1


@pytest.mark.parametrize(
    ("config", "strategies"),
    [
        (None, ["auto"]),
        ({}, ["auto"]),
        ({"cluster": {}, "task": {}, "environment": "cloud"}, ["auto"]),
        ({"cluster": {"worker": []}}, ["auto"]),
        ({"task": {"type": "worker", "index": 0}}, ["auto"]),
        ({"cluster": {"chief": ["a:1"]}, "task": {"type": "chief", "index": 0}}, ["auto", "multi_worker"]),
        ({"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": "0"}}, ["auto", "multi_worker"]),
        (
            {"cluster": {"master": ["a:1"], "worker": []}, "task": {"type": "master", "index": 0}},
            ["auto", "multi_worker"],
        ),
    ],
)
def test_who_is_alone_trains_alone(config, strategies, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if config is not None:
        monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    for strategy in strategies:
        alone = Devices.choose(strategy, 32)
        assert (str(alone), alone.replicas, alone.chief) == ("CPU", 1, True)
    if "multi_worker" not in strategies:
        with pytest.raises(InputError, match="--strategy multi_worker needs addresses: set TF_CONFIG"):
            Devices.choose("multi_worker", 32)


def test_a_chief_is_the_first_worker(monkeypatch):
    cluster = {"worker": ["b:1", "c:1"], "chief": ["a:1"]}
    for i, (kind, index) in enumerate([("chief", 0), ("worker", 0), ("worker", 1)]):
        text = json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})
        assert devices._read_cluster(text) == (["a:1", "b:1", "c:1"], i)


def test_a_batch_that_does_not_divide(monkeypatch):
    config = {"cluster": {"worker": ["a:1", "b:1", "c:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    with pytest.raises(InputError, match="--batch_size 32 cannot be divided among 3 workers"):
        Devices.choose("auto", 32)
