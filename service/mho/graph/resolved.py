"""Conductance of single units resolved to the input (Eq. 2): a second backward walk, from the unit
to the path input.

Every row of the batch is a point of a path and a choice of units. The gradient of the target at the
layer, dF/dy, is kept where the row's units are and walked on to the path input x, which gives
Σ_p dF/dy_p · dy_p/dx. Summed over the rows with the weights of the trapezoid rule and multiplied by
x - x', it is the share of each element of the input in what flows through the units.
"""

from __future__ import annotations

import onnx_ir as ir

from mho.evaluation import Layer
from mho.graph.backward import gradients, slopes
from mho.graph.cut import pruned
from mho.graph.emit import PREFIX, Emitter, tensor_named
from mho.graph.flow import dims
from mho.graph.mask import broadcast_shape
from mho.graph.model import Model
from mho.graph.target import TARGET_SCORE
from mho.graph.term import Term

CHOSEN = f"{PREFIX}chosen"
"""Graph input ``(rows, units)`` float32: 1 at the units that each row resolves."""
WEIGHT = f"{PREFIX}weight"
"""Graph input ``(rows,)`` float32: what each row counts in the sum."""
RESOLVED = f"{PREFIX}resolved"
"""Graph output, shaped like one row of the path input: the weighted sum of the rows."""


def resolved(model: Model, layer: Layer, path_input: str) -> Model:
    """``model`` (from ``path_input`` to ``mho/F``) whose output is the mean slope of F along the
    units of ``layer``, by element of the path input. Unsupported where an operator on the way has
    no derivative rule."""

    def rewrite(copy: ir.Model) -> None:
        graph = copy.graph
        emit = Emitter(graph, "resolved")
        target, value = tensor_named(graph, TARGET_SCORE), tensor_named(graph, layer.name)
        start = tensor_named(graph, path_input)
        chosen = Term(emit, emit.input(CHOSEN, ir.DataType.FLOAT, ("N", layer.units)))
        weight = Term(emit, emit.input(WEIGHT, ir.DataType.FLOAT, ("N",)))
        forward = list(graph)
        slope = slopes(graph, emit, target, [value])[value]
        kept = slope * chosen.reshape([-1, *broadcast_shape(layer)[1:]]).cast(slope)
        back = gradients(graph, emit, {value: kept}, [start], among=forward)
        found = back.get(start, Term(emit, start).zeros())
        scaled = found * weight.cast(found).reshape([-1, *[1] * (len(dims(start) or ()) - 1)])
        total = scaled.single().sum([0], keepdims=False)
        graph.outputs.clear()
        emit.output(total.value, RESOLVED, ir.DataType.FLOAT, (dims(start) or ())[1:])
        graph.sort()

    return pruned(model.rewritten(rewrite))
