"""Derivatives of poolings in any number of spatial dimensions.

The gradient of a maximum goes to the first of equal elements in the order of memory, as torch has
it.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from mho.graph.rule import Call, known_rank, rule
from mho.graph.term import Term
from mho.graph.window import Window, all_known, integers, needs_sizes, spread, window_of

_MOST_PARTS = 9
"""A window with more elements has more parts to pool than asking onnxruntime for Indices costs."""
_MOST_EXACT = 2**24
"""Whole numbers up to this are exact in float32."""

# maxima


def _max_pool(at: Call) -> Term:
    """``dy`` scattered to where the maxima were found.

    Asked for Indices, onnxruntime's CPU leaves its fast kernels: see ``_first_maxima``.
    """
    window, sizes = _window(at.node), all_known(at.x.value)
    dy = at.dy
    if dy.dtype in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16):
        dy = dy.op("Cast", to=ir.DataType.FLOAT)  # onnxruntime's CPU adds up no halves
    if window is None or sizes is None or not _served_by_parts(at, window, sizes):
        flat, axis = at.constant([-1]), 0
        size = at.x.op("Size").reshape(flat)
        found, dy = _indices(at).reshape(flat), dy.reshape(flat)
    else:
        places, axis = math.prod(window.places(sizes)), 1
        size = at.x.reshape([-1, math.prod(sizes)]).op("Shape")
        found = _first_maxima(at, window, sizes).reshape([-1, places])
        dy = dy.reshape([-1, places])
    empty = dy.number(0).expand(size)
    placed = empty.op("ScatterElements", found, dy, axis=axis, reduction="add")
    return placed.reshaped_like(at.x).cast(at.dy)


def _indices(at: Call) -> Term:
    """Where the maxima lie in all of the input, in row-major order."""
    if at.integer("storage_order", 0) == 0:
        found = at.output(1)
    else:
        attributes = {**at.node.attributes, "storage_order": 0}
        _, found = at.x.ops("MaxPool", outputs=2, **attributes)
    found.value.dtype = ir.DataType.INT64
    return found


def _served_by_parts(at: Call, window: Window, sizes: tuple[int, ...]) -> bool:
    """Whether ``_first_maxima`` can find the maxima, and at less cost than Indices."""
    return (
        len(sizes) <= 2
        and 1 < math.prod(window.kernel) <= _MOST_PARTS
        and not window.dilated
        and at.x.dtype != ir.DataType.DOUBLE  # for which no pooling is fast
        and math.prod(sizes) <= _MOST_EXACT
        and not (len(at.node.outputs) > 1 and at.node.outputs[1].uses())
    )


def _first_maxima(at: Call, window: Window, sizes: tuple[int, ...]) -> Term:
    """Where the first maximum of each place lies among its channel's elements.

    Smaller windows that begin where the window begins tell: its row is the first r such that rows
    up to r hold the maximum, its column the first c such that columns up to c of those rows do.
    """
    # SqueezeNet's three (batch of 4), ms with Indices / so: 91 / 61 by one thread, 56 / 45 by two
    rank = len(sizes)
    lines = (1,) * (2 - rank)
    tall, wide = lines + window.kernel
    begins, strides = (0,) * (2 - rank) + window.begins, lines + window.strides
    height, width = lines + sizes
    # a part may stand where the window does and, being smaller, at one place more
    counts = [
        (size + begin - 1) // stride + 1
        for size, begin, stride in zip((height, width), begins, strides, strict=True)
    ]
    places = (*lines, *window.places(sizes))
    x, y = at.x, at.y
    if any(begins):
        before = at.constant([0, 0, *window.begins, *[0] * (2 + rank)])
        x = x.op("Pad", before, x.number(-math.inf))
    over = [count - place for count, place in zip(counts, places, strict=True)]
    if any(over):  # where nothing equals
        after = at.constant([*[0] * (4 + rank), *over[-rank:]])
        y = y.op("Pad", after, y.number(math.nan))

    def holds(*part: int) -> Term:
        ends = [
            max(0, (counts[i] - 1) * strides[i] + part[i] - begins[i] - (height, width)[i])
            for i in (0, 1)
        ]
        pads = [0] * rank + ends[-rank:]
        part_strides = list(window.strides)
        pooled = x.op("MaxPool", kernel_shape=part[-rank:], strides=part_strides, pads=pads)
        return pooled.equals(y)

    above = [holds(rows, wide) for rows in range(1, tall)]
    left = []
    for columns in range(1, wide):
        hit = holds(1, columns)
        for rows in range(2, tall + 1):
            new = above[rows - 2].op("Not").op("And", holds(rows, columns))
            hit = hit.op("Or", new)
        left.append(hit)
    last_row, last_column = (
        np.arange(counts[i]) * strides[i] - begins[i] + (tall, wide)[i] - 1 for i in (0, 1)
    )
    last = (last_row[:, None] * width + last_column).reshape(counts[-rank:])
    found = at.constant(last.astype(np.float32))
    if left:
        found = found - _how_many(left)
    if above:
        found = found - _how_many(above) * width
    found = found.op("Cast", to=ir.DataType.INT64)
    if any(over):
        start, end = at.constant([0] * rank), at.constant(window.places(sizes))
        found = found.op("Slice", start, end, at.constant(window.spatial))
    return found


def _how_many(marks: list[Term]) -> Term:
    """How many of ``marks`` are true, element by element, in float32."""
    numbers = [mark.op("Cast", to=ir.DataType.FLOAT) for mark in marks]
    return numbers[0].op("Sum", *numbers[1:]) if len(numbers) > 1 else numbers[0]


def _global_max_pool(at: Call) -> Term:
    flat = at.x.reshape([0, 0, -1])
    first = flat.op("ArgMax", axis=2, keepdims=1)
    dy = at.dy.reshape([0, 0, 1])
    return flat.zeros().op("ScatterElements", first, dy, axis=2).reshaped_like(at.x)


# means


def _average_pool(at: Call) -> Term:
    window = _window(at.node)
    assert window is not None
    everything = at.integer("count_include_pad", 0) != 0
    if not window.ceil and (everything or not window.padded):
        return _spread_sum(at, at.dy, window, 1 / math.prod(window.kernel))
    return _spread_sum(at, at.dy / _counts(at, window, everything), window)


def _counts(at: Call, window: Window, everything: bool) -> Term:
    """How many elements are counted at each place: (1, 1, *places); the padding is where
    ``everything`` is."""
    rank = len(window.kernel)
    sizes = all_known(at.x.value)
    if sizes is not None:
        counts = np.ones((1, 1), dtype=np.float64)
        for axis, (size, places) in enumerate(zip(sizes, window.places(sizes), strict=True)):
            low, high = 0, size
            if everything:
                low, high = -window.begins[axis], size + window.ends[axis]
            first = np.arange(places)[:, None] * window.strides[axis] - window.begins[axis]
            seen = first + np.arange(window.kernel[axis]) * window.dilations[axis]
            counts = counts[..., None] * ((seen >= low) & (seen < high)).sum(axis=1)
        return at.constant(counts, like=at.dy)
    one = Term(at.emit, at.emit.constant(1.0))
    shape = at.constant([1, 1]).concat(at.x.op("Shape", start=2), axis=0)
    ones, pads = one.expand(shape), [*window.begins, *window.ends]
    if everything:
        amounts = [0, 0, *window.begins, 0, 0, *window.ends]
        ones, pads = ones.op("Pad", at.constant(amounts), one), [0] * (2 * rank)
    if window.ceil:
        pads[rank:] = [p + s - 1 for p, s in zip(pads[rank:], window.strides, strict=True)]
    counts_ = ones.op(
        "Conv",
        at.constant(np.ones((1, 1, *window.kernel), dtype=np.float32), like=one),
        strides=list(window.strides),
        dilations=list(window.dilations),
        pads=pads,
    )
    if window.ceil:  # a place that begins in the padding at the end is none
        start, end = at.constant([0] * rank), at.dy.op("Shape", start=2)
        counts_ = counts_.op("Slice", start, end, at.constant(window.spatial))
    return counts_.cast(at.dy)


def _spread_sum(at: Call, dy: Term, window: Window, factor: float = 1.0) -> Term:
    """What all elements that a place sees get: ``factor`` times its ``dy``, added up over places.

    A pooling leads back from steps of one, repetition from windows side by side.
    """
    kernel, strides, sizes = list(window.kernel), list(window.strides), all_known(at.x.value)
    pads = window.pads_to_return()
    if pads is not None and min(pads) >= 0 and not window.dilated:
        scale = factor * math.prod(kernel)
        scaled = dy if math.isclose(scale, 1.0) else dy * scale
        return scaled.op("AveragePool", kernel_shape=kernel, pads=list(pads), count_include_pad=1)
    if sizes is not None and _tiles(window, sizes):
        scaled = dy if factor == 1.0 else dy * factor
        scales = at.emit.constant(np.array([1, 1, *strides], dtype=np.float32))
        return scaled.op(
            "Resize",
            None,
            Term(at.emit, scales),
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
    shape = at.x.dims
    channels = None if shape is None else shape[1]
    if isinstance(channels, int):
        weight = at.constant(np.full((channels, 1, *kernel), factor), like=dy)
        return spread(at, dy, weight, window, group=channels)
    places = at.constant([-1, 1]).concat(dy.op("Shape", start=2), axis=0)
    weight = at.constant(np.full((1, 1, *kernel), factor), like=dy)
    return spread(at, dy.reshape(places), weight, window).reshaped_like(at.x)


def _tiles(window: Window, sizes: tuple[int, ...]) -> bool:
    """Whether every element is seen at exactly one place."""
    whole = all(size % length == 0 for size, length in zip(sizes, window.kernel, strict=True))
    return whole and window.kernel == window.strides and not (window.dilated or window.padded)


def _global_average_pool(at: Call) -> Term:
    sizes = all_known(at.x.value)
    axes = range(2, at.rank())
    if sizes is not None:
        return (at.dy * (1 / max(1, math.prod(sizes)))).expand([1, 1, *sizes])
    return (at.dy / at.x.length(axes).cast(at.dy)).expand(at.x.shape)


# norms


def _lp_pool(at: Call) -> Term:
    window = _window(at.node)
    assert window is not None
    return _power(at) * _spread_sum(at, _per_power(at), window)


def _global_lp_pool(at: Call) -> Term:
    return _power(at) * _per_power(at)


def _power(at: Call) -> Term:
    """``x |x|^(p - 2)``, for whole p."""
    p = at.integer("p", 2)
    if p == 1:
        return at.x.sign()
    power = at.x if p == 2 else at.x ** float(p - 1)
    return power * at.x.sign() if p % 2 else power


def _per_power(at: Call) -> Term:
    """``dy / y^(p - 1)``; where y is 0, so is all that it was made of, and the gradient is 0."""
    p = at.integer("p", 2)
    if p == 1:
        return at.dy
    y = at.y + at.y.equals(0).cast(at.y)
    return at.dy / (y if p == 2 else y ** float(p - 1))


# where the window stands


def _kernel(node: ir.Node) -> tuple[int, ...]:
    return integers(node, "kernel_shape")


def _window(node: ir.Node) -> Window | None:
    seen = node.inputs[0]
    return None if seen is None else window_of(node, _kernel(node), seen)


def _refusal(node: ir.Node) -> str:
    return known_rank()(node) or _disagreement(node) or _without_window(node)


def _without_window(node: ir.Node) -> str:
    return "" if _window(node) is not None else needs_sizes(node)


def _disagreement(node: ir.Node) -> str:
    window, seen = _window(node), node.inputs[0]
    sizes, said = None if seen is None else all_known(seen), all_known(node.outputs[0])
    if window is None or sizes is None or said is None or said == window.places(sizes):
        return ""
    return (
        "with its ceil_mode a window would begin in the padding at the end; onnxruntime leaves "
        "that out, onnx before opset 22 counts it"
    )


rule("MaxPool", _max_pool, refusal=_disagreement)
rule("GlobalMaxPool", _global_max_pool)
rule("AveragePool", _average_pool, refusal=_refusal)
rule("GlobalAveragePool", _global_average_pool, refusal=known_rank())
rule("LpPool", _lp_pool, refusal=_refusal)
rule("GlobalLpPool", _global_lp_pool)
