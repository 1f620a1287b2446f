"""Central chords as a graph: the tail of a model, run half a step before and after each middle.

For an interval of the path with ends (lower, upper), let ``mid`` be the mean of a tensor's two
values and ``step`` their difference. A pair of rows names an interval and a unit; the tail is run
on ``mid + step/2`` and on ``mid - step/2`` for that unit and on ``mid`` for all else. The
difference of F is the directional derivative of F along the unit's own step, to second order, with
no epsilon to choose.

Only the ends of the intervals go into the graph, one copy each; the rows are made there, and only
one number per pair comes out.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from mho.evaluation import Layer
from mho.graph.cut import Tail
from mho.graph.emit import PREFIX, Emitter, replace_uses, tensor_named
from mho.graph.flow import dims
from mho.graph.linear import Reader, response
from mho.graph.model import Model

INTERVAL = f"{PREFIX}interval"
"""Graph input ``(pairs,)`` int64: which interval the pair belongs to."""
UNIT = f"{PREFIX}unit"
"""Graph input ``(pairs,)`` int64: the unit (or neuron) that moves; ``BESIDE`` moves what passes
beside."""
SIDE = f"{PREFIX}side"
"""Graph input ``()`` float32 of a one-sided graph: 1 for F after the middle, -1 for F before it."""
CHORD = f"{PREFIX}chord"
"""Graph output ``(pairs,)``: F after minus F before, or F on one side."""
BESIDE = -1


def lower_input(tensor: str) -> str:
    """Graph input ``(intervals, ...)``: the tensor at the beginning of each interval."""
    return f"{PREFIX}lower/{tensor}"


def upper_input(tensor: str) -> str:
    """Graph input ``(intervals, ...)``: the tensor at the end of each interval."""
    return f"{PREFIX}upper/{tensor}"


def fixed_input(tensor: str) -> str:
    """Graph input ``(intervals, ...)``: a tensor that the tail reads and that does not move."""
    return f"{PREFIX}fixed/{tensor}"


def chords(
    tail: Tail, layer: Layer, linear: Reader | None, *, neurons: bool, one_sided: bool = False
) -> Model:
    """The graph of one layer's chords.

    ``tail`` begins at the layer, or behind the operator ``linear`` that alone reads it. ``neurons``
    counts ``UNIT`` over all neurons of a sample in C order, not over channels; ``layer.shape`` must
    then be known but for the batch. The tail runs on ``2 · pairs`` rows, or, ``one_sided``, on
    ``pairs`` rows: a model that takes one row at a time is run twice for each pair.
    """

    def rewrite(copy: ir.Model) -> None:
        _Chords(copy.graph, tail, layer, one_sided=one_sided).build(linear, neurons=neurons)
        copy.graph.sort()

    return tail.model.rewritten(rewrite)


class _Chords:
    """The graph while it is made."""

    def __init__(self, graph: ir.Graph, tail: Tail, layer: Layer, *, one_sided: bool) -> None:
        self.graph, self.tail, self.layer = graph, tail, layer
        self.emit = emit = Emitter(graph, "chords")
        self.interval = emit.input(INTERVAL, ir.DataType.INT64, ("pairs",))
        self.unit = emit.input(UNIT, ir.DataType.INT64, ("pairs",))
        self.side = emit.input(SIDE, ir.DataType.FLOAT, ()) if one_sided else None

    def build(self, linear: Reader | None, *, neurons: bool) -> None:
        emit = self.emit
        entry = tensor_named(self.graph, self.tail.layer)
        lower, upper = self._ends(entry)
        if linear is None:
            hot = emit.op("Cast", self._one_hot(neurons=neurons), to=lower.dtype)
            moved = emit.op("Mul", self._step(lower, upper), hot)
        else:
            moved = self._response(linear)
        self._replace(entry, self._rows(lower, upper, moved))
        for name in self.tail.beside:
            value = tensor_named(self.graph, name)
            lower, upper = self._ends(value)
            moves = self._spread(emit.op("Equal", self.unit, emit.constant(BESIDE)), lower)
            moved = emit.op("Mul", self._step(lower, upper), emit.op("Cast", moves, to=lower.dtype))
            self._replace(value, self._rows(lower, upper, moved))
        both = self.interval
        if self.side is None and self.tail.fixed:
            both = emit.op("Concat", both, both, axis=0)
        for name in self.tail.fixed:
            value = tensor_named(self.graph, name)
            fed = emit.input(
                fixed_input(name), value.dtype or ir.DataType.FLOAT, _ends_shape(value)
            )
            self._replace(value, emit.op("Gather", fed, both, axis=0))
        self._differences()

    def _ends(self, value: ir.Value) -> tuple[ir.Value, ir.Value]:
        dtype, shape, name = value.dtype or ir.DataType.FLOAT, _ends_shape(value), value.name or ""
        return (
            self.emit.input(lower_input(name), dtype, shape),
            self.emit.input(upper_input(name), dtype, shape),
        )

    def _step(self, lower: ir.Value, upper: ir.Value) -> ir.Value:
        """``(pairs, ...)``: how far the tensor goes on the pair's interval."""
        return self.emit.op("Gather", self.emit.op("Sub", upper, lower), self.interval, axis=0)

    def _rows(self, lower: ir.Value, upper: ir.Value, moved: ir.Value) -> ir.Value:
        """All rows after the middle, then all rows before it; or those of one side."""
        emit = self.emit
        dtype = lower.dtype or ir.DataType.FLOAT
        half = emit.constant(0.5, dtype=dtype.numpy())
        # halved first: the sum of two large numbers may not fit
        middle = emit.op("Add", emit.op("Mul", lower, half), emit.op("Mul", upper, half))
        base = emit.op("Gather", middle, self.interval, axis=0)
        part = emit.op("Mul", moved, half)
        if self.side is None:
            return emit.op("Concat", emit.op("Add", base, part), emit.op("Sub", base, part), axis=0)
        side = self.side if dtype == ir.DataType.FLOAT else emit.op("Cast", self.side, to=dtype)
        return emit.op("Add", base, emit.op("Mul", part, side))

    def _response(self, linear: Reader) -> ir.Value:
        """What the unit's step adds behind the linear operator; nothing for BESIDE."""
        emit, layer = self.emit, self.layer
        shape = ("intervals", *layer.shape[1:])
        lower = emit.input(lower_input(layer.name), ir.DataType.FLOAT, shape)
        upper = emit.input(upper_input(layer.name), ir.DataType.FLOAT, shape)
        step = emit.op("Sub", upper, lower)
        known = emit.op("Max", self.unit, emit.constant(0))
        ones = emit.constant([1])
        place = [emit.op("Unsqueeze", index, ones) for index in (self.interval, known)]
        added = response(emit, linear, layer, step, emit.op("Concat", *place, axis=1), known)
        # a unit below 0 is none: its response is multiplied by 0
        real = emit.op("Cast", emit.op("Greater", self.unit, emit.constant(BESIDE)), to=step.dtype)
        rank = emit.constant([-1, *[1] * (len(layer.shape) - 1)])
        return emit.op("Mul", added, emit.op("Reshape", real, rank))

    def _one_hot(self, *, neurons: bool) -> ir.Value:
        """Bool ``(pairs, ...)`` that broadcasts to the layer: True at the pair's unit."""
        emit, layer = self.emit, self.layer
        if neurons:
            shape = [d for d in layer.shape[1:] if isinstance(d, int)]
        else:
            shape = [layer.units if i == layer.axis else 1 for i in range(1, len(layer.shape))]
        places = emit.op("Unsqueeze", self.unit, emit.constant([1]))
        hot = emit.op("Equal", places, emit.constant(np.arange(math.prod(shape))))
        return emit.op("Reshape", hot, emit.constant([-1, *shape]))

    def _spread(self, vector: ir.Value, like: ir.Value) -> ir.Value:
        """``(pairs,)`` with so many dimensions of 1 behind that it broadcasts to ``like``."""
        if like.shape is not None:
            ones = [1] * (len(like.shape) - 1)
            return self.emit.op("Reshape", vector, self.emit.constant([-1, *ones]))
        # its rank is known only when it is run
        rank = self.emit.op("Shape", self.emit.op("Shape", like))
        axes = self.emit.op(
            "Range", self.emit.constant(1), self._scalar(rank), self.emit.constant(1)
        )
        return self.emit.op("Unsqueeze", vector, axes)

    def _scalar(self, vector: ir.Value) -> ir.Value:
        return self.emit.op("Squeeze", vector, self.emit.constant([0]))

    def _replace(self, value: ir.Value, new: ir.Value) -> None:
        """Let every reader of the tail's input ``value`` read ``new``, and drop the input."""
        new.shape, new.type = value.shape, value.type
        replace_uses(value, new)
        for index, output in enumerate(self.graph.outputs):
            if output is value:
                self.graph.outputs[index] = new
        self.graph.inputs.remove(value)

    def _differences(self) -> None:
        """Replace the output F ``(2 · pairs,)`` by its differences ``(pairs,)``."""
        emit = self.emit
        (score,) = self.graph.outputs
        self.graph.outputs.clear()
        if self.side is None:
            halves = emit.op("Reshape", score, emit.constant([2, -1]))
            after = emit.op("Gather", halves, emit.constant(0), axis=0)
            before = emit.op("Gather", halves, emit.constant(1), axis=0)
            score = emit.op("Sub", after, before)
        emit.output(score, CHORD, ir.DataType.FLOAT, ("pairs",))


def _ends_shape(value: ir.Value) -> tuple[int | str | None, ...] | None:
    shape = dims(value)
    return None if shape is None else ("intervals", *shape[1:])
