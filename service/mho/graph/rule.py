"""What a derivative rule is: for one operator, the vector-Jacobian product of each input.

There are three kinds of operator. One with a rule; one whose gradient is zero by nature
(``no_gradient``); and one that must not be differentiated (``refuse``). An operator of which nobody
said anything is treated like the third kind.

A rule is one line, or one named function, in a file of ``vjp/``::

    rule("Tanh", lambda at: at.dy * (1 - at.y * at.y))
    rule("Mul", lambda at: at.dy * at.b, lambda at: at.dy * at.a, broadcasts=True)

``at`` is the ``Call`` that is differentiated. A rule returns exactly the input's shape, or, with
``broadcasts``, the output's: the driver (``backward.py``) then sums over what was broadcast. It
accumulates, leaves out what is not asked for and reports what is missing; a rule does none of that.
Rules are written for opset 18 (docs/decisions/0005-opset.md).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import onnx_ir as ir

from mho.graph.emit import Emitter
from mho.graph.flow import dims
from mho.graph.term import Term

_FOLDER = "mho.graph.vjp"
_STANDARD = ("", "ai.onnx")

PERTURBED = "methods that perturb the input (shapley, ablation, finite differences) still work"
"""What to say of an operator of which there will never be a derivative."""


@dataclass(frozen=True)
class Call:
    """A node of the forward graph that is being differentiated.

    dys: the gradient of the target with respect to each output, None where it is zero; at least one
        is there.
    wanted: positions of the inputs whose gradient is asked for.
    """

    emit: Emitter
    node: ir.Node
    dys: tuple[Term | None, ...]
    wanted: frozenset[int]

    @property
    def x(self) -> Term:
        """The first input."""
        return self.input(0)

    @property
    def a(self) -> Term:
        """The first input of two."""
        return self.input(0)

    @property
    def b(self) -> Term:
        """The second input."""
        return self.input(1)

    @property
    def y(self) -> Term:
        """The first output."""
        return self.output(0)

    @property
    def dy(self) -> Term:
        """The gradient with respect to the first output."""
        return self.cotangent(0)

    def has(self, position: int) -> bool:
        """Whether the optional input is there."""
        return position < len(self.node.inputs) and self.node.inputs[position] is not None

    def input(self, position: int) -> Term:
        value = self.node.inputs[position]
        assert value is not None, f"{self.node.op_type} has no input {position}"
        return Term(self.emit, value)

    def output(self, position: int) -> Term:
        """An output, which is added to the node where it was left out."""
        if position >= len(self.node.outputs):
            self.node.resize_outputs(position + 1)
        value = self.node.outputs[position]
        if not value.name:
            value.name = self.emit.unique(f"{self.node.outputs[0].name}/output_{position}")
        return Term(self.emit, value)

    def cotangent(self, position: int) -> Term:
        """The gradient with respect to an output; zeros where the target does not depend on it."""
        known = self.dys[position] if position < len(self.dys) else None
        return self.output(position).zeros() if known is None else known

    def constant(self, array: object, like: Term | None = None) -> Term:
        """A constant: integers become int64, numbers take the element type of ``like``."""
        dtype = None if like is None else like.dtype.numpy()
        return Term(self.emit, self.emit.constant(array, dtype=dtype))  # type: ignore[arg-type]

    def rank(self, position: int = 0) -> int:
        """The rank of an input, which ``known_rank`` must have made sure of."""
        shape = self.input(position).dims
        assert shape is not None, f"the rank of input {position} of {self.node.op_type} is unknown"
        return len(shape)

    # attributes

    def integer(self, name: str, default: int) -> int:
        found = self.node.attributes.get(name)
        return default if found is None else found.as_int()

    def integers(self, name: str, default: Sequence[int] = ()) -> tuple[int, ...]:
        found = self.node.attributes.get(name)
        return tuple(default) if found is None else tuple(found.as_ints())

    def number(self, name: str, default: float) -> float:
        found = self.node.attributes.get(name)
        return default if found is None else found.as_float()

    def text(self, name: str, default: str) -> str:
        found = self.node.attributes.get(name)
        return default if found is None else found.as_string()


Pull = Callable[[Call], Term | None]
"""The gradient with respect to one input; None where it is zero."""
PullEach = Callable[[Call, int], Term | None]
"""The same for operators with any number of inputs; it is told the position."""
PullAll = Callable[[Call], Mapping[int, Term]]
"""The gradients of all inputs that are ``wanted``, at once, by position."""
Refusal = Callable[[ir.Node], str]
"""Why a node can't be differentiated, in words that end a sentence; '' where it can."""


