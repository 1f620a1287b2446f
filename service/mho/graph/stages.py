"""A model cut into stages, so that rows that agree up to a border are run once up to there.

A border lies before a node; over it are carried the tensors that are made before and read after.
Borders are chosen for units removed one at a time, each as likely as another. A stage is run anew
for units at its own layers or below, so the expected time of a row is

    Σ over stages  P(the unit is in the stage or below) · (its operators + what it is handed).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import onnx_ir as ir

from mho.evaluation import Layer
from mho.graph.cut import cut, pruned
from mho.graph.emit import Emitter, tensor_named
from mho.graph.flow import dims, fed_values, is_float, reads
from mho.graph.model import Model
from mho.graph.work import row_bytes, seconds
from mho.types import FloatArray

_MOST_STAGES = 8
_MOST_BORDERS = 64
"""Borders that are compared."""
_CARRIED_BYTES_A_SECOND = 1.5e9
"""Of a carried tensor: it is reordered, copied out, gathered and reordered again."""
_RUN_SECONDS = 1e-5
"""A row's share in one more call of the runtime."""
_CARRIABLE = {
    *(ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE),
    *(ir.DataType.INT64, ir.DataType.INT32, ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.BOOL),
}


@dataclass(frozen=True)
class Stage:
    """The part of a model between two borders.

    model: without masks. layers: those to be masked in it. reads: the inputs of the whole that it
    reads. takes: tensor -> the stage that gives it. gives: its outputs. seconds: of a row, an
    estimate without what it takes; handed: of taking that. bytes: of a row's outputs.
    """

    model: Model
    layers: tuple[Layer, ...]
    reads: frozenset[str]
    takes: dict[str, int]
    gives: tuple[str, ...]
    seconds: float
    handed: float
    bytes: int


@dataclass(frozen=True)
class _Border:
    """position: how many nodes are before it. carried: over it."""

    position: int
    carried: tuple[ir.Value, ...]

    @property
    def seconds(self) -> float:
        """Of carrying a row."""
        if not self.carried:
            return 0.0
        size = sum(row_bytes(value) for value in self.carried)
        return size / _CARRIED_BYTES_A_SECOND + _RUN_SECONDS


def stages(model: Model, layers: Sequence[Layer], output: str) -> tuple[Stage, ...]:
    """``model`` from its inputs to ``output`` in up to eight stages; one where more do not pay.

    Every tensor that is carried has the batch as its leading axis, as far as its shape tells.
    """
    model = _with_entrances(pruned(model), layers)
    graph = model.graph
    nodes = list(graph)
    entrance = _entrances(graph, nodes, layers)
    times = np.array([seconds(node) for node in nodes])
    units = np.zeros(len(nodes))
    for layer in layers:
        units[entrance[layer.name]] += layer.units
    chosen = _chosen(_borders(graph, nodes, times, min(entrance.values())), times, units)
    made: list[Stage] = []
    for below, above in pairwise(chosen):
        inside = range(below.position, above.position)
        handed = [value.name or "" for value in below.carried]
        new = tuple(value for value in above.carried if value not in below.carried)
        gives = tuple(value.name or "" for value in new) or (output,)
        part = pruned(cut(model, handed, gives))
        read = {spec.name for spec in part.inputs}
        made.append(
            Stage(
                model=part,
                layers=tuple(
                    layer
                    for layer in layers
                    if entrance[layer.name] in inside
                    or (layer.name in read and layer.name not in handed)
                ),
                reads=frozenset(read.difference(handed)),
                takes={name: _giver(made, name) for name in handed if name in read},
                gives=gives,
                seconds=float(times[inside.start : inside.stop].sum()),
                handed=below.seconds,
                bytes=sum(row_bytes(value) for value in new),
            )
        )
    return tuple(made)


def expected_seconds(made: Sequence[Stage]) -> float:
    """Of a row, by the formula above."""
    units = np.cumsum([sum(layer.units for layer in stage.layers) for stage in made])
    work = np.array([stage.seconds + stage.handed for stage in made])
    return float((units / units[-1]) @ work)


def _giver(made: Sequence[Stage], name: str) -> int:
    return next(i for i, stage in enumerate(made) if name in stage.gives)


