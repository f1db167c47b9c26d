"""The one initialisation of every kernel in the network."""

import keras


def fan_in_uniform() -> keras.initializers.Initializer:
    """Uniform in ±1/√fan_in, for the kernels of conv and FC layers.

    The paper is silent on initialisation. On real CUHK03 images this beats Keras's Glorot default
    (docs/studies/search.md).
    """
    return keras.initializers.VarianceScaling(scale=1 / 3, mode="fan_in", distribution="uniform")
