"""What a training shows while it runs."""

import contextlib
import sys
import time

import tqdm

LINE_SECONDS = 30  # between lines in a log
BAR_SECONDS = 1  # between fresh numbers on a terminal


class Progress:
    """Shows a training: a bar on a terminal, plain lines elsewhere.

    Args:
        epochs: number of epochs of the whole training.
        steps: steps an epoch.
        batch_size: images a step.
        branches: of the network, each of which has a loss.
        shown: False for a worker that is not the chief.
    """

    def __init__(self, epochs, steps, batch_size, branches, shown=True):
        self.epochs, self.steps, self.batch_size, self.branches, self.shown = epochs, steps, batch_size, branches, shown

    def epoch(self, epoch, done=0):
        """A context for the rest of an epoch; its value has `step(step, totals)` and `images_per_second`."""
        return _Epoch(self, epoch, done)


class _Epoch:
    def __init__(self, progress, epoch, done):
        self._progress, self._epoch, self._done = progress, epoch, done
        self._last_shown = time.monotonic()
        self._start = self._bar = None
        self.images_per_second = 0.0

    def __enter__(self):
        if self._progress.shown and sys.stderr.isatty():
            self._bar = tqdm.tqdm(
                total=self._progress.steps,
                initial=self._done,
                desc=f"epoch {self._epoch}/{self._progress.epochs}",
                unit="step",
            )
        return self

    def __exit__(self, *_):
        if self._bar:
            self._bar.close()

    def step(self, step, totals):
        """Counts a step; `totals` are the epoch's sums so far: each branch's loss, and identity accuracy."""
        progress, now = self._progress, time.monotonic()
        if self._bar:
            self._bar.update()
        if self._start is None:  # compiles in the first epoch: the rate is that of the steps after it
            self._start, self._first = now, step
        elif now > self._start:
            self.images_per_second = progress.batch_size * (step - self._first) / (now - self._start)
        if not progress.shown or not step:
            return
        if step < progress.steps and now - self._last_shown < (BAR_SECONDS if self._bar else LINE_SECONDS):
            return
        self._last_shown = now
        *losses, accuracy = totals / step
        losses = list(zip(progress.branches, losses, strict=True))
        steps_left = (progress.epochs - self._epoch + 1) * progress.steps - step
        seconds_left = steps_left * progress.batch_size / self.images_per_second if self.images_per_second else 0
        left = tqdm.tqdm.format_interval(seconds_left)
        if self._bar:
            self._bar.set_postfix_str(
                f"{' '.join(f'{branch} {loss:.3f}' for branch, loss in losses)} accuracy {accuracy:.1%} "
                f"{self.images_per_second:.0f} images/s, {left} left"
            )
        else:
            print_line(
                f"epoch {self._epoch}/{progress.epochs} step {step}/{progress.steps} "
                f"{' '.join(f'{branch} loss {loss:.4f}' for branch, loss in losses)} identity accuracy {accuracy:.3f} "
                f"{self.images_per_second:.1f} images/s {left} left"
            )


def print_line(text):
    """Prints a line of a training, which goes on if who read it has left, as `| head` or a `| tee` at Ctrl-C does."""
    with contextlib.suppress(BrokenPipeError):
        print(text, flush=True)
