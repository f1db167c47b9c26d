"""The devices of this machine that a training runs on: one, or several together."""

from collections.abc import Callable, Iterable

import keras
import tensorflow as tf

from hacnn_tf.data.pipeline import training_batches
from hacnn_tf.models import HACNN
from hacnn_tf.training.recipes import Recipe
from hacnn_tf.training.settings import Settings
from hacnn_tf.training.state import TrainingState
from hacnn_tf.training.step import make_train_step
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.signals import StopRequest
from hacnn_tf.utils.types import Integers, Pixels, Tensor


class Devices:
    """Spreads the training step over devices with `tf.distribute`; each takes an equal part of the batch.

    Gradients, results and the statistics of batch norm are those of the whole batch, as on one device.

    Args:
        strategy: a `tf.distribute.Strategy`.
        part, parts: which part of every batch the devices of this process take, and of how many.

    Attributes:
        replicas: number of devices, of all processes.
        ahead: how many steps may be on their way while the results of earlier ones are read.
        chief: whether this process keeps and shows the training; of several machines only one does.
    """

    chief = True

    def __init__(self, strategy: tf.distribute.Strategy, part: int = 0, parts: int = 1) -> None:
        self._strategy, self._part, self._parts = strategy, part, parts
        self.replicas: int = strategy.num_replicas_in_sync
        self._here = self.replicas // parts
        # A CPU's step is done when it returns: one ahead, the clock would start a step late.
        self.ahead = 1 if tf.config.list_physical_devices("GPU") else 0

    @classmethod
    def choose(cls, name: str) -> "Devices":
        """With "mirrored" all GPUs that are there, else one device: at 32 images a step several would mostly wait."""
        several = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        if name != "mirrored" or len(several) == 1:
            return cls(tf.distribute.get_strategy())
        return cls(tf.distribute.MirroredStrategy([device.name for device in several]))

    def __str__(self) -> str:
        return name_devices(self.replicas)

    def build(self, make: Callable[[], TrainingState], restore: Callable[[TrainingState], None]) -> TrainingState:
        """What `make` gives, with its variables on all devices, and then `restore` changes."""
        with self._strategy.scope():
            state = make()
        for layer in state.model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = self.replicas > 1
        restore(state)
        return state

    def train_step(
        self, model: HACNN, optimizer: keras.optimizers.Optimizer, recipe: Recipe, xla: bool
    ) -> Callable[[Tensor, Tensor], Tensor]:
        """The function of `make_train_step`, taking and giving what `batches` has for all devices."""
        step = make_train_step(model, optimizer, recipe, xla, self.replicas)
        if self.replicas == 1:
            return step

        @tf.function(autograph=False)
        def train_step(images: Tensor, labels: Tensor) -> Tensor:
            results = self._strategy.run(step.python_function, (images, labels))
            return self._strategy.reduce("SUM", results, axis=None)

        return train_step

    def batches(
        self, images: Pixels, labels: Integers, batch_size: int, recipe: Recipe, seed: int, epoch: int, done: int
    ) -> Iterable[tuple[Tensor, Tensor]]:
        """The batches of `training_batches`, each device's part to each device."""
        share = {"part": self._part, "parts": self._parts, "replicas": self._here}
        dataset = training_batches(images, labels, batch_size, recipe, seed, epoch, done, **share)
        if self.replicas == 1:
            return dataset
        return self._strategy.distribute_datasets_from_function(lambda _: dataset)

    def stopping(self, request: StopRequest) -> bool:
        """Whether to stop after this step."""
        return request.number is not None


def name_devices(count: int) -> str:
    """What to call them: "GPU", "2 CPUs"."""
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    return kind if count == 1 else f"{count} {kind}s"


def check_supported(devices: Devices, settings: Settings, debug_nans: bool) -> None:
    """Raises `InputError` for what works on one device alone, and batches that cannot be divided among several."""
    if devices.replicas == 1:
        return
    if settings.batch_size % devices.replicas:
        raise InputError(f"--batch_size {settings.batch_size} cannot be divided among {devices.replicas} devices.")
    if settings.recipe.comparing:  # each would compare the images of its own part alone: another loss
        raise InputError(f"--{settings.recipe.comparing[0]} needs one device: take --strategy one.")
    if settings.precision == "mixed_float16":  # Keras looks for overflows on each device by itself
        raise InputError("--precision mixed_float16 needs one device: take mixed_bfloat16, or --strategy one.")
    if debug_nans:
        raise InputError("--debug_nans needs one device: add --strategy one, which goes on from the same checkpoint.")


def use_xla(choice: str, replicas: int = 1) -> bool:
    """Whether to compile with XLA; "auto" means on one GPU only: on CPUs oneDNN's kernels are faster.

    Raises:
        InputError: "on" with several devices, which cannot exchange anything from within one compiled program.
    """
    if choice == "on" and replicas > 1:
        raise InputError("--xla on needs one device: take --strategy one, or --xla auto.")
    return choice == "on" or (choice == "auto" and replicas == 1 and bool(tf.config.list_physical_devices("GPU")))
