"""Derivatives of arithmetic and functions, element by element.

A choice is a product with a mask of zeros and ones, because onnxruntime's Where takes thirty times
as long as Cast and Mul; the limit is that an infinite gradient becomes NaN where the mask is zero.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from mho.graph.flow import constant_number
from mho.graph.rule import Call, rule, rule_each
from mho.graph.term import Term


def _zero(_at: Call) -> None:
    """The output does not depend on what this input holds."""


# arithmetic

rule("Add", lambda at: at.dy, lambda at: at.dy, broadcasts=True)
rule("Sub", lambda at: at.dy, lambda at: -at.dy, broadcasts=True)
rule("Mul", lambda at: at.dy * at.b, lambda at: at.dy * at.a, broadcasts=True)
rule("Div", lambda at: at.dy / at.b, lambda at: -(at.dy / at.b * at.y), broadcasts=True)
rule_each("Sum", lambda at, _position: at.dy, broadcasts=True)
rule_each("Mean", lambda at, _position: at.dy * (1 / len(at.node.inputs)), broadcasts=True)

# a - n * b is differentiated, where n is a whole number, constant almost everywhere
rule(
    "Mod",
    lambda at: at.dy,
    lambda at: at.dy * ((at.y - at.a) / at.b).op("Round"),
    broadcasts=True,
)


def _pow_base(at: Call) -> Term | None:
    """b·aᵇ⁻¹; 0 where b = 0, at a = 0 too."""
    exponent = constant_number(at.node.inputs[1])
    if exponent is None:
        b = at.b.cast(at.a)
        lowered = b - b.equals(0).op("Not").cast(b)
        return at.dy * (at.a**lowered * b)
    if exponent == 0:
        return None
    if exponent == 1:
        return at.dy
    if exponent == 2:
        return at.dy * (at.a * 2)
    if exponent == 0.5:
        return at.dy / (at.y * 2)
    if exponent == -0.5:
        return at.dy * (at.y * at.y * at.y * -0.5)
    if exponent == -1:
        return -(at.dy * (at.y * at.y))
    return at.dy * (at.a ** (exponent - 1) * exponent)


def _pow_exponent(at: Call) -> Term:
    """aᵇ·ln a; 0 where a = 0, and NaN where a < 0, as aᵇ is defined for whole b alone there."""
    base = constant_number(at.node.inputs[0])
    if base is not None and base > 0:
        return (at.dy * (at.y * math.log(base))).cast(at.b)
    nonzero = at.a + at.a.equals(0).cast(at.a)
    return (at.dy * (at.y * nonzero.op("Log"))).cast(at.b)


rule("Pow", _pow_base, _pow_exponent, broadcasts=True)


# choices


def _chosen(at: Call, position: int) -> Term:
    """All of the gradient goes to the operand that was chosen, to the first among equals."""
    earlier = [at.input(i).equals(at.y) for i in range(position)]
    taken = None
    for hit in earlier:
        taken = hit if taken is None else taken.op("Or", hit)
    if position == len(at.node.inputs) - 1:
        return at.dy if taken is None else at.dy * taken.op("Not").cast(at.dy)
    chosen = at.input(position).equals(at.y)
    if taken is not None:
        chosen = chosen.op("And", taken.op("Not"))
    return at.dy * chosen.cast(at.dy)


rule_each("Max", _chosen, broadcasts=True)
rule_each("Min", _chosen, broadcasts=True)
rule(
    "Where",
    None,
    lambda at: at.dy * at.x.cast(at.dy),
    lambda at: at.dy * at.x.op("Not").cast(at.dy),
    broadcasts=True,
)


def _clip_input(at: Call) -> Term:
    """At a bound the gradient is the bound's. Only the output is read, so that onnxruntime can
    still fuse a Clip with the convolution before it.
    """
    above = at.y > at.input(1) if at.has(1) else None
    below = at.y < at.input(2) if at.has(2) else None
    if above is not None and below is not None:
        return at.dy * above.op("And", below).cast(at.dy)
    inside = below if above is None else above
    return at.dy if inside is None else at.dy * inside.cast(at.dy)


def _clip_low(at: Call) -> Term:
    low = at.input(1)
    there = at.y <= low
    if at.has(2):
        # min(max(x, low), high): high wins where low is above it
        there = there.op("And", at.y < at.input(2))
    return _total(at.dy * there.cast(at.dy), low)


def _clip_high(at: Call) -> Term:
    high = at.input(2)
    return _total(at.dy * (at.y >= high).cast(at.dy), high)


def _total(term: Term, like: Term) -> Term:
    """The sum of all elements, in the shape of ``like``, which has one element."""
    total = term.op("ReduceSum", keepdims=0)
    return total if like.dims == () else total.reshape(like.shape)


rule("Clip", _clip_input, _clip_low, _clip_high)

# functions

rule("Neg", lambda at: -at.dy)
rule("Abs", lambda at: at.dy * at.x.sign())
rule("Reciprocal", lambda at: -(at.dy * (at.y * at.y)))
rule("Sqrt", lambda at: at.dy / (at.y * 2))
rule("Exp", lambda at: at.dy * at.y)
rule("Log", lambda at: at.dy / at.x)
rule("Erf", lambda at: at.dy * ((-(at.x * at.x)).op("Exp") * (2 / math.sqrt(math.pi))))

rule("Sin", lambda at: at.dy * at.x.op("Cos"))
rule("Cos", lambda at: -(at.dy * at.x.op("Sin")))
rule("Tan", lambda at: at.dy * (at.y * at.y + 1))
rule("Asin", lambda at: at.dy / (1 - at.x * at.x).op("Sqrt"))
rule("Acos", lambda at: -(at.dy / (1 - at.x * at.x).op("Sqrt")))
rule("Atan", lambda at: at.dy / (at.x * at.x + 1))
rule("Sinh", lambda at: at.dy * at.x.op("Cosh"))
rule("Cosh", lambda at: at.dy * at.x.op("Sinh"))
rule("Asinh", lambda at: at.dy / (at.x * at.x + 1).op("Sqrt"))
rule("Acosh", lambda at: at.dy / (at.x * at.x - 1).op("Sqrt"))
rule("Atanh", lambda at: at.dy / (1 - at.x * at.x))

# unchanged elements


def _drops(node: ir.Node) -> str:
    """Without ``training_mode``, or where its ratio is 0, a Dropout changes nothing."""
    training = node.inputs[2] if len(node.inputs) > 2 else None
    if training is None or constant_number(training) == 0 or constant_number(node.inputs[1]) == 0:
        return ""
    if constant_number(training) is None:
        return "whether it drops elements at random is only known when the model is run"
    return "its training_mode is true, so it drops elements at random"


rule("Identity", lambda at: at.dy)
rule("Dropout", lambda at: at.dy, _zero, _zero, refusal=_drops)
# a whole number on the way has no gradient, and the driver never asks for one
rule("Cast", lambda at: at.dy.cast(at.x))
rule("CastLike", lambda at: at.dy.cast(at.x), _zero)

# by position


def _trilu(at: Call) -> Term:
    diagonal = at.input(1) if at.has(1) else None
    return at.dy.op("Trilu", diagonal, upper=at.integer("upper", 1))


rule("Trilu", _trilu)


def _range_step(at: Call) -> Term:
    """Element i is start + i·delta."""
    at_zero = at.constant(0)
    places = at_zero.op("Range", at.dy.op("Size"), at.constant(1))
    return _total(at.dy * places.cast(at.dy), at.input(2))


rule("Range", lambda at: _total(at.dy, at.input(0)), _zero, _range_step)


def _one_hot_values(at: Call) -> Term:
    """(off, on): the sums of the gradient where the output has the one and the other."""
    axis = at.integer("axis", -1)
    off_on = at.constant([0.0, 1.0], like=at.dy)
    on = at.dy * at.input(0).op("OneHot", at.input(1), off_on, axis=axis)
    off = at.dy - on
    each = [part.op("ReduceSum", keepdims=0).reshape([1]) for part in (off, on)]
    return each[0].concat(each[1], axis=0)


rule("OneHot", _zero, _zero, _one_hot_values)
