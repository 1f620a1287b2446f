"""Derivatives of operators that pick elements by their place, or put elements in places."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from mho.graph.flow import constant_integers, dims
from mho.graph.place import (
    Length,
    add_back,
    counted,
    extent,
    known_extent,
    less,
    padded,
    product,
    put_back,
    scattered,
    vector,
)
from mho.graph.rule import Call, known_rank, rule, rule_all
from mho.graph.term import Term
from mho.types import Array

# Slice


def _slice(at: Call) -> Term:
    if _in_one_piece(at.node):
        return _windowed(at)
    dy, rank = at.dy, at.rank()
    for position, axis in enumerate(_sliced(at)):
        dy = _strided(at, dy, position, axis % rank - rank)
    return dy


def _in_one_piece(node: ir.Node) -> bool:
    """Whether nothing between the first and the last element that is taken is left out."""
    steps = node.inputs[4] if len(node.inputs) > 4 else None
    known = constant_integers(steps) if steps is not None else ()
    return known is not None and all(step == 1 for step in known)


def _sliced(at: Call) -> tuple[int, ...]:
    """The axes, which ``_unclear`` has found to be known."""
    if at.has(3):
        listed = constant_integers(at.node.inputs[3])
        assert listed is not None
        return listed
    count = extent(at.input(1), 0)
    return tuple(range(count if isinstance(count, int) else at.rank()))


def _windowed(at: Call) -> Term:
    """Zeros on both sides of what was taken."""
    starts, ends = (constant_integers(at.node.inputs[position]) for position in (1, 2))
    listed = constant_integers(at.node.inputs[3]) if at.has(3) else None
    if listed is not None:
        axes = at.dy.integers(listed)
    else:
        axes = _long(at.input(3)) if at.has(3) else counted(extent(at.input(1), 0), at.dy)
        listed = constant_integers(axes.value)
    if starts is not None and ends is not None and listed is not None:
        known = [n for n in (known_extent(at.x, axis) for axis in listed) if n is not None]
        if len(known) == len(listed):
            taken = [range(n)[s:e] for n, s, e in zip(known, starts, ends, strict=True)]
            before = [places.start for places in taken]
            after = [n - b - len(p) for n, b, p in zip(known, before, taken, strict=True)]
            if not any(before + after):
                return at.dy
            return at.dy.op("Pad", at.dy.integers(before + after), None, axes)
    start, whole = _long(at.input(1)), at.x.shape.gather(axes)
    from_front = (start < 0).choose(start + whole, start)
    first = from_front.op("Max", start.integers(0)).op("Min", whole)
    last = whole - first - at.dy.op("Shape").gather(axes)
    return at.dy.op("Pad", first.concat(last, axis=0), None, axes)


def _strided(at: Call, dy: Term, position: int, axis: int) -> Term:
    """One axis: the same slice of 0, 1, 2, … tells the places."""
    length = extent(at.x, axis)
    constants = [constant_integers(at.node.inputs[given]) for given in (1, 2, 4)]
    known = [numbers[position] for numbers in constants if numbers is not None]
    if isinstance(length, int) and len(known) == 3:
        places = range(length)[slice(*known)]
        return put_back(dy, axis, places, length, len(places))
    start, end, step = (_long(at.input(given)).gather([position]) for given in (1, 2, 4))
    taken = counted(length, dy).op("Slice", start, end, dy.integers([0]), step)
    return put_back(dy, axis, taken, length, extent(taken, 0))


def _unclear(node: ir.Node) -> str:
    if _in_one_piece(node):
        return ""
    axes = node.inputs[3] if len(node.inputs) > 3 else None
    if axes is not None and constant_integers(axes) is None:
        return "its axes are computed, and its steps are not known to be 1"
    return known_rank(0)(node)


rule("Slice", _slice, None, None, None, None, refusal=_unclear)

# picked along one axis


def _gather(at: Call) -> Term:
    rank = at.rank()
    axis = at.integer("axis", 0) % rank - rank
    length, indices = known_extent(at.x, axis), at.input(1)
    shape = indices.dims
    if shape is not None and len(shape) == 0:
        dy = at.dy.unsqueeze([axis])
    elif shape is not None and len(shape) == 1:
        dy = at.dy
    else:
        behind = [extent(at.x, other) for other in range(axis + 1, 0)]
        dy = at.dy.reshape(vector([0] * (rank + axis) + [-1, *behind], at.dy))
    known = _constant(at.node.inputs[1])
    if known is not None and length is not None:
        places = [int(index) % length for index in known.flat]
        if len(set(places)) == len(places):
            return put_back(dy, axis, places, length, len(places))
    if shape is not None and all(dim == 1 for dim in shape):
        total = extent(at.x, axis)
        place = _from_front(_long(indices).reshape([1]), total)
        return padded(dy, axis, place, less(less(total, place, dy), 1, dy))
    return add_back(dy, axis, indices.reshape([-1]), at.x.zeros())


def _compress(at: Call) -> Term:
    given = at.node.attributes.get("axis")
    if given is None:
        length = product([extent(at.x, axis) for axis in range(at.rank())], at.dy)
        return _kept(at, -1, length).reshaped_like(at.x)
    axis = given.as_int() % at.rank() - at.rank()
    return _kept(at, axis, extent(at.x, axis))


def _kept(at: Call, axis: int, length: Length) -> Term:
    """Zeros along ``axis`` but where the condition holds."""
    known = _constant(at.node.inputs[1])
    if known is not None:
        places = [int(place) for place in np.flatnonzero(known)]
        return put_back(at.dy, axis, places, length, len(places))
    found = at.input(1).op("NonZero").reshape([-1])
    return put_back(at.dy, axis, found, length, extent(found, 0))


def _gather_elements(at: Call) -> Term:
    axis = at.integer("axis", 0)
    return scattered(at.dy, axis, at.input(1), at.x.zeros())


def _reverse_sequence(at: Call) -> Term:
    """Once more, which undoes it."""
    axes = {name: at.integer(name, 1 - i) for i, name in enumerate(("batch_axis", "time_axis"))}
    return at.dy.op("ReverseSequence", at.input(1), **axes)


rule("Gather", _gather, None, refusal=known_rank(0))
rule("Compress", _compress, None, refusal=known_rank(0))
rule("GatherElements", _gather_elements, None)
rule("ReverseSequence", _reverse_sequence, None)

# picked along several axes


def _gather_nd(at: Call) -> Term:
    """A scattered sum over rows, for ScatterND can't add up what was picked twice."""
    indices, dy = _long(at.input(1)), at.dy
    batch, depth, rank = at.integer("batch_dims", 0), _depth(at.node), at.rank()
    known = [known_extent(at.x, axis) for axis in range(depth)]
    if not batch and _once(_constant(at.node.inputs[1]), known):
        return at.x.zeros().op("ScatterND", indices, dy)
    lengths = [extent(at.x, axis) for axis in range(rank)]
    picked = lengths[batch : batch + depth]
    steps = [product(picked[i + 1 :], dy) for i in range(depth)]
    places = indices.op("Mod", vector(picked, dy))
    if depth > 1:
        places = places * vector(steps, dy)
    places = places.sum([-1], keepdims=False) if depth > 1 else places.squeeze([-1])
    if batch:
        first = counted(product(lengths[:batch], dy), dy) * vector([product(picked, dy)], dy)
        ones = [1] * (at.rank(1) - 1 - batch)
        places = places + first.reshape(vector([*lengths[:batch], *ones], dy))
    rows = vector([-1, product(lengths[batch + depth :], dy)], dy)
    found = add_back(dy.reshape(rows), -2, places.reshape([-1]), at.x.zeros().reshape(rows))
    return found.reshaped_like(at.x)


