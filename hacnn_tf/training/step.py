"""One gradient step."""

import tensorflow as tf


def make_train_step(model, optimizer, xla, replicas=1):
    """The training step of §3: the sum of both branches' cross-entropies, one optimizer update.

    Args:
        model: a `hacnn_tf.models.HACNN`.
        optimizer: a built `keras.optimizers.Optimizer`; a loss-scaling one under mixed_float16.
        xla: compile the step into one XLA program.
        replicas: on how many devices the step runs at once, each with its part of the batch.

    Returns:
        Function from images `(n, height, width, 3)` uint8 and labels `(n,)` int to a `(3,)` float32 tensor: global
        loss, local loss (nats an image), and identity accuracy, the share of images whose identity has the largest
        sum of both branches' logits; all divided by `replicas`, so that their sum over these is the batch's.
    """

    @tf.function(jit_compile=xla, autograph=False)
    def train_step(images, labels):
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            losses = cross_entropies(labels, logits)
            loss = optimizer.scale_loss((losses["global"] + losses["local"]) / replicas)  # gradients are summed
        optimizer.apply(tape.gradient(loss, model.trainable_variables))
        predicted = tf.argmax(logits["global"] + logits["local"], axis=-1, output_type=labels.dtype)
        accuracy = tf.reduce_mean(tf.cast(predicted == labels, tf.float32))
        return tf.stack([losses["global"], losses["local"], accuracy]) / replicas

    return train_step


def cross_entropies(labels, logits):
    """The mean softmax cross-entropy of each branch (§3), in nats an image.

    Args:
        labels: `(n,)` int tensor.
        logits: dict from branch to `(n, num_identities)` float32 tensor, as a `HACNN` gives it.

    Returns:
        Dict from branch to a float32 scalar.
    """
    return {
        branch: tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, z))
        for branch, z in logits.items()
    }
