"""Putting back what was picked: the adjoints of taking places along an axis.

Places are given at build time where they are known, or computed when the graph is run. Where every
place was picked at most once, what comes back is a Pad, or a Gather that looks up for every place
who picked it; only where a place may have been picked twice is it a scattered sum. ScatterND would
be wrong for that sum: onnxruntime's threads overtake one another there on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from mho.graph.term import Term

Length = int | Term
"""A number known at build time, or an int64 tensor ``(1,)``."""

_LISTED = 4096
"""Longer runs of numbers are computed by the graph, not stored in it."""


def known_extent(x: Term, axis: int) -> int | None:
    """How long ``x`` is along ``axis``; None where that is not known at build time."""
    shape = x.dims
    dim = None if shape is None else shape[axis]
    return dim if isinstance(dim, int) else None


def extent(x: Term, axis: int) -> Length:
    """How long ``x`` is along ``axis``, read off when the graph is run where it is not known."""
    known, shape = known_extent(x, axis), x.dims
    if known is not None:
        return known
    if shape is not None:
        axis %= len(shape)
    return x.op("Shape", start=axis) if axis == -1 else x.op("Shape", start=axis, end=axis + 1)


def vector(lengths: Sequence[Length], like: Term) -> Term:
    """An int64 tensor ``(n,)`` of ``lengths``."""
    if all(isinstance(length, int) for length in lengths):
        return like.integers([length for length in lengths if isinstance(length, int)])
    parts = [like.integers([one]) if isinstance(one, int) else one for one in lengths]
    return parts[0] if len(parts) == 1 else parts[0].concat(*parts[1:], axis=0)


def less(length: Length, by: Length, like: Term) -> Length:
    """``length`` - ``by``."""
    if isinstance(length, int) and isinstance(by, int):
        return length - by
    return vector([length], like) - vector([by], like)


def product(lengths: Sequence[Length], like: Term) -> Length:
    """All ``lengths`` multiplied."""
    known = math.prod(length for length in lengths if isinstance(length, int))
    open_ = [length for length in lengths if isinstance(length, Term)]
    if not open_:
        return known
    total = open_[0] if known == 1 else open_[0] * like.integers([known])
    for length in open_[1:]:
        total = total * length
    return total


def counted(length: Length, like: Term) -> Term:
    """0, 1, 2, … ``length`` - 1."""
    if isinstance(length, int) and length <= _LISTED:
        return like.integers(list(range(length)))
    end = like.integers(length) if isinstance(length, int) else length.squeeze([0])
    return like.integers(0).op("Range", end, like.integers(1))


def padded(term: Term, axis: int, before: Length, after: Length) -> Term:
    """``term`` with so many zeros before and after it along ``axis``."""
    if isinstance(before, int) and isinstance(after, int) and before == after == 0:
        return term
    return term.op("Pad", vector([before, after], term), None, term.integers([axis]))


def put_back(
    dy: Term, axis: int, places: Sequence[int] | Term, length: Length, count: Length
) -> Term:
    """``length`` elements along ``axis``, zero but for ``places``, which hold ``dy``.

    places: from 0, no two of them equal. count: how many they are.
    """
    if not isinstance(places, Term):
        first = places[0] if places else 0
        if list(places) == list(range(first, first + len(places))):
            return padded(dy, axis, first, less(length, first + len(places), dy))
    if isinstance(length, int) and not isinstance(places, Term):
        who = np.full(length, len(places), dtype=np.int64)
        who[list(places)] = np.arange(len(places))
        if len(places) == length:
            return dy.gather(who.tolist(), axis=axis)
        return padded(dy, axis, 0, 1).gather(who.tolist(), axis=axis)
    at = dy.integers(list(places)) if not isinstance(places, Term) else places
    nobody = vector([count], dy).expand(vector([length], dy))
    asked = nobody.op("ScatterElements", at, counted(count, dy), axis=0)
    return padded(dy, axis, 0, 1).gather(asked, axis=axis)


def add_back(dy: Term, axis: int, places: Term, onto: Term) -> Term:
    """``onto`` with ``dy`` added at ``places`` along ``axis``.

    places: ``(count,)``, from 0 or from the end, any number of them equal. onto: as ``dy`` is, but
    along ``axis``, which counts from the end: -1 is the last.
    """
    everywhere = places.reshape([-1] + [1] * (-axis - 1)).expand(dy.op("Shape"))
    return scattered(dy, axis, everywhere, onto)


def scattered(dy: Term, axis: int, places: Term, onto: Term) -> Term:
    """``onto`` with each element of ``dy`` added at its own place along ``axis``; ``places`` is
    shaped as ``dy`` is. Halves are summed in float32: onnxruntime has no sum of them on the CPU."""
    if dy.dtype not in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16):
        return onto.op("ScatterElements", places, dy, axis=axis, reduction="add")
    wide, onto_wide = (term.op("Cast", to=ir.DataType.FLOAT) for term in (dy, onto))
    return scattered(wide, axis, places, onto_wide).cast(dy)
