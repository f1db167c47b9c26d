"""What a training shows while it runs."""

import numpy as np
import pytest

from hacnn_tf.training import progress
from hacnn_tf.training.progress import Progress


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Of a second a step."""
    seconds = iter(range(100))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(seconds))


def test_losses_speed_and_the_time_left_by_a_clock_of_a_second_a_step(capsys):
    """From the second step on: the first one is traced. One epoch of four steps is left after this one."""
    with Progress(2, 3, done=0, steps=4, batch_size=8, branches=("global", "local")) as shown:
        for step in range(1, 5):
            shown.step(step, np.array([2.0, 1.0, 0.5]) * step)
    assert shown.images_per_second == 8
    assert capsys.readouterr().out == (
        "epoch 2/3 step 4/4 global loss 2.0000 local loss 1.0000 identity accuracy 0.500 8.0 images/s 00:04 left\n"
    )


def test_a_log_has_a_line_every_so_often(monkeypatch, capsys):
    monkeypatch.setattr(progress, "LINE_SECONDS", 2)
    with Progress(1, 1, done=0, steps=7, batch_size=8, branches=("global",)) as shown:
        for step in range(1, 8):
            shown.step(step, np.ones(2) * step)
    steps = [line.split()[3] for line in capsys.readouterr().out.splitlines()]
    assert steps == ["2/7", "4/7", "6/7", "7/7"]


def test_a_terminal_has_a_bar_and_no_lines(monkeypatch, capsys):
    monkeypatch.setattr(progress, "on_terminal", lambda: True)
    with Progress(2, 3, done=1, steps=4, batch_size=8, branches=("global", "local")) as shown:
        for step in range(2, 5):
            shown.step(step, np.array([2.0, 1.0, 0.5]) * step)
    told = capsys.readouterr()
    last = told.err.rpartition("\r")[2]
    assert not told.out  # and what matters stands first: a narrow terminal cuts off the end
    assert last == "epoch 2/3 step 4/4, 00:04 left, 8 images/s, global 2.000 local 1.000 accuracy 50.0%\n"
