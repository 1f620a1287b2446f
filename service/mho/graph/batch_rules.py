"""What every operator does to a batch dimension, and how what was fixed with it is freed.

A rule takes the walk and the node and gives the axis of the batch in the node's outputs; None where
they hold none, or where it has said so itself.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from mho.graph.axes import Dims, moved
from mho.graph.families import CONVOLUTIONS, POINTWISE, POOLS, RECURRENT, REDUCTIONS, SOFTMAXES
from mho.graph.flow import axes_of, constant_integers, integer
from mho.graph.freeing import Freeing

_END = np.iinfo(np.int64).max

Rule = Callable[[Freeing, ir.Node], "int | None"]


def rule_of(node: ir.Node) -> Rule:
    """The rule for ``node``; for an operator without one, that nothing moves."""
    return _RULES.get(node.op_type, _unknown) if node.domain == "" else _unknown


def visit(walk: Freeing, node: ir.Node) -> None:
    """Follow the batch through ``node``."""
    if any(v in walk.kept for v in node.inputs if v is not None):
        _after_kept(walk, node)
        return
    axis = rule_of(node)(walk, node)
    if axis is None:
        return
    for output in node.outputs:
        shape = walk.before.get(output)
        if shape is None:
            if output is node.outputs[0]:
                raise walk.lost(node, f"the shape of '{output.name}' is unknown")
            continue
        if axis < len(shape):
            walk.at[output] = axis


def _unknown(walk: Freeing, node: ir.Node) -> int:
    """An operator without a rule: the batch stays where it is, if the output leaves room for it."""
    value, axis = walk.first(node)
    before, after = walk.shape(value, node), walk.shape(node.outputs[0], node)
    if len(before) == len(after) and before[axis] == after[axis]:
        return axis
    raise walk.lost(node, "it is not known what it does to the batch")


def _nothing(walk: Freeing, node: ir.Node) -> None:
    """Shape and Size: what they give follows the batch by itself."""


def _moved(walk: Freeing, node: ir.Node) -> int:
    value, axis = walk.first(node)
    if value is not node.inputs[0]:
        return _unknown(walk, node)
    found = moved(node, axis)
    if found is None:
        raise walk.lost(node, "it mixes the samples of a batch")
    return found


def _leading(walk: Freeing, node: ir.Node) -> int:
    _, axis = walk.first(node)
    if axis != 0:
        raise walk.lost(node, f"the batch is at axis {axis} where the operator has none")
    return 0


def _own_axis(walk: Freeing, node: ir.Node) -> int:
    """Operators that work along ``axis``, which must not be the batch."""
    value, axis = walk.first(node)
    rank = len(walk.shape(value, node))
    default = {
        "Concat": 0,
        "Split": 0,
        "Hardmax": -1,
        "Softmax": -1,
        "LogSoftmax": -1,
        "TopK": -1,
    }
    if integer(node, "axis", default.get(node.op_type, -1)) % rank == axis:
        raise walk.lost(node, "it works along the batch")
    return axis


def _layer_normalization(walk: Freeing, node: ir.Node) -> int:
    value, axis = walk.first(node)
    if axis >= integer(node, "axis", -1) % len(walk.shape(value, node)):
        raise walk.lost(node, "it normalises along the batch")
    return axis


def _elementwise(walk: Freeing, node: ir.Node) -> int:
    """Operators that broadcast: axes are counted from the end."""
    rank = len(walk.shape(node.outputs[0], node))
    like, _ = walk.first(node)
    found = {
        walk.at[v] + rank - len(walk.shape(v, node))
        for v in node.inputs
        if v is not None and v in walk.at
    }
    if len(found) != 1:
        raise walk.lost(node, "its operands hold the batch along different axes")
    axis = found.pop()
    for i, value in enumerate(node.inputs):
        if value is None or value in walk.fed:
            continue
        shape = walk.shape(value, node)
        own = axis - rank + len(shape)
        if own >= 0 and shape[own] != 1:
            walk.repeated(node, i, own, like)
    return axis


def _gemm(walk: Freeing, node: ir.Node) -> int:
    first = node.inputs[0]
    transposed = integer(node, "transA", 0)
    if first not in walk.at or walk.at[first] != (1 if transposed else 0):
        raise walk.lost(node, "the batch is not the rows of its first matrix")
    if len(node.inputs) > 2 and node.inputs[2] is not None and node.inputs[2] not in walk.fed:
        shape = walk.shape(node.inputs[2], node)
        if len(shape) == 2 and shape[0] != 1:
            walk.repeated(node, 2, 0, first)
    return 0


def _matmul(walk: Freeing, node: ir.Node) -> int:
    rank = len(walk.shape(node.outputs[0], node))
    left, right = node.inputs[0], node.inputs[1]
    assert left is not None
    assert right is not None
    found = set()
    if left in walk.at:
        own = len(walk.shape(left, node))
        if walk.at[left] == own - 1:
            raise walk.lost(node, "it sums over the batch")
        found.add(walk.at[left] + rank - own)
    if right in walk.at:
        own = len(walk.shape(right, node))
        if own == 1 or walk.at[right] == own - 2:
            raise walk.lost(node, "it sums over the batch")
        found.add(walk.at[right] + rank - own)
    if len(found) != 1:
        raise walk.lost(node, "its operands hold the batch along different axes")
    axis = found.pop()
    like, _ = walk.first(node)
    for i, value in enumerate((left, right)):
        shape = walk.shape(value, node)
        own_axis = axis - rank + len(shape)
        batched = 0 <= own_axis < len(shape) - 2
        if value not in walk.fed and batched and shape[own_axis] != 1:
            walk.repeated(node, i, own_axis, like)
    return axis


def _reshape(walk: Freeing, node: ir.Node) -> int:
    value, axis = walk.first(node)
    before, after = walk.shape(value, node), walk.shape(node.outputs[0], node)
    lands = walk.lands(node, before, axis, after)
    target = constant_integers(node.inputs[1])
    copies = not integer(node, "allowzero", 0)
    if target is not None:
        if target[lands] == -1 or (target[lands] == 0 and copies and lands == axis):
            return lands
        known = [
            dim if number == -1 and isinstance(dim, int) else number
            for number, dim in zip(target, after, strict=True)
        ]
        node.replace_input_with(1, walk.emit.constant(known))
        one_open = -1 not in known
    else:
        one_open = all(isinstance(dim, int) for i, dim in enumerate(after) if i != lands)
    dim = after[lands]
    if one_open or not isinstance(dim, int):
        walk.patch(node, 1, lands, walk.emit.constant([-1]))
    else:
        count = walk.batch(value)
        merged = dim // walk.size
        if merged != 1:
            count = walk.emit.op("Mul", count, walk.emit.constant([merged]))
        walk.patch(node, 1, lands, count)
    return lands


def _flatten(walk: Freeing, node: ir.Node) -> int:
    value, axis = walk.first(node)
    return walk.lands(node, walk.shape(value, node), axis, walk.shape(node.outputs[0], node))


def _unsqueeze(walk: Freeing, node: ir.Node) -> int:
    value, axis = walk.first(node)
    after = walk.shape(node.outputs[0], node)
    if walk.merged(value) == 1:
        return _moved(walk, node)
    lands = walk.lands(node, walk.shape(value, node), axis, after)
    return _as_reshape(walk, node, after, lands)


def _squeeze(walk: Freeing, node: ir.Node) -> int | None:
    value, axis = walk.first(node)
    axes = axes_of(node)
    before, after = walk.shape(value, node), walk.shape(node.outputs[0], node)
    if axes is None:
        raise walk.lost(node, "its axes are computed")
    gone = {a % len(before) for a in axes} or {i for i, d in enumerate(before) if d == 1}
    if axis not in gone:
        if not axes:  # all dimensions of 1: say which, for the batch may be 1 too
            _squeezed(walk, node, sorted(gone))
        return axis - sum(a < axis for a in gone)
    return _without_batch(walk, node, sorted(gone - {axis}), explicit=bool(axes), after=after)


def _without_batch(
    walk: Freeing, node: ir.Node, gone: list[int], *, explicit: bool, after: Dims
) -> int | None:
    """The model drops a batch of 1.

    Where a matrix is left, the samples are stacked in its rows; a vector keeps its batch, as does
    what is made of it.
    """
    value, axis = walk.first(node)
    before = walk.shape(value, node)
    if explicit and len(after) > 1 and axis == 0:
        return _as_reshape(walk, node, after, walk.lands(node, before, axis, after))
    if gone:
        _squeezed(walk, node, gone)
    else:
        walk.become(node, "Identity", value)
    output = node.outputs[0]
    shape = tuple(d for i, d in enumerate(before) if i not in gone)
    walk.keep_shape(output, shape, axis - sum(a < axis for a in gone))
    return None


def _after_kept(walk: Freeing, node: ir.Node) -> None:
    """After a vector that kept its batch: only what asks for no other axis than the last."""
    value, axis = walk.first(node)
    shape = walk.before[value]
    if node.op_type in ("Softmax", "LogSoftmax", "Hardmax"):
        if integer(node, "axis", -1) % (len(shape) - 1) != len(shape) - 2:
            raise walk.lost(node, "the batch was squeezed away before it")
        node.attributes["axis"] = ir.AttrInt64("axis", -1)
    elif node.op_type not in POINTWISE or any(
        v is not None and len(walk.before.get(v, ())) > 1 and v not in walk.kept
        for v in node.inputs
    ):
        raise walk.lost(node, "the batch was squeezed away before it")
    walk.keep_shape(node.outputs[0], shape, axis)


def _squeezed(walk: Freeing, node: ir.Node, axes: list[int]) -> None:
    node.attributes.pop("axes", None)
    walk.become(node, "Squeeze", node.inputs[0], walk.emit.constant(axes))


def _as_reshape(walk: Freeing, node: ir.Node, after: Dims, lands: int) -> int:
    if any(not isinstance(d, int) for i, d in enumerate(after) if i != lands):
        raise walk.lost(node, "both the batch and another axis of its result vary")
    target = [-1 if i == lands else d for i, d in enumerate(after) if isinstance(d, int)]
    walk.become(node, "Reshape", walk.first(node)[0], walk.emit.constant(target))
    return lands


def _expand(walk: Freeing, node: ir.Node) -> int:
    value, axis = walk.first(node)
    after = walk.shape(node.outputs[0], node)
    lands = axis + len(after) - len(walk.shape(value, node))
    walk.patch(node, 1, lands, walk.emit.constant([1]))
    return lands


def _slice(walk: Freeing, node: ir.Node) -> int:
    value, axis = walk.first(node)
    shape = walk.shape(value, node)
    starts, ends = constant_integers(node.inputs[1]), constant_integers(node.inputs[2])
    given = node.inputs[3] if len(node.inputs) > 3 else None
    count = walk.shape(node.inputs[1], node)[0] if node.inputs[1] is not None else 0
    axes = constant_integers(given) if given is not None else tuple(range(int(count or 0)))
    if axes is None:
        raise walk.lost(node, "its axes are computed")
    where = [i for i, a in enumerate(axes) if a % len(shape) == axis]
    if not where:
        return axis
    dim = shape[axis]
    steps = constant_integers(node.inputs[4]) if len(node.inputs) > 4 else None
    whole = (
        starts is not None
        and ends is not None
        and isinstance(dim, int)
        and starts[where[0]] in (0, -dim)
        and ends[where[0]] >= dim
        and (steps is None or steps[where[0]] == 1)
    )
    if not whole:
        raise walk.lost(node, "it takes samples out of the batch")
    walk.patch(node, 1, where[0], walk.emit.constant([0]))
    walk.patch(node, 2, where[0], walk.emit.constant([_END]))
    return axis


def _concat(walk: Freeing, node: ir.Node) -> int:
    like, _ = walk.first(node)
    found = {walk.at[v] for v in node.inputs if v is not None and v in walk.at}
    if len(found) != 1:
        raise walk.lost(node, "its operands hold the batch along different axes")
    axis = _own_axis(walk, node)
    for i, value in enumerate(node.inputs):
        if value is not None and value not in walk.fed:
            walk.repeated(node, i, axis, like)
    return axis


def _gather(walk: Freeing, node: ir.Node) -> int | None:
    data, indices = node.inputs[0], node.inputs[1]
    assert data is not None
    assert indices is not None
    own = integer(node, "axis", 0) % max(len(walk.shape(data, node)), 1)
    if indices in walk.at:
        if data in walk.at:
            raise walk.lost(node, "both what is looked up and where hold the batch")
        return own + walk.at[indices]
    axis = walk.at[data]
    if own != axis:
        return moved(node, axis)
    chosen = constant_integers(indices)
    if walk.size == 1 and chosen == (0,) and walk.merged(data) == 1:
        after = walk.shape(node.outputs[0], node)
        if len(after) == len(walk.shape(data, node)):
            walk.become(node, "Identity", data)
            return axis
        return _without_batch(walk, node, [], explicit=True, after=after)
    raise walk.lost(node, "it takes samples out of the batch")


def _pad(walk: Freeing, node: ir.Node) -> int:
    value, axis = walk.first(node)
    pads = constant_integers(node.inputs[1]) if len(node.inputs) > 1 else None
    given = node.inputs[3] if len(node.inputs) > 3 else None
    rank = len(walk.shape(value, node))
    axes = constant_integers(given) if given is not None else tuple(range(rank))
    if pads is not None and axes is not None:
        for i, a in enumerate(axes):
            if a % rank == axis and (pads[i] or pads[i + len(axes)]):
                raise walk.lost(node, "it pads the batch")
    return axis


def _tile(walk: Freeing, node: ir.Node) -> int:
    _, axis = walk.first(node)
    repeats = constant_integers(node.inputs[1])
    if repeats is not None and repeats[axis] != 1:
        raise walk.lost(node, "it repeats the batch")
    return axis


def _resize(walk: Freeing, node: ir.Node) -> int:
    value, axis = walk.first(node)
    sizes = node.inputs[3] if len(node.inputs) > 3 else None
    numbers = constant_integers(sizes)
    listed = node.attributes.get("axes")
    order = list(listed.as_ints()) if listed is not None else list(range(len(numbers or ())))
    rank = len(walk.shape(value, node))
    order = [a % rank for a in order]
    if numbers is not None and axis in order:
        walk.patch(node, 3, order.index(axis), walk.length(value, axis))
    return axis


def _recurrent(walk: Freeing, node: ir.Node) -> None:
    value = node.inputs[0]
    batch_first = integer(node, "layout", 0)
    expected = 0 if batch_first else 1
    if value is None or walk.at.get(value) != expected:
        raise walk.lost(node, f"its input does not hold the batch at axis {expected}")
    for i, axis in ((4, 0), (5, expected), (6, expected)):
        state = node.inputs[i] if len(node.inputs) > i else None
        if state is not None and state not in walk.fed:
            walk.repeated(node, i, axis, value)
    for output, axis in zip(node.outputs, (0, 0, 0) if batch_first else (2, 1, 1), strict=False):
        if output in walk.before:
            walk.at[output] = axis


def _one_hot(walk: Freeing, node: ir.Node) -> int:
    _, axis = walk.first(node)
    new = integer(node, "axis", -1) % len(walk.shape(node.outputs[0], node))
    return axis + (new <= axis)


def _einsum(walk: Freeing, node: ir.Node) -> int:
    equation = node.attributes["equation"].as_string().replace(" ", "")
    if "..." in equation or "->" not in equation:
        return _unknown(walk, node)
    terms, result = equation.split("->")
    letters = {
        term[walk.at[v]]
        for v, term in zip(node.inputs, terms.split(","), strict=True)
        if v is not None and v in walk.at
    }
    letter = letters.pop()
    if letters or letter not in result:
        raise walk.lost(node, "it sums over the batch")
    return result.index(letter)


_LEADING = (
    CONVOLUTIONS
    | POOLS
    | {"BatchNormalization", "InstanceNormalization", "GroupNormalization", "DepthToSpace"}
    | {"SpaceToDepth", "GridSample", "Col2Im", "ConvInteger", "QLinearConv"}
)
_MOVED = REDUCTIONS | {"Transpose", "ArgMax", "ArgMin"}
_OWN_AXIS = SOFTMAXES | {"Split", "TopK", "LpNormalization"}

_RULES: dict[str, Rule] = {
    **dict.fromkeys(POINTWISE, _elementwise),
    **dict.fromkeys(_LEADING, _leading),
    **dict.fromkeys(_MOVED, _moved),
    **dict.fromkeys(_OWN_AXIS, _own_axis),
    **dict.fromkeys(RECURRENT, _recurrent),
    "Shape": _nothing,
    "Size": _nothing,
    "LayerNormalization": _layer_normalization,
    "RMSNormalization": _layer_normalization,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Expand": _expand,
    "Slice": _slice,
    "Concat": _concat,
    "Gather": _gather,
    "Pad": _pad,
    "Tile": _tile,
    "Resize": _resize,
    "OneHot": _one_hot,
    "Einsum": _einsum,
}
