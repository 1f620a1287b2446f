"""Derivatives of Fourier transforms, which are linear; complex numbers are pairs of real ones."""

from __future__ import annotations

import onnx_ir as ir

from mho.graph.flow import constant_integers, dims, integer
from mho.graph.place import Length, add_back, counted, extent, less, padded, vector
from mho.graph.rule import Call, known_rank, rule
from mho.graph.term import Term

_AXIS_IS_AN_INPUT = 20
"""Of DFT since this opset; before, it is an attribute."""


def _dft(at: Call) -> Term:
    """The transform the other way round; the division by the length goes with it."""
    axis = _axis(at.node)
    assert axis is not None
    own = extent(at.x, axis)
    length = _length(at, 1) if at.has(1) else own
    inverse = bool(at.integer("inverse", 0))
    back = _transformed(at, at.dy, length, axis, inverse=not inverse)
    size = _number(length, at.dy)
    back = back / size if inverse else back * size
    if at.has(1):  # what was cut off, or added
        short = less(own, length, at.dy)
        missing = max(short, 0) if isinstance(short, int) else short.op("Max", short.integers([0]))
        back = padded(_first(back, own, axis), axis, 0, missing)
    return _real(back, extent(at.x, -1))


def _transformed(at: Call, term: Term, length: Length, axis: int, *, inverse: bool) -> Term:
    """``length`` numbers along ``axis``; what is missing of them is zero.

    They are added by a Pad where the length is computed, for onnxruntime then takes a transform for
    as long as what goes in, and reuses its memory.
    """
    size = term.integers(length) if isinstance(length, int) else None
    if size is None and at.integer("onesided", int(at.node.op_type == "STFT")):
        term = padded(term, axis, 0, less(length, extent(term, axis), term))
    if _axis_is_an_input(at.node):
        return term.op("DFT", size, term.integers(axis), inverse=int(inverse))
    return term.op("DFT", size, axis=axis, inverse=int(inverse))


def _first(term: Term, count: Length, axis: int) -> Term:
    """As many as ``count`` along ``axis``."""
    bounds = (term.integers([0]), vector([count], term), term.integers([axis]))
    return term.op("Slice", *bounds)


def _real(term: Term, pair: Length) -> Term:
    """The real part alone where ``pair`` is 1."""
    return term if pair == 2 else _first(term, pair, -1)


def _length(at: Call, position: int) -> Length:
    known = constant_integers(at.node.inputs[position])
    return at.input(position).reshape([1]) if known is None else known[0]


def _number(length: Length, like: Term) -> Term:
    return like.number(length) if isinstance(length, int) else length.cast(like)


def _axis_is_an_input(node: ir.Node) -> bool:
    assert node.graph is not None
    return node.graph.opset_imports.get("", _AXIS_IS_AN_INPUT) >= _AXIS_IS_AN_INPUT


def _axis(node: ir.Node) -> int | None:
    """None where it is computed."""
    if not _axis_is_an_input(node):
        return integer(node, "axis", 1)
    if len(node.inputs) < 3 or node.inputs[2] is None:
        return -2
    given = constant_integers(node.inputs[2])
    return None if given is None else given[0]


def _unclear(node: ir.Node) -> str:
    if integer(node, "inverse", 0) and integer(node, "onesided", 0):
        return "it gives real numbers for half a spectrum"
    return known_rank(0)(node) if _axis(node) is not None else "its axis is computed"


rule("DFT", _dft, None, None, refusal=_unclear)

# short time


def _stft(at: Call) -> Term:
    """Each frame transformed back, and added where it was taken from."""
    if at.has(2):
        length = extent(at.input(2), 0)
    else:
        length = _length(at, 3) if at.has(3) else extent(at.x, 1)
    pair = extent(at.x, -1)
    frames = _transformed(at, at.dy, length, 2, inverse=True) * _number(length, at.dy)
    frames = _real(frames, pair)
    if at.has(2):
        frames = frames * at.input(2).unsqueeze([1])
    first = counted(extent(at.dy, 1), at.dy).unsqueeze([1]) * at.input(1).reshape([1])
    places = (first + counted(length, at.dy)).reshape([-1])
    return add_back(frames.reshape(vector([0, -1, pair], at.dy)), -2, places, at.x.zeros())


def _unclear_signal(node: ir.Node) -> str:
    shape = None if node.inputs[0] is None else dims(node.inputs[0])
    if shape is None or len(shape) != 3:
        return "its signal is not known to be of three dimensions (batch, time, 1 or 2)"
    return ""


rule("STFT", _stft, None, None, None, refusal=_unclear_signal)
