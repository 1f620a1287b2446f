"""Where a dimension goes when an operator moves, merges, drops or adds dimensions."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from mho.graph.families import POOLS, QUANTISED, REDUCTIONS, SOFTMAXES, UNCHANGED
from mho.graph.flow import axes_of, dims, integer

Dims = tuple[int | str | None, ...]


def moved(node: ir.Node, axis: int) -> int | None:
    """Where dimension ``axis`` of the first input is in the first output of ``node``.

    None where it is lost (reduced, merged, split, mixed) or the operator is no mover. Shapes must
    have been inferred.
    """
    source = node.inputs[0] if node.inputs else None
    before = None if source is None else dims(source)
    after = dims(node.outputs[0])
    if before is None or after is None:
        return None
    rule = _RULES.get(node.op_type)
    if rule is None:
        return None
    found = rule(node, axis, before, after)
    if found is None or not 0 <= found < len(after):
        return None
    return found


def _same(_node: ir.Node, axis: int, before: Dims, after: Dims) -> int | None:
    return axis if len(before) == len(after) else None


def _transpose(node: ir.Node, axis: int, before: Dims, _after: Dims) -> int | None:
    listed = node.attributes.get("perm")
    order = tuple(listed.as_ints()) if listed is not None else tuple(reversed(range(len(before))))
    return order.index(axis) if axis in order else None


def _reshape(_node: ir.Node, axis: int, before: Dims, after: Dims) -> int | None:
    """The axis survives where one of the same length has the same number of elements behind it."""
    behind = product(before[axis + 1 :])
    if behind is None:
        return None
    found = [
        i
        for i, dim in enumerate(after)
        if dim == before[axis] and dim is not None and product(after[i + 1 :]) == behind
    ]
    if len(found) > 1:  # dimensions of 1 lie beside it: take the nearest
        found.sort(key=lambda i: abs(i - axis))
    return found[0] if found else None


def product(dims: Dims) -> tuple[int, tuple[str, ...]] | None:
    """Number and symbols whose product it is; None where a dimension is unknown."""
    number, names = 1, []
    for dim in dims:
        if dim is None:
            return None
        if isinstance(dim, int):
            number *= dim
        else:
            names.append(dim)
    return number, tuple(sorted(names))


def _squeeze(node: ir.Node, axis: int, before: Dims, _after: Dims) -> int | None:
    axes = axes_of(node)
    if axes is None:
        return None
    gone = {a % len(before) for a in axes} or {i for i, dim in enumerate(before) if dim == 1}
    return None if axis in gone else axis - sum(a < axis for a in gone)


def _unsqueeze(node: ir.Node, axis: int, _before: Dims, after: Dims) -> int | None:
    axes = axes_of(node)
    if axes is None:
        return None
    new = {a % len(after) for a in axes}
    return [i for i in range(len(after)) if i not in new][axis]


def _reduce(node: ir.Node, axis: int, before: Dims, _after: Dims) -> int | None:
    axes = axes_of(node)
    if axes is None:
        return None
    if not axes and integer(node, "noop_with_empty_axes", 0):
        return axis
    gone = {a % len(before) for a in axes} or set(range(len(before)))
    if axis in gone:
        return None
    return axis if integer(node, "keepdims", 1) else axis - sum(a < axis for a in gone)


def _reduce_one(node: ir.Node, axis: int, before: Dims, _after: Dims) -> int | None:
    own = integer(node, "axis", 0) % len(before)
    if own == axis:
        return None
    return axis if integer(node, "keepdims", 1) else axis - (own < axis)


def _gather(node: ir.Node, axis: int, before: Dims, after: Dims) -> int | None:
    own = integer(node, "axis", 0) % len(before)
    if axis == own:
        return axis if len(before) == len(after) else None
    return axis if axis < own else axis + len(after) - len(before)


def _broadcast(_node: ir.Node, axis: int, before: Dims, after: Dims) -> int | None:
    return axis + len(after) - len(before)


_RULES: dict[str, Callable[[ir.Node, int, Dims, Dims], int | None]] = {
    **dict.fromkeys(UNCHANGED | POOLS | SOFTMAXES | QUANTISED, _same),
    **dict.fromkeys(REDUCTIONS, _reduce),
    "Pad": _same,
    "Resize": _same,
    "Upsample": _same,
    "Slice": _same,
    "Split": _same,
    "Tile": _same,
    "TopK": _same,
    "CumSum": _same,
    "ReverseSequence": _same,
    "GatherElements": _same,
    "Trilu": _same,
    "LpNormalization": _same,
    "MeanVarianceNormalization": _same,
    "Transpose": _transpose,
    "Reshape": _reshape,
    "Flatten": _reshape,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Gather": _gather,
    "Expand": _broadcast,
    "ArgMax": _reduce_one,
    "ArgMin": _reduce_one,
}
