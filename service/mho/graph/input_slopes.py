"""The slope of what a row's worth is made of in the model's own inputs: adversarial steps follow
it."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from mho.graph.backward import slopes
from mho.graph.cut import pruned
from mho.graph.emit import PREFIX, Emitter, tensor_named
from mho.graph.flow import dims
from mho.graph.model import Model
from mho.graph.term import Term
from mho.graph.worth import ARGUMENT


def input_slope_output(name: str) -> str:
    """Graph output of the shape of the graph input ``name``, float32."""
    return f"{PREFIX}slope/{name}"


def input_slopes(model: Model, names: Sequence[str]) -> Model:
    """A ``valued`` model whose outputs are ``mho/argument`` and its slope in the graph inputs
    ``names``; zeros in one on which it does not depend.

    Unsupported where an operator on the way from an input to it has no derivative rule.
    """

    def rewrite(copy: ir.Model) -> None:
        graph = copy.graph
        emit = Emitter(graph, "input")
        values = {name: tensor_named(graph, name) for name in names}
        found = slopes(graph, emit, tensor_named(graph, ARGUMENT), list(values.values()))
        for name, value in values.items():
            shape = dims(value) or ()
            slope = Term(emit, found[value].value).single()
            emit.output(slope.value, input_slope_output(name), ir.DataType.FLOAT, shape)
        graph.sort()

    return pruned(model.rewritten(rewrite))
