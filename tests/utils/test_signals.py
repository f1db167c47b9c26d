"""Stopping by signal: at once, after the work in hand, and at a second signal."""

import os
import signal
import subprocess
import sys

import pytest

from hacnn_tf.utils.signals import Stopped, StopRequest, deferred, stoppable


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
