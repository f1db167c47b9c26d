"""Work in threads: in order, and whatever stops one stops all."""

import os
import signal
import time

import pytest

from hacnn_tf.data.parallel import in_threads


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError])
def test_what_stops_a_thread_stops_all_at_once(stop):
    done = []

    def work(i):
        done.append(i)
        time.sleep(0.001)
        if i == 20:
            raise stop

    with pytest.raises(stop):
        in_threads(work, 10_000, "Working")
    assert len(done) < 200
    assert in_threads(lambda i: i * i, 100, "Working") == [i * i for i in range(100)]
    assert in_threads(str, 0, "Working") == []


def test_ctrl_c_stops_all_at_once():
    done = []

    def work(i):
        done.append(i)
        time.sleep(0.001)
        if i == 20:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        in_threads(work, 10_000, "Working")
    assert len(done) < 200
