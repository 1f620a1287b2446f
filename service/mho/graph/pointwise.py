"""Which values are a function of one tensor alone, element by element; and what to call it.

Exporters write activations as formulas: Swish as ``x·Sigmoid(x)``, GELU with Erf or Tanh in up to
eight nodes. A formula leaves one tensor and comes back together in one, so it is found by what its
branches have in common.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import onnx_ir as ir

from mho.graph.families import POINTWISE

_MOST_ROOTS = 24


@dataclass(frozen=True)
class Formula:
    """Nodes through which one tensor becomes another, element by element, in more than one branch.

    ``name`` is the activation it is known as, or None.
    """

    source: ir.Value
    nodes: frozenset[ir.Node]
    name: str | None


@dataclass
class Formulas:
    """Collects formulas while the nodes are visited in the order of the graph."""

    fed: set[ir.Value]
    _roots: dict[ir.Value, tuple[ir.Value, ...]] = field(default_factory=dict)

    def visit(self, node: ir.Node) -> Formula | None:
        """The formula that ends in ``node``, where two branches of one meet in it."""
        if node.op_type not in POINTWISE or len(node.outputs) != 1:
            return None
        fed = [value for value in node.inputs if value is not None and value in self.fed]
        if not fed or fed[0].shape != node.outputs[0].shape:
            return None
        ways = [(value, *self._roots.get(value, ())) for value in fed]
        shared = [root for root in ways[0] if all(root in way for way in ways[1:])]
        self._roots[node.outputs[0]] = tuple(shared[:_MOST_ROOTS])
        if len(set(fed)) < 2 or not shared:
            return None
        inside = _between(shared[0], node)
        return Formula(shared[0], inside, _name(inside))


def _between(source: ir.Value, last: ir.Node) -> frozenset[ir.Node]:
    inside = {last}
    pending = [last]
    while pending:
        for value in pending.pop().inputs:
            if value is None or value is source:
                continue
            producer = value.producer()
            if producer is not None and producer not in inside and _reaches(producer, source):
                inside.add(producer)
                pending.append(producer)
    return frozenset(inside)


def _reaches(node: ir.Node, source: ir.Value) -> bool:
    """Whether ``node`` is computed from ``source``; formulas are small: a plain search will do."""
    pending, seen = [node], {node}
    while pending and len(seen) < 4 * _MOST_ROOTS:
        for value in pending.pop().inputs:
            if value is source:
                return True
            producer = None if value is None else value.producer()
            if producer is not None and producer not in seen:
                seen.add(producer)
                pending.append(producer)
    return False


def _name(nodes: frozenset[ir.Node]) -> str | None:
    found = {node.op_type for node in nodes}
    if "Erf" in found:
        return "Gelu"
    if "Tanh" in found:
        return "Mish" if found & {"Softplus", "Log"} else "Gelu"
    if "HardSigmoid" in found or "Clip" in found:
        return "HardSwish"
    if "Sigmoid" in found:
        return "Swish"
    return None
