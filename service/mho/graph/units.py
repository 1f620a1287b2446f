"""Which layers a model has, how many units, and along which axis."""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import takewhile

import onnx_ir as ir

from mho.errors import UnknownLayer
from mho.evaluation import Layer
from mho.graph.carry import Carriers, Stage, carriers, is_linear
from mho.graph.families import NESTED, PRODUCTS, RECURRENT
from mho.graph.flow import dims, each_read, is_float, named_values, reads_one_of
from mho.graph.model import Model

_NEVER_FINAL = PRODUCTS | RECURRENT | NESTED | {"Einsum", "Concat"}


def layers(model: Model) -> list[Layer]:
    """The layers that are offered, in the order of the graph.

    Outputs of Conv, ConvTranspose, Gemm and of MatMul with a constant matrix (with its bias, where
    one is added); the tensors after a following normalisation and activation; and the joins of
    layers (Concat along the units, Add) with what follows them. A Gemm on flattened tokens keeps
    batch·tokens as the leading dimension of its ``shape``.
    """
    found = carriers(model.graph)
    listed = []
    for value, carried in found.by_value.items():
        if carried.listed:
            entry = _layer(value, carried.axis, carried.op_type)
            if isinstance(entry, Layer):
                listed.append(entry)
    return listed


def layer(model: Model, name: str) -> Layer:
    """Any float tensor ``name`` as a layer.

    Its units are along the axis that the operators before it give them, or else along axis 1, or
    the last of three. UnknownLayer where there is no such tensor, or it has no units or no batch.
    """
    return _any_layer(model, named_values(model.graph), carriers(model.graph), name)


def select(model: Model, patterns: Sequence[str]) -> list[Layer]:
    """Layers by exact tensor name (any float tensor) or by glob over ``layers``, in graph order.

    UnknownLayer for a pattern that matches nothing.
    """
    values = named_values(model.graph)
    found = carriers(model.graph)
    listed = {entry.name: entry for entry in layers(model)}
    chosen: dict[str, Layer] = {}
    for pattern in patterns:
        if pattern in values:
            chosen[pattern] = listed.get(pattern) or _any_layer(model, values, found, pattern)
            continue
        matches = [name for name in listed if fnmatchcase(name, pattern)]
        if not matches:
            raise _unknown(model, pattern, [*listed, *values])
        chosen.update({name: listed[name] for name in matches})
    return [chosen[name] for name in values if name in chosen]


def playing(model: Model, listed: Sequence[Layer], *, before: bool = False) -> list[Layer]:
    """The layers whose units are the players of a Shapley game, out of ``listed``, in its order.

    One for every linear operator: its last tensor after normalisation and activation, before it is
    joined with another, pooled or read in several places. The operator that yields the model's
    output is left out, for its units are the answers. before: the last tensor that comes before the
    activation instead.
    """
    found = carriers(model.graph)
    position = {node: i for i, node in enumerate(model.graph)}
    names = {entry.name for entry in listed}
    chosen: set[str] = set()
    for node in found.linear:
        if _yields_output(node, found, position):
            continue
        chain = _chain(node.outputs[0], found)
        if before:
            chain = _inactive(chain, found)
        own = [value.name for value in chain if value.name in names]
        if own:
            chosen.add(own[-1] or "")
    return [entry for entry in listed if entry.name in chosen]


def before_activation(model: Model, chosen: Sequence[Layer]) -> list[Layer]:
    """``chosen`` with the tensor right before the activation in place of each that holds the same
    units before or after it, in the order of the graph, each once.

    What has no activation stays: a join that is read by others, the operator behind a pool.
    """
    found = carriers(model.graph)
    values = named_values(model.graph)
    listed = {entry.name: entry for entry in layers(model)}
    ends = {end: source for source, (end, _) in found.formulas.items()}
    chains: dict[ir.Value, list[ir.Value]] = {}
    for node in found.linear:
        chain = _chain(node.outputs[0], found)
        chains.update(dict.fromkeys(chain, chain))
    moved: dict[str, Layer] = {}
    for entry in chosen:
        start = _activated_from(values[entry.name], found, ends)
        chain = chains.get(values[entry.name]) or _chain(start, found)
        own = [value.name or "" for value in _inactive(chain, found) if value.name in listed]
        name = own[-1] if own else start.name or ""
        moved[name] = listed.get(name) or _any_layer(model, values, found, name)
    return [moved[name] for name in values if name in moved]


