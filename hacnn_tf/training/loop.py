"""The training loop."""

import signal
from collections import deque

import keras
import numpy as np
import tensorflow as tf

from hacnn_tf.data.pipeline import epoch_order, steps_per_epoch
from hacnn_tf.training.adam import FusedAdam
from hacnn_tf.training.epoch_log import EpochLog
from hacnn_tf.training.nans import NanSearch
from hacnn_tf.training.progress import Progress
from hacnn_tf.training.run_folder import versions
from hacnn_tf.training.schedule import Schedule
from hacnn_tf.training.state import TrainingState
from hacnn_tf.utils.errors import InputError
from hacnn_tf.utils.files import preview
from hacnn_tf.utils.signals import Stopped, StopRequest, deferred

# What no weight decay touches. Spatial attention's convs have one filter of one channel: decayed, what they give varies
# less than batch norm's epsilon, so that it is not rescaled any more, and the map dies (docs/studies/attention.md).
# Hard attention's FC layers start at 0, and no batch norm follows them.
UNDECAYED = ("/spatial/", "hard_attention/")
ADAM_EPSILON = 1e-8  # of TensorFlow 1's Adam, which the paper used
DEFERRED = "stops after this step, with a checkpoint; a second signal stops at once"


def train(settings, images, rows, devices, xla=False, run=None, evaluate=None, checkpoint_every=0, debug_nans=False):
    """Trains a network by its recipe, or goes on with a training that was stopped.

    Args:
        settings: the `Settings`: what to do.
        images: `(n, height, width, 3)` uint8 training images.
        rows: `pandas.DataFrame` of their `path` and `pid`.
        devices: the `Devices` to train on.
        xla: compile the step with XLA.
        run: the `RunFolder` to go on from and to write to; None on workers that are not the chief.
        evaluate: function of the model that gives the results of `evaluate_features`; for the chief.
        checkpoint_every: steps of an epoch between checkpoints; 0: only one after each epoch.
        debug_nans: when the loss is not finite, say in which layer that began; slower.

    Returns:
        The results of the last evaluation; None on workers that are not the chief.

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
    state = devices.build(lambda: make_state(settings, len(identities), steps))
    if run:
        run.restore(state)
        print(_begins(run, state, settings.epochs), flush=True)
    devices.share(state)

    train_step = devices.train_step(state.model, state.optimizer, recipe, xla)
    search = NanSearch(state.model, recipe) if debug_nans else None
    log = EpochLog(run, state.epoch) if run else None
    progress = Progress(settings.epochs, steps, settings.batch_size, state.model.branches, shown=bool(run))
    stop, results = StopRequest(), None

    def evaluate_if_due():
        """The results, where an evaluation is due after the last whole epoch and has not been made."""
        epoch = state.epoch
        if not log or state.step or not settings.evaluates_after(epoch) or log.evaluated(epoch):
            return results
        return log.results(epoch, evaluate(state.model))

    results = evaluate_if_due()  # a training that was stopped in the middle of it
    while state.epoch < settings.epochs:
        epoch = state.epoch + 1
        batches = devices.batches(images, labels, settings.batch_size, recipe, settings.seed, epoch, state.step)
        unread = deque()  # one step ahead of what is read of it, so that an accelerator never waits for us
        with devices.together(), progress.epoch(epoch, state.step) as shown, deferred(stop, DEFERRED):
            for step, batch in enumerate(batches, state.step + 1):
                if search:
                    search.remember(*batch)
                unread.append(train_step(*batch))
                stopping = devices.any(stop.number is not None)
                due = stopping or step == steps or (checkpoint_every and step % checkpoint_every == 0)
                while len(unread) > (0 if due or search else devices.ahead):
                    state.count_step(unread.popleft().numpy())
                    if not np.isfinite(state.totals).all() or ((due or search) and not state.finite()):
                        raise InputError(_not_finite(settings, rows, state, search, run))
                shown.step(state.step, state.totals)
                if due and step == steps:
                    means = state.count_epoch()
                    if log:
                        log.epoch(epoch, epoch * steps, means, shown.images_per_second)
                if due and run:
                    run.save(state)
                if stopping:
                    break
            stopping = stopping or devices.any(stop.number is not None)
        if stopping or stop.number is not None:
            raise Stopped(stop.number or signal.SIGTERM, _stopped(run, state))
        results = evaluate_if_due()
    if run and results is None:
        results = evaluate(state.model)
    return results


def make_state(settings, num_identities, steps):
    """A fresh network and optimizer, as a `TrainingState`; `steps` are those of an epoch."""
    model = settings.build_model(num_identities)
    undecayed = [v for v in model.trainable_variables if any(part in v.path for part in UNDECAYED)]
    optimizer = make_optimizer(settings.recipe, steps * settings.epochs, settings.precision, undecayed)
    optimizer.build(model.trainable_variables)
    return TrainingState(model, optimizer)


def make_optimizer(recipe, steps, precision="float32", undecayed=()):
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
    return keras.optimizers.LossScaleOptimizer(adam) if precision == "mixed_float16" else adam


def _begins(run, state, epochs):
    """What a training says first: where it is, and what else computes it now than what began it."""
    return f"{_place(run, state, epochs)}{_updates(run.versions, versions()) if state.epoch or state.step else ''}"


def _updates(begun, now):
    there = ((name, begun.get(name), version) for name, version in now.items())
    changed = [f"{name} {former}, now {version}" for name, former, version in there if former != version]
    return f" It was begun with {preview(changed, 10, '; ')}: its last digits may differ." if changed else ""


def _place(run, state, epochs):
    if state.epoch == epochs:
        return f"{run.path} is trained already."
    if state.step:
        return f"{run.path}: goes on after step {state.step} of epoch {state.epoch + 1} of {epochs}."
    if state.epoch:
        return f"{run.path}: goes on after epoch {state.epoch} of {epochs}."
    return f"{run.path}: begins."


def _stopped(run, state):
    if not run:
        return "stopped with the other workers."
    done = f"step {state.step} of epoch {state.epoch + 1}" if state.step else f"epoch {state.epoch}"
    return f"stopped after {done}; the same command again goes on from there."


def _not_finite(settings, rows, state, search, run):
    """What to say of a step after which the loss or a weight is not finite."""
    order = epoch_order(rows.pid, settings.batch_size, settings.recipe, settings.seed, state.epoch + 1)
    batch = rows.iloc[order[state.step - 1]]
    began = f" It began in {search.find()}." if search else " --debug_nans says in which layer it began."
    listed = f", all of them in {run.write_not_finite(batch)}" if run else ""
    return (
        f"The loss or a weight is not finite after step {state.step} of epoch {state.epoch + 1}.{began} "
        "Lower --learning_rate and name another --run_dir, or look at the images of this batch; earlier checkpoints "
        f"are kept. The batch: {preview(batch.path)}{listed}."
    )
