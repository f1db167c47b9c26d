"""Stopping by signal: at once, after the work in hand, and at a second signal."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from hacnn_tf.utils.signals import Stopped, StopRequest, deferred, run_stoppable, stoppable


def send(number):
    os.kill(os.getpid(), number)
    signal.getsignal(number)  # a bytecode later it has arrived


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_at_once_with_its_number(number):
    before = signal.getsignal(number)
    with pytest.raises(Stopped) as stopped, stoppable():
        send(number)
        raise AssertionError("went on")
    assert stopped.value.number == number
    assert signal.getsignal(number) is before


def test_a_stop_that_a_library_makes_another_error_of_is_still_one():
    with pytest.raises(Stopped) as stopped, stoppable():
        try:
            send(signal.SIGTERM)
        except Stopped:
            raise ImportError("of something that was being imported") from None
    assert stopped.value.number == signal.SIGTERM
    with pytest.raises(ImportError), stoppable():
        raise ImportError("nobody stopped anything")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_deferred_signal_leaves_a_request(number, capfd):
    request = StopRequest()
    with deferred(request, "after this"):
        assert request.number is None
        send(number)
        assert request.number == number
    assert f"{number.name}: after this" in capfd.readouterr().err


def test_what_the_shell_ignores_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stoppable():
            send(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


SCRIPT = """
import os, signal, sys
from hacnn_tf.utils.signals import StopRequest, deferred, stoppable
with stoppable(), deferred(StopRequest(), "after this"):
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
print("went on")
"""


def test_a_second_signal_stops_at_once():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == -signal.SIGINT
    assert "SIGTERM: after this" in done.stderr and "went on" not in done.stdout


CHILD = """
import pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
def stop(number, _):
    time.sleep(0.5)  # longer than Python leaves to a child of `subprocess.run`
    (folder / "checkpoint").touch()
    sys.exit(128 + number)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, stop)
(folder / "ready").touch()
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_stopped_may_finish_its_work(number, tmp_path):
    def send_when_ready():
        while not (tmp_path / "ready").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    threading.Thread(target=send_when_ready, daemon=True).start()
    with pytest.raises(Stopped) as stopped, stoppable():
        run_stoppable([sys.executable, "-c", CHILD, str(tmp_path)])
    assert stopped.value.number == number and (tmp_path / "checkpoint").exists()


def test_a_signal_while_a_command_begins_is_passed_on(monkeypatch):
    child, begin = [], subprocess.Popen

    def popen(*args, **kwargs):
        child.append(begin(*args, **kwargs))
        send(signal.SIGTERM)
        return child[0]

    monkeypatch.setattr(subprocess, "Popen", popen)
    with pytest.raises(Stopped), stoppable():
        run_stoppable([sys.executable, "-c", "import time; time.sleep(60)"])
    assert child[0].returncode == -signal.SIGTERM


def test_a_command_that_a_signal_ended_stops_the_caller():
    with pytest.raises(Stopped), stoppable():
        run_stoppable(["bash", "-c", "kill -INT $$"])
    assert run_stoppable(["bash", "-c", "exit 3"]) == 3
