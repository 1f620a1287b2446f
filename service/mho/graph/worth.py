"""The argument of each row's smooth worth as a graph output, and its slopes in the masks."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from mho.evaluation import Layer
from mho.graph.backward import slopes
from mho.graph.cut import pruned
from mho.graph.emit import PREFIX, Emitter, tensor_named
from mho.graph.mask import mask_input, masked
from mho.graph.model import Model
from mho.graph.target import SCORES
from mho.graph.term import Term
from mho.value import Surrogate

WANTED = f"{PREFIX}wanted"
"""Graph input ``(batch, classes)`` float: 1 for the classes that the row is judged by, else 0."""
TRUTH = f"{PREFIX}truth"
"""Graph input ``(batch, outputs)`` float: what a regressor should answer."""
ARGUMENT = f"{PREFIX}argument"
"""Graph output ``(batch,)``: of which ``Surrogate.link`` makes the row's smooth worth."""
_FAR = 1e30
"""Further than scores reach: takes a class out of a maximum without making NaN."""
_LEAST = 1e-37
"""The least probability of which a logarithm is taken; float32 has little below."""


def slope_output(layer: str) -> str:
    """Graph output ``(batch, units)``: the slope of the row's argument in its mask."""
    return f"{PREFIX}slope/{layer}"


def valued(
    model: Model, surrogate: Surrogate, *, probabilities: bool, single: bool = False
) -> Model:
    """A ``scored`` model with the output ``mho/argument`` instead of its scores.

    probabilities: the scores are those after softmax. single: there is one score for each row,
    whatever the shape says.
    """

    def rewrite(copy: ir.Model) -> None:
        graph = copy.graph
        emit = Emitter(graph, "worth")
        scores = Term(emit, tensor_named(graph, SCORES))
        name = TRUTH if surrogate is Surrogate.SQUARED_ERROR else WANTED
        classes = None if scores.dims is None else scores.dims[1]
        given = Term(emit, emit.input(name, ir.DataType.FLOAT, ("N", classes)))
        one = single or classes == 1
        found = _argument(surrogate, scores, given, probabilities=probabilities, single=one)
        graph.outputs.clear()
        emit.output(found.value, ARGUMENT, ir.DataType.FLOAT, ("N",))
        graph.sort()

    return model.rewritten(rewrite)


def mask_slopes(model: Model, layers: Sequence[Layer]) -> Model:
    """A ``valued`` model with masks at ``layers``, whose outputs are ``mho/argument`` and its slope
    in the masks, for every row and layer.

    Unsupported where an operator on the way from a layer to the scores has no derivative rule.
    """

    def rewrite(copy: ir.Model) -> None:
        graph = copy.graph
        emit = Emitter(graph, "slope")
        masks = [tensor_named(graph, mask_input(layer.name)) for layer in layers]
        found = slopes(graph, emit, tensor_named(graph, ARGUMENT), masks)
        for layer, mask in zip(layers, masks, strict=True):
            shape = ("N", layer.units)
            emit.output(found[mask].value, slope_output(layer.name), ir.DataType.FLOAT, shape)
        graph.sort()

    return pruned(masked(model, layers).rewritten(rewrite))


def _argument(
    surrogate: Surrogate, scores: Term, given: Term, *, probabilities: bool, single: bool
) -> Term:
    """``(batch,)``; see ``Surrogate`` for the formulas."""
    if surrogate is Surrogate.SQUARED_ERROR:
        off = scores - given
        return (off * off).mean([1], keepdims=False)
    if surrogate is Surrogate.SCORE:
        return (scores * given).sum([1], keepdims=False) / given.sum([1], keepdims=False)
    inside, outside = scores - (1.0 - given) * _FAR, scores - given * _FAR
    if surrogate is Surrogate.MARGIN:
        return _highest(inside) - _highest(outside)
    if probabilities:
        chance = (scores * given).sum([1], keepdims=False)
        least = chance.number(_LEAST)
        return chance.op("Max", least).op("Log") - (1.0 - chance).op("Max", least).op("Log")
    if single:
        return scores.sum([1], keepdims=False)
    return _log_sum(inside) - _log_sum(outside)


def _highest(scores: Term) -> Term:
    return scores.op("ReduceMax", scores.integers([1]), keepdims=0)


def _log_sum(scores: Term) -> Term:
    """log Σ exp, without overflow: the highest score is taken out first."""
    return scores.op("ReduceLogSumExp", scores.integers([1]), keepdims=0)
