"""The training loop."""

import signal
from collections import deque
from collections.abc import Sequence

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from hacnn_tf.data.pipeline import epoch_order, steps_per_epoch
from hacnn_tf.training.adam import FusedAdam
from hacnn_tf.training.devices import Devices
from hacnn_tf.training.nans import NanSearch
from hacnn_tf.training.recipes import Recipe
from hacnn_tf.training.record import Record
from hacnn_tf.training.schedule import Schedule
from hacnn_tf.training.settings import Settings
from hacnn_tf.training.state import TrainingState
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.signals import Stopped, StopRequest, deferred
from hacnn_tf.utils.types import Pixels

# What no weight decay touches. Spatial attention's convs have one filter of one channel: decayed, what they give varies
# less than batch norm's epsilon, so that it is not rescaled any more, and the map collapses to a constant
# (docs/studies/attention.md). Hard attention's FC layers start at 0, and no batch norm follows them.
UNDECAYED = ("/spatial/", "hard_attention/")
ADAM_EPSILON = 1e-8  # of TensorFlow 1's Adam, which the paper likely used
DEFERRED = "stops after this step, with a checkpoint; a second signal stops at once"


def train(
    settings: Settings,
    images: Pixels,
    rows: pd.DataFrame,
    record: Record,
    devices: Devices,
    xla: bool,
    checkpoint_every: int,
    debug_nans: bool,
) -> None:
    """Trains a network by its recipe, or goes on with a training that was stopped.

    Args:
        settings: what to do.
        images: `(n, height, width, 3)` uint8 training images.
        rows: their `path` and `pid`.
        record: what to go on from; keeps and shows the training.
        devices: what to train on.
        xla: compile the step with XLA.
        checkpoint_every: steps of an epoch between checkpoints; 0: only one after each epoch.
        debug_nans: when the loss is not finite, say in which layer that began; slower.

    Raises:
        InputError: fewer images or identities than a batch, checkpoints of another network, a loss that is not finite,
            or a run folder that cannot be written any more.
        Stopped: a signal asked to stop; there is a checkpoint of the last step.
    """
    identities, labels = np.unique(rows.pid, return_inverse=True)
    steps, recipe = steps_per_epoch(len(images), settings.batch_size), settings.recipe

    keras.utils.set_random_seed(settings.seed)
    if not xla:  # XLA refuses to compile max pooling's gradient when asked for determinism
        tf.config.experimental.enable_op_determinism()
    state = devices.build(lambda: make_state(settings, len(identities), steps), record.restore)
    train_step = devices.train_step(state.model, state.optimizer, recipe, xla)
    search = NanSearch(state.model, recipe) if debug_nans else None
    stop = StopRequest()

    record.evaluate_if_due()  # a training that was stopped in the middle of it
    while state.epoch < settings.epochs:
        epoch = state.epoch + 1
        batches = devices.batches(images, labels, settings.batch_size, recipe, settings.seed, epoch, state.step)
        unread: deque[tf.Tensor] = deque()  # one step ahead of what is read, so that an accelerator never waits for us
        with record.epoch(steps), deferred(stop, DEFERRED):
            for step, batch in enumerate(batches, state.step + 1):
                if search:
                    search.remember(*batch)
                unread.append(train_step(*batch))
                stopping = devices.stopping(stop)
                due = stopping or step == steps or (checkpoint_every and step % checkpoint_every == 0)
                while len(unread) > (0 if due or search else devices.ahead):
                    state.count_step(unread.popleft().numpy())
                    if not np.isfinite(state.totals).all() or ((due or search) and not state.finite()):
                        order = epoch_order(rows.pid, settings.batch_size, recipe, settings.seed, epoch)
                        layer = search.find() if search else None
                        raise InputError(record.report_not_finite(rows.iloc[order[state.step - 1]], layer))
                record.show_step()
                if step == steps:
                    record.log_epoch(epoch * steps, state.count_epoch())
                if due:
                    record.save()
                if stopping:
                    break
        if devices.stopping(stop):
            raise Stopped(stop.number or signal.SIGTERM, record.stopped())
        record.evaluate_if_due()
    record.finish()


def make_state(settings: Settings, num_identities: int, steps: int) -> TrainingState:
    """A fresh network and optimizer, as a `TrainingState`; `steps` are those of an epoch."""
    model = settings.build_model(num_identities)
    undecayed = [v for v in model.trainable_variables if any(part in v.path for part in UNDECAYED)]
    optimizer = make_optimizer(settings.recipe, steps * settings.epochs, settings.precision, undecayed)
    optimizer.build(model.trainable_variables)
    return TrainingState(model, optimizer)


def make_optimizer(
    recipe: Recipe, steps: int, precision: str = "float32", undecayed: Sequence[keras.Variable] = ()
) -> keras.optimizers.Optimizer:
    """Adam as §4 has it.

    Args:
        recipe: the `Recipe`.
        steps: of the whole training.
        precision: dtype policy; mixed_float16 gets loss scaling.
        undecayed: variables without weight decay, besides biases and batch norm's weights.

    Returns:
        `keras.optimizers.Optimizer`.
    """
    adam = FusedAdam(
        Schedule(recipe, steps),
        beta_1=0.9,
        beta_2=0.999,
        epsilon=ADAM_EPSILON,
        weight_decay=recipe.weight_decay or None,
        name="adam",
    )
    adam.exclude_from_weight_decay(undecayed, var_names=["gamma", "beta", "bias"])
    # Checkpoints know its variables by their paths, and Keras would number the names.
    scaled = precision == "mixed_float16"
    return keras.optimizers.LossScaleOptimizer(adam, name="loss_scale_optimizer") if scaled else adam
