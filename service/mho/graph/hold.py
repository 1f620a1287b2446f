"""Units of a tensor held at constants for good, by changes to the weights above it alone.

From the tensor the walk goes up to the operators whose weights say what its units are: through
elementwise operators, whose result is turned round numerically; through what moves or pools
positions, which leaves a constant a constant; into the branches of Concat, and of a sum of layers
that nothing else reads. What is found is exact: a unit is the constant at every position of every
input, and nothing else that is read changes. Changing what *reads* the tensor would not be exact,
because a convolution pads with zeros and not with the constant.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from mho.graph.axes import moved
from mho.graph.families import POINTWISE
from mho.graph.flow import dims, fed_values, integer
from mho.graph.preimage import Region, function_of, preimage
from mho.graph.producers import FREE, ZERO, Patch, Rule, Units, called, constant_operand, shifted
from mho.graph.weights import NotHeld, constant, optional
from mho.types import FloatArray

_MOVES = {"Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Cast"}
_POOLS = {"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"}
_AVERAGES = {"ReduceMean", "ReduceMax", "ReduceMin"}
_MOST_SOURCES = 4
"""Layers that are joined elementwise before the tensor; each is tried as the one to solve for."""
_OTHERS = (0.0, 1.0)
"""What the other layers of a join are held at: nothing added, or nothing scaled."""


@dataclass(frozen=True)
class _Change:
    """``units`` of what ``node`` makes, along ``axis``, are to become constants by ``rule``."""

    node: ir.Node
    rule: Rule
    axis: int
    units: Units


class Walk:
    """Finds what to change in ``graph`` as it is; nothing is changed here.

    Shapes must be known. opset: of the graph, by which its operators are understood.
    """

    def __init__(self, graph: ir.Graph, opset: int) -> None:
        self._fed = fed_values(graph)
        self._position = {node: i for i, node in enumerate(graph)}
        self._opset = opset
        self._served: set[tuple[ir.Node, int, Rule]] = set()

    def hold(self, value: ir.Value, axis: int, units: Units) -> list[Patch]:
        """Patches after which the ``units`` of ``value`` along ``axis`` are constants, whoever
        reads it; NotHeld, with the reason, where there are none."""
        together: dict[ir.Node, _Change] = {}
        for change in self._made(value, axis, units):
            known = together.setdefault(change.node, change)
            held = {**known.units, **change.units}
            same = {**change.units, **known.units} == held
            if not same or (known.rule, known.axis) != (change.rule, change.axis):
                raise NotHeld(f"{called(change.node)} would have to make one unit two constants")
            together[change.node] = _Change(change.node, change.rule, change.axis, held)
        return [found.rule(found.node, found.axis, found.units) for found in together.values()]

    def _made(self, value: ir.Value, axis: int, units: Units) -> list[_Change]:
        node = value.producer()
        if node is None:
            raise NotHeld(f"'{value.name}' is no result of weights")
        if node.domain != "" or node not in self._position:
            raise NotHeld(f"{called(node)} is no standard operator")
        if node.op_type == "Split":
            return self._split(node, value, axis, units)
        if value is not node.outputs[0]:
            raise NotHeld(f"'{value.name}' is a further output of {called(node)}")
        if node.op_type in FREE:
            return [self._change(FREE[node.op_type], node, axis, units)]
        if node.op_type in ZERO and not any(units.values()):
            try:
                return [self._change(ZERO[node.op_type], node, axis, units)]
            except NotHeld:
                if node.op_type not in POINTWISE:
                    raise
        if node.op_type == "Concat":
            return self._concat(node, axis, units)
        if node.op_type in POINTWISE:
            return self._elementwise(value, axis, units)
        if node.op_type in _MOVES | _POOLS | _AVERAGES:
            source, before = self._moved(node, axis)
            return self._above(source, before, units, {node})
        if node.op_type in ZERO:
            raise NotHeld(f"{called(node)} has no bias, so that a unit can be made 0 alone")
        raise NotHeld(f"{called(node)} has no weights of a single unit")

    def _above(
        self, value: ir.Value, axis: int, units: Units, readers: Collection[ir.Node], times: int = 0
    ) -> list[_Change]:
        """As ``_made``, where ``readers`` must be all that reads ``value``, so many ``times``."""
        _check_readers(value, readers, times)
        return self._made(value, axis, units)

    def _change(self, rule: Rule, node: ir.Node, axis: int, units: Units) -> _Change:
        """NotHeld where ``rule`` does not serve ``node``; found out once."""
        if (node, axis, rule) not in self._served:
            rule(node, axis, {})
            self._served.add((node, axis, rule))
        return _Change(node, rule, axis, units)

    # ---- what keeps a constant a constant ----

    def _concat(self, node: ir.Node, axis: int, units: Units) -> list[_Change]:
        shape = dims(node.outputs[0])
        if shape is None:
            raise NotHeld(f"the shape of '{node.outputs[0].name}' is unknown")
        along = integer(node, "axis", 0) % len(shape)
        start = 0
        changes = []
        for branch in node.inputs:
            assert branch is not None
            own = units
            if along == axis:
                end = start + _length(branch, axis)
                own = {unit - start: value for unit, value in units.items() if start <= unit < end}
                start = end
            if own:
                changes += self._above(branch, axis, own, {node}, times=1)
        return changes

    def _split(self, node: ir.Node, value: ir.Value, axis: int, units: Units) -> list[_Change]:
        shape, source = dims(value), node.inputs[0]
        if shape is None or source is None or integer(node, "axis", 0) % len(shape) != axis:
            raise NotHeld(f"{called(node)} does not split the units")
        before = node.outputs[: node.outputs.index(value)]
        start = sum(_length(other, axis) for other in before)
        return self._above(source, axis, {u + start: v for u, v in units.items()}, {node})

    def _moved(self, node: ir.Node, axis: int) -> tuple[ir.Value, int]:
        """The tensor that ``node`` moves or pools, and the axis of the units there."""
        source = node.inputs[0]
        shape = None if source is None else dims(source)
        if source is None or shape is None:
            raise NotHeld(f"the shape before {called(node)} is unknown")
        if node.op_type in _POOLS:
            _check_pool(node, axis)
        for before in range(1, len(shape)):
            if moved(node, before) == axis:
                return source, before
        raise NotHeld(f"the units are not kept apart by {called(node)}")

    # ---- elementwise ----

    def _elementwise(self, value: ir.Value, axis: int, units: Units) -> list[_Change]:
        bottom = self._added_to(value, axis)
        if bottom is not None:
            node = value.producer()
            assert node is not None
            zero = dict.fromkeys(units, 0.0)
            below, at = bottom
            return [
                self._change(shifted, node, axis, units),
                self._change(ZERO[below.op_type], below, at, zero),
            ]
        region = self._region(value, axis)
        why = NotHeld(f"'{value.name}' is computed from no layer")
        for free in region.sources:
            for others in _OTHERS if len(region.sources) > 1 else _OTHERS[:1]:
                try:
                    return self._solved(region, free, others, axis, units)
                except NotHeld as found:
                    why = found
        raise why

    def _solved(
        self, region: Region, free: ir.Value, others: float, axis: int, units: Units
    ) -> list[_Change]:
        """``free`` held at what becomes the constants, all other sources at ``others``."""
        wanted: FloatArray = np.array(list(units.values()), dtype=np.float64)
        function = function_of(region, free, others, axis, list(units), self._opset)
        dtype = free.dtype
        found = preimage(function, wanted, np.dtype(np.float32) if dtype is None else dtype.numpy())
        missing = np.isnan(found)
        if missing.any():
            unit = list(units)[int(np.argmax(missing))]
            names = ", ".join(dict.fromkeys(node.op_type for node in region.nodes))
            raise NotHeld(f"{names} gives {units[unit]:.6g} (unit {unit}) for no input")
        changes = []
        for source in region.sources:
            held = {u: float(found[i]) if source is free else others for i, u in enumerate(units)}
            changes += self._above(source, axis, held, region.nodes)
        return changes

    def _region(self, value: ir.Value, axis: int) -> Region:
        """The elementwise nodes above ``value`` as far as they go, and what they read."""
        nodes: set[ir.Node] = set()
        sources: dict[ir.Value, None] = {}
        pending = [value]
        while pending:
            node = pending.pop().producer()
            assert node is not None
            if node in nodes:
                continue
            _check_dropout(node)
            nodes.add(node)
            for read in node.inputs:
                if read is None or read not in self._fed:
                    continue
                if self._goes_on(read, axis):
                    pending.append(read)
                else:
                    sources[read] = None
        for node in nodes:
            for read in node.inputs:
                if read is not None and read in self._fed:
                    _check_readers(read, nodes)
        shape = dims(value)
        for source in sources:
            before = dims(source)
            alike = shape is not None and before is not None and len(before) == len(shape)
            if not alike or before[axis] != shape[axis]:  # type: ignore[index]
                raise NotHeld(f"'{source.name}' does not have the units of '{value.name}'")
        if len(sources) > _MOST_SOURCES:
            raise NotHeld(f"'{value.name}' is made of {len(sources)} layers")
        order = sorted(nodes, key=lambda node: self._position[node])
        return Region(value, tuple(sources), tuple(order))

    def _goes_on(self, value: ir.Value, axis: int) -> bool:
        """Whether the region takes in what makes ``value``."""
        node = value.producer()
        if node is None or node.domain != "" or node.op_type not in POINTWISE:
            return False
        return node in self._position and self._added_to(value, axis) is None

    def _added_to(self, value: ir.Value, axis: int) -> tuple[ir.Node, int] | None:
        """The operator without a bias to whose result ``value`` adds a constant, and the axis of
        the units there; None where there is none that serves."""
        node = value.producer()
        if node is None or node.op_type not in ("Add", "Sub"):
            return None
        try:
            position, _ = constant_operand(node)
            other = node.inputs[1 - position]
            if other is None or other not in self._fed or dims(other) != dims(value):
                return None
            self._change(shifted, node, axis, {})
            return self._without_bias(other, axis, node)
        except NotHeld:
            return None

    def _without_bias(self, value: ir.Value, axis: int, reader: ir.Node) -> tuple[ir.Node, int]:
        """The operator of ``ZERO`` that makes ``value``, through what moves its elements."""
        node = value.producer()
        _check_readers(value, {reader})
        if node is None or node.domain != "" or node not in self._position:
            raise NotHeld(f"'{value.name}' is no result of weights")
        if node.op_type in _MOVES:
            _check_dropout(node)
            return self._without_bias(*self._moved(node, axis), node)
        if node.op_type not in ZERO:
            raise NotHeld(f"{called(node)} is no operator without a bias")
        self._change(ZERO[node.op_type], node, axis, {})
        return node, axis


def _check_readers(value: ir.Value, readers: Collection[ir.Node], times: int = 0) -> None:
    """NotHeld where something besides ``readers`` reads ``value``, or they do not so ``times``."""
    if value.is_graph_output():
        raise NotHeld(f"tensor '{value.name}' above it is an output of the model")
    for node, _ in value.uses():
        if node not in readers:
            raise NotHeld(f"tensor '{value.name}' above it is read by {called(node)} too")
    if times and len(value.uses()) != times:
        raise NotHeld(f"tensor '{value.name}' above it is read {len(value.uses())} times")


def _check_pool(node: ir.Node, axis: int) -> None:
    """NotHeld where the pool of a constant is not that constant."""
    if axis != 1:
        raise NotHeld(f"{called(node)} pools over the units")
    if any(other.uses() or other.is_graph_output() for other in node.outputs[1:]):
        raise NotHeld(f"{called(node)} gives positions that are read too")
    pads = node.attributes.get("pads")
    padded = "auto_pad" in node.attributes or (pads is not None and any(pads.as_ints()))
    if node.op_type == "AveragePool" and padded and integer(node, "count_include_pad", 0):
        raise NotHeld(f"{called(node)} averages zeros in at the borders")


def _check_dropout(node: ir.Node) -> None:
    training = optional(node, 2) if node.op_type == "Dropout" else None
    if training is not None and constant(training).any():
        raise NotHeld(f"{called(node)} drops at random")


def _length(value: ir.Value, axis: int) -> int:
    shape = dims(value)
    length = None if shape is None else shape[axis]
    if not isinstance(length, int):
        raise NotHeld(f"the number of units of '{value.name}' is unknown")
    return length
