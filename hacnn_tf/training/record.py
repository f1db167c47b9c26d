"""What a training writes, epoch by epoch, besides its checkpoints."""

import contextlib

import tensorflow as tf

from hacnn_tf.errors import InputError
from hacnn_tf.training.run_folder import LOG_COLUMNS


class Record:
    """Writes `log.csv`, `speed.csv` and TensorBoard's events into a run folder.

    Args:
        run: the `RunFolder`.
        epoch: whole epochs done; what it holds of later ones is of no account any more.

    Raises:
        InputError: from every method, if the run folder cannot be written.
    """

    def __init__(self, run, epoch):
        self._run = run
        self._log, self._speed = run.read_log(epoch), []
        with contextlib.suppress(InputError):  # no training ends for a damaged note of its speed
            self._speed = run.read_speed(epoch)
        self._folder = run.path / "tensorboard"
        self._events = None
        self._write_events(epoch, {})

    def epoch(self, epoch, step, means, images_per_second):
        """An epoch is done: its number, the steps done by then, the means over its own, and its speed."""
        self._log.append(dict(zip(LOG_COLUMNS, [epoch, step, *means.tolist()], strict=True)))
        self._speed.append({"epoch": epoch, "images_per_second": round(images_per_second, 1)})
        self._run.write_log(self._log)
        self._run.write_speed(self._speed)
        self._write_events(epoch, self._log[-1] | self._speed[-1])

    def results(self, epoch, results):
        """The network was evaluated after this epoch; `results` are those of `evaluate_features`."""
        joint = results["single_query"]["joint"]
        self._write_events(epoch, {f"joint_{measure}": joint[measure] for measure in ("rank1", "mAP")})

    def _write_events(self, epoch, scalars):
        try:
            if not self._events:
                self._events = tf.summary.create_file_writer(str(self._folder))
            with self._events.as_default(step=epoch):
                for name, value in scalars.items():
                    tf.summary.scalar(name, value)
            self._events.flush()
        except tf.errors.OpError as error:
            raise InputError(f"Cannot write {self._folder}: {error.message}.") from None
