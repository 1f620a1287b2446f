"""The derivative of Resize, which is one linear map per axis.

The matrix of an axis is the operator's own: what it makes of the unit vectors. So the gradient is
right for every mode and for lengths that are known only when the graph is run, and it follows the
runtime where that departs from the standard. Where lengths are known the matrix depends on
constants alone, and onnxruntime computes it once, when the session is made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import onnx_ir as ir

from mho.graph.flow import dims
from mho.graph.place import Length, counted, extent, known_extent, vector
from mho.graph.rule import Call, known_rank, rule
from mho.graph.term import Term

_ROI, _SCALES, _SIZES = 1, 2, 3
_CROPPING = "tf_crop_and_resize"
_CENTRED = ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric")


def _resize(at: Call) -> Term:
    rank = at.rank()
    listed = at.integers("axes", range(rank))
    found = [_Axis(at, axis % rank, place, len(listed)) for place, axis in enumerate(listed)]
    moved = {one.axis: one for one in found if one.moves}
    times = [moved[axis].repeats if axis in moved else 1 for axis in range(rank)]
    if 3 <= rank <= 5 and times[:2] == [1, 1] and all(times):
        return _summed(at.dy, times[2:])
    term = at.dy
    for axis in sorted(moved, reverse=True):
        term = moved[axis].back(term)
    return term


def _summed(dy: Term, times: list[int]) -> Term:
    """Blocks of ``times`` summed; onnxruntime pools faster than it reduces."""
    return dy.op("AveragePool", kernel_shape=times, strides=times) * float(math.prod(times))


@dataclass(frozen=True)
class _Axis:
    """What happens along one axis, which is at ``place`` of the ``listed`` that sizes are for."""

    at: Call
    axis: int
    place: int
    listed: int

    @cached_property
    def before(self) -> Length:
        return extent(self.at.x, self.axis)

    @cached_property
    def after(self) -> Length:
        """From the sizes where the shape does not tell."""
        known = known_extent(self.at.y, self.axis)
        return self.at.input(_SIZES).gather([self.place]) if known is None else known

    @cached_property
    def scale(self) -> float | None:
        """None where scales are computed, or sizes are given."""
        if self.at.has(_SIZES):
            return None
        known = self.at.input(_SCALES).value.const_value
        return None if known is None else float(known.numpy()[self.place])

    @property
    def moves(self) -> bool:
        """Whether anything may change along this axis."""
        at = self.at
        if self.scale is not None:
            return self.scale != 1 or _coordinates(at) == _CROPPING
        if not at.has(_SIZES) or _coordinates(at) == _CROPPING:
            return True
        before, after = at.x.dims, at.y.dims
        assert before is not None
        if after is not None and after[self.axis] is not None:
            return before[self.axis] != after[self.axis]
        # onnxruntime interpolates within samples only
        return at.text("mode", "nearest") == "nearest" or self.axis > 0 or len(before) < 4

    @property
    def repeats(self) -> int:
        """How often every element is repeated; 0 if it is something else that happens, or if that
        is not known."""
        at, times = self.at, self.scale
        if times is None and at.has(_SIZES):
            before, after = (known_extent(of, self.axis) for of in (at.x, at.y))
            if before and after:
                times = after / before
        if times is None or times != int(times) or at.text("mode", "nearest") != "nearest":
            return 0
        rounding = at.text("nearest_mode", "round_prefer_floor")
        if _coordinates(at) in _CENTRED:
            return int(times) if rounding.startswith("round") else 0
        if _coordinates(at) == "asymmetric":
            even = rounding == "floor" or (rounding == "round_prefer_floor" and times <= 2)
            return int(times) if even else 0
        return 0

    def back(self, dy: Term) -> Term:
        """``dy`` times the transposed matrix of this axis."""
        rank = self.at.rank()
        if self.axis == rank - 1:
            return dy @ self._matrix(0).cast(dy)
        if self.axis == rank - 2:
            return self._matrix(1).cast(dy) @ dy
        order = list(range(rank))
        order[self.axis], order[-1] = order[-1], order[self.axis]
        return (dy.transpose(order) @ self._matrix(0).cast(dy)).transpose(order)

    def _matrix(self, along: int) -> Term:
        """What the operator makes of the unit vectors, which are resized ``along`` axis 0 or 1."""
        at, order = self.at, -1 if along else 1
        number = counted(self.before, at.dy)
        dtype = at.dy.dtype if at.dy.dtype == ir.DataType.DOUBLE else ir.DataType.FLOAT
        units = number.unsqueeze([1]).equals(number).op("Cast", to=dtype)
        roi = scales = sizes = None
        if at.has(_SIZES):
            sizes = vector([self.after, self.before][::order], at.dy)
        elif self.scale is not None:
            scales = at.constant([self.scale, 1.0][::order])
        else:
            own = at.input(_SCALES).gather([self.place])
            scales = _joined([own, at.constant([1.0])][::order])
        if at.has(_ROI) and _coordinates(at) == _CROPPING:
            given = at.input(_ROI).op("Cast", to=ir.DataType.FLOAT)
            first, last = (given.gather([self.place + i * self.listed]) for i in (0, 1))
            zero, one = (at.constant([number], first) for number in (0.0, 1.0))
            roi = _joined([*[first, zero][::order], *[last, one][::order]])
        return units.op("Resize", roi, scales, sizes, **_attributes(at.node))


def _coordinates(at: Call) -> str:
    return at.text("coordinate_transformation_mode", "half_pixel")


def _joined(parts: list[Term]) -> Term:
    return parts[0].concat(*parts[1:], axis=0)


def _attributes(node: ir.Node) -> dict[str, Any]:
    """Those that say how to interpolate; what lies outside has a value, which is no part of the
    map."""
    left_out = ("axes", "extrapolation_value", "keep_aspect_ratio_policy")
    return {name: given.value for name, given in node.attributes.items() if name not in left_out}


def _unclear(node: ir.Node) -> str:
    policy = node.attributes.get("keep_aspect_ratio_policy")
    if policy is not None and policy.as_string() != "stretch":
        return f"its sizes keep the aspect ratio ('{policy.as_string()}')"
    return known_rank(0)(node) or _hardly_longer(node)


def _hardly_longer(node: ir.Node) -> str:
    """Where a scale leaves a length as it is, onnxruntime resizes the axis only beside others that
    change, so that no matrix can be had of it alone."""
    if len(node.inputs) > _SIZES and node.inputs[_SIZES] is not None:
        return ""
    x, scales = node.inputs[0], node.inputs[_SCALES]
    assert x is not None
    assert scales is not None
    before, after = dims(x), dims(node.outputs[0])
    assert before is not None
    if before == after and all(isinstance(dim, int) for dim in before):
        return ""
    listed, known = node.attributes.get("axes"), scales.const_value
    for place, axis in enumerate(range(len(before)) if listed is None else listed.as_ints()):
        scale = None if known is None else float(known.numpy()[place])
        length, longer = before[axis], None if after is None else after[axis]
        if scale is not None and isinstance(length, int):
            longer = int(length * scale)
        if isinstance(length, int) and isinstance(longer, int) and length != longer:
            continue
        # of one element, all that is made is the same, and beyond these scales a length changes
        if length != 1 and (scale is None or 1 < scale < 1.5):
            return f"it is not known whether its scale changes the length of dimension {axis}"
    return ""


rule("Resize", _resize, None, None, None, refusal=_unclear)
