"""Derivatives of operators that put together an image from patches, or from another at given
coordinates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from itertools import product as combinations
from operator import add

import numpy as np
import onnx_ir as ir

from mho.graph.flow import constant_integers, dims, integer
from mho.graph.place import Length, extent, padded, scattered, vector
from mho.graph.rule import Call, known_rank, rule, rule_all
from mho.graph.term import Term
from mho.graph.window import integers

# pixels put in places


def _max_unpool(at: Call) -> Term:
    """Every pixel was put where its index says."""
    return at.dy.reshape([-1]).gather(at.input(1))


def _unclear_places(node: ir.Node) -> str:
    """Indices count in the shape that follows from the input, says the standard; onnxruntime has
    them count in the one that is given."""
    if len(node.inputs) < 3 or node.inputs[2] is None:
        return ""
    given = constant_integers(node.inputs[2])
    shape = None if node.inputs[0] is None else dims(node.inputs[0])
    kernel = integers(node, "kernel_shape")
    count = len(kernel)
    strides = integers(node, "strides") or (1,) * count
    pads = integers(node, "pads") or (0,) * 2 * count
    if given is not None and shape is not None:
        follows = [
            (size - 1) * strides[axis] + kernel[axis] - pads[axis] - pads[axis + count]
            for axis, size in enumerate(shape[2:])
            if isinstance(size, int)
        ]
        if list(given[2:]) == follows:
            return ""
    return "it is not known to have the output_shape that follows from its input"


def _col2im(at: Call) -> Term:
    """Every element of a block takes the gradient of the pixel that it was added to."""
    image, block = (constant_integers(at.node.inputs[position]) for position in (1, 2))
    assert image is not None
    assert block is not None
    count = len(image)
    stride, dilation = at.integers("strides", [1] * count), at.integers("dilations", [1] * count)
    pads = at.integers("pads", [0] * 2 * count)
    pixel = np.zeros((1, 1), dtype=np.int64)
    inside = np.ones((1, 1), dtype=np.bool_)
    for axis in range(count):
        reach = dilation[axis] * (block[axis] - 1) + 1
        steps = (image[axis] + pads[axis] + pads[axis + count] - reach) // stride[axis] + 1
        along = (
            np.arange(block[axis])[:, None] * dilation[axis]
            + np.arange(steps) * stride[axis]
            - pads[axis]
        )
        within = (along >= 0) & (along < image[axis])
        size = (pixel.shape[0] * block[axis], pixel.shape[1] * steps)
        pixel = (pixel[:, None, :, None] * image[axis] + along[:, None]).reshape(size)
        inside = (inside[:, None, :, None] & within[:, None]).reshape(size)
    nowhere = int(np.prod(image))
    source = np.where(inside, pixel, nowhere).reshape(-1)
    pixels = padded(at.dy.reshape([0, 0, -1]), 2, 0, 1)
    return pixels.gather(source.tolist(), axis=2).reshaped_like(at.x)


def _computed(node: ir.Node) -> str:
    if None in (constant_integers(node.inputs[1]), constant_integers(node.inputs[2])):
        return "the shape of its image or of its blocks is computed"
    return ""


rule("MaxUnpool", _max_unpool, None, None, refusal=_unclear_places)
rule("Col2Im", _col2im, None, None, refusal=_computed)

# coordinates


def _affine_grid(at: Call) -> Term:
    size = constant_integers(at.node.inputs[1])
    assert size is not None
    aligned = at.integer("align_corners", 0)
    lines = [np.linspace(-1, 1, n) if aligned else (2 * np.arange(n) + 1) / n - 1 for n in size[2:]]
    own = np.meshgrid(*lines, indexing="ij")[::-1]  # the last axis comes first
    points = np.stack([*own, np.ones(size[2:])], axis=-1).reshape(-1, len(size) - 1)
    dy = at.dy.reshape([0, -1, len(size) - 2])
    return dy.transpose([0, 2, 1]) @ at.constant(points, at.dy)


def _unclear_grid(node: ir.Node) -> str:
    size = constant_integers(node.inputs[1])
    if size is None:
        return "the size of its grid is computed"
    if integer(node, "align_corners", 0) and 1 in size[2:]:
        return "corners can't be aligned in a grid that is one pixel wide"
    return ""


rule("AffineGrid", _affine_grid, None, refusal=_unclear_grid)

# pixels looked up at coordinates


@dataclass(frozen=True)
class _Near:
    """A pixel near each point, as far as one axis is concerned.

    place: its index. weight: what part of it is taken; zero outside. slope: how that changes with
    the coordinate of the grid.
    """

    place: Term
    weight: Term
    slope: Term | None


def _unclear_samples(node: ir.Node) -> str:
    mode, padding = (node.attributes.get(name) for name in ("mode", "padding_mode"))
    if mode is not None and mode.as_string() in ("cubic", "bicubic"):
        return f"it interpolates by mode '{mode.as_string()}'"
    if padding is not None and padding.as_string() == "reflection":
        return "it reflects what lies outside"
    return known_rank(0)(node)


@rule_all("GridSample", 0, 1, refusal=_unclear_samples)
def _grid_sample(at: Call) -> Mapping[int, Term]:
    count = at.rank() - 2
    lengths = [extent(at.x, axis + 2) for axis in range(count)]
    points = at.input(1).reshape([0, -1, count])
    near = [_along(at, points, axis, count, lengths[axis]) for axis in range(count)]
    dy = at.dy.reshape([0, 0, -1])
    shape = dy.op("Shape")
    corners = list(combinations(*near))
    places = []
    for corner in corners:
        place = corner[0].place
        for axis, one in enumerate(corner[1:], 1):
            place = place * vector([lengths[axis]], dy) + one.place
        places.append(place.expand(shape))
    found = {}
    if 0 in at.wanted:
        image = at.x.zeros().reshape([0, 0, -1])
        for place, corner in zip(places, corners, strict=True):
            image = scattered(dy * _weight(corner, None), 2, place, image)
        found[0] = image.reshaped_like(at.x)
    if _moves(at):
        pixels = at.x.reshape([0, 0, -1])
        values = [(pixels.op("GatherElements", place, axis=2) * dy).sum([1]) for place in places]
        slopes = []
        for axis in reversed(range(count)):  # the grid has the last axis first
            parts = [v * _weight(corner, axis) for v, corner in zip(values, corners, strict=True)]
            slopes.append(reduce(add, parts).transpose([0, 2, 1]))
        joined = slopes[0].concat(*slopes[1:], axis=2) if count > 1 else slopes[0]
        found[1] = joined.reshaped_like(at.input(1))
    return found


def _moves(at: Call) -> bool:
    """Whether the gradient with respect to the grid is asked for, and is not zero."""
    return 1 in at.wanted and at.text("mode", "linear") != "nearest"


def _along(at: Call, points: Term, axis: int, count: int, length: Length) -> list[_Near]:
    """The pixels near ``points``, ``(batch, points, axes)``, along ``axis``; each ``(batch, 1,
    points)``."""
    own = points.gather([count - 1 - axis], axis=2).transpose([0, 2, 1])
    aligned = at.integer("align_corners", 0)
    if isinstance(length, int):
        last, slope = own.number(length - 1), own.number((length - bool(aligned)) / 2)
    else:
        size = length.cast(own)
        last = size - 1
        slope = (last if aligned else size) / 2
    point = (own + 1) * slope
    if not aligned:
        point = point - 0.5
    nearest = at.text("mode", "linear") == "nearest"
    if nearest:
        point = point.op("Round")
    if at.text("padding_mode", "zeros") == "border":
        if _moves(at):
            slope = (point > 0).op("And", point < last).cast(own) * slope
        point = point.op("Max", own.number(0)).op("Min", last)
    if nearest:
        return [_within(point, own.number(1), None, last)]
    before = point.op("Floor")
    part = point - before
    slopes = (-slope, slope) if _moves(at) else (None, None)
    return [
        _within(before, 1 - part, slopes[0], last),
        _within(before + 1, part, slopes[1], last),
    ]


def _within(place: Term, weight: Term, slope: Term | None, last: Term) -> _Near:
    """Nothing is taken of what lies outside; its index is one that exists."""
    exists = place.op("Max", place.number(0)).op("Min", last)
    inside = exists.equals(place).cast(place)
    weighed = None if slope is None else inside * slope
    return _Near(exists.op("Cast", to=ir.DataType.INT64), inside * weight, weighed)


def _weight(corner: tuple[_Near, ...], moved: int | None) -> Term:
    """What part of a pixel is taken, or how that changes with coordinate ``moved``."""
    total: Term | None = None
    for axis, one in enumerate(corner):
        factor = one.slope if axis == moved else one.weight
        assert factor is not None
        total = factor if total is None else total * factor
    assert total is not None
    return total
