"""Kernel weights, multiply-adds and depth of any functional Keras model, counted on its graph."""

import dataclasses
import math
from unittest import mock

import keras

COUNTED = (
    keras.layers.Dense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
)


@dataclasses.dataclass(frozen=True)
class KernelCall:
    """One call of a layer with a kernel: a convolution or a fully connected layer.

    Attributes:
        layer: the layer.
        path: its name inside the model, `outer/inner/conv`.
        weights: number of weights of its kernel, or kernels.
        macs: multiply-adds of this call for one image.
        depth: kernels on the longest way from the model's inputs to this call's output, itself included.
    """

    layer: keras.layers.Layer
    path: str
    weights: int
    macs: int
    depth: int


def kernel_calls(model):
    """Every call of a convolution or FC layer that `model` makes for one image, in order.

    The graph is traced symbolically through all nested layers. Only products with a kernel count: no biases,
    normalisations, activations, nor products of two activations.

    Args:
        model: a functional or sequential `keras.Model` with fixed input sizes; its layers may be of any kind.

    Returns:
        List of `KernelCall`.

    Raises:
        ValueError: a layer has a weight matrix of a kind that is not counted here.
    """
    model = keras.models.clone_model(model)  # tracing leaves marks on the layers it passes
    inputs = [keras.Input(batch_shape=(1, *x.shape[1:]), dtype=x.dtype) for x in model.inputs]
    trace = _Trace()
    with trace.hooked(keras.Operation), trace.hooked(keras.Layer):
        model(inputs if len(inputs) > 1 else inputs[0])
    return trace.calls


def count(calls):
    """Totals over kernel calls: `count(kernel_calls(model))`.

    Args:
        calls: list of `KernelCall`, all of a model or a part of them.

    Returns:
        Dict of `weights` (a kernel called several times counts once), `macs`, and `depth` (kernels on the longest way
        from the model's inputs).
    """
    kernels = {id(call.layer): call.weights for call in calls}
    return {
        "weights": sum(kernels.values()),
        "macs": sum(call.macs for call in calls),
        "depth": max((call.depth for call in calls), default=0),
    }


class _Trace:
    """Follows a symbolic call of a model, operation by operation, into its nested layers."""

    def __init__(self):
        self.calls = []
        self._depths = {}
        self._alive = []

    def hooked(self, cls):
        """A context in which `cls.symbolic_call` runs composite layers open and records all other operations."""
        symbolic_call = cls.symbolic_call

        def call(operation, *args, **kwargs):
            if isinstance(operation, keras.Layer) and list(operation._flatten_layers(include_self=False)):
                return operation.call(*args, **kwargs)
            outputs = symbolic_call(operation, *args, **kwargs)
            self._record(operation, keras.tree.flatten((args, kwargs)), keras.tree.flatten(outputs))
            return outputs

        return mock.patch.object(cls, "symbolic_call", call)

    def _record(self, operation, inputs, outputs):
        depth = max((self._depths.get(id(x), 0) for x in inputs), default=0)
        kernels = _kernels(operation) if isinstance(operation, keras.Layer) else []
        if kernels:
            depth += len(kernels)
            path = kernels[0].path.rpartition("/")[0]
            weights = sum(math.prod(kernel.shape) for kernel in kernels)
            macs = weights * _positions(operation, inputs[0], outputs[0])
            self.calls.append(KernelCall(operation, path, weights, macs, depth))
        self._depths.update({id(x): depth for x in outputs})
        self._alive.append(outputs)  # an id is a tensor's own only as long as the tensor lives


def _kernels(layer):
    """The kernels of a layer, in the order they are applied."""
    if isinstance(layer, (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)):
        return [layer.depthwise_kernel, layer.pointwise_kernel]
    if isinstance(layer, COUNTED):
        return [layer.kernel]
    if any(len(weight.shape) > 1 for weight in layer.weights):
        raise ValueError(f"The multiply-adds of {type(layer).__name__} layers are not known ({layer.name}).")
    return []


def _positions(layer, inputs, outputs):
    """How often each kernel weight is used: at every position of the output, or a transposed convolution's input."""
    shape = (inputs if "Transpose" in type(layer).__name__ else outputs).shape
    channels_first = getattr(layer, "data_format", None) == "channels_first"
    return math.prod((shape[0], *shape[2:]) if channels_first else shape[:-1])