def same_units(model: Model) -> dict[str, tuple[str, ...]]:
    """Tensor -> all tensors that hold the units of the same linear operator, itself included, from
    the operator to behind its activation, as long as nothing else is made of them."""
    found = carriers(model.graph)
    alike: dict[str, tuple[str, ...]] = {}
    for node in found.linear:
        names = tuple(value.name or "" for value in _chain(node.outputs[0], found))
        alike.update(dict.fromkeys(names, names))
    return alike


def last_with_positions(model: Model, listed: Sequence[Layer]) -> Layer | None:
    """The last layer of ``listed`` that has positions and lies before the operator that yields the
    model's output, whose units are the answers."""
    found = carriers(model.graph)
    position = {node: i for i, node in enumerate(model.graph)}
    last = [node for node in found.linear if _yields_output(node, found, position)]
    end = min((position[node] for node in last), default=len(position))
    values = named_values(model.graph)
    chosen = None
    for entry in listed:
        producer = values[entry.name].producer()
        if len(entry.shape) > 2 and (producer is None or position[producer] < end):
            chosen = entry
    return chosen


def _chain(value: ir.Value, found: Carriers) -> list[ir.Value]:
    """``value`` and what alone is made of it, as long as the units are its own."""
    chain = [value]
    while not chain[-1].is_graph_output():
        at = chain[-1]
        if at in found.formulas:
            following = found.formulas[at][0]
        else:
            consumers = set(at.consumers())
            if len(consumers) != 1:
                break
            node = consumers.pop()
            if not reads_one_of(node, found.fed) or is_linear(node, found.fed):
                break
            following = node.outputs[0]
            carried = found.by_value.get(following)
            if carried is None or (carried.stage.value == "other" and not _harmless(node)):
                break
        chain.append(following)
    return chain


def _inactive(chain: Sequence[ir.Value], found: Carriers) -> list[ir.Value]:
    """The part of ``chain`` that comes before an activation; none where it begins with one."""
    return list(takewhile(lambda value: not _is_activated(value, found), chain))


def _is_activated(value: ir.Value, found: Carriers) -> bool:
    carried = found.by_value.get(value)
    return carried is not None and carried.stage is Stage.ACTIVATED


def _activated_from(
    value: ir.Value, found: Carriers, ends: Mapping[ir.Value, ir.Value]
) -> ir.Value:
    """What the activation that made ``value`` reads; ``value`` itself where none did. ``ends``: end
    of a formula -> its source."""
    while _is_activated(value, found):
        node = value.producer()
        assert node is not None  # no graph input is activated
        sources = [v for v in node.inputs if v is not None and v in found.by_value]
        if value in ends:
            value = ends[value]
        elif len(set(sources)) == 1:
            value = sources[0]
        else:
            break
    return value


def _harmless(node: ir.Node) -> bool:
    """A step that neither pools nor reduces: scaling by a constant."""
    return node.op_type in ("Add", "Sub", "Mul", "Div")