@dataclass(frozen=True)
class Rule:
    """pull: gives the gradients of the wanted inputs. positions: of inputs that have a gradient;
    None for all of them. broadcasts: whether gradients have the output's shape and are to be
    summed to the input's. refusal: nodes that the rule does not serve. quantised: whether it also
    serves tensors of ``quantised.py``.
    """

    op_type: str
    domain: str
    pull: PullAll
    positions: frozenset[int] | None
    broadcasts: bool
    refusal: Refusal | None
    quantised: bool = False

    def reason(self, node: ir.Node) -> str:
        """Why ``node`` can't be differentiated; '' where it can."""
        return "" if self.refusal is None else self.refusal(node)

    def serves(self, position: int) -> bool:
        """Whether there is a gradient with respect to this input."""
        return self.positions is None or position in self.positions


@dataclass(frozen=True)
class NoGradient:
    """The operator's gradient is zero wherever it exists."""

    op_type: str
    domain: str


@dataclass(frozen=True)
class Refused:
    """The operator must not be differentiated, and why."""

    op_type: str
    domain: str
    why: str


Entry = Rule | NoGradient | Refused
_entries: dict[tuple[str, str], Entry] = {}


def rule(
    op_type: str,
    *pulls: Pull | None,
    domain: str = "",
    broadcasts: bool = False,
    refusal: Refusal | None = None,
    quantised: bool = False,
) -> None:
    """A function for each input in order; None, or none at all, for one that must not vary."""

    def pull(at: Call) -> dict[int, Term]:
        found: dict[int, Term] = {}
        for position in sorted(at.wanted):
            own = pulls[position]
            term = None if own is None else own(at)
            if term is not None:
                found[position] = term
        return found

    positions = frozenset(i for i, own in enumerate(pulls) if own is not None)
    _enter(Rule(op_type, domain, pull, positions, broadcasts, refusal, quantised))


def rule_each(
    op_type: str,
    each: PullEach,
    *,
    domain: str = "",
    broadcasts: bool = False,
    refusal: Refusal | None = None,
) -> None:
    """One function for all inputs of an operator that takes any number of them."""

    def pull(at: Call) -> dict[int, Term]:
        made = {position: each(at, position) for position in sorted(at.wanted)}
        return {position: term for position, term in made.items() if term is not None}

    _enter(Rule(op_type, domain, pull, None, broadcasts, refusal))


def rule_all(
    op_type: str, *positions: int, domain: str = "", refusal: Refusal | None = None
) -> Callable[[PullAll], PullAll]:
    """Decorates a function that gives the gradients of several inputs at once: of those at
    ``positions``, or of all where there are none."""

    def enter(pull: PullAll) -> PullAll:
        _enter(Rule(op_type, domain, pull, frozenset(positions) or None, False, refusal))
        return pull

    return enter


def no_gradient(*op_types: str, domain: str = "") -> None:
    """The gradient of these operators is zero by nature."""
    for op_type in op_types:
        _enter(NoGradient(op_type, domain))


def refuse(why: str, *op_types: str, domain: str = "") -> None:
    """These operators must not be differentiated; ``why`` ends the sentence 'it has no rule: …'."""
    for op_type in op_types:
        _enter(Refused(op_type, domain, why))


def known_rank(*positions: int) -> Refusal:
    """Refuses a node where the rank of one of these inputs is not known."""

    def refusal(node: ir.Node) -> str:
        for position in positions or (0,):
            value = node.inputs[position] if position < len(node.inputs) else None
            if value is not None and dims(value) is None:
                return f"the rank of its input '{value.name}' is not known"
        return ""

    return refusal


def entry_of(node: ir.Node) -> Entry | None:
    """What is known of the operator; None where nobody said anything of it."""
    return entries().get((_plain(node.domain), node.op_type))


def entries() -> Mapping[tuple[str, str], Entry]:
    """(domain, operator) -> what is known of it, for all operators."""
    _read()
    return _entries


@cache
def _read() -> None:
    """Import all files of rules; each enters what it has."""
    folder = importlib.import_module(_FOLDER)
    for found in pkgutil.iter_modules(folder.__path__):
        importlib.import_module(f"{_FOLDER}.{found.name}")


def _enter(entry: Entry) -> None:
    key = (_plain(entry.domain), entry.op_type)
    if key in _entries:
        raise RuntimeError(f"there are two rules for operator {entry.op_type}; remove one")
    _entries[key] = entry


def _plain(domain: str) -> str:
    return "" if domain in _STANDARD else domain
