"""Several machines: two worker processes on loopback, against one device; and who is a worker by TF_CONFIG."""

import json
import signal
import socket
import time
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from hacnn_tf.training import multi_worker
from hacnn_tf.training.cluster import read_cluster
from hacnn_tf.training.multi_worker import open_devices
from hacnn_tf.training.run_folder import RunFolder
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.signals import Stopped, StopRequest
from tests.training.conftest import STEPS, curve, end, start

LOST_SECONDS = 60  # as docs/training.md says


def choose(strategy):
    with open_devices(strategy, 32, {}) as devices:
        return devices


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
            choose(strategy)
    assert choose("one").replicas == choose("mirrored").replicas == 1


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
        alone = choose(strategy)
        assert (str(alone), alone.replicas, alone.chief) == ("CPU", 1, True)
    if "multi_worker" not in strategies:
        with pytest.raises(InputError, match="--strategy multi_worker needs addresses: set TF_CONFIG"):
            choose("multi_worker")


def test_a_chief_is_the_first_worker():
    cluster = {"worker": ["b:1", "c:1"], "chief": ["a:1"]}
    for i, (kind, index) in enumerate([("chief", 0), ("worker", 0), ("worker", 1)]):
        text = json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})
        assert read_cluster(text) == (["a:1", "b:1", "c:1"], i)


def test_a_batch_that_does_not_divide(monkeypatch):
    config = {"cluster": {"worker": ["a:1", "b:1", "c:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    with pytest.raises(InputError, match="--batch_size 32 cannot be divided among 3 workers"):
        choose("auto")


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("Collective ops is aborted by: Connection reset by peer", "Another worker has ended or cannot be reached"),
        (
            "Graph execution error:\n\nDetected at node x\ncuLaunchKernel failed: CUDA_ERROR_INVALID_HANDLE",
            r"A GPU of this worker failed \(cuLaunchKernel",
        ),
        ("NCCL: unhandled system error", r"Another worker has ended .*, or NCCL has no way to it \(NCCL_SOCKET_IFNAME"),
    ],
)
def test_a_gpu_that_fails_is_no_other_worker_that_ended(reason, said, monkeypatch):
    config = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    met = []
    monkeypatch.setattr(multi_worker, "meet", lambda _, __, agreement: met.append(agreement))
    workers = SimpleNamespace(request=StopRequest())
    monkeypatch.setattr(multi_worker, "Workers", lambda *_: workers)
    with pytest.raises(InputError, match=f"^{said}"), open_devices("auto", 32, {"flags": "settings"}):
        raise tf.errors.InternalError(None, None, reason)
    assert list(met[0]) == ["flags", "code", "versions", "number of GPUs"] and met[0]["number of GPUs"] == "0"
    workers.request.number = signal.SIGTERM  # of which this worker heard while it waited for the others
    with pytest.raises(Stopped, match="stopped, as another worker has ended") as stopped, open_devices("auto", 32, {}):
        raise tf.errors.UnavailableError(None, None, "Connection reset by peer")
    assert stopped.value.number == signal.SIGTERM


def start_workers(data_root, run_dir, epochs=STEPS, chief=False):
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    addresses = [f"127.0.0.1:{listener.getsockname()[1]}" for listener in listeners]
    for listener in listeners:
        listener.close()
    cluster = {"worker": addresses[1:], "chief": addresses[:1]} if chief else {"worker": addresses}
    tasks = [("chief", 0), ("worker", 0)] if chief else [("worker", 0), ("worker", 1)]
    configs = ({"cluster": cluster, "task": {"type": kind, "index": i}} for kind, i in tasks)
    return [start(data_root, run_dir, epochs=epochs, TF_CONFIG=json.dumps(config)) for config in configs]


@pytest.mark.slow
@pytest.mark.parametrize("chief", [False, True])
def test_two_workers_follow_one_device(chief, data_root, one_device, tmp_path):
    end(*start_workers(data_root, tmp_path / "run", chief=chief))
    np.testing.assert_allclose(curve(tmp_path / "run"), one_device, atol=1e-3)
    assert RunFolder(tmp_path / "run").read_metrics()


@pytest.mark.slow
def test_two_workers_go_on_from_the_chiefs_checkpoint(data_root, one_device, tmp_path):
    workers = start_workers(data_root, tmp_path / "run")
    wait_for_epoch(tmp_path / "run", 5)
    workers[0].send_signal(signal.SIGTERM)
    end(*workers, code=143)
    assert len(curve(tmp_path / "run")) < STEPS
    end(*start_workers(data_root, tmp_path / "run"))
    np.testing.assert_allclose(curve(tmp_path / "run"), one_device, atol=1e-3)


def wait_for_epoch(run_dir, epoch):
    while epochs_of(run_dir) < epoch:
        time.sleep(0.02)


def epochs_of(run_dir):
    return len(curve(run_dir)) if (run_dir / "log.csv").exists() else 0


@pytest.mark.slow
def test_workers_stop_together_and_are_not_lost_for_ever(data_root, tmp_path):
    """Worker 1 is told to stop, then killed, then the chief is; each time the same command goes on."""
    run_dir = tmp_path / "run"
    for victim, number, codes in (
        (1, signal.SIGTERM, (143, 143)),
        (1, signal.SIGKILL, (1, -9)),
        (0, signal.SIGKILL, (-9, 1)),
    ):
        begun = epochs_of(run_dir)
        workers = start_workers(data_root, run_dir, epochs=2000)
        wait_for_epoch(run_dir, begun + 3)
        workers[victim].send_signal(number)
        sent = time.monotonic()
        said = [worker.communicate(timeout=300)[1] for worker in workers]
        assert tuple(worker.returncode for worker in workers) == codes, said
        assert time.monotonic() - sent < LOST_SECONDS
        if number == signal.SIGKILL:
            assert "hacnn_tf.train: Another worker has ended or cannot be reached any more" in said[1 - victim]
            assert "Traceback" not in said[1 - victim]
        assert epochs_of(run_dir) >= begun + 3
