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


def conv_bn_relu(x, kernel, norm, part, strides=1):
    """Conv, inference batch norm on the channels `part` of `norm`, ReLU."""
    x = ops.conv(x, kernel, strides, "same")
    gamma, beta, mean, variance = (
        np.asarray(v)[part] for v in (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
    )
    return ops.relu((x - mean) / np.sqrt(variance + norm.epsilon) * gamma + beta)


def block(x, layer):
    return conv_bn_relu(x, layer.conv.kernel, layer.norm, slice(None), layer.strides)
