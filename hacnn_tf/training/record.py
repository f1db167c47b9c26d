"""What a training keeps of itself and shows while it runs."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hacnn_tf.models import HACNN
from hacnn_tf.training.code import code_here
from hacnn_tf.training.epoch_log import EpochLog
from hacnn_tf.training.initial import InitialWeights
from hacnn_tf.training.progress import Progress
from hacnn_tf.training.run_folder import EVALUATED, RunFolder
from hacnn_tf.training.state import TrainingState
from hacnn_tf.utils.cli import print_line
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.text import preview
from hacnn_tf.utils.types import Results


class Record:
    """Keeps a training in its run folder (checkpoints, log, evaluations) and shows how it comes along.

    Args:
        run: the `RunFolder`, opened.
        evaluate: function of the network that gives the results of `evaluate_features`.
        tested: fingerprint of the images that it evaluates on.
        initial: the trained weights to begin from, if the training has not begun; None: fresh ones.

    Raises:
        InputError: from most methods, if the run folder cannot be read or written any more.
    """

    def __init__(
        self,
        run: RunFolder,
        evaluate: Callable[[HACNN], Results],
        tested: str,
        initial: InitialWeights | None = None,
    ) -> None:
        self._run, self._settings, self._initial = run, run.settings, initial
        self._evaluate, self._tested = evaluate, tested
        self._results: Results | None = None

    def restore(self, state: TrainingState) -> None:
        """Takes the state from the newest checkpoint, if there is one, and says where the training is.

        Trained weights that it begins from are its first checkpoint: it does not ask for them again.
        """
        if not self._run.restore(state) and self._initial:
            self._initial.give(state.model)
            self._run.save(state)
        print_line(f"{self._place(state)}{self._updates(state)}")
        self._state, self._log = state, EpochLog(self._run, state.epoch)

    @contextlib.contextmanager
    def epoch(self, steps: int) -> Iterator[None]:
        """While the context lasts, the rest of an epoch of so many steps is shown."""
        state, settings = self._state, self._settings
        branches = state.model.branches
        with Progress(state.epoch + 1, settings.epochs, state.step, steps, settings.batch_size, branches) as progress:
            self._progress = progress
            yield

    def show_step(self) -> None:
        """A step is done."""
        self._progress.step(self._state.step, self._state.totals)

    def log_epoch(self, step: int, means: np.ndarray) -> None:
        """An epoch is done, and `step` steps in all; `means` are those of `TrainingState.count_epoch`."""
        self._log.add_epoch(self._state.epoch, step, means, self._progress.images_per_second)

    def save(self) -> None:
        """Writes a checkpoint."""
        self._run.save(self._state)

    def evaluate_if_due(self) -> None:
        """Evaluates the network if that is due after the last whole epoch, and has not been done."""
        epoch = self._state.epoch
        if not self._state.step and self._settings.evaluates_after(epoch) and not self._log.evaluation(epoch):
            if not epoch:
                print_line(f"Before training, the weights of {self._settings.init_from}:")
            self._results = self._evaluate(self._state.model)
            self._log.add_results(epoch, self._results)

    def finish(self) -> None:
        """Writes `metrics.json`, and says what the training did to the trained weights that it began from."""
        results = self._results or self._evaluate(self._state.model)
        self._run.write_metrics(results, self._state.epoch, self._tested)
        before = self._log.evaluation(0)
        if before and not self._run.tests_others(self._tested):  # else they are of other images
            print_line(self._gain(before, results["single_query"]["joint"]))

    def stopped(self) -> str:
        """What to say of a training that was asked to stop."""
        state = self._state
        done = f"step {state.step} of epoch {state.epoch + 1}" if state.step else f"epoch {state.epoch}"
        return f"stopped after {done}; the same command again goes on from there."

    def report_not_finite(self, batch: pd.DataFrame, layer: str | None) -> str:
        """What to say of a step after which the loss or a weight is not finite.

        Args:
            batch: `path` and `pid` of its images, which the run folder then lists.
            layer: where it began, if that is known.
        """
        began = f"It began in {layer}." if layer else "--debug_nans says in which layer it began."
        listed = None
        with contextlib.suppress(InputError):  # the disk may be full as well
            listed = self._write_batch(batch)
        return (
            f"The loss or a weight is not finite after step {self._state.step} of epoch {self._state.epoch + 1}. "
            f"{began} Lower --learning_rate and name another --run_dir, or look at the images of this batch; earlier "
            f"checkpoints are kept. The batch: {preview(batch.path)}{f', all of them in {listed}' if listed else ''}."
        )

    def _write_batch(self, batch: pd.DataFrame) -> Path | None:
        return self._run.write_not_finite(batch)

    def _place(self, state: TrainingState) -> str:
        path, epochs = self._run.path, self._settings.epochs
        if state.epoch == epochs:
            return f"{path} is trained already."
        if state.step:
            return f"{path}: goes on after step {state.step} of epoch {state.epoch + 1} of {epochs}."
        if state.epoch:
            return f"{path}: goes on after epoch {state.epoch} of {epochs}."
        begun = self._settings.init_from and f" from the weights of {self._settings.init_from} ({self._run.initial})"
        return f"{path}: begins{begun or ''}."

    def _gain(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
        """What to say of the joint feature before (a row of `evaluations.csv`) and after (measures) a training."""
        then = {measure: float(before[f"joint_{measure}"]) for measure in EVALUATED}
        was, now = ("/".join(f"{measures[name]:.1f}" for name in EVALUATED) for measures in (then, after))
        said = f"Rank-1/mAP was {was} with the weights of {self._settings.init_from}, and is {now}."
        if all(after[name] < then[name] for name in EVALUATED):
            said += " Training made them worse: use them as they were, or lower --learning_rate with a new --run_dir."
        return said

    def _updates(self, state: TrainingState) -> str:
        """What is other now than when it began: what computes it, which the run folder then tells, or is tested."""
        if state.epoch == self._settings.epochs:
            said = _since_finished(self._run.code[-1], code_here())
        else:
            self._run.go_on(state.epoch, state.step)
            said = _since_begun(self._run.code[0], code_here())
        if self._run.tests_others(self._tested):
            said += " It is tested on other images now than when it began."
        return said


def _since_finished(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What to say of a training that other code finished; nothing where a revision is not known."""
    revisions = then["revision"], now["revision"]
    if None in revisions or revisions[0] == revisions[1]:
        return ""
    return f" Its code was {revisions[0]}, now {revisions[1]}: with another --run_dir the latter trains anew."


def _since_begun(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What to say of a training that goes on, if not all that computes it is as it was.

    The decoder and the device count as other only where they are known: run folders did not say at first.
    """
    before, here = (code["versions"] | {name: code[name] for name in ("revision", "device")} for code in (then, now))
    before["device"] = before["device"] or here["device"]
    changed = [name for name in here if before.get(name, here[name]) != here[name]]
    said = ""
    if changed:
        effect = (
            "it may be trained otherwise" if {"hacnn_tf", "revision"} & set(changed) else "its last digits may differ"
        )
        differences = preview([f"{name} {before[name]}, now {here[name]}" for name in changed], 10, "; ")
        said = f" It was begun with {differences}: {effect}."
    if then["pixels"] not in (None, now["pixels"]):
        said += " Its images are decoded otherwise now: begin anew for results to compare by a point."
    return said
