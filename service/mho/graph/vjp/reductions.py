"""Derivatives of operators that work along axes: reductions, running sums, the largest elements.

A reduction's gradient is first given the input's rank, with dimensions of 1; arithmetic with the
input then spreads it, for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx_ir as ir

from mho.graph.flow import constant_integers
from mho.graph.rule import Call, rule
from mho.graph.term import Term


def _axes(at: Call) -> Term | None:
    """The axes as the node has them; None where there are none, so that it reduces all or none."""
    if not at.has(1) or constant_integers(at.node.inputs[1]) == ():
        return None
    return at.input(1)


def _kept(at: Call, term: Term) -> Term:
    """``term``, which has the output's shape, with the reduced axes at their places."""
    axes = _axes(at)
    if at.integer("keepdims", 1) or axes is None:
        # over all axes it is a scalar, over none it has the input's shape: both broadcast
        return term
    return term.op("Unsqueeze", axes)


def _again(at: Call, op_type: str, term: Term) -> Term:
    """Another reduction of ``term`` over the same axes; they are kept."""
    noop = at.integer("noop_with_empty_axes", 0)
    return term.op(op_type, _axes(at), keepdims=1, noop_with_empty_axes=noop)


def _pattern(at: Call) -> list[int] | None:
    """The input's shape with 1 for what is not reduced; None where the rest is not known."""
    known = at.x.dims
    if known is None:
        return None
    axes: Sequence[int] | None = range(0 if at.integer("noop_with_empty_axes", 0) else len(known))
    if _axes(at) is not None:
        axes = constant_integers(at.node.inputs[1])
    if axes is None:
        return None
    reduced = {axis % len(known) for axis in axes}
    pattern = [dim if axis in reduced else 1 for axis, dim in enumerate(known)]
    sizes = [dim for dim in pattern if isinstance(dim, int)]
    return sizes if len(sizes) == len(pattern) else None


def _spread(at: Call, term: Term) -> Term:
    """``term``, which has the output's shape, repeated to the input's."""
    pattern = _pattern(at)
    # so that the input need not be kept for its shape
    return _kept(at, term).expand(at.x.shape if pattern is None else pattern)


def _share(at: Call) -> Term:
    """1 over the number of elements that are reduced to one."""
    pattern = _pattern(at)
    if pattern is not None:
        return at.dy.number(1 / max(1, math.prod(pattern)))
    parts, whole = (term.op("Size").op("Cast", to=ir.DataType.FLOAT) for term in (at.y, at.x))
    return (parts / whole).cast(at.dy)


# sums

rule("ReduceSum", lambda at: _spread(at, at.dy), None)
rule("ReduceMean", lambda at: _spread(at, at.dy * _share(at)), None)
rule("ReduceSumSquare", lambda at: at.x * _kept(at, at.dy * 2), None)
rule("ReduceL1", lambda at: at.x.sign() * _kept(at, at.dy), None)


def _norm(at: Call) -> Term:
    """x/|x|; 0 where all that is reduced is 0."""
    return at.x * _kept(at, at.dy / (at.y + at.y.equals(0).cast(at.y)))


rule("ReduceL2", _norm, None)
rule("ReduceLogSum", lambda at: _spread(at, at.dy / at.y.op("Exp")), None)
rule(
    "ReduceLogSumExp",
    lambda at: (at.x - _kept(at, at.y)).op("Exp") * _kept(at, at.dy),
    None,
)


def _product(at: Call) -> Term:
    """The product of the others: with one zero, of all but that; with two, it is 0 for all."""
    zero = at.x.equals(0).cast(at.x)
    zeros = _again(at, "ReduceSum", zero)
    nonzero = at.x + zero
    others = _again(at, "ReduceProd", nonzero) / nonzero
    return others * zero.equals(zeros).cast(at.x) * _kept(at, at.dy)


rule("ReduceProd", _product, None)

# the largest and the smallest


def _extreme(at: Call) -> Term:
    """Equals share the gradient."""
    hit = at.x.equals(_kept(at, at.y)).cast(at.dy)
    return hit * (_kept(at, at.dy) / _again(at, "ReduceSum", hit))


rule("ReduceMax", _extreme, None)
rule("ReduceMin", _extreme, None)


def _top(at: Call) -> Term:
    axis = at.integer("axis", -1)
    return at.x.zeros().op("ScatterElements", at.output(1), at.dy, axis=axis)


rule("TopK", _top, None)

# running sums


def _running(at: Call) -> Term:
    """Element i is in the sums from i on, so that they are added from the other end."""
    exclusive, reverse = at.integer("exclusive", 0), at.integer("reverse", 0)
    return at.dy.op("CumSum", at.input(1), exclusive=exclusive, reverse=1 - reverse)


rule("CumSum", _running, None)
