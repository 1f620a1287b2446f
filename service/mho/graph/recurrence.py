"""An LSTM, GRU or RNN node, one direction at a time, with the steps along the first axis.

What the three have in common: weights and states of a direction, the state before each step,
sequences of different lengths, and activations whose derivative follows from what they gave.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from mho.graph.flow import dims
from mho.graph.rule import Call, Refusal
from mho.graph.term import Term

_LENGTHS = 4
_INITIAL = {"LSTM": (5, 6), "GRU": (5,), "RNN": (5,)}
_PEEPHOLES = 7
_SWAPPED, _ROTATED = (1, 0, 2), (1, 2, 0, 3)
"""How X and the states, and how Y is transposed where the batch is their first axis."""
_LAST = int(np.iinfo(np.int64).max)


@dataclass(frozen=True)
class Activation:
    """slope: the derivative, from what ``apply`` gave."""

    apply: Callable[[Term], Term]
    slope: Callable[[Term], Term]


@dataclass(frozen=True)
class Direction:
    """x: ``(steps, batch, inputs)``. y: ``(steps, batch, units)``. w: ``(gates · units, inputs)``.
    r: ``(gates · units, units)``. biases: of w and r, ``(gates · units,)``; none where the node has
    none. peepholes: ``(3 · units,)`` of an LSTM that has them.

    initial: the states before the first step, ``(batch, units)``. dy: the gradient with respect to
    y, None where it is zero. final: that with respect to the states after the last step.

    valid: ``(steps, batch, 1)``, 1 where the sequence has the step and 0 behind its end; None where
    it always has. start: whether it is the first to be taken. backwards: the last step is taken
    first.
    """

    x: Term
    y: Term
    w: Term
    r: Term
    biases: tuple[Term, ...]
    peepholes: Term | None
    initial: tuple[Term, ...]
    dy: Term | None
    final: tuple[Term, ...]
    valid: Term | None
    start: Term | None
    backwards: bool
    units: int
    activations: tuple[Activation, ...]

    def before(self, sequence: Term, initial: Term) -> Term:
        """The states before each step, of those after each and that before the first."""
        first = initial.unsqueeze([0])
        if not self.backwards:
            return first.concat(_between(sequence, 0, -1), axis=0)
        shifted = _between(sequence, 1, _LAST).concat(first, axis=0)
        return shifted if self.start is None else self.start.choose(first, shifted)

    def masked(self, term: Term) -> Term:
        """Zero behind the end of a sequence."""
        return term if self.valid is None else term * self.valid

    def kept(self, share: Term) -> Term:
        """How much of a state goes on: ``share``, and all of it behind the end of a sequence."""
        return share if self.valid is None else share * self.valid + (1 - self.valid)

    @property
    def rest(self) -> Term | None:
        """1 behind the end of a sequence, else 0; None where all have the same length."""
        return None if self.valid is None else 1 - self.valid

    def split(self, term: Term, *gates: int, axis: int = -1) -> tuple[Term, ...]:
        """Parts of as many gates as each number says."""
        sizes = term.integers([self.units * count for count in gates])
        return term.ops("Split", sizes, outputs=len(gates), axis=axis)


def directions(at: Call, *defaults: str) -> list[Direction]:
    """The directions of the node; ``defaults`` are the activations where it names none."""
    count = _count(at.node)
    units = _units(at.node)
    assert units is not None
    y = at.output(0)
    if y.value.dtype is None:  # it was left out until now
        y.value.dtype = at.x.dtype
    x, y = _steps_first(at, at.x), _steps_first(at, y, _ROTATED)
    places = _INITIAL[at.node.op_type]
    initial = [_steps_first(at, at.input(i)) if at.has(i) else None for i in places]
    dy, *final = (*at.dys, None, None, None)[: 1 + len(places)]
    final = [None if term is None else _steps_first(at, term) for term in final]
    valid, start = _lengths(at, x) if at.has(_LENGTHS) else (None, None)
    zero = _zero(x, units)
    functions = _activations(at, defaults)

    def direction(which: int) -> Direction:
        def own(term: Term, axis: int = 0) -> Term:
            return term.squeeze([axis]) if count == 1 else term.gather(which, axis=axis)

        def state(term: Term | None) -> Term:
            return zero if term is None else own(term)

        both = own(at.input(3)) if at.has(3) else None
        peepholes = at.node.op_type == "LSTM" and at.has(_PEEPHOLES)
        made = Direction(
            x=x,
            y=own(y, 1),
            w=own(at.input(1)),
            r=own(at.input(2)),
            biases=() if both is None else both.ops("Split", outputs=2, axis=0, num_outputs=2),
            peepholes=own(at.input(_PEEPHOLES)) if peepholes else None,
            initial=tuple(state(term) for term in initial),
            dy=None,
            final=tuple(state(term) for term in final),
            valid=valid,
            start=start,
            backwards=which == 1 or _way(at.node) == "reverse",
            units=units,
            activations=functions[which * len(defaults) : (which + 1) * len(defaults)],
        )
        if dy is None:
            return made
        return replace(made, dy=made.masked(own(_steps_first(at, dy, _ROTATED), 1)))

    return [direction(which) for which in range(count)]


def inputs_gradient(at: Call, inner: Sequence[Term]) -> Term:
    """The gradient with respect to X, of those with respect to x·Wᵀ of each direction."""
    whole = inner[0].concat(*inner[1:], axis=-1) if len(inner) > 1 else inner[0]
    return _steps_first(at, whole @ at.input(1).op("Flatten", axis=2))


def states_gradient(at: Call, found: Sequence[Term]) -> Term:
    """The gradient with respect to the initial states, of those of each direction."""
    axis = 1 if _batch_first(at.node) else 0
    rows = [term.unsqueeze([axis]) for term in found]
    return rows[0].concat(*rows[1:], axis=axis) if len(rows) > 1 else rows[0]


def served(*defaults: str) -> Refusal:
    """Refuses what ``directions`` can't read; ``defaults`` as there."""

    def refusal(node: ir.Node) -> str:
        if node.attributes.get("clip") is not None:
            return "it has a clip threshold"
        if "input_forget" in node.attributes and node.attributes["input_forget"].as_int():
            return "its input and forget gates are coupled (attribute input_forget)"
        names, count = _named(node, defaults), _count(node) * len(defaults)
        if len(names) < count:
            return f"it names {len(names)} activations, and {count} are needed"
        unknown = [name for name in names if name.lower() not in _ACTIVATIONS]
        if unknown:
            return f"its activation {unknown[0]} is not among {', '.join(_ACTIVATIONS)}"
        return "" if _units(node) else "its hidden size is not known"

    return refusal


