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
    """

    def __init__(self, epochs, steps, batch_size):
        self.epochs, self.steps, self.batch_size = epochs, steps, batch_size

    def epoch(self, epoch):
        """A context for one epoch, whose value has `step(step, totals)` and then `images_per_second`."""
        return _Epoch(self, epoch)


class _Epoch:
    def __init__(self, progress, epoch):
        self._progress, self._epoch = progress, epoch
        self._last_shown = time.monotonic()
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

    def step(self, step, totals):
        """Counts a step; `totals` are the epoch's sums so far of global loss, local loss and identity accuracy."""
        progress = self._progress
        if self._bar:
            self._bar.update()
        if step == 1:  # compiles in the first epoch: the rate is that of the steps after it
            totals.numpy()
            self._start = time.monotonic()
        waited = time.monotonic() - self._last_shown
        if step < progress.steps and waited < (BAR_SECONDS if self._bar else LINE_SECONDS):
            return
        global_loss, local_loss, accuracy = totals.numpy() / step  # waits for the device, so the clock comes after it
        self._last_shown = time.monotonic()
        seconds_per_step = (self._last_shown - self._start) / max(1, step - 1)
        self.images_per_second = progress.batch_size / seconds_per_step if step > 1 else 0.0
        steps_left = (progress.epochs - self._epoch + 1) * progress.steps - step
        left = tqdm.tqdm.format_interval(seconds_per_step * steps_left)
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
