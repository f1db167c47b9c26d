"""Convolution, batch normalisation, ReLU: the unit that everything convolutional is made of."""

import keras

from hacnn_tf.layers.initializers import fan_in_uniform


def batch_norm(**kwargs):
    """Batch normalisation as everywhere in HA-CNN: moving-average momentum 0.9 (§4)."""
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, **kwargs)


@keras.saving.register_keras_serializable(package="hacnn_tf")
class ConvBlock(keras.layers.Layer):
    """Conv → batch norm → ReLU, no conv bias, `SAME` padding (Fig. 3: "applied to each conv layer").

    Args:
        filters: number of output channels.
        kernel_size: side of the square kernel, in pixels.
        strides: stride in both directions, in pixels.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: `(batch, height, width, channels)` float tensor.

    Returns:
        `(batch, ⌈height / strides⌉, ⌈width / strides⌉, filters)` tensor, values ≥ 0.
    """

    def __init__(self, filters, kernel_size=1, strides=1, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.conv = keras.layers.Conv2D(
            filters,
            kernel_size,
            strides,
            padding="same",
            use_bias=False,
            kernel_initializer=fan_in_uniform(),
            dtype=self.dtype_policy,
            name="conv",
        )
        self.norm = batch_norm(dtype=self.dtype_policy, name="norm")

    def build(self, input_shape):
        self.conv.build(input_shape)
        self.norm.build(self.conv.compute_output_shape(input_shape))

    def call(self, inputs, training=None):
        return keras.ops.relu(self.norm(self.conv(inputs), training=training))

    def compute_output_shape(self, input_shape):
        return self.conv.compute_output_shape(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
        }
