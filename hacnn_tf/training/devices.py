"""The devices that a training runs on: one, several of this machine, or those of several machines."""

import contextlib
import json
import os

import keras
import numpy as np
import tensorflow as tf

from hacnn_tf.data.pipeline import training_batches
from hacnn_tf.training.rendezvous import meet
from hacnn_tf.training.step import make_train_step
from hacnn_tf.utils import signals
from hacnn_tf.utils.errors import InputError

LOST = (  # how TensorFlow says that another worker is gone, or has come back as another process
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)
CLUSTER = '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'
STRATEGIES = ["auto", "one", "mirrored", "multi_worker"]


class Devices:
    """Spreads the training step over devices with `tf.distribute`; each takes an equal part of the batch.

    Gradients, results and the statistics of batch norm are those of the whole batch, as on one device; but a triplet
    loss compares only the images of one device.

    Args:
        strategy: a `tf.distribute.Strategy`.
        worker: index of this process among the workers.
        workers: number of processes.

    Attributes:
        replicas: number of devices, of all workers.
        chief: whether this process is the one that reads and writes the run folder.
        ahead: how many steps may be on their way while the results of earlier ones are read.
    """

    def __init__(self, strategy, worker=0, workers=1):
        self._strategy, self._worker, self._workers = strategy, worker, workers
        self.replicas = strategy.num_replicas_in_sync
        self.chief = worker == 0
        # A CPU's step is done when it returns: one ahead, the clock would start a step late.
        self.ahead = 1 if workers == 1 and tf.config.list_physical_devices("GPU") else 0
        self._sum = tf.function(
            lambda x: strategy.reduce("SUM", strategy.run(tf.identity, (x,)), axis=None), autograph=False
        )

    @classmethod
    def choose(cls, name, batch_size, agreement=""):
        """The devices that are there. Several workers wait for each other; call it before TensorFlow does anything.

        Args:
            name: one of `STRATEGIES`; "auto" takes the workers of TF_CONFIG if it names several, else all GPUs if the
                batch divides equally among them, else one. "one" and "mirrored" do not look at TF_CONFIG.
            batch_size: images a step, on all devices together.
            agreement: text that must be the same on all workers.

        Raises:
            InputError: TF_CONFIG is not as it must be, workers do not come, or the batch does not divide equally.
        """
        addresses, index = _read_cluster(os.environ.get("TF_CONFIG")) if name in ("auto", "multi_worker") else ([], 0)
        if name == "multi_worker" and not addresses:
            raise InputError(f"--strategy multi_worker needs addresses: set TF_CONFIG to something like {CLUSTER}.")
        if len(addresses) > 1:
            if batch_size % len(addresses):
                raise InputError(f"--batch_size {batch_size} cannot be divided among {len(addresses)} workers.")
            meet(addresses, index, agreement)
            devices = cls(tf.distribute.MultiWorkerMirroredStrategy(), index, len(addresses))
            signals.reinstall()  # TensorFlow takes SIGTERM for itself there
        else:
            several = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
            if name == "one" or len(several) == 1 or (name != "mirrored" and batch_size % len(several)):
                devices = cls(tf.distribute.get_strategy())
            else:
                devices = cls(tf.distribute.MirroredStrategy([device.name for device in several]))
        if batch_size % devices.replicas:
            raise InputError(f"--batch_size {batch_size} cannot be divided among {devices.replicas} devices.")
        return devices

    def __str__(self):
        kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
        here = kind if self.replicas == self._workers else f"{self.replicas // self._workers} {kind}s"
        return here if self._workers == 1 else f"{here} each of {self._workers} workers"

    def build(self, make):
        """What `make` gives, a `TrainingState`, with its variables on all devices."""
        with self.together(), self._strategy.scope():  # workers take the chief's initial values
            state = make()
        for layer in state.model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = self.replicas > 1
        return state

    def share(self, state):
        """Gives the chief's `TrainingState` to all workers."""
        if self._workers == 1:
            return
        arrays = state.to_arrays()
        values = {name: a for name, a in arrays.items() if np.issubdtype(a.dtype, np.number)}
        packed = np.concatenate([np.ravel(a).astype(np.float64) for a in values.values()])  # holds them all exactly
        with self.together():
            packed = self._sum(tf.constant(packed if self.chief else np.zeros_like(packed))).numpy()
        packed /= self.replicas // self._workers  # each of the chief's devices has added it
        parts = np.split(packed, np.cumsum([a.size for a in values.values()])[:-1])
        shared = {
            name: part.reshape(a.shape).astype(a.dtype) for (name, a), part in zip(values.items(), parts, strict=True)
        }
        state.load_arrays(arrays | shared, "the chief's state")

    def train_step(self, model, optimizer, recipe, xla):
        """The function of `make_train_step`, taking and giving what `batches` has for all devices."""
        step = make_train_step(model, optimizer, recipe, xla, self.replicas)
        if self.replicas == 1:
            return step

        @tf.function(autograph=False)
        def train_step(images, labels):
            results = self._strategy.run(step.python_function, (images, labels))
            return self._strategy.reduce("SUM", results, axis=None)

        return train_step

    def batches(self, images, labels, batch_size, recipe, seed, epoch, done):
        """The batches of `training_batches`, each device's part to each device."""
        here = self.replicas // self._workers
        dataset = training_batches(
            images, labels, batch_size, recipe, seed, epoch, done, self._worker, self._workers, replicas=here
        )
        if self.replicas == 1:
            return dataset
        return self._strategy.distribute_datasets_from_function(lambda _: dataset)

    def any(self, flag):
        """Whether `flag` is true on any worker; all workers must ask."""
        return flag if self._workers == 1 else bool(self._sum(tf.constant(float(flag))) > 0)

    def leave(self):
        """The end, for all workers at once: who left earlier would look lost."""
        with self.together():
            self.any(False)

    @contextlib.contextmanager
    def together(self):
        """Work that needs all workers. Raises `InputError` if one is lost, which is noticed within a minute."""
        try:
            yield
        except LOST as error:
            if self._workers == 1:
                raise
            raise InputError(
                "Another worker has ended or cannot be reached any more: start the same command on all of them, and it "
                "goes on from the last checkpoint."
            ) from error


