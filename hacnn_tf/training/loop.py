"""The training loop."""

import keras
import numpy as np
import tensorflow as tf

from hacnn_tf.data.pipeline import steps_per_epoch, training_batches
from hacnn_tf.errors import InputError
from hacnn_tf.training.progress import Progress
from hacnn_tf.training.run_folder import LOG_COLUMNS
from hacnn_tf.training.step import make_train_step


def train(run, images, pids, evaluate):
    """Trains a network as §4 says, or goes on with a training that was stopped.

    Args:
        run: the `RunFolder`; its settings say what to do, its checkpoints from where.
        images: `(n, height, width, 3)` uint8 training images.
        pids: `(n,)` array of their identities.
        evaluate: function of the model that gives the results of `evaluate_features`.

    Returns:
        The results of the last evaluation.

    Raises:
        InputError: fewer images than a batch, checkpoints of another network, or a loss that is not finite.
    """
    settings = run.settings
    identities, labels = np.unique(pids, return_inverse=True)
    steps = steps_per_epoch(len(images), settings.batch_size)

    xla = use_xla(settings.xla)
    keras.utils.set_random_seed(settings.seed)
    if not xla:  # XLA refuses to compile max pooling's gradient when asked for determinism
        tf.config.experimental.enable_op_determinism()
    model = settings.build_model(len(identities))
    optimizer = make_optimizer(settings)
    optimizer.build(model.trainable_variables)
    epoch_done = tf.Variable(0, dtype=tf.int64)
    checkpoints = run.checkpoints(model, optimizer=optimizer, epoch=epoch_done)
    run.restore(checkpoints)
    first_epoch = int(epoch_done) + 1
    if first_epoch > settings.epochs:
        print(f"{run.path} is trained already.")
    elif first_epoch > 1:
        print(f"{run.path}: goes on after epoch {first_epoch - 1} of {settings.epochs}.")

    train_step = make_train_step(model, optimizer, xla)
    log = run.read_log(first_epoch - 1)
    events = tf.summary.create_file_writer(str(run.path / "tensorboard"))
    progress = Progress(settings.epochs, steps, settings.batch_size)
    results = None
    for epoch in range(first_epoch, settings.epochs + 1):
        totals = tf.zeros(3)
        with progress.epoch(epoch) as shown:
            for step, batch in enumerate(
                training_batches(images, labels, settings.batch_size, settings.seed, epoch), 1
            ):
                totals += train_step(*batch)
                shown.step(step, totals)
        if not np.isfinite(totals).all():
            raise InputError(
                f"The loss is no longer finite in epoch {epoch}: lower --learning_rate, and name another --run_dir; "
                f"{run.path} keeps the checkpoints of the epochs before."
            )
        row = [epoch, epoch * steps, *(totals / steps).numpy().tolist(), round(shown.images_per_second, 1)]
        log.append(dict(zip(LOG_COLUMNS, row, strict=True)))
        with events.as_default(step=epoch):
            for name, value in log[-1].items():
                tf.summary.scalar(name, value)
        epoch_done.assign(epoch)
        run.write_log(log)
        checkpoints.save()
        if epoch == settings.epochs or (settings.eval_every and epoch % settings.eval_every == 0):
            results = evaluate(model)
            with events.as_default(step=epoch):
                for measure in ("rank1", "mAP"):
                    tf.summary.scalar(f"joint_{measure}", results["single_query"]["joint"][measure])
        events.flush()
    return evaluate(model) if results is None else results


def make_optimizer(settings):
    """Adam as §4 has it; epsilon is that of TensorFlow 1's Adam, which the paper used."""
    adam = keras.optimizers.Adam(settings.learning_rate, beta_1=0.9, beta_2=0.999, epsilon=1e-8)
    return keras.optimizers.LossScaleOptimizer(adam) if settings.precision == "mixed_float16" else adam


def use_xla(choice):
    """Whether to compile with XLA; "auto" means on a GPU only, since on CPUs oneDNN's kernels are faster."""
    return choice == "on" or (choice == "auto" and bool(tf.config.list_physical_devices("GPU")))
