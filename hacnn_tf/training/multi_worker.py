"""Training on several machines, with one process ("worker") on each.

`cluster` reads their names, `rendezvous` lets them meet, and the training loop knows nothing of them.

TF_CONFIG names the workers. The first is the chief, which alone reads and writes the run folder and gives its state to
the others; each takes its part of every batch. They stop together and leave together.
"""

import contextlib
import re
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import tensorflow as tf

from hacnn_tf.training.cluster import find_workers
from hacnn_tf.training.code import code_digest, versions
from hacnn_tf.training.devices import Devices, name_devices
from hacnn_tf.training.record import Record
from hacnn_tf.training.rendezvous import meet
from hacnn_tf.training.state import TrainingState
from hacnn_tf.utils import signals
from hacnn_tf.utils.errors import InputError, reason_of

LOST = (  # how TensorFlow says that another worker is gone, or has come back as another process, but for GPU_FAILED
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)
GPU_FAILED = re.compile("CUDA|cuDNN|cuBLAS|PTX|DNN library", re.IGNORECASE)


@contextlib.contextmanager
def open_devices(strategy: str, batch_size: int, agreement: Mapping[str, str]) -> Iterator[Devices]:
    """The devices that are there: of all workers if there are several, else of this machine.

    Workers wait for each other, at the start and at the end of the context: who left earlier would look lost. Enter it
    before TensorFlow does anything.

    Args:
        strategy: one of `hacnn_tf.training.settings.STRATEGIES`; "auto" takes the workers of TF_CONFIG if it names
            several, else one device; "mirrored" all GPUs of this machine. "one" and "mirrored" do not look at
            TF_CONFIG.
        batch_size: images a step, on all devices together.
        agreement: dict from what must be the same on all workers, for people, to a text.

    Raises:
        InputError: TF_CONFIG is not as it must be, workers do not come, or the batch does not divide equally among
            them; in the context, if a worker is lost, which is noticed within a minute.
    """
    addresses, index = find_workers(strategy)
    if len(addresses) < 2:
        yield Devices.choose(strategy)
        return
    if batch_size % len(addresses):
        raise InputError(f"--batch_size {batch_size} cannot be divided among {len(addresses)} workers.")
    gpus = str(len(tf.config.list_physical_devices("GPU")))  # equally many of each worker's
    here = {"code": code_digest(), "versions": str(versions()), "number of GPUs": gpus}
    meet(addresses, index, {**agreement, **here})
    workers = Workers(index, len(addresses))
    try:
        yield workers
        workers.wait()
    except LOST as error:
        reason = reason_of(error.message).rpartition(" aborted by: ")[2]  # it names the address
        if GPU_FAILED.search(reason):
            raise InputError(
                f"A GPU of this worker failed ({reason}): see to it, and start the same command on all workers, which "
                "goes on from the last checkpoint."
            ) from error
        if workers.request.number is not None:  # as when all are stopped while one tests, and hears it first
            raise signals.Stopped(
                workers.request.number,
                f"stopped, as another worker has ended or cannot be reached ({reason}); the same command on all of "
                "them goes on from the last checkpoint.",
            ) from None
        nccl = ", or NCCL has no way to it (NCCL_SOCKET_IFNAME, firewalls)" if "NCCL" in reason else ""
        raise InputError(
            f"Another worker has ended or cannot be reached any more{nccl} ({type(error).__name__}: {reason}): start "
            "the same command on all of them, and it goes on from the last checkpoint."
        ) from error


class Workers(Devices):
    """The devices of all workers, each of which trains the same network with its part of every batch.

    Args:
        index: of this process among the workers; 0 is the chief.
        count: of workers.
    """

    def __init__(self, index: int, count: int) -> None:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        signals.reinstall()  # TensorFlow takes SIGTERM for itself there
        super().__init__(strategy, index, count)
        self.chief, self.ahead = index == 0, 0
        self.request = signals.StopRequest()  # the latest that was asked about
        self._sum = tf.function(
            lambda x: strategy.reduce("SUM", strategy.run(tf.identity, (x,)), axis=None), autograph=False
        )

    def __str__(self) -> str:
        return f"{name_devices(self._here)} each of {self._parts} workers"

    def build(self, make: Callable[[], TrainingState], restore: Callable[[TrainingState], None]) -> TrainingState:
        """As of `Devices`; what the chief restores, all have."""
        state = super().build(make, restore)  # workers take the chief's initial values
        arrays = state.to_arrays()
        values = {name: a for name, a in arrays.items() if np.issubdtype(a.dtype, np.number)}
        packed = np.concatenate([np.ravel(a).astype(np.float64) for a in values.values()])  # holds them all exactly
        packed = self._sum(tf.constant(packed if self.chief else np.zeros_like(packed))).numpy()
        packed /= self._here  # each of the chief's devices has added it
        parts = np.split(packed, np.cumsum([a.size for a in values.values()])[:-1])
        shared = {
            name: part.reshape(a.shape).astype(a.dtype) for (name, a), part in zip(values.items(), parts, strict=True)
        }
        state.load_arrays(arrays | shared, "the chief's state")
        return state

    def stopping(self, request: signals.StopRequest) -> bool:
        """Whether any worker was asked to stop; all must ask, and all get the same answer."""
        self.request = request
        stopping = bool(self._sum(tf.constant(float(request.number is not None))) > 0)
        if stopping and request.number is None:
            request.number = signal.SIGTERM
        return stopping

    def wait(self) -> None:
        """Waits until all workers wait."""
        self._sum(tf.constant(0.0)).numpy()


class Follower(Record):
    """What a worker keeps and shows that is not the chief: nothing."""

    def __init__(self) -> None:
        pass

    def restore(self, state: TrainingState) -> None:
        self._state = state

    @contextlib.contextmanager
    def epoch(self, steps: int) -> Iterator[None]:
        yield

    def show_step(self) -> None:
        pass

    def log_epoch(self, step: int, means: np.ndarray) -> None:
        pass

    def save(self) -> None:
        pass

    def evaluate_if_due(self) -> None:
        pass

    def finish(self) -> None:
        pass

    def stopped(self) -> str:
        return "stopped with the other workers."

    def _write_batch(self, batch: pd.DataFrame) -> Path | None:
        return None
