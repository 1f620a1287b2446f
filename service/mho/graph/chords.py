"""Central chords as a graph: the tail of a model, run half a step before and after each middle.

For an interval of the path with ends (lower, upper), let ``mid`` be the mean of a tensor's two values and
``step`` their difference. A pair of rows names an interval and a unit; the tail is run on
``mid + step/2`` and on ``mid - step/2`` for that unit and on ``mid`` for all else. The difference of F is
the directional derivative of F along the unit's own step, to second order, with no epsilon to choose.

Only the ends of the intervals go into the graph, one copy each; the rows are made there, and only one
number per pair comes out.
"""

from __future__ import annotations

import onnx_ir as ir

from mho.evaluation import Layer
from mho.graph.cut import Tail
from mho.graph.emit import PREFIX, Emitter, tensor_named
from mho.graph.linear import Reader, response
from mho.graph.model import Model
from mho.graph.target import TARGET_SCORE

INTERVAL = f"{PREFIX}interval"
"""Graph input ``(pairs,)`` int64: which interval the pair belongs to."""
UNIT = f"{PREFIX}unit"
"""Graph input ``(pairs,)`` int64: the unit (or neuron) that moves; ``BESIDE`` moves what passes beside."""
CHORD = f"{PREFIX}chord"
"""Graph output ``(pairs,)``: F after minus F before."""
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


def chords(tail: Tail, layer: Layer, linear: Reader | None, *, neurons: bool) -> Model:
    """The graph of one layer's chords.

    ``tail`` begins at the layer, or behind the operator ``linear`` that alone reads it. ``neurons`` counts
    ``UNIT`` over all neurons of a sample in C order, not over channels; ``layer.shape`` must then be known
    but for the batch.
    """

    def rewrite(copy: ir.Model) -> None:
        graph = copy.graph
        emit = Emitter(graph, "chords")
        interval = emit.input(INTERVAL, ir.DataType.INT64, ("pairs",))
        unit = emit.input(UNIT, ir.DataType.INT64, ("pairs",))
        both = emit.op("Concat", interval, interval, axis=0)
        entry = tensor_named(graph, tail.layer)
        if linear is None:
            lower, upper = _ends(emit, entry)
            hot = emit.op("Cast", _one_hot(emit, unit, layer, neurons=neurons), to=lower.dtype)
            step = emit.op("Gather", emit.op("Sub", upper, lower), interval, axis=0)
            moved = emit.op("Mul", step, hot)
        else:
            moved = _response(emit, linear, layer, interval, unit)
            lower, upper = _ends(emit, entry)
        _replace(graph, entry, _rows(emit, lower, upper, interval, moved))
        for name in tail.beside:
            value = tensor_named(graph, name)
            lower, upper = _ends(emit, value)
            moves = emit.op("Cast", emit.op("Equal", unit, emit.constant(BESIDE)), to=lower.dtype)
            shape = emit.constant([-1, *[1] * (_rank(value) - 1)])
            step = emit.op("Gather", emit.op("Sub", upper, lower), interval, axis=0)
            moved = emit.op("Mul", step, emit.op("Reshape", moves, shape))
            _replace(graph, value, _rows(emit, lower, upper, interval, moved))
        for name in tail.fixed:
            value = tensor_named(graph, name)
            fed = emit.input(fixed_input(name), value.dtype or ir.DataType.FLOAT, _ends_shape(value))
            _replace(graph, value, emit.op("Gather", fed, both, axis=0))
        _differences(emit, graph)
        graph.sort()

    return tail.model.rewritten(rewrite)


def _ends(emit: Emitter, value: ir.Value) -> tuple[ir.Value, ir.Value]:
    dtype, shape = value.dtype or ir.DataType.FLOAT, _ends_shape(value)
    name = value.name or ""
    return emit.input(lower_input(name), dtype, shape), emit.input(upper_input(name), dtype, shape)


def _rows(
    emit: Emitter, lower: ir.Value, upper: ir.Value, interval: ir.Value, moved: ir.Value
) -> ir.Value:
    """``(2 · pairs, ...)``: all rows after the middle, then all rows before it."""
    half = emit.constant(0.5, dtype=(lower.dtype or ir.DataType.FLOAT).numpy())
    middle = emit.op("Mul", emit.op("Add", lower, upper), half)
    base = emit.op("Gather", middle, interval, axis=0)
    part = emit.op("Mul", moved, half)
    return emit.op("Concat", emit.op("Add", base, part), emit.op("Sub", base, part), axis=0)


def _response(
    emit: Emitter, linear: Reader, layer: Layer, interval: ir.Value, unit: ir.Value
) -> ir.Value:
    """What the unit's step adds behind the linear operator; nothing for BESIDE."""
    shape = ("intervals", *layer.shape[1:])
    lower = emit.input(lower_input(layer.name), ir.DataType.FLOAT, shape)
    upper = emit.input(upper_input(layer.name), ir.DataType.FLOAT, shape)
    step = emit.op("Sub", upper, lower)
    known = emit.op("Max", unit, emit.constant(0))
    ones = emit.constant([1])
    place = emit.op(
        "Concat", emit.op("Unsqueeze", interval, ones), emit.op("Unsqueeze", known, ones), axis=1
    )
    added = response(emit, linear, layer, step, place, known)
    # a unit below 0 is none: its response is multiplied by 0
    real = emit.op("Cast", emit.op("Greater", unit, emit.constant(BESIDE)), to=ir.DataType.FLOAT)
    rank = 2 if not linear.kernel and len(layer.shape) == 2 else len(layer.shape)
    return emit.op("Mul", added, emit.op("Reshape", real, emit.constant([-1, *[1] * (rank - 1)])))


def _one_hot(emit: Emitter, unit: ir.Value, layer: Layer, *, neurons: bool) -> ir.Value:
    """Bool ``(pairs, ...)`` that broadcasts to the layer: True at the pair's unit, nowhere for BESIDE."""
    if neurons:
        shape = [d for d in layer.shape[1:] if isinstance(d, int)]
    else:
        shape = [layer.units if i == layer.axis else 1 for i in range(1, len(layer.shape))]
    count = 1
    for length in shape:
        count *= length
    places = emit.op("Unsqueeze", unit, emit.constant([1]))
    hot = emit.op("Equal", places, emit.constant(list(range(count))))
    return emit.op("Reshape", hot, emit.constant([-1, *shape]))


def _differences(emit: Emitter, graph: ir.Graph) -> None:
    """Replace the output F ``(2 · pairs,)`` by its differences ``(pairs,)``."""
    score = next(v for v in graph.outputs if v.name == TARGET_SCORE)
    graph.outputs.clear()
    halves = emit.op("Reshape", score, emit.constant([2, -1]))
    after = emit.op("Gather", halves, emit.constant(0), axis=0)
    before = emit.op("Gather", halves, emit.constant(1), axis=0)
    emit.output(emit.op("Sub", after, before), CHORD, ir.DataType.FLOAT, ("pairs",))


def _replace(graph: ir.Graph, value: ir.Value, new: ir.Value) -> None:
    """Let every reader of the tail's input ``value`` read ``new``, and drop the input."""
    new.shape, new.type = value.shape, value.type
    for user, position in list(value.uses()):
        user.replace_input_with(position, new)
    graph.inputs.remove(value)


def _rank(value: ir.Value) -> int:
    return len(value.shape) if value.shape is not None else 1


def _ends_shape(value: ir.Value) -> tuple[int | str | None, ...]:
    dims = [] if value.shape is None else [d if isinstance(d, int) else d.value for d in value.shape]
    return ("intervals", *dims[1:])
