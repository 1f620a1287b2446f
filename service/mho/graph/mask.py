"""Mask and substitution nodes: ``y -> m * y + (1 - m) * substitute``, per sample, at any layers.

The mask of a layer is a graph input ``(batch, units)``, so every row of a batch may be another
coalition; the substitute is a graph input that broadcasts to the layer: ``(1, units)`` spread over
positions, or the layer's own shape with a leading 1. ``(1 - m) * substitute`` is computed in that
small shape, so what is added per activation is one product and one sum. A removed unit that is
infinite gives NaN: the product is kept for it is differentiable in m.

Both inputs are float32, whatever the layer is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import onnx_ir as ir

from mho.evaluation import Layer
from mho.graph.emit import PREFIX, Emitter, tensor_named
from mho.graph.model import Model


def mask_input(layer: str) -> str:
    """Name of the graph input ``(batch, units)`` that holds the mask: 1 keeps a unit, 0 replaces
    it."""
    return f"{PREFIX}mask/{layer}"


def substitute_input(layer: str) -> str:
    """Name of the graph input that holds what removed units become."""
    return f"{PREFIX}substitute/{layer}"


def broadcast_shape(layer: Layer) -> tuple[int, ...]:
    """Shape in which a vector over the units broadcasts to the layer: ``(1, units, 1, 1)``."""
    return tuple(layer.units if i == layer.axis else 1 for i in range(len(layer.shape)))


def masked(model: Model, layers: Sequence[Layer]) -> Model:
    """``model`` with a mask and a substitute at each of ``layers``; all else reads the masked
    tensor.

    A layer that is itself a graph output keeps its name there, now with the masked content.
    """

    def rewrite(copy: ir.Model) -> None:
        emit = Emitter(copy.graph, "masked")
        for layer in layers:
            _insert(copy.graph, emit, layer)
        copy.graph.sort()

    return model.rewritten(rewrite)


def placed(
    graph: ir.Graph, emit: Emitter, layer: Layer, make: Callable[[ir.Value], ir.Value]
) -> None:
    """What ``make`` computes from the activation of ``layer`` takes its place for all readers."""
    activation = tensor_named(graph, layer.name)
    uses = list(activation.uses())  # taken before we read it ourselves
    result = make(activation)
    result.shape, result.type = activation.shape, activation.type
    for user, position in uses:
        user.replace_input_with(position, result)
    if activation.is_graph_output():
        for position, output in enumerate(graph.outputs):
            if output is activation:
                graph.outputs[position] = result
        if not activation.is_graph_input():
            activation.name, result.name = emit.unique(f"{layer.name}/unmasked"), layer.name


def _insert(graph: ir.Graph, emit: Emitter, layer: Layer) -> None:
    mask = emit.input(mask_input(layer.name), ir.DataType.FLOAT, ("N", layer.units))
    free = [None] * (len(layer.shape) - 1)
    substitute = emit.input(substitute_input(layer.name), ir.DataType.FLOAT, (1, *free))
    keep = emit.op("Reshape", mask, emit.constant([-1, *broadcast_shape(layer)[1:]]))
    replaced = emit.op("Mul", emit.op("Sub", emit.constant(1.0), keep), substitute)

    def mixed(activation: ir.Value) -> ir.Value:
        dtype = activation.dtype or ir.DataType.FLOAT
        factor, term = keep, replaced
        if dtype != ir.DataType.FLOAT:
            factor, term = (emit.op("Cast", value, to=dtype) for value in (keep, replaced))
        return emit.op("Add", emit.op("Mul", activation, factor), term)

    placed(graph, emit, layer, mixed)
