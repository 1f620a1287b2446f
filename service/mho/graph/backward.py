"""The reverse walk: gradients of one tensor with respect to others, as nodes of the same graph.

The driver walks the nodes from the target back. It asks each operator's rule for the gradients that
are needed and for no others, sums over what was broadcast, adds up where a tensor is read more than
once, and stops at what has no gradient by nature. Weights and forward values are used as they
stand; nothing is computed twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from mho.errors import Unsupported
from mho.graph.broadcast import unbroadcast
from mho.graph.emit import Emitter
from mho.graph.flow import dims, each_read, is_float
from mho.graph.quantised import quantised
from mho.graph.rule import Call, NoGradient, Refused, Rule, entry_of
from mho.graph.term import Term

_LEAST_OPSET = 18
_MOST_SHOWN = 6


@dataclass(frozen=True)
class Obstacle:
    """A node that keeps a gradient from passing.

    reason: why, naming the operator. way: tensors from the target to the node, the target first.
    """

    node: str
    op_type: str
    reason: str
    way: tuple[str, ...]

    def message(self) -> str:
        shown = list(self.way)
        if len(shown) > _MOST_SHOWN:
            half = _MOST_SHOWN // 2
            shown = [*shown[:half], "…", *shown[-half:]]
        return f"{self.reason} (on the way {' <- '.join(shown)})"


def gradients(
    graph: ir.Graph,
    emit: Emitter,
    seeds: Mapping[ir.Value, Term],
    wrt: Sequence[ir.Value],
    *,
    among: Sequence[ir.Node] | None = None,
) -> dict[ir.Value, Term]:
    """The gradient of Σ seed · value over ``seeds``, with respect to each tensor of ``wrt`` on
    which it depends.

    Each gradient has its tensor's shape and element type; that of a ``quantised`` tensor is of
    floats. The nodes go to the end of ``graph``, which must be in topological order; sort it
    afterwards. Unsupported where an operator on the way has no rule.

    among: the nodes to walk, where ``graph`` holds others that are not in order yet.
    """
    nodes = list(graph if among is None else among)
    reached = _reached(nodes, wrt)
    asked = set(wrt)
    gathered: dict[ir.Value, list[Term]] = {value: [term] for value, term in seeds.items()}
    found: dict[ir.Value, Term] = {}

    def settled(value: ir.Value) -> Term | None:
        if value in gathered:
            found[value] = _added(value, gathered.pop(value))
        return found.get(value)

    for node in reversed(nodes):
        if not any(output in gathered or output in found for output in node.outputs):
            continue
        dys = tuple(settled(output) for output in node.outputs)
        wanted = [i for i, v in enumerate(node.inputs) if v is not None and v in reached]
        if wanted or any(value in reached for value in each_read(node)):
            for source, term in _pulled(emit, node, dys, wanted):
                gathered.setdefault(source, []).append(term)
        for output in node.outputs:  # nobody will read it again
            if output not in asked:
                found.pop(output, None)
    for value in wrt:
        settled(value)
    return {value: found[value] for value in wrt if value in found}


def slopes(
    graph: ir.Graph, emit: Emitter, target: ir.Value, wrt: Sequence[ir.Value]
) -> dict[ir.Value, Term]:
    """The gradient of every element of ``target`` by itself, with respect to each tensor of
    ``wrt``; zeros for one on which it does not depend. Rows of a batch must not mix on the way.

    Raises as ``gradients`` does.
    """
    score = Term(emit, target)
    seed = score.number(1.0).expand(score.op("Shape"))
    found = gradients(graph, emit, {target: seed}, wrt)
    return {value: found.get(value) or Term(emit, value).zeros() for value in wrt}


def obstacles(graph: ir.Graph, target: ir.Value) -> dict[ir.Value, Obstacle]:
    """Tensor -> what keeps the gradient of ``target`` from it, for every tensor that has an
    obstacle.

    A tensor that is not here has a gradient, be it zero.
    """
    opset = graph.opset_imports.get("", graph.opset_imports.get("ai.onnx", _LEAST_OPSET))
    old = ""
    if opset < _LEAST_OPSET:
        old = f"the model's opset is {opset}, and rules are written for {_LEAST_OPSET}"
    integers = quantised(graph)
    blocked: dict[ir.Value, Obstacle] = {}
    via: dict[ir.Value, ir.Value | None] = {target: None}

    def way(value: ir.Value) -> tuple[str, ...]:
        names = []
        at: ir.Value | None = value
        while at is not None:
            names.append(at.name or "")
            at = via[at]
        return tuple(reversed(names))

    for node in reversed(list(graph)):
        leading = [output for output in node.outputs if output in via]
        if not leading:
            continue
        entry = entry_of(node)
        if isinstance(entry, NoGradient):
            continue
        inherited = next((blocked[output] for output in leading if output in blocked), None)
        for read, positions in _read_by(node, integers).items():
            obstacle = inherited
            if obstacle is None:
                reason = old or _refusal(node, entry, positions)
                if reason:
                    obstacle = Obstacle(node.name or "", node.op_type, reason, way(leading[0]))
            if obstacle is not None:
                blocked.setdefault(read, obstacle)
            via.setdefault(read, leading[0])
    return blocked


def _read_by(node: ir.Node, integers: set[ir.Value]) -> dict[ir.Value, list[int]]:
    """What may carry a gradient into ``node`` -> its positions; none for what a subgraph reads.

    integers: that are ``quantised``.
    """
    found: dict[ir.Value, list[int]] = {}
    for value in each_read(node):
        if _may_vary(value) or value in integers:
            found.setdefault(value, [])
    for position, given in enumerate(node.inputs):
        if given is not None and given in found:
            found[given].append(position)
    return found


def _refusal(node: ir.Node, entry: Rule | NoGradient | Refused | None, wanted: list[int]) -> str:
    """Why no gradient passes through ``node`` to the inputs at ``wanted``; '' where it does."""
    what = f"operator {node.op_type}"
    if node.domain not in ("", "ai.onnx"):
        what += f" of domain {node.domain}"
    what += f" (node '{node.name}')"
    if entry is None:
        return f"{what} has no derivative rule"
    if isinstance(entry, Refused):
        return f"{what} has no derivative rule: {entry.why}"
    if isinstance(entry, NoGradient):
        return ""
    if not wanted:
        return f"{what} reads a varying tensor inside its subgraph"
    for position in wanted:
        value = node.inputs[position]
        assert value is not None
        which = f"its input {position}, '{value.name}'"
        if not entry.serves(position):
            return f"{what} has no derivative with respect to {which}"
        if not entry.quantised and value.dtype is not None and not is_float(value):
            return f"{what} has no derivative with respect to {which}, which is quantised"
    reason = entry.reason(node)
    return f"{what} can't be differentiated: {reason}" if reason else ""


def _may_vary(value: ir.Value) -> bool:
    return (value.dtype is None or is_float(value)) and value.const_value is None


def _reached(nodes: Sequence[ir.Node], wrt: Sequence[ir.Value]) -> set[ir.Value]:
    """``wrt`` and all float or quantised tensors that depend on them, but for what has no
    gradient."""
    reached, integers = set(wrt), quantised(nodes)
    for node in nodes:
        if reached.isdisjoint(each_read(node)) or isinstance(entry_of(node), NoGradient):
            continue
        reached.update(o for o in node.outputs if _may_vary(o) or o in integers)
    return reached


def _pulled(
    emit: Emitter, node: ir.Node, dys: tuple[Term | None, ...], wanted: list[int]
) -> Iterator[tuple[ir.Value, Term]]:
    """The inputs at ``wanted`` and their gradients by the node's rule, in the inputs' shapes."""
    entry = entry_of(node)
    reason = _refusal(node, entry, wanted)
    if reason:
        raise Unsupported(
            f"no gradient can be computed: {reason}; take engine 'finite_difference'",
            subject=node.name or "",
        )
    if not isinstance(entry, Rule):
        return  # zero by nature
    for position, term in entry.pull(Call(emit, node, dys, frozenset(wanted))).items():
        source = node.inputs[position]
        assert source is not None
        if entry.broadcasts:
            term = unbroadcast(term, Term(emit, source), dims(node.outputs[0]))
        yield source, term


def _added(value: ir.Value, terms: list[Term]) -> Term:
    """The sum of ``terms``, known to have the shape of ``value`` and, of floats, the type."""
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    if total.value.shape is None:
        total.value.shape = value.shape
    if value.dtype is not None and is_float(value):
        total.value.dtype = value.dtype
    return total