# activations; the derivative is had from the result, so that nothing else need be held


def _hard_sigmoid(alpha: float, beta: float) -> Activation:
    return Activation(
        lambda x: x.op("HardSigmoid", alpha=alpha, beta=beta),
        lambda y: (y > 0).op("And", y < 1).cast(y) * alpha,
    )


_ACTIVATIONS: dict[str, Callable[[float, float], Activation]] = {
    "sigmoid": lambda _a, _b: Activation(lambda x: x.op("Sigmoid"), lambda y: y * (1 - y)),
    "tanh": lambda _a, _b: Activation(lambda x: x.op("Tanh"), lambda y: 1 - y * y),
    "relu": lambda _a, _b: Activation(lambda x: x.op("Relu"), lambda y: (y > 0).cast(y)),
    "hardsigmoid": _hard_sigmoid,
}
"""Name in small letters -> the activation, of alpha and beta."""
_WITH_PARAMETERS = "hardsigmoid"
_ALPHA, _BETA = 0.2, 0.5


def _activations(at: Call, defaults: Sequence[str]) -> tuple[Activation, ...]:
    """All activations of all directions; each takes the next alpha and beta if it has such."""
    alphas, betas = _floats(at.node, "activation_alpha"), _floats(at.node, "activation_beta")
    found = []
    for name in _named(at.node, defaults):
        alpha, beta = _ALPHA, _BETA
        if name.lower() == _WITH_PARAMETERS:
            alpha = alphas.pop(0) if alphas else alpha
            beta = betas.pop(0) if betas else beta
        found.append(_ACTIVATIONS[name.lower()](alpha, beta))
    return tuple(found)


def _named(node: ir.Node, defaults: Sequence[str]) -> list[str]:
    """The names of the activations, for each direction as many as there are ``defaults``."""
    count = _count(node) * len(defaults)
    attribute = node.attributes.get("activations")
    given = [] if attribute is None else list(attribute.as_strings())
    return given[:count] if given else [*defaults, *defaults][:count]


# the node's form


def _floats(node: ir.Node, name: str) -> list[float]:
    return list(node.attributes[name].as_floats()) if name in node.attributes else []


def _way(node: ir.Node) -> str:
    attribute = node.attributes.get("direction")
    return "forward" if attribute is None else attribute.as_string().lower()


def _count(node: ir.Node) -> int:
    return 2 if _way(node) == "bidirectional" else 1


def _batch_first(node: ir.Node) -> bool:
    return "layout" in node.attributes and node.attributes["layout"].as_int() == 1


def _units(node: ir.Node) -> int | None:
    """The hidden size, by the recurrence weights or the attribute."""
    weights = node.inputs[2]
    shape = None if weights is None else dims(weights)
    if shape is not None and isinstance(shape[2], int):
        return shape[2]
    attribute = node.attributes.get("hidden_size")
    return None if attribute is None else attribute.as_int()


def _steps_first(at: Call, term: Term, order: Sequence[int] = _SWAPPED) -> Term:
    """What has the batch as its first axis, as it is without attribute layout."""
    return term.transpose(order) if _batch_first(at.node) else term


def _between(sequence: Term, first: int, last: int) -> Term:
    return sequence.op("Slice", *(sequence.integers([i]) for i in (first, last, 0)))


def _zero(x: Term, units: int) -> Term:
    """The state that is zero, ``(batch, units)``."""
    batch = x.dims[1] if x.dims is not None else None
    if isinstance(batch, int):
        return Term(x.emit, x.emit.constant(np.zeros((batch, units)), dtype=x.dtype.numpy()))
    shape = x.shape.gather([1]).concat(x.integers([units]), axis=0)
    return x.number(0.0).expand(shape)


def _lengths(at: Call, x: Term) -> tuple[Term, Term]:
    """Which steps a sequence has, and which of them is its last: ``(steps, batch, 1)``."""
    zero, one = x.integers(0), x.integers(1)
    steps = zero.op("Range", x.length([0]), one).reshape([-1, 1, 1])
    lengths = at.input(_LENGTHS).op("Cast", to=ir.DataType.INT64).reshape([1, -1, 1])
    return (steps < lengths).cast(x), steps.equals(lengths - one)