def _yields_output(node: ir.Node, found: Carriers, position: dict[ir.Node, int]) -> bool:
    """Whether only activation, pooling and reshaping lie between ``node`` and the outputs."""
    mine = set(node.outputs)
    pending = [(position[n], n) for n in {c for v in node.outputs for c in v.consumers()}]
    heap = [at for at, _ in pending]
    nodes = dict(pending)
    heapq.heapify(heap)
    while heap:
        at = heapq.heappop(heap)
        following = nodes[at]
        if following.op_type in _NEVER_FINAL or is_linear(following, found.fed):
            return False
        if any(value in found.fed and value not in mine for value in each_read(following)):
            return False
        mine.update(following.outputs)
        for consumer in {c for v in following.outputs for c in v.consumers()}:
            if position.get(consumer, -1) < 0:
                return False
            if position[consumer] not in nodes:
                nodes[position[consumer]] = consumer
                heapq.heappush(heap, position[consumer])
    return any(value.is_graph_output() for value in mine)


def _any_layer(model: Model, values: dict[str, ir.Value], found: Carriers, name: str) -> Layer:
    if name not in values:
        raise _unknown(model, name, list(values))
    value = values[name]
    if value not in found.fed:
        raise UnknownLayer(
            f"tensor '{name}' does not depend on any input, so its units are constant", subject=name
        )
    if value in found.by_value:
        carried = found.by_value[value]
        entry = _layer(value, carried.axis, carried.op_type)
    else:
        producer = value.producer()
        entry = _layer(value, _likely_axis(value), producer.op_type if producer else "Input")
    if isinstance(entry, str):
        raise UnknownLayer(f"tensor '{name}' is no layer: {entry}", subject=name)
    batch = {_leading(v) for v in model.graph.inputs} - {None}
    if entry.shape[0] not in batch and any(d in batch for d in entry.shape[1:]):
        raise UnknownLayer(
            f"tensor '{name}' has the shape {list(entry.shape)}, whose first dimension is not the "
            "batch; choose a tensor whose first dimension is the batch",
            subject=name,
        )
    return entry


def _likely_axis(value: ir.Value) -> int:
    """The unit axis of a tensor to which no operator above gave one.

    1 where a convolution reads it; what becomes 1 where one reads it transposed, as in exports that
    keep channels last; otherwise the last of three, as of tokens, else 1.
    """
    if _convolved(value):
        return 1
    for user in value.consumers():
        order = user.attributes.get("perm")
        if user.op_type == "Transpose" and order is not None and _convolved(user.outputs[0]):
            return int(order.as_ints()[1])
    return 2 if value.shape is not None and len(value.shape) == 3 else 1


def _convolved(value: ir.Value) -> bool:
    return any(user.op_type in ("Conv", "ConvTranspose") for user in value.consumers())


def _leading(value: ir.Value) -> str | None:
    shape = dims(value)
    return shape[0] if shape and isinstance(shape[0], str) else None


def _layer(value: ir.Value, axis: int, op_type: str) -> Layer | str:
    """The layer, or why ``value`` is none."""
    shape = dims(value)
    if not is_float(value):
        kind = "unknown" if value.dtype is None else value.dtype.name.lower()
        return f"its elements are of type {kind}; floating-point numbers are needed"
    if shape is None:
        return "its shape is unknown"
    if len(shape) < 2:
        return f"it has the shape {list(shape)}; a batch and units are needed"
    units = shape[axis]
    if not isinstance(units, int) or units < 1:
        return f"the number of its units (axis {axis} of {list(shape)}) is not fixed"
    return Layer(name=value.name or "", op_type=op_type, units=units, shape=shape, axis=axis)


def _unknown(model: Model, name: str, known: Sequence[str]) -> UnknownLayer:
    """What is said of a ``name`` that no activation has; ``known`` may hold a name twice."""
    if name in model.graph.initializers:
        return UnknownLayer(
            f"'{name}' is a weight, not an activation; name the tensor that the operator makes",
            subject=name,
        )
    close = difflib.get_close_matches(name, list(dict.fromkeys(known)), n=3, cutoff=0.5)
    if close:
        hint = "did you mean " + " or ".join(f"'{c}'" for c in close) + "?"
    else:
        hint = "'mho layers' lists the layers"
    return UnknownLayer(f"the model has no tensor or layer '{name}'; {hint}", subject=name)
