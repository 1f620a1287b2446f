"""Derivatives of operators that add a border or take it away."""

from __future__ import annotations

import onnx_ir as ir

from mho.graph.flow import constant_integers
from mho.graph.place import Length, add_back, counted, extent, less, padded, vector
from mho.graph.rule import Call, known_rank, rule
from mho.graph.term import Term

_TO_THE_END = 2**63 - 1


def _pad(at: Call) -> Term:
    mode = at.text("mode", "constant")
    pads = constant_integers(at.node.inputs[1])
    if mode == "constant":
        axes = at.input(3) if at.has(3) else None
        if pads is None or min(pads, default=0) < 0:
            return at.dy.op("Pad", -at.input(1), None, axes)  # what was added is cropped
        return _cropped(at.dy, pads, axes)
    assert pads is not None
    term, count = at.dy, len(pads) // 2
    for axis, before, after in zip(_axes(at), pads[:count], pads[count:], strict=True):
        if before or after:
            term = _unpadded(term, axis, before, after, extent(at.x, axis), mode)
    return term


def _axes(at: Call) -> list[int]:
    """The axes that are padded, from the end: -1 is the last."""
    rank = at.rank()
    listed = constant_integers(at.node.inputs[3]) if at.has(3) else None
    return [axis % rank - rank for axis in (range(rank) if listed is None else listed)]


def _cropped(term: Term, pads: tuple[int, ...], axes: Term | None) -> Term:
    """Without ``pads``, none of which is negative."""
    if not any(pads):
        return term
    count = len(pads) // 2
    starts = term.integers(pads[:count])
    ends = term.integers([-end if end else _TO_THE_END for end in pads[count:]])
    return term.op("Slice", starts, ends, axes)


def _unpadded(dy: Term, axis: int, before: int, after: int, length: Length, mode: str) -> Term:
    """The gradient of what is ``length`` long along ``axis``; it is cropped where a pad is
    negative, and then padded."""
    crop_before, crop_after = max(-before, 0), max(-after, 0)
    if crop_before + crop_after:
        length = less(length, crop_before + crop_after, dy)
    folded = _folded(dy, axis, max(before, 0), max(after, 0), length, mode)
    return padded(folded, axis, crop_before, crop_after)


def _folded(dy: Term, axis: int, before: int, after: int, length: Length, mode: str) -> Term:
    """The inner part of ``dy`` with the border added to the places that it repeats."""
    reach = max(before, after)
    if not isinstance(length, int) or (length <= reach if mode == "reflect" else length < reach):
        return _scattered(dy, axis, before, after, length, mode)
    total = _between(dy, axis, before, before + length)
    end = before + length + after
    for start, stop, leading in ((0, before, True), (end - after, end, False)):
        count = stop - start
        if not count:
            continue
        if mode == "edge":
            part = _between(dy, axis, start, stop).sum([axis])
            first = 0 if leading else length - 1
        elif mode == "wrap":
            part = _between(dy, axis, start, stop)
            first = length - count if leading else 0
        else:
            part = _between(dy, axis, stop - 1, start - 1 - end, -1)
            first = 1 if leading else length - 1 - count
        kept = 1 if mode == "edge" else count
        total = total + padded(part, axis, first, length - first - kept)
    return total


def _between(dy: Term, axis: int, start: int, stop: int, step: int = 1) -> Term:
    numbers = [dy.integers([number]) for number in (start, stop, axis, step)]
    return dy.op("Slice", *numbers)


def _scattered(dy: Term, axis: int, before: int, after: int, length: Length, mode: str) -> Term:
    """The same for a length that is known when the graph is run, or repeated more than once."""
    places = counted(length, dy).op("Pad", dy.integers([before, after]), mode=mode)
    shape = dy.op("Shape").op("ScatterElements", dy.integers([axis]), vector([length], dy), axis=0)
    return add_back(dy, axis, places, dy.number(0.0).expand(shape))


def _unclear(node: ir.Node) -> str:
    """Why a border that repeats elements can't be traced back to them."""
    mode = node.attributes.get("mode")
    if mode is None or mode.as_string() == "constant":
        return ""
    for position, what in ((1, "widths"), (3, "axes")):
        given = node.inputs[position] if position < len(node.inputs) else None
        if given is not None and constant_integers(given) is None:
            return f"the {what} of its border are computed, and its mode is '{mode.as_string()}'"
    return known_rank(0)(node)


rule("Pad", _pad, None, None, None, refusal=_unclear)

# centred


def _centred(at: Call) -> Term:
    """Back to the shape before: cropping and padding round alike, so that each undoes the other."""
    axes = at.integers("axes")
    if not axes:
        return at.dy.op("CenterCropPad", at.x.shape)
    lengths = [extent(at.x, axis) for axis in axes]
    return at.dy.op("CenterCropPad", vector(lengths, at.dy), axes=list(axes))


rule("CenterCropPad", _centred, None)
