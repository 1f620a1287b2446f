"""The sub-model between tensors, and which tensors the flow from one to another must pass."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from mho.graph.emit import tensor_named
from mho.graph.model import Model

_FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE, ir.DataType.BFLOAT16)


@dataclass(frozen=True)
class Tail:
    """The part of a model behind a tensor.

    layer: the tensor at which the model is cut. beside: tensors from above the cut that the tail reads
    too and that move along the path. fixed: the same, but they do not depend on the path. Every tensor
    has the batch as its leading axis. order: how many of the model's nodes the tail runs.
    """

    model: Model
    layer: str
    beside: tuple[str, ...]
    fixed: tuple[str, ...]
    nodes: int


def cut(model: Model, inputs: Sequence[str], outputs: Sequence[str]) -> Model:
    """The sub-model from ``inputs`` to ``outputs``, by tensor name; graph inputs that it needs are kept.

    KeyError names a tensor that does not exist.
    """
    graph = model.graph
    starts = [tensor_named(graph, name) for name in inputs]
    ends = [tensor_named(graph, name) for name in outputs]
    needed = _ancestors(ends, stop=set(starts))
    kept = [v for v in graph.inputs if v in needed and v not in starts and not v.is_initializer()]
    extracted = ir.convenience.extract(graph, [*starts, *kept], ends)
    _clear_producers(extracted)
    copy = ir.Model(
        extracted,
        ir_version=model.ir.ir_version,
        producer_name=model.ir.producer_name,
    )
    return Model(ir=copy, digest=model.digest, notes=model.notes)


def pruned(model: Model) -> Model:
    """``model`` without the nodes, initialisers and inputs that no output needs."""
    return cut(model, [], [v.name or "" for v in model.graph.outputs])


def tail(model: Model, layer: str, output: str, path: Collection[str]) -> Tail | None:
    """The part of ``model`` from ``layer`` to ``output``; None where ``output`` does not depend on it.

    ``path`` names the tensors on which the straight-line path runs. A tensor from above the cut is read
    at the nearest place where it has a batch: integers that describe shapes are computed anew in the
    tail from such tensors, because they hold for one batch size only.
    """
    graph = model.graph
    start, end = tensor_named(graph, layer), tensor_named(graph, output)
    below = _descendants([start])
    if end not in below:
        return None
    moving = _descendants([tensor_named(graph, name) for name in path])
    carried = _batch_carriers(graph)
    live: dict[ir.Value, None] = {}
    seen: set[ir.Value] = set()
    stack = [end]
    nodes = 0
    while stack:
        value = stack.pop()
        if value in seen or value is start or value.is_initializer():
            continue
        seen.add(value)
        node = value.producer()
        outside = value not in below and value in carried
        if node is None or (outside and _has_batch(value)):
            live[value] = None
            continue
        nodes += 1
        stack.extend(v for v in _reads(node) if v not in seen)
    names = [v.name or "" for v in live if v.name]
    floats = {v.name for v in live if v in moving and v.dtype in _FLOATS}
    return Tail(
        model=cut(model, [layer, *names], [output]),
        layer=layer,
        beside=tuple(name for name in names if name in floats),
        fixed=tuple(name for name in names if name not in floats),
        nodes=nodes,
    )


def separates(model: Model, path: Iterable[str], layers: Collection[str], output: str) -> bool:
    """Whether every differentiable path from ``path`` to ``output`` runs through exactly one of ``layers``.

    Differentiable means through float tensors only.
    """
    graph = model.graph
    members = {tensor_named(graph, name) for name in layers}
    end = tensor_named(graph, output)
    starts = [tensor_named(graph, name) for name in path]
    for member in members:
        others = members - {member}
        if others & _descendants([member], floats_only=True):
            return False
    reached = _descendants([s for s in starts if s not in members], stop=members, floats_only=True)
    return end not in reached or end in members


def cuts_among(
    model: Model, path: Sequence[str], layers: Sequence[str], output: str
) -> list[tuple[str, ...]]:
    """The cuts that can be made of ``layers``: single tensors first, then sets of parallel branches.

    Parallel branches allow many sets; those at the same step of every branch are tried, so that the
    convolutions of a text CNN make one cut and the activations after them another.
    """
    graph = model.graph
    found = [(name,) for name in layers if separates(model, path, [name], output)]
    lonely = [name for name in layers if (name,) not in found]
    values = {name: tensor_named(graph, name) for name in lonely}
    below = {name: _descendants([value], floats_only=True) for name, value in values.items()}
    parallel = {
        a: frozenset(b for b in lonely if values[a] not in below[b] and values[b] not in below[a])
        for a in lonely
    }
    branches: dict[frozenset[str], list[str]] = {}  # layers in series share what is parallel to them
    for name in lonely:
        branches.setdefault(parallel[name], []).append(name)
    for name in lonely:
        step = branches[parallel[name]].index(name)
        beside = [branch for branch in branches.values() if set(branch) <= parallel[name]]
        members = {name, *(branch[min(step, len(branch) - 1)] for branch in beside)}
        ordered = tuple(n for n in lonely if n in members)
        if ordered not in found and separates(model, path, ordered, output):
            found.append(ordered)
    return found


def depends(model: Model, path: Iterable[str], layer: str) -> bool:
    """Whether ``layer`` moves when the tensors of ``path`` move."""
    graph = model.graph
    starts = [tensor_named(graph, name) for name in path]
    return tensor_named(graph, layer) in _descendants(starts)


def _reads(node: ir.Node) -> list[ir.Value]:
    """All tensors that a node reads, those captured by its subgraphs included."""
    values = [v for v in node.inputs if v is not None]
    owner = node.graph
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            graphs = [attribute.as_graph()]
        elif attribute.type == ir.AttributeType.GRAPHS:
            graphs = list(attribute.as_graphs())
        else:
            continue
        for graph in graphs:
            for inner in ir.traversal.RecursiveGraphIterator(graph):
                values.extend(v for v in inner.inputs if v is not None and v.graph is owner)
            values.extend(v for v in graph.outputs if v.graph is owner)
    return values


def _ancestors(values: Iterable[ir.Value], stop: set[ir.Value]) -> set[ir.Value]:
    seen: set[ir.Value] = set()
    stack = list(values)
    while stack:
        value = stack.pop()
        if value in seen:
            continue
        seen.add(value)
        node = value.producer()
        if value not in stop and node is not None:
            stack.extend(_reads(node))
    return seen


def _descendants(
    values: Iterable[ir.Value], stop: Collection[ir.Value] = (), *, floats_only: bool = False
) -> set[ir.Value]:
    """``values`` and all that depends on them, not looking beyond ``stop``."""
    seen = set(values)
    if not seen:
        return seen
    graph = next(iter(seen)).graph
    assert graph is not None
    for node in graph:  # in topological order
        if any(v in seen and v not in stop for v in _reads(node)):
            for output in node.outputs:
                if not floats_only or output.dtype is None or output.dtype in _FLOATS:
                    seen.add(output)
    return seen


def _batch_carriers(graph: ir.Graph) -> set[ir.Value]:
    """Tensors that depend on a graph input."""
    return _descendants([v for v in graph.inputs if not v.is_initializer()])


def _has_batch(value: ir.Value) -> bool:
    """Whether the leading axis is the batch: it is not known as a number."""
    if value.shape is None:
        return value.dtype in _FLOATS
    return len(value.shape) > 0 and not isinstance(value.shape[0], int)


def _clear_producers(graph: ir.Graph) -> None:
    """Inputs of an extracted graph are bare tensors; their types must be known to be fed."""
    for value in graph.inputs:
        if value.type is None:
            value.type = ir.TensorType(ir.DataType.FLOAT)
