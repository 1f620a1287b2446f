"""Integrals over intervals of a path as a graph: gradients at the points, sums in the graph.

Every row of the batch is a point of a path; an interval names two rows. With g = dF/dy at both ends
and y the activation, what an interval gives a neuron is ½(g_lower + g_upper) · (y_upper - y_lower):
the trapezoid rule in the activation itself. Its error falls with the square of the width, where the
left sum Σ g_lower · (y_upper - y_lower) is of first order, and it costs the same. What leaves the
graph is summed over positions, or over the intervals.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from mho.evaluation import Integrand, Layer
from mho.graph.backward import slopes
from mho.graph.cut import pruned
from mho.graph.emit import PREFIX, Emitter, tensor_named
from mho.graph.model import Model
from mho.graph.target import TARGET_SCORE
from mho.graph.term import Term

LOWER, UPPER = f"{PREFIX}lower", f"{PREFIX}upper"
"""Graph inputs ``(intervals,)`` int64: the rows at which each interval begins and ends."""
SLOPE_LOWER, SLOPE_UPPER = f"{PREFIX}slope_lower", f"{PREFIX}slope_upper"
"""Graph inputs ``(intervals,)`` int64: the rows whose gradients are averaged: the ends, or twice
the middle where the gradient does not exist at an end."""
WIDTH = f"{PREFIX}width"
"""Graph input ``(intervals,)`` float32: α_upper - α_lower, where the integrand is the influence."""


def units_output(layer: str) -> str:
    """Graph output ``(intervals, units)``: the integral over each interval, summed over
    positions."""
    return f"{PREFIX}units/{layer}"


def flow_output(tensor: str) -> str:
    """Graph output ``(intervals,)``: what flows through the whole tensor."""
    return f"{PREFIX}flow/{tensor}"


def neurons_output(layer: str) -> str:
    """Graph output, shaped like one row of the layer: the sum over all intervals of the batch."""
    return f"{PREFIX}neurons/{layer}"


def path_sums(
    model: Model,
    integrand: Integrand,
    *,
    units: Sequence[Layer] = (),
    flows: Sequence[str] = (),
    neurons: Sequence[Layer] = (),
) -> Model:
    """``model`` (from path input to ``mho/F``) with integrals over intervals as its outputs, and
    ``mho/F`` ``(rows,)``.

    units, neurons: layers whose scores are wanted per interval or in sum. flows: tensors through
    which the flow dF/dy · dy is wanted, whatever the integrand. Unsupported where an operator on
    the way has no derivative rule.
    """

    def rewrite(copy: ir.Model) -> None:
        graph = copy.graph
        emit = Emitter(graph, "path")
        target = tensor_named(graph, TARGET_SCORE)
        names = dict.fromkeys([*(layer.name for layer in (*units, *neurons)), *flows])
        values = {name: tensor_named(graph, name) for name in names}
        found = slopes(graph, emit, target, list(values.values()))
        ends = _Ends(emit, integrand)
        for layer in units:
            value = values[layer.name]
            axes = [i for i in range(1, len(layer.shape)) if i != layer.axis]
            product = ends.product(value, found[value], len(layer.shape))
            total = product.sum(axes, keepdims=False) * 0.5
            _output(total, units_output(layer.name), (None, layer.units))
        for name in flows:
            value = values[name]
            product = ends.flow(value, found[value])
            flat = product.op("Flatten", axis=1).sum([1], keepdims=False) * 0.5
            _output(flat, flow_output(name), (None,))
        for layer in neurons:
            value = values[layer.name]
            product = ends.product(value, found[value], len(layer.shape))
            total = product.sum([0], keepdims=False) * 0.5
            _output(total, neurons_output(layer.name), layer.shape[1:])
        graph.sort()

    return pruned(model.rewritten(rewrite))


class _Ends:
    """Gathers tensors at the ends of the intervals; what has been made is used again."""

    def __init__(self, emit: Emitter, integrand: Integrand) -> None:
        self._emit = emit
        self._lower = Term(emit, emit.input(LOWER, ir.DataType.INT64, ("intervals",)))
        self._upper = Term(emit, emit.input(UPPER, ir.DataType.INT64, ("intervals",)))
        slopes = [
            Term(emit, emit.input(name, ir.DataType.INT64, ("intervals",)))
            for name in (SLOPE_LOWER, SLOPE_UPPER)
        ]
        self._slope_lower, self._slope_upper = slopes
        self._width: Term | None = None
        if integrand is Integrand.INFLUENCE:
            width = emit.input(WIDTH, ir.DataType.FLOAT, ("intervals",))
            self._width = Term(emit, width)
        self._flows: dict[ir.Value, Term] = {}

    def flow(self, value: ir.Value, slope: Term) -> Term:
        """``(intervals, ...)``: the slopes of both ends times the step of the tensor, twice what
        the interval gives; it is halved when it has been summed and is small."""
        if value not in self._flows:
            own = Term(self._emit, value)
            step = self._at(own, self._upper) - self._at(own, self._lower)
            self._flows[value] = self._both(slope) * step
        return self._flows[value]

    def product(self, value: ir.Value, slope: Term, rank: int) -> Term:
        """The same, or the slopes times the width of the interval, as the integrand asks."""
        if self._width is None:
            return self.flow(value, slope)
        return self._both(slope) * self._width.reshape([-1, *[1] * (rank - 1)])

    def _both(self, slope: Term) -> Term:
        return self._at(slope, self._slope_lower) + self._at(slope, self._slope_upper)

    def _at(self, term: Term, rows: Term) -> Term:
        """The rows of ``term``, as float32."""
        return term.gather(rows, axis=0).single()


def _output(term: Term, name: str, shape: Sequence[int | str | None]) -> None:
    term.emit.output(term.value, name, ir.DataType.FLOAT, shape)
