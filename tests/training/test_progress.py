"""What a training shows while it runs."""

import numpy as np

from hacnn_tf.training import progress
from hacnn_tf.training.progress import Progress


def test_losses_speed_and_the_time_left_by_a_clock_of_a_second_a_step(monkeypatch, capsys):
    """From the second step on: the first one is traced. One epoch of four steps is left after this one."""
    clock = iter(range(100))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with Progress(2, 3, done=0, steps=4, batch_size=8, branches=("global", "local")) as shown:
        for step in range(1, 5):
            shown.step(step, np.array([2.0, 1.0, 0.5]) * step)
    assert shown.images_per_second == 8
    assert capsys.readouterr().out == (
        "epoch 2/3 step 4/4 global loss 2.0000 local loss 1.0000 identity accuracy 0.500 8.0 images/s 00:04 left\n"
    )