def _depth(node: ir.Node) -> int:
    """How many axes the indices of a GatherND pick along; 0 where that is not known."""
    value = node.inputs[1]
    shape = None if value is None else dims(value)
    return shape[-1] if shape and isinstance(shape[-1], int) else 0


def _once(indices: Array | None, lengths: list[int | None]) -> bool:
    """Whether no element is picked twice, as far as is known."""
    if indices is None:
        return False
    if None not in lengths:
        indices = indices % np.array(lengths)
    elif indices.min(initial=0) < 0:
        return False
    flat = indices.reshape(-1, indices.shape[-1])
    return len(np.unique(flat, axis=0)) == len(flat)


def _unclear_depth(node: ir.Node) -> str:
    if not _depth(node):
        return "the last dimension of its indices is not known"
    return known_rank(0, 1)(node)


rule("GatherND", _gather_nd, None, refusal=_unclear_depth)

# put in places


def _only_sums(node: ir.Node) -> str:
    reduction = node.attributes.get("reduction")
    if reduction is None or reduction.as_string() in ("none", "add"):
        return ""
    return f"its reduction is '{reduction.as_string()}'"


@rule_all("ScatterElements", 0, 2, refusal=_only_sums)
def _scatter_elements(at: Call) -> Mapping[int, Term]:
    axis, shape = at.integer("axis", 0), at.x.dims
    if shape is not None:
        axis %= len(shape)  # onnx.reference gathers along axes from 0 alone
    return _replaced(at, "ScatterElements", "GatherElements", axis=axis)


@rule_all("ScatterND", 0, 2, refusal=_only_sums)
def _scatter_nd(at: Call) -> Mapping[int, Term]:
    return _replaced(at, "ScatterND", "GatherND")


def _replaced(at: Call, put: str, pick: str, **axis: int) -> dict[int, Term]:
    """What was replaced has no gradient; what was put there has the gradient of its place."""
    found = {}
    if 0 in at.wanted:
        found[0] = at.dy
        if at.text("reduction", "none") == "none":
            found[0] = at.dy.op(put, at.input(1), at.input(2).zeros(), **axis)
    if 2 in at.wanted:
        found[2] = at.dy.op(pick, at.input(1), **axis)
    return found


@rule_all("TensorScatter", 0, 1, refusal=known_rank(0))
def _tensor_scatter(at: Call) -> Mapping[int, Term]:
    """A ScatterElements along one axis, which begins at another place in each sample."""
    rank, update = at.rank(), at.input(1)
    axis = at.integer("axis", -2) % rank - rank
    places = counted(extent(update, axis), at.dy).reshape([-1] + [1] * (-axis - 1))
    if at.has(2):
        places = at.input(2).reshape([-1] + [1] * (rank - 1)) + places
    if at.text("mode", "linear") == "circular":
        places = places.op("Mod", vector([extent(at.x, axis)], at.dy))
    places = places.expand(update.shape)
    found = {}
    if 0 in at.wanted:
        found[0] = at.dy.op("ScatterElements", places, update.zeros(), axis=axis)
    if 1 in at.wanted:
        found[1] = at.dy.op("GatherElements", places, axis=axis)
    return found


# indices


def _constant(value: ir.Value | None) -> Array | None:
    return None if value is None or value.const_value is None else value.const_value.numpy()


def _long(indices: Term) -> Term:
    return indices if indices.dtype == ir.DataType.INT64 else indices.op("Cast", to=7)


def _from_front(indices: Term, length: Length) -> Term:
    """Indices that count from 0, of some that may count from the end."""
    return (indices < 0).choose(indices + vector([length], indices), indices)
