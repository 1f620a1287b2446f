"""The sub-model between tensors, and which tensors the flow from one to another must pass."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from mho.graph.emit import PREFIX, Emitter, replace_uses, tensor_named
from mho.graph.families import ONLY_SHAPES
from mho.graph.flow import dims, is_float, reads
from mho.graph.model import Model


@dataclass(frozen=True)
class Tail:
    """The part of a model behind a tensor.

    layer: the tensor at which the model is cut. beside: tensors from above the cut that the tail
    reads too and that move along the path. fixed: the same, but they do not depend on the path, or
    only their shape is read, or they are no real numbers. Every one has the batch as its leading
    axis.
    """

    model: Model
    layer: str
    beside: tuple[str, ...]
    fixed: tuple[str, ...]


def cut(model: Model, inputs: Sequence[str], outputs: Sequence[str]) -> Model:
    """The sub-model from ``inputs`` to ``outputs``, by tensor name; of the graph's own inputs those
    are kept that it needs. Every one of ``inputs`` becomes an input, needed or not.

    KeyError names a tensor that does not exist.
    """

    def rewrite(copy: ir.Model) -> None:
        graph = copy.graph
        ends = [tensor_named(graph, name) for name in outputs]
        emit = Emitter(graph, "cut")
        for name in inputs:
            value = tensor_named(graph, name)
            if value.is_graph_input():
                continue
            fed = ir.Value(name=name, shape=value.shape, type=value.type)
            if fed.type is None:
                fed.type = ir.TensorType(ir.DataType.FLOAT)
            replace_uses(value, fed)
            ends = [fed if end is value else end for end in ends]
            value.name = emit.unique(f"{name}/above")
            graph.inputs.append(fed)
        graph.outputs.clear()
        graph.outputs.extend(ends)
        _drop_unneeded(graph, set(inputs))

    return model.rewritten(rewrite)


def pruned(model: Model) -> Model:
    """``model`` without the nodes, initialisers and inputs that no output needs."""
    return cut(model, [], [v.name or "" for v in model.graph.outputs])


def tail(
    model: Model,
    layer: str,
    output: str,
    path: Collection[str],
    *,
    unbatched: Collection[str] = (),
) -> Tail | None:
    """The part of ``model`` from ``layer`` to ``output``; None where ``output`` does not depend on
    it.

    ``path`` names the tensors on which the straight-line path runs. A tensor from above the cut is
    read at the nearest place where it has a batch: integers that describe shapes are computed anew
    in the tail from such tensors, because they hold for one batch size only. Whether the leading
    axis of a tensor is the batch is told from its shape where that is possible; ``unbatched`` names
    tensors of which the caller knows better.
    """
    graph = model.graph
    start, end = tensor_named(graph, layer), tensor_named(graph, output)
    flow = _Flow(graph)
    below = flow.descendants([start])
    if end not in below:
        return None
    moving = flow.descendants([tensor_named(graph, name) for name in path])
    carried = flow.descendants([v for v in graph.inputs if not v.is_initializer()])
    batch = _batch_dims(graph)
    live: dict[ir.Value, bool] = {}  # whether more than its shape is read
    seen: set[ir.Value] = set()
    stack = [] if end is start else [end]
    while stack:
        value = stack.pop()
        if value in seen:
            continue
        seen.add(value)
        node = value.producer()
        assert node is not None
        for source in _outer(node, graph):
            if source is start or source.is_initializer():
                continue
            outside = source not in below and source in carried
            usable = source.name not in unbatched and _has_batch(source, batch)
            if source.producer() is None or (outside and usable):
                live[source] = live.get(source, False) or node.op_type not in ONLY_SHAPES
            else:
                stack.append(source)
    beside = [v for v, held in live.items() if held and v in moving and is_float(v)]
    fixed = [v for v in live if v not in beside]
    names = [v.name or "" for v in live]
    return Tail(
        model=cut(model, [layer, *names], [output]),
        layer=layer,
        beside=tuple(v.name or "" for v in beside),
        fixed=tuple(v.name or "" for v in fixed),
    )


def separates(model: Model, path: Iterable[str], layers: Collection[str], output: str) -> bool:
    """Whether every differentiable path from ``path`` to ``output`` runs through exactly one of
    ``layers``. Differentiable means through float tensors only.
    """
    graph = model.graph
    members = {tensor_named(graph, name) for name in layers}
    starts = [tensor_named(graph, name) for name in path]
    return _Flow(graph).separates(starts, members, tensor_named(graph, output))


def cuts_among(
    model: Model, path: Sequence[str], layers: Sequence[str], output: str
) -> list[tuple[str, ...]]:
    """The cuts that can be made of ``layers``: single tensors first, then sets of parallel
    branches.

    Parallel branches allow many sets. For every layer those at the same step of every branch are
    tried, so that the convolutions of a text CNN make one cut and the activations after them
    another; then as early and as late layers as go together with it.
    """
    graph = model.graph
    flow = _Flow(graph)
    starts = [tensor_named(graph, name) for name in path]
    end = tensor_named(graph, output)
    values = {name: tensor_named(graph, name) for name in layers}
    single = [name for name in layers if flow.separates(starts, {values[name]}, end)]
    found: list[tuple[str, ...]] = [(name,) for name in single]
    lonely = [name for name in layers if name not in single]
    below = {name: flow.descendants([values[name]], floats_only=True) for name in lonely}
    parallel = {
        a: frozenset(b for b in lonely if values[a] not in below[b] and values[b] not in below[a])
        for a in lonely
    }
    branches: dict[
        frozenset[str], list[str]
    ] = {}  # layers in series share what is parallel to them
    for name in lonely:
        branches.setdefault(parallel[name], []).append(name)

    def same_step(name: str) -> set[str]:
        step = branches[parallel[name]].index(name)
        beside = [branch for branch in branches.values() if set(branch) <= parallel[name]]
        return {name, *(branch[min(step, len(branch) - 1)] for branch in beside)}

    def together(name: str, order: Sequence[str]) -> set[str]:
        chosen = {name}
        for other in order:
            if other in parallel[name] and all(other in parallel[c] for c in chosen):
                chosen.add(other)
        return chosen

    for name in lonely:
        if not parallel[name]:
            continue
        tries = (same_step(name), together(name, lonely), together(name, lonely[::-1]))
        for members in tries:
            ordered = tuple(n for n in lonely if n in members)
            if ordered in found:
                break
            if flow.separates(starts, {values[n] for n in ordered}, end):
                found.append(ordered)
                break
    return found


def waists(model: Model, path: Sequence[str], output: str) -> tuple[str, ...]:
    """The float tensors through which everything differentiable from ``path`` to ``output`` passes,
    each by itself, in the order of the graph.

    Values are numbered in that order, so that all steps go forward; one carries everything exactly
    if no step passes over its number.
    """
    graph = model.graph
    flow = _Flow(graph)
    starts = [tensor_named(graph, name) for name in path]
    end = tensor_named(graph, output)
    needed = _ancestors([end], graph)
    moving = flow.descendants(starts, floats_only=True)
    order = [v for v in graph.inputs if v in moving]
    order += [v for node in graph for v in node.outputs if v in moving & needed]
    number = {value: i for i, value in enumerate(order)}
    furthest = flow.furthest(number)
    reach = max((number[start] for start in starts if start in number), default=0)
    found = []
    for value in order:
        if number[value] >= reach and value is not end:
            found.append(value.name or "")
        reach = max(reach, furthest.get(value, 0))
    return tuple(found)


def between(model: Model, path: Iterable[str], output: str) -> frozenset[str]:
    """The tensors that move when those of ``path`` move, and on which ``output`` depends."""
    graph = model.graph
    moving = _Flow(graph).descendants([tensor_named(graph, name) for name in path])
    needed = _ancestors([tensor_named(graph, output)], graph)
    return frozenset(value.name for value in moving & needed if value.name)


class _Flow:
    """What each node reads, gathered once for the many walks through one graph."""

    def __init__(self, graph: ir.Graph) -> None:
        # in topological order
        self._nodes = [(_outer(node, graph), list(node.outputs)) for node in graph]

    def descendants(
        self,
        values: Iterable[ir.Value],
        stop: Collection[ir.Value] = (),
        *,
        floats_only: bool = False,
    ) -> set[ir.Value]:
        """``values`` and all that depends on them, not looking beyond ``stop``."""
        seen = set(values)
        active = seen - set(stop)
        for sources, outputs in self._nodes:
            if not active.isdisjoint(sources):
                for output in outputs:
                    if not floats_only or output.dtype is None or is_float(output):
                        seen.add(output)
                        if output not in stop:
                            active.add(output)
        return seen

    def furthest(self, number: Mapping[ir.Value, int]) -> dict[ir.Value, int]:
        """Value -> the largest number of what is computed from it at once."""
        found: dict[ir.Value, int] = {}
        for sources, outputs in self._nodes:
            last = max((number[output] for output in outputs if output in number), default=0)
            for source in sources:
                found[source] = max(found.get(source, 0), last)
        return found

    def separates(self, starts: Sequence[ir.Value], members: set[ir.Value], end: ir.Value) -> bool:
        if end not in members:
            around = [start for start in starts if start not in members]
            if end in self.descendants(around, members, floats_only=True):
                return False
        return len(members) == 1 or not any(
            (members - {m}) & self.descendants([m], floats_only=True) for m in members
        )


def _outer(node: ir.Node, graph: ir.Graph) -> list[ir.Value]:
    """What ``node`` reads of ``graph``, itself or in its subgraphs."""
    return [value for value in reads(node) if value.graph is graph]


def _batch_dims(graph: ir.Graph) -> set[str | int | None]:
    """What the batch may be called: the leading dimensions of the inputs that are symbolic, or 1
    where none is.
    """
    own = [v for v in graph.inputs if not (v.name or "").startswith(PREFIX)]
    leading = {shape[0] for v in own if (shape := dims(v))}
    if all(isinstance(dim, int) for dim in leading):
        return leading & {1}
    return {dim for dim in leading if not isinstance(dim, int)}


def _has_batch(value: ir.Value, batch: set[str | int | None]) -> bool:
    """Whether the leading axis may be the batch: surely where it has its name, perhaps where it has
    another or none. Integers of unknown length are rather positions or shapes.
    """
    shape = dims(value)
    if not shape:
        return False
    return shape[0] in batch or (not isinstance(shape[0], int) and is_float(value))


def _ancestors(values: Iterable[ir.Value], graph: ir.Graph) -> set[ir.Value]:
    """``values`` and all that they depend on."""
    seen: set[ir.Value] = set()
    stack = list(values)
    while stack:
        value = stack.pop()
        if value in seen:
            continue
        seen.add(value)
        node = value.producer()
        if node is not None:
            stack.extend(_outer(node, graph))
    return seen


def _drop_unneeded(graph: ir.Graph, kept: Collection[str]) -> None:
    """Remove nodes, initialisers and inputs that no output needs, but for the inputs ``kept``."""
    needed = _ancestors(graph.outputs, graph)
    gone = [node for node in graph if not any(value in needed for value in node.outputs)]
    graph.remove(gone, safe=True)
    for name, value in list(graph.initializers.items()):
        if value not in needed:
            del graph.initializers[name]
    for value in [v for v in graph.inputs if v not in needed and v.name not in kept]:
        graph.inputs.remove(value)
