"""What a training writes, epoch by epoch, besides its checkpoints."""

import contextlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from hacnn_tf.evaluation import parts_of
from hacnn_tf.training.run_folder import EVALUATED, RunFolder
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.types import Results


class EpochLog:
    """Writes `log.csv`, `speed.csv`, `evaluations.csv` and TensorBoard's events into a run folder.

    Args:
        run: the `RunFolder`.
        epoch: whole epochs done; what it holds of later ones is dropped.

    Raises:
        InputError: `log.csv` or `evaluations.csv` is damaged; from methods that write, it cannot be written.
    """

    def __init__(self, run: RunFolder, epoch: int) -> None:
        self._run = run
        self._log: list[dict[str, Any]] = run.read_rows("log", epoch)
        self._evaluations: list[dict[str, Any]] = run.read_rows("evaluations", epoch)
        self._speed: list[dict[str, Any]] = []
        with contextlib.suppress(InputError):  # no training ends for a damaged note of its speed
            self._speed = run.read_rows("speed", epoch)
        self._folder = run.path / "tensorboard"
        self._events: Any = None
        self._write_events(epoch, {})

    def add_epoch(self, epoch: int, step: int, means: NDArray[np.float64], images_per_second: float) -> None:
        """An epoch is done: its number, the steps done by then, the means over its own, and its speed."""
        self._log.append(dict(zip(self._run.columns["log"], [epoch, step, *means.tolist()], strict=True)))
        self._speed.append({"epoch": epoch, "images_per_second": round(images_per_second, 1)})
        self._run.write_rows("log", self._log)
        self._run.write_rows("speed", self._speed)
        self._write_events(epoch, self._log[-1] | self._speed[-1])

    def evaluation(self, epoch: int) -> dict[str, Any] | None:
        """The row of `evaluations.csv` after this epoch; None if the network was not evaluated then."""
        return next((row for row in self._evaluations if int(row["epoch"]) == epoch), None)

    def add_results(self, epoch: int, results: Results) -> None:
        """The network was evaluated after this epoch; `results` are those of `evaluate_features`."""
        parts = results["single_query"]
        values = [parts[part][measure] for part in parts_of(self._run.settings.branches) for measure in EVALUATED]
        self._evaluations.append(dict(zip(self._run.columns["evaluations"], [epoch, *values], strict=True)))
        self._run.write_rows("evaluations", self._evaluations)
        self._write_events(epoch, self._evaluations[-1])

    def _write_events(self, epoch: int, scalars: Mapping[str, Any]) -> None:
        try:
            if not self._events:
                self._events = tf.summary.create_file_writer(str(self._folder))
            with self._events.as_default(step=epoch):
                for name, value in scalars.items():
                    tf.summary.scalar(name, value)
            self._events.flush()
        except tf.errors.OpError as error:
            raise InputError(f"Cannot write {self._folder}: {error.message}.") from None
