"""What layers are compared with: the paper's conv, batch norm and ReLU, one by one."""

import numpy as np
from keras import ops


def trained(layer, *inputs):
    """The layer with weights, BN statistics included, that are unlike its initial ones."""
    layer(*inputs)
    rng = np.random.default_rng(1)
    for variable in layer.variables:
        positive = "variance" in variable.path or "gamma" in variable.path
        variable.assign(rng.uniform(0.5, 1.5, variable.shape) if positive else rng.normal(0, 0.3, variable.shape))
    return layer


def block(x, layer, strides=1):
    """Conv, inference batch norm, ReLU, with a `ConvBlock`'s weights."""
    x = ops.conv(x, layer.conv.kernel, strides, "same")
    norm = layer.norm
    gamma, beta, mean, variance = map(np.asarray, (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance))
    return ops.relu((x - mean) / np.sqrt(variance + norm.epsilon) * gamma + beta)
