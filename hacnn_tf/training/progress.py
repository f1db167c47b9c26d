"""What a training shows while it runs."""

import sys
import time

import tqdm

LINE_SECONDS = 30  # between lines in a log
BAR_SECONDS = 1  # between fresh numbers on a terminal; reading them makes an accelerator wait


class Progress:
    """Shows a training: a bar on a terminal, plain lines elsewhere.

    Args:
        epochs: number of epochs of the whole training.
        steps: steps an epoch.
        batch_size: images a step.
        first_epoch: the epoch that this process begins with, from 1.
    """

    def __init__(self, epochs, steps, batch_size, first_epoch):
        self.epochs, self.steps, self.batch_size = epochs, steps, batch_size
        self._first_step = (first_epoch - 1) * steps
        self._start = time.monotonic()

    def epoch(self, epoch):
        """A context for one epoch, whose value has `step(step, means)` and then `images_per_second`."""
        return _Epoch(self, epoch)

    def time_left(self, epoch, step):
        """Seconds until the last step, at the pace so far."""
        done = (epoch - 1) * self.steps + step
        pace = (time.monotonic() - self._start) / (done - self._first_step)
        return pace * (self.epochs * self.steps - done)


class _Epoch:
    def __init__(self, progress, epoch):
        self._progress, self._epoch = progress, epoch
        self._start = self._last_line = time.monotonic()
        self._bar = None
        self.images_per_second = 0.0

    def __enter__(self):
        if sys.stderr.isatty():
            self._bar = tqdm.tqdm(
                total=self._progress.steps, desc=f"epoch {self._epoch}/{self._progress.epochs}", unit="step", leave=True
            )
        return self

    def __exit__(self, *_):
        if self._bar:
            self._bar.close()

    def step(self, step, means):
        """Counts a step; `means` are global loss, local loss and identity accuracy over the epoch so far."""
        progress, now = self._progress, time.monotonic()
        self.images_per_second = step * progress.batch_size / (now - self._start)
        last = step == progress.steps
        if self._bar:
            self._bar.update()
        if not last and now - self._last_line < (BAR_SECONDS if self._bar else LINE_SECONDS):
            return
        self._last_line = now
        global_loss, local_loss, accuracy = means.numpy()
        left = tqdm.tqdm.format_interval(progress.time_left(self._epoch, step))
        if self._bar:
            self._bar.set_postfix_str(
                f"global {global_loss:.3f} local {local_loss:.3f} accuracy {accuracy:.1%} "
                f"{self.images_per_second:.0f} images/s, {left} left"
            )
        else:
            print(
                f"epoch {self._epoch}/{progress.epochs} step {step}/{progress.steps} "
                f"global loss {global_loss:.4f} local loss {local_loss:.4f} identity accuracy {accuracy:.3f} "
                f"{self.images_per_second:.1f} images/s {left} left",
                flush=True,
            )
