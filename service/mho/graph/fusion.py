"""What a fused operator is: one node that stands for several, and the parts that come to the same.

onnxruntime's optimisers and some exporters leave such operators in saved models. Each is one named
function in a file of ``fused/``, which makes its parts, operators of opset 18, from a ``Whole``::

    @fused("QuickGelu", alpha=1.702)
    def quick_gelu(whole: Whole) -> Term:
        return whole.x * (whole.x * whole.number("alpha")).op("Sigmoid")

It returns None, before it has made anything, where it does not understand the node, which is then
left as it is. So is a node with an attribute or input that is not declared here, and one of whose
outputs something is read that the parts do not give.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain, count

import onnx_ir as ir

from mho.graph.emit import Emitter
from mho.graph.flow import dims
from mho.graph.term import Term

MICROSOFT = "com.microsoft"
_FOLDER = "mho.graph.fused"

Default = int | float | str | tuple[int, ...] | tuple[float, ...]
"""What an attribute is where the node does not have it; its type is the attribute's."""


class Parts(Emitter):
    """Puts nodes before ``whole``, whose parts they are, and calls tensors after its result."""

    whole: ir.Node

    def _called(self, op_type: str) -> str:
        result = next((value.name for value in self.whole.outputs if value.name), "")
        wanted = f"{result}/{op_type}"
        numbered = (f"{wanted}.{i}" for i in count(1))
        return next(name for name in chain([wanted], numbered) if name not in self._taken)

    def _place(self, node: ir.Node) -> None:
        self.graph.insert_before(self.whole, node)


@dataclass(frozen=True)
class Whole:
    """A node that is being taken apart. asked: the outputs of which something is read."""

    emit: Parts
    node: ir.Node
    attributes: Mapping[str, Default]
    asked: frozenset[int]

    @property
    def x(self) -> Term:
        """The first input."""
        return self.input(0)

    def has(self, position: int) -> bool:
        """Whether the optional input is there."""
        return position < len(self.node.inputs) and self.node.inputs[position] is not None

    def input(self, position: int) -> Term:
        value = self.node.inputs[position]
        assert value is not None, f"{self.node.op_type} has no input {position}"
        return Term(self.emit, value)

    def optional(self, position: int) -> Term | None:
        return self.input(position) if self.has(position) else None

    def dims(self, position: int = 0) -> tuple[int | str | None, ...] | None:
        """The shape of an input as far as it is known; None where it is not there either."""
        return dims(self.node.inputs[position]) if self.has(position) else None  # type: ignore[arg-type]

    def rank(self, position: int = 0) -> int | None:
        shape = self.dims(position)
        return None if shape is None else len(shape)

    # attributes, or their defaults

    def integer(self, name: str) -> int:
        found = self.node.attributes.get(name)
        return self.attributes[name] if found is None else found.as_int()  # type: ignore[return-value]

    def number(self, name: str) -> float:
        found = self.node.attributes.get(name)
        return self.attributes[name] if found is None else found.as_float()  # type: ignore[return-value]

    def integers(self, name: str) -> tuple[int, ...]:
        found = self.node.attributes.get(name)
        return self.attributes[name] if found is None else tuple(found.as_ints())  # type: ignore[return-value]

    def text(self, name: str) -> str:
        found = self.node.attributes.get(name)
        return self.attributes[name] if found is None else found.as_string()  # type: ignore[return-value]


Apart = Callable[[Whole], Term | Mapping[int, Term] | None]
"""The result, or the outputs by position; None where the node is not understood."""


@dataclass(frozen=True)
class Fused:
    """domain: '' for what onnxruntime has added to the standard operators.

    needs: the inputs that must be there. inputs: how many there may be. gives: the outputs that
    ``apart`` can give. attributes: all that the operator has, with their defaults. at_once: its
    parts are the same in every opset and need no types, so it is taken apart first of all. until:
    the opset that has the operator as a standard one.
    """

    op_type: str
    domain: str
    apart: Apart
    needs: tuple[int, ...]
    inputs: int
    gives: frozenset[int]
    attributes: Mapping[str, Default]
    at_once: bool
    until: int | None

    def reads(self, node: ir.Node) -> bool:
        """Whether the node has what it needs and nothing that is not declared, and nothing is read
        of it that the parts do not give."""
        there = {i for i, value in enumerate(node.inputs) if value is not None}
        return (
            there.issuperset(self.needs)
            and len(node.inputs) <= self.inputs
            and set(node.attributes) <= set(self.attributes)
            and _asked(node) <= self.gives
        )

    def replace(self, node: ir.Node, emitters: Emitters) -> bool:
        """Put the parts in the place of ``node``; whether it was understood.

        A result keeps the name of its tensor.
        """
        untyped = any(value is not None and value.dtype is None for value in node.inputs)
        if untyped and not self.at_once:
            return False
        asked = _asked(node)
        emit = emitters.of(node)
        made = self.apart(Whole(emit, node, self.attributes, asked))
        if made is None:
            return False
        found = {0: made} if isinstance(made, Term) else made
        for position in asked:
            old, new = node.outputs[position], found[position].value
            old.replace_all_uses_with(new, replace_graph_outputs=True)
            new.name, old.name = old.name, None
            new.type, new.shape = old.type or new.type, old.shape or new.shape
        emit.graph.remove(node, safe=True)
        return True


def _asked(node: ir.Node) -> frozenset[int]:
    """The outputs of which something is read."""
    return frozenset(i for i, v in enumerate(node.outputs) if v.uses() or v.is_graph_output())


class Emitters:
    """One for each graph of a model; none gives a name that another has given."""

    def __init__(self, outer: ir.Graph) -> None:
        self._outer = outer
        self._made: dict[ir.Graph, Parts] = {}

    def of(self, node: ir.Node) -> Parts:
        """The one that puts parts in the place of ``node``."""
        graph = node.graph
        assert isinstance(graph, ir.Graph)
        if not self._made:
            self._made[self._outer] = Parts(self._outer, "parts")
        if graph not in self._made:
            inner = self._made[self._outer].inside(graph)
            assert isinstance(inner, Parts)
            self._made[graph] = inner
        self._made[graph].whole = node
        return self._made[graph]


_entries: dict[tuple[str, str], Fused] = {}


def fused(
    *op_types: str,
    needs: tuple[int, ...] = (0,),
    inputs: int | None = None,
    gives: tuple[int, ...] = (0,),
    domain: str = MICROSOFT,
    at_once: bool = False,
    until: int | None = None,
    **attributes: Default,
) -> Callable[[Apart], Apart]:
    """Decorates the function that takes these operators apart; there may be no more ``inputs`` than
    ``needs`` has unless they are given."""

    def enter(apart: Apart) -> Apart:
        for op_type in op_types:
            if (domain, op_type) in _entries:
                raise RuntimeError(f"fused operator {op_type} is entered twice; remove one")
            _entries[domain, op_type] = Fused(
                op_type,
                domain,
                apart,
                needs,
                len(needs) if inputs is None else inputs,
                frozenset(gives),
                attributes,
                at_once,
                until,
            )
        return apart

    return enter


def entries() -> Mapping[tuple[str, str], Fused]:
    """(domain, operator) -> how it is taken apart, for all that are known."""
    _read()
    return _entries


@cache
def _read() -> None:
    """Import all files of fused operators; each enters what it has."""
    folder = importlib.import_module(_FOLDER)
    for found in pkgutil.iter_modules(folder.__path__):
        importlib.import_module(f"{_FOLDER}.{found.name}")
