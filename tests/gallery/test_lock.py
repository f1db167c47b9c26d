"""One writer at a time, whatever the database is called, and none that is gone."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from hacnn_tf.evaluation.calibration import Calibration
from hacnn_tf.utils.errors import InputError
from tests.gallery.conftest import make_features, make_rows

pytest.importorskip("lancedb", reason='needs the extra "search"')

from hacnn_tf.gallery import Database, lock
from hacnn_tf.gallery.lock import writing


def test_a_write_waits_for_another_and_then_says_that_it_goes_on(filled, monkeypatch):
    people, _ = filled
    monkeypatch.setattr(lock, "WRITE_WAIT", 0.2)
    with ThreadPoolExecutor(1) as pool, writing(people.path):
        people.write(make_rows([50]), make_features(1))  # of the thread that holds it
        with pytest.raises(InputError, match=r"people\.lance is being written by process"):
            pool.submit(people.write, make_rows([51]), make_features(1)).result()
    people.write(make_rows([51]), make_features(1))
    assert len(people) == 52


def test_a_link_has_the_lock_of_what_it_leads_to(filled, tmp_path, monkeypatch):
    people, _ = filled
    monkeypatch.setattr(lock, "WRITE_WAIT", 0.1)
    (tmp_path / "link.lance").symlink_to("people.lance")
    with ThreadPoolExecutor(1) as pool, writing(people.path), pytest.raises(InputError, match="being written"):
        pool.submit(Database(tmp_path / "link.lance").write, make_rows([50]), make_features(1)).result()


def test_a_fork_meanwhile_does_not_keep_the_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "WRITE_WAIT", 0.2)
    with writing(tmp_path / "people.lance"):
        child = os.fork()
        if not child:
            time.sleep(5)
            os._exit(0)
    with writing(tmp_path / "people.lance"):
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_a_calibration_waits_for_whoever_writes(filled, monkeypatch):
    people, _ = filled
    monkeypatch.setattr(lock, "WRITE_WAIT", 0.1)
    holds, waited = threading.Event(), threading.Event()
    monkeypatch.setattr("builtins.print", lambda *said, **_: waited.set())

    def write():
        with writing(people.path):
            holds.set()
            assert waited.wait(60), "it does not wait"

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(write)
        holds.wait()
        with pytest.raises(InputError, match="being written"):
            lock.check_writable(people.path)
        people.keep_calibration(Calibration(people.fingerprint, 6.0, -4.0, "doors", 30, 90, 2000, 0.1))
        done.result()
    assert people.calibration
