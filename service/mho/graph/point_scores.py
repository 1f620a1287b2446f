"""Gradients at the inputs as graph outputs, combined with activations and reduced over positions
in the graph."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from mho.evaluation import Layer, Quantity
from mho.graph.backward import slopes
from mho.graph.cut import pruned
from mho.graph.emit import PREFIX, Emitter, tensor_named
from mho.graph.model import Model
from mho.graph.reduce import REDUCTIONS
from mho.graph.target import TARGET_SCORE
from mho.graph.term import Term


def score_output(layer: str) -> str:
    """Graph output ``(batch, units)``, or of the layer's shape where nothing is reduced."""
    return f"{PREFIX}score/{layer}"


def map_output(layer: str) -> str:
    """Graph output ``(batch, *positions)``."""
    return f"{PREFIX}map/{layer}"


def point_scores(
    model: Model, layers: Sequence[Layer], quantity: Quantity, reduction: str | None
) -> Model:
    """A ``targeted`` model whose outputs are ``quantity`` at ``layers``, in float32.

    ``reduction`` (``mean``, ``sum``, ``max`` over positions) gives ``(batch, units)``; None keeps
    the layer's shape. Grad-CAM has its own, and a map besides. Unsupported where an operator on the
    way has no derivative rule.
    """

    def rewrite(copy: ir.Model) -> None:
        graph = copy.graph
        emit = Emitter(graph, "point")
        target = tensor_named(graph, TARGET_SCORE)
        values = {layer.name: tensor_named(graph, layer.name) for layer in layers}
        found = slopes(graph, emit, target, list(values.values()))
        graph.outputs.clear()
        for layer in layers:
            own = Term(emit, values[layer.name])
            _layer_outputs(layer, own.single(), found[own.value].single(), quantity, reduction)
        graph.sort()

    return pruned(model.rewritten(rewrite))


def _layer_outputs(
    layer: Layer, own: Term, slope: Term, quantity: Quantity, reduction: str | None
) -> None:
    positions = [i for i in range(1, len(layer.shape)) if i != layer.axis]
    score, shape = slope, tuple(layer.shape[1:])
    if quantity is Quantity.GRADIENT_X_ACTIVATION:
        score = slope * own
    elif quantity is Quantity.GRAD_CAM:
        score, reduction = slope.mean(positions) * own, "sum"
        seen = score.sum([layer.axis], keepdims=False).op("Relu")
        _output(seen, map_output(layer.name), tuple(layer.shape[i] for i in positions))
    if reduction is not None:
        shape = (layer.units,)
        if positions:
            axes = score.integers(positions)
            score = score.op(REDUCTIONS[reduction], axes, keepdims=0)
    _output(score, score_output(layer.name), shape)


def _output(term: Term, name: str, shape: tuple[int | str | None, ...]) -> None:
    term.emit.output(term.value, name, ir.DataType.FLOAT, ("N", *shape))
