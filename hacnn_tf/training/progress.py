"""What a training shows while it runs."""

import time
from collections.abc import Sequence

import numpy as np
import tqdm

from hacnn_tf.utils.cli import print_line
from hacnn_tf.utils.waiting import on_terminal

LINE_SECONDS = 60  # between lines in a log, beside one at the end of each epoch
BAR_SECONDS = 1  # between fresh numbers on a terminal


class Progress:
    """Shows an epoch, as a context, for the rest of it: a bar on a terminal, plain lines elsewhere.

    Args:
        epoch: its number, from 1.
        epochs: of the whole training.
        done: steps of it that were done before.
        steps: of an epoch.
        batch_size: images a step.
        branches: of the network, each of which has a loss.

    Attributes:
        images_per_second: float, since the first step in the context; 0 until there is a second one.
    """

    def __init__(
        self, epoch: int, epochs: int, done: int, steps: int, batch_size: int, branches: Sequence[str]
    ) -> None:
        self._epoch, self._epochs, self._done, self._steps = epoch, epochs, done, steps
        self._batch_size, self._branches = batch_size, branches
        self._last_shown = time.monotonic()
        self._start: float | None = None
        self._bar: tqdm.tqdm | None = None
        self.images_per_second = 0.0

    def __enter__(self) -> "Progress":
        if on_terminal():
            description = f"epoch {self._epoch}/{self._epochs}"
            form = "{desc} step {n_fmt}/{total_fmt}{postfix}"  # what matters most stands first: terminals are narrow
            self._bar = tqdm.tqdm(total=self._steps, initial=self._done, desc=description, bar_format=form)
            self._bar.set_postfix_str("the first step takes seconds to trace" if self._epoch == 1 else "")
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.close()

    def step(self, step: int, totals: np.ndarray) -> None:
        """Counts a step; `totals` are the epoch's sums so far: each branch's loss, and identity accuracy."""
        now = time.monotonic()
        if self._bar:
            self._bar.update()
        if self._start is None:  # compiles in the first epoch: the rate is that of the steps after it
            self._start, self._first = now, step
        elif now > self._start:
            self.images_per_second = self._batch_size * (step - self._first) / (now - self._start)
        if not step:
            return
        if step < self._steps and now - self._last_shown < (BAR_SECONDS if self._bar else LINE_SECONDS):
            return
        self._last_shown = now
        *losses, accuracy = totals / step
        losses = list(zip(self._branches, losses, strict=True))
        steps_left = (self._epochs - self._epoch + 1) * self._steps - step
        seconds_left = steps_left * self._batch_size / self.images_per_second if self.images_per_second else 0
        left = tqdm.tqdm.format_interval(seconds_left)
        if self._bar:
            self._bar.set_postfix_str(
                f"{left} left, {self.images_per_second:.0f} images/s, "
                f"{' '.join(f'{branch} {loss:.3f}' for branch, loss in losses)} accuracy {accuracy:.1%}"
            )
        else:
            print_line(
                f"epoch {self._epoch}/{self._epochs} step {step}/{self._steps} "
                f"{' '.join(f'{branch} loss {loss:.4f}' for branch, loss in losses)} identity accuracy {accuracy:.3f} "
                f"{self.images_per_second:.1f} images/s {left} left"
            )
