"""Derivatives of operators that reshape, permute, repeat, join and split."""

from __future__ import annotations

from collections.abc import Mapping

from mho.graph.flow import constant_integers
from mho.graph.place import Length, extent, known_extent, vector
from mho.graph.rule import Call, rule, rule_all
from mho.graph.term import Term

# the same elements in another shape


def _as_before(at: Call) -> Term:
    return at.dy.reshaped_like(at.x, at.y.dims)


def _squeeze(at: Call) -> Term:
    return at.dy.op("Unsqueeze", at.input(1)) if at.has(1) else _as_before(at)


rule("Reshape", _as_before, None, quantised=True)
rule("Flatten", _as_before, quantised=True)
rule("Squeeze", _squeeze, None, quantised=True)
# axes count in the longer of the two shapes, for Squeeze and Unsqueeze alike
rule("Unsqueeze", lambda at: at.dy.op("Squeeze", at.input(1)), None, quantised=True)

# the same elements in another order


def _transpose(at: Call) -> Term:
    order = at.integers("perm")
    if not order:
        return at.dy.op("Transpose")
    return at.dy.transpose([order.index(axis) for axis in range(len(order))])


def _depth_to_space(at: Call) -> Term:
    """SpaceToDepth, which has the places within a block before the channels; CRD has them after."""
    block = at.integer("blocksize", 1)
    moved = at.dy.op("SpaceToDepth", blocksize=block)
    if at.text("mode", "DCR") == "DCR":
        return moved
    apart = moved.reshape(vector([0, block * block, extent(at.y, 1), -1], moved))
    return apart.transpose([0, 2, 1, 3]).reshaped_like(at.x)


def _space_to_depth(at: Call) -> Term:
    order = at.text("mode", "DCR")  # an attribute since opset 28
    return at.dy.op("DepthToSpace", blocksize=at.integer("blocksize", 1), mode=order)


rule("Transpose", _transpose, quantised=True)
rule("DepthToSpace", _depth_to_space)
rule("SpaceToDepth", _space_to_depth)

# elements repeated


def _tile(at: Call) -> Term:
    """Each axis taken apart into repetitions and elements, and summed over the repetitions."""
    repeats = constant_integers(at.node.inputs[1])
    if repeats is None:
        times, length = at.input(1), at.x.op("Shape")
        apart = times.unsqueeze([1]).concat(length.unsqueeze([1]), axis=1).reshape([-1])
        axes = apart.integers(0).op("Range", apart.op("Size"), apart.integers(2))
        return at.dy.op("Reshape", apart, allowzero=1).sum(axes, keepdims=False)
    known = [known_extent(at.x, axis) for axis in range(len(repeats))]
    one_open = known.count(None) == 1 and 0 not in (*known, *repeats)
    shape: list[Length] = []
    summed = []
    for axis, number in enumerate(repeats):
        if number != 1:
            summed.append(len(shape))
            shape.append(number)
        shape.append(-1 if one_open and known[axis] is None else extent(at.x, axis))
    apart = at.dy.op("Reshape", vector(shape, at.dy), allowzero=1)
    return apart.sum(summed, keepdims=False)


rule("Expand", lambda at: at.dy, None, broadcasts=True)
rule("Tile", _tile, None)

# joined and split


@rule_all("Concat")
def _concat(at: Call) -> Mapping[int, Term]:
    axis, count = at.integer("axis", 0), len(at.node.inputs)
    if count == 1:
        return {0: at.dy}
    lengths = [extent(at.input(position), axis) for position in range(count)]
    known = [length for length in lengths if isinstance(length, int)]
    if len(at.wanted) == count or len(known) < count:
        parts = at.dy.ops("Split", vector(lengths, at.dy), outputs=count, axis=axis)
        return {position: parts[position] for position in at.wanted}
    return {p: _between(at.dy, axis, sum(known[:p]), sum(known[: p + 1])) for p in at.wanted}


def _between(dy: Term, axis: int, start: int, end: int) -> Term:
    return dy.op("Slice", dy.integers([start]), dy.integers([end]), dy.integers([axis]))


def _split(at: Call) -> Term:
    parts = [at.cotangent(position) for position in range(len(at.node.outputs))]
    if len(parts) == 1:
        return parts[0]
    return parts[0].concat(*parts[1:], axis=at.integer("axis", 0))


rule("Split", _split, None)