def _with_entrances(model: Model, layers: Sequence[Layer]) -> Model:
    """``model`` where a layer is one tensor before it is masked and another, which has its name,
    after: either can be carried over a border."""

    def rewrite(copy: ir.Model) -> None:
        graph = copy.graph
        emit = Emitter(graph, "entrance")
        first: dict[ir.Value, ir.Node] = {}
        for node in graph:
            for value in reads(node):
                first.setdefault(value, node)
        for layer in layers:
            value = tensor_named(graph, layer.name)
            if value not in first or value.is_graph_input() or value.is_graph_output():
                continue
            uses = list(value.uses())
            value.name = emit.unique(f"{layer.name}/entrance")
            behind = ir.Value(name=layer.name, shape=value.shape, type=value.type)
            name = emit.unique(f"{layer.name}/entrance:node")
            graph.insert_before(
                first[value], ir.node("Identity", [value], outputs=[behind], name=name)
            )
            for user, position in uses:
                user.replace_input_with(position, behind)

    return model.rewritten(rewrite)


def _entrances(
    graph: ir.Graph, nodes: Sequence[ir.Node], layers: Sequence[Layer]
) -> dict[str, int]:
    """Layer -> the number of the node whose result is masked; of an input, the first to read it."""
    made = {value.name: i for i, node in enumerate(nodes) for value in node.outputs}
    found = {}
    for layer in layers:
        if layer.name in made:
            found[layer.name] = made[layer.name]
        else:
            value = tensor_named(graph, layer.name)
            found[layer.name] = next(i for i, node in enumerate(nodes) if value in reads(node))
    return found


def _borders(
    graph: ir.Graph, nodes: Sequence[ir.Node], times: FloatArray, first: int
) -> list[_Border]:
    """Those worth comparing, from before the first node to behind the last: in every part of the
    work the one that is crossed at least cost, and the last below node ``first``."""
    last: dict[ir.Value, int] = {}
    for index, node in enumerate(nodes):
        for value in reads(node):
            last[value] = index
    last |= dict.fromkeys(graph.outputs, len(nodes))
    carriage = _Carriage(graph)
    done = np.cumsum(times)
    best: dict[int, _Border] = {}
    alive: set[ir.Value] = set()
    for index, node in enumerate(nodes[:-1]):
        alive.update(v for v in node.outputs if v in carriage.fed and last.get(v, -1) > index)
        alive.difference_update([v for v in reads(node) if last[v] <= index])
        carried = carriage.over(alive)
        if not carried:
            continue
        border = _Border(index + 1, carried)
        part = -1 if index < first else int(_MOST_BORDERS * done[index] / done[-1])
        if part not in best or border.seconds <= best[part].seconds:
            best[part] = border
    return [_Border(0, ()), *best.values(), _Border(len(nodes), ())]


class _Carriage:
    """Which tensors take the place of those that are alive at a border."""

    def __init__(self, graph: ir.Graph) -> None:
        self.fed = fed_values(graph)
        leading = {shape[0] for v in graph.inputs if (shape := dims(v)) and v in self.fed}
        symbolic = {dim for dim in leading if isinstance(dim, str)}
        self._batch: set[int | str | None] = set(symbolic) or {1}

    def over(self, alive: set[ir.Value]) -> tuple[ir.Value, ...]:
        """Inputs are fed anew, and what has no batch but tells shapes is computed anew from what is
        carried. Nothing where that can't be."""
        found: dict[ir.Value, None] = {}
        stack, seen = sorted(alive, key=lambda value: value.name or ""), set[ir.Value]()
        while stack:
            value = stack.pop()
            node = value.producer()
            if value in seen or value not in self.fed or node is None:
                continue
            seen.add(value)
            shape = dims(value)
            if shape and shape[0] in self._batch and value.dtype in _CARRIABLE:
                found[value] = None
            elif not is_float(value) or (shape is not None and len(shape) < 2):
                stack.extend(reads(node))
            else:
                return ()
        return tuple(found)


def _chosen(borders: Sequence[_Border], times: FloatArray, units: FloatArray) -> list[_Border]:
    """The borders, first and last included, between which the expected time is least."""
    done = np.concatenate([[0.0], np.cumsum(times)])
    share = np.concatenate([[0.0], np.cumsum(units)]) / units.sum()

    def expected(below: _Border, above: _Border) -> float:
        work = done[above.position] - done[below.position] + below.seconds
        return float(share[above.position] * work)

    best: list[dict[int, tuple[float, list[int]]]] = [{0: (0.0, [0])}]
    for _ in range(_MOST_STAGES):
        reached: dict[int, tuple[float, list[int]]] = {}
        for i, (cost, way) in best[-1].items():
            for j in range(i + 1, len(borders)):
                total = cost + expected(borders[i], borders[j])
                if j not in reached or total < reached[j][0]:
                    reached[j] = (total, [*way, j])
        best.append(reached)
    end = len(borders) - 1
    _, way = min(found[end] for found in best if end in found)
    kept = [borders[0]]
    for i in way[1:-1]:  # what was carried before already is no stage's result
        if set(borders[i].carried) - set(kept[-1].carried):
            kept.append(borders[i])
    return [*kept, borders[end]]