def check_supported(devices, settings, debug_nans):
    """Raises `InputError` for what works on one device alone, and batches whose identities it would tear apart."""
    if devices.replicas == 1:
        return
    identities = settings.recipe.batch_identities
    if identities % devices.replicas or (settings.recipe.triplet and identities == devices.replicas):
        raise InputError(
            f"--batch_identities {identities} cannot be divided among {devices.replicas} devices, two or more to each "
            "for a --triplet: take a multiple, or --strategy one."
        )
    if settings.precision == "mixed_float16":  # Keras looks for overflows on each device by itself
        raise InputError("--precision mixed_float16 needs one device: take mixed_bfloat16, or --strategy one.")
    if debug_nans:
        raise InputError("--debug_nans needs one device: add --strategy one, which goes on from the same checkpoint.")


def use_xla(choice, replicas=1):
    """Whether to compile with XLA; "auto" means on one GPU only: on CPUs oneDNN's kernels are faster.

    Raises:
        InputError: "on" with several devices, which cannot exchange anything from within one compiled program.
    """
    if choice == "on" and replicas > 1:
        raise InputError("--xla on needs one device: take --strategy one, or --xla auto.")
    return choice == "on" or (choice == "auto" and replicas == 1 and bool(tf.config.list_physical_devices("GPU")))


def _read_cluster(text):
    """The addresses of the workers that TF_CONFIG names, the chief first, and which of them is this one.

    Services set it for trainings of one task too, a worker, chief or, as it was once called, master. It may also name
    nobody at all; then there is no address.
    """
    try:
        content = json.loads(text or "{}")
        cluster, task = content.get("cluster") or {}, content.get("task") or {}
        if others := sorted({task.get("type", "worker"), *cluster} - {"master", "chief", "worker"}):
            raise ValueError(f"{' and '.join(others)} cannot train")
        tasks = {(kind, i): address for kind in sorted(cluster) for i, address in enumerate(cluster[kind])}
        if tasks and (mine := (task["type"], int(task["index"]))) not in tasks:
            raise ValueError(f"the cluster has no {mine[0]} {mine[1]}")
        if len(tasks) > 1:
            if "master" in cluster:
                raise ValueError("a master who has workers is called chief")
            if not all(0 < int(address.rpartition(":")[2]) < 2**16 for address in tasks.values()):
                raise ValueError("ports are numbers from 1 to 65535")
        return list(tasks.values()), list(tasks).index(mine) if tasks else 0
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise InputError(
            f"TF_CONFIG must be like {CLUSTER} ({reason}): set it so, or add --strategy one to train without it."
        ) from None
