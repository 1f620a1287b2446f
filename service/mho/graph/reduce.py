"""Activations as graph outputs, reduced over positions inside the graph so that little leaves
it."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from mho.evaluation import Layer
from mho.graph.cut import pruned
from mho.graph.emit import PREFIX, Emitter, tensor_named
from mho.graph.model import Model

REDUCTIONS = {"mean": "ReduceMean", "sum": "ReduceSum", "max": "ReduceMax"}
_AXES_ARE_INPUTS = {"ReduceSum": 13, "ReduceMean": 18, "ReduceMax": 18}
"""The opset from which the axes are an input, and not an attribute."""


def activation_output(layer: str) -> str:
    """Name of the graph output ``(batch, units)``, or of the layer's shape where nothing is
    reduced."""
    return f"{PREFIX}activation/{layer}"


def activations(
    model: Model, layers: Sequence[Layer], reduction: str | None, *, magnitude: bool = False
) -> Model:
    """``model`` whose only outputs are the activations of ``layers``, in float32.

    ``reduction`` (``mean``, ``sum``, ``max`` over positions) gives ``(batch, units)``; None keeps
    the layer's shape. magnitude: of absolute values.
    """

    def rewrite(copy: ir.Model) -> None:
        graph = copy.graph
        emit = Emitter(graph, "activation")
        graph.outputs.clear()
        for layer in layers:
            value = tensor_named(graph, layer.name)
            positions = [i for i in range(1, len(layer.shape)) if i != layer.axis]
            shape: tuple[int | str | None, ...] = layer.shape
            if value.dtype != ir.DataType.FLOAT:  # first: a sum may not fit a smaller type
                value = emit.op("Cast", value, to=ir.DataType.FLOAT)
            if magnitude:
                value = emit.op("Abs", value)
            if reduction is not None:
                shape = ("N", layer.units)
                if positions:
                    value = _reduced(emit, value, REDUCTIONS[reduction], positions)
            emit.output(value, activation_output(layer.name), ir.DataType.FLOAT, ("N", *shape[1:]))
        graph.sort()

    return pruned(model.rewritten(rewrite))


def _reduced(emit: Emitter, value: ir.Value, op_type: str, axes: list[int]) -> ir.Value:
    if emit.graph.opset_imports.get("", 18) >= _AXES_ARE_INPUTS[op_type]:
        return emit.op(op_type, value, emit.constant(axes), keepdims=0)
    return emit.op(op_type, value, axes=axes, keepdims=0)
