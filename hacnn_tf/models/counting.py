"""Kernel weights, multiply-adds and depth of any functional Keras model, counted on its graph."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import keras

from hacnn_tf.utils.types import Tensor

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


def kernel_calls(model: keras.Model) -> list[KernelCall]:
    """Every call of a convolution or FC layer that `model` makes for one image, in order.

    The graph is traced symbolically through all nested layers. Only products with a kernel count: no biases,
    normalisations, activations, nor products of two activations.

    Args:
        model: a functional or sequential `keras.Model` with fixed input sizes; its layers may be of any kind.

    Returns:
        List of `KernelCall`.

    Raises:
        ValueError: a layer has a weight matrix that is not counted here.
    """
    model = keras.models.clone_model(model)  # calling leaves marks on layers
    images = [keras.Input(batch_shape=(1, *x.shape[1:]), dtype=x.dtype) for x in model.inputs]
    walk = _Walk()
    walk.through(images, model.call(images if len(images) > 1 else images[0]))
    counted = {id(weight) for call in walk.calls for weight in _kernels(call.layer)}
    if missed := [weight.path for weight in model.weights if len(weight.shape) > 1 and id(weight) not in counted]:
        raise ValueError(f"The multiply-adds with {missed[0]} are not known.")
    return walk.calls


def count(calls: Sequence[KernelCall]) -> dict[str, int]:
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


class _Walk:
    """Goes along graphs of symbolic tensors, operation by operation, and into the layers that are made of layers."""

    def __init__(self) -> None:
        self.calls: list[KernelCall] = []
        self._depths: dict[int, int] = {}  # by a tensor's id, which is its own as long as the tensor lives
        self._alive: list[keras.Model] = []

    def through(self, inputs: list[Tensor], outputs: Any) -> list[Tensor]:
        """Visits all operations from `inputs` to `outputs`, lists of `keras.Input`s and of what was made of them."""
        used = [x for x in inputs if x._keras_history.operation._outbound_nodes]  # a layer may ignore some it is given
        graph = keras.Model(used, keras.tree.flatten(outputs))
        again = keras.models.clone_model(
            graph, graph.input, clone_function=lambda layer: layer, call_function=self._visit
        )
        self._alive.append(again)
        return again.outputs

    def _visit(self, operation: keras.Operation, *args: Any, **kwargs: Any) -> Any:
        outputs = operation(*args, **kwargs)
        inputs = _tensors((args, kwargs))
        if isinstance(operation, keras.Layer) and list(operation._flatten_layers(include_self=False)):
            depths = self._inside(operation, args, kwargs)
        else:
            depths = [self._record(operation, inputs, outputs)] * len(_tensors(outputs))
        for tensor, depth in zip(_tensors(outputs), depths, strict=True):
            self._depths[id(tensor)] = depth
        return outputs

    def _inside(self, layer: keras.Layer, args: tuple, kwargs: dict[str, Any]) -> list[int]:
        """The depths of the outputs of a layer that is made of layers, whose own calls are recorded."""
        stand_ins: list[Tensor] = []

        def stand_in(x: Any) -> Any:
            if not isinstance(x, keras.KerasTensor):
                return x
            stand_ins.append(keras.Input(batch_shape=x.shape, dtype=x.dtype))
            self._depths[id(stand_ins[-1])] = self._depths.get(id(x), 0)
            return stand_ins[-1]

        args, kwargs = keras.tree.map_structure(stand_in, (args, kwargs))
        return [self._depths[id(x)] for x in self.through(stand_ins, layer.call(*args, **kwargs))]

    def _record(self, operation: keras.Operation, inputs: list[Tensor], outputs: Any) -> int:
        """The depth of an operation's outputs."""
        depth = max((self._depths.get(id(x), 0) for x in inputs), default=0)
        kernels = _kernels(operation) if isinstance(operation, keras.Layer) else []
        if kernels:
            depth += len(kernels)
            path = kernels[0].path.rpartition("/")[0]
            weights = sum(math.prod(kernel.shape) for kernel in kernels)
            macs = weights * _positions(operation, inputs[0], _tensors(outputs)[0])
            self.calls.append(KernelCall(operation, path, weights, macs, depth))
        return depth


def _tensors(structure: Any) -> list[Tensor]:
    return [x for x in keras.tree.flatten(structure) if isinstance(x, keras.KerasTensor)]


def _kernels(layer: keras.Layer) -> list[keras.Variable]:
    """The kernels of a layer, in the order they are applied."""
    if isinstance(layer, (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)):
        return [layer.depthwise_kernel, layer.pointwise_kernel]
    if isinstance(layer, COUNTED):
        return [layer.kernel]
    return []


def _positions(layer: keras.Layer, inputs: Tensor, outputs: Tensor) -> int:
    """How often each kernel weight is used: at every position of the output, or a transposed convolution's input."""
    shape = (inputs if "Transpose" in type(layer).__name__ else outputs).shape
    channels_first = getattr(layer, "data_format", None) == "channels_first"
    return math.prod((shape[0], *shape[2:]) if channels_first else shape[:-1])
