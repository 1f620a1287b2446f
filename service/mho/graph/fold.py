"""Shape arithmetic is computed once: what it comes to is known, or known in part.

Exporters write ``Reshape(x, Concat(Gather(Shape(x), 0), 12, 64))`` as a dozen nodes. Here each
small tensor carries the elements that are known; a node whose result is wholly known becomes an
initialiser of the same name. Only listed operators are computed, only on small tensors, and the
size of a result is known before it is computed, so that a hostile model costs nothing.

A dimension that may be the batch is never taken as known, even where the model has it fixed, so
that a model that reads its batch from Shape keeps doing so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from mho.graph.flow import fed_values, integer
from mho.types import Array, BoolArray

MAX_ELEMENTS = 1024
"""Tensors beyond this are no shape arithmetic and stay as they are."""

_MAX_RANK = 8


@dataclass(frozen=True)
class _Partial:
    """A small tensor: ``array``, and which of its elements are known (same shape)."""

    array: Array
    known: BoolArray

    @property
    def complete(self) -> bool:
        return bool(self.known.all())


def fold(model: ir.Model) -> int:
    """Replace nodes of the main graph whose result is known by initialisers; how many there were.

    Shapes must have been inferred. In place. Nodes that have become unused are left.
    """
    graph = model.graph
    baked = _baked_batch(graph)
    fed = fed_values(graph)
    found: dict[ir.Value, _Partial] = {}
    for value in graph.initializers.values():
        tensor = value.const_value
        if tensor is not None and tensor.size <= MAX_ELEMENTS and _numeric(tensor.dtype):
            array = tensor.numpy().copy()  # of a file that is mapped
            found[value] = _Partial(array, np.ones(array.shape, dtype=bool))
    count = 0
    for node in list(graph):
        if node.domain != "" or len(node.outputs) != 1:
            continue
        result = _computed(node, found, fed, baked)
        if result is None or result.array.size > MAX_ELEMENTS:
            continue
        output = node.outputs[0]
        found[output] = result
        if result.complete and not output.is_graph_output() and node.inputs:
            _replace(graph, node, result.array)
            found[graph.initializers[output.name or ""]] = result
            count += 1
    return count


def _baked_batch(graph: ir.Graph) -> int | None:
    """The leading dimension of the first input where it is fixed."""
    for value in graph.inputs:
        if value.shape is not None and len(value.shape) > 0:
            first = value.shape[0]
            return first if isinstance(first, int) else None
    return None


def _replace(graph: ir.Graph, node: ir.Node, array: Array) -> None:
    old = node.outputs[0]
    name = old.name or ""
    tensor = ir.tensor(np.ascontiguousarray(array).reshape(array.shape), name=name)
    value = ir.Value(
        name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor
    )
    old.replace_all_uses_with(value)
    graph.remove(node, safe=True)
    graph.register_initializer(value)


def _numeric(dtype: ir.DataType) -> bool:
    return dtype in (
        ir.DataType.INT64,
        ir.DataType.INT32,
        ir.DataType.FLOAT,
        ir.DataType.DOUBLE,
        ir.DataType.BOOL,
    )


def _computed(
    node: ir.Node, found: dict[ir.Value, _Partial], fed: set[ir.Value], baked: int | None
) -> _Partial | None:
    if node.op_type in ("Shape", "Size"):
        return _shape(node, fed, baked)
    rule = _RULES.get(node.op_type)
    if rule is None or not node.inputs:
        return None
    operands: list[_Partial | None] = []
    for value in node.inputs:
        if value is None:
            operands.append(None)
        elif value in found:
            operands.append(found[value])
        else:
            return None
    try:
        with np.errstate(all="ignore"):
            result = rule(node, operands)
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, AssertionError):
        return None  # what makes no sense is left for the runtime to refuse
    declared = node.outputs[0].dtype
    if result is None or result.array.ndim > _MAX_RANK:
        return None
    if declared is not None and declared.numpy() != result.array.dtype:
        return None
    return result


def _shape(node: ir.Node, fed: set[ir.Value], baked: int | None) -> _Partial | None:
    source = node.inputs[0]
    if source is None or source.shape is None:
        return None
    dims = list(source.shape)
    known = []
    for i, dim in enumerate(dims):
        maybe_batch = source in fed and baked is not None and (i == 0 or dim == baked)
        known.append(isinstance(dim, int) and not maybe_batch)
    numbers = [int(dim) if isinstance(dim, int) else -1 for dim in dims]
    if node.op_type == "Size":
        if not all(known):
            return None
        return _Partial(np.asarray(int(np.prod(numbers)), np.int64), np.asarray(True))
    start, end = integer(node, "start", 0), integer(node, "end", len(dims))
    return _Partial(
        np.asarray(numbers[start:end], np.int64), np.asarray(known[start:end], dtype=bool)
    )


# ---- rules: (node, operands) -> result; an operand is None where it is left out ----

_Rule = Callable[[ir.Node, list[_Partial | None]], _Partial | None]


def _moving(move: Callable[[ir.Node, Array, list[Array]], Array]) -> _Rule:
    """An operator that only moves elements: the same move on elements and on knowledge."""

    def rule(node: ir.Node, operands: list[_Partial | None]) -> _Partial | None:
        first, *rest = operands
        if first is None or any(o is not None and not o.complete for o in rest):
            return None
        extra = [o.array for o in rest if o is not None]
        return _Partial(move(node, first.array, extra), move(node, first.known, extra))

    return rule


def _pointwise(function: Callable[..., Array]) -> _Rule:
    """An operator on one element of each operand."""

    def rule(_node: ir.Node, operands: list[_Partial | None]) -> _Partial | None:
        given = [operand for operand in operands if operand is not None]
        if int(np.prod(np.broadcast_shapes(*(o.array.shape for o in given)))) > MAX_ELEMENTS:
            return None
        array = np.asarray(function(*(o.array for o in given)))
        known = given[0].known
        for operand in given[1:]:
            known = known & operand.known
        return _Partial(array, np.broadcast_to(known, array.shape))

    return rule


def _reducing(function: Callable[..., Array]) -> _Rule:
    def rule(node: ir.Node, operands: list[_Partial | None]) -> _Partial | None:
        data = operands[0]
        if data is None or not data.complete:
            return None
        given = operands[1] if len(operands) > 1 else None
        listed = node.attributes.get("axes")
        axes: tuple[int, ...] | None = None
        if given is not None:
            axes = tuple(int(a) for a in given.array)
        elif listed is not None:
            axes = tuple(listed.as_ints())
        if not axes and integer(node, "noop_with_empty_axes", 0):
            return data
        keep = bool(integer(node, "keepdims", 1))
        array = function(data.array, axis=axes or None, keepdims=keep).astype(data.array.dtype)
        return _Partial(array, np.ones(array.shape, dtype=bool))

    return rule


def _same(_node: ir.Node, data: Array, _rest: list[Array]) -> Array:
    return data


def _gather(node: ir.Node, data: Array, rest: list[Array]) -> Array:
    if data.size * max(rest[0].size, 1) > MAX_ELEMENTS * MAX_ELEMENTS:
        raise ValueError("too large")
    return np.take(data, rest[0], axis=integer(node, "axis", 0))


def _slice(node: ir.Node, data: Array, rest: list[Array]) -> Array:
    if any(value is None for value in node.inputs):
        raise ValueError("optional inputs in the middle")
    starts, ends = rest[0], rest[1]
    axes = rest[2] if len(rest) > 2 else np.arange(len(starts))
    steps = rest[3] if len(rest) > 3 else np.ones(len(starts), np.int64)
    where = [slice(None)] * data.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        where[int(axis)] = slice(int(start), int(end), int(step))
    return data[tuple(where)]


def _squeeze(node: ir.Node, data: Array, rest: list[Array]) -> Array:
    axes = tuple(int(a) for a in rest[0]) if rest else _ints(node, "axes")
    return np.squeeze(data, axis=axes)


def _unsqueeze(node: ir.Node, data: Array, rest: list[Array]) -> Array:
    axes = tuple(int(a) for a in rest[0]) if rest else _ints(node, "axes")
    return data if axes is None else np.expand_dims(data, axes)


def _ints(node: ir.Node, name: str) -> tuple[int, ...] | None:
    attribute = node.attributes.get(name)
    return None if attribute is None else tuple(attribute.as_ints())


def _reshape(node: ir.Node, data: Array, rest: list[Array]) -> Array:
    target = [int(d) for d in rest[0]]
    if not integer(node, "allowzero", 0):
        target = [data.shape[i] if d == 0 else d for i, d in enumerate(target)]
    return data.reshape(target)


def _transpose(node: ir.Node, data: Array, _rest: list[Array]) -> Array:
    return np.transpose(data, _ints(node, "perm"))


def _cast(node: ir.Node, operands: list[_Partial | None]) -> _Partial | None:
    dtype = ir.DataType(integer(node, "to", 0))
    data = operands[0]
    if data is None or not _numeric(dtype):
        return None
    return _Partial(data.array.astype(dtype.numpy()), data.known)


def _concat(node: ir.Node, operands: list[_Partial | None]) -> _Partial | None:
    given = [o for o in operands if o is not None]
    if sum(o.array.size for o in given) > MAX_ELEMENTS:
        return None
    axis = integer(node, "axis", 0)
    return _Partial(
        np.concatenate([o.array for o in given], axis=axis),
        np.concatenate([o.known for o in given], axis=axis),
    )


def _range(_node: ir.Node, operands: list[_Partial | None]) -> _Partial | None:
    bounds = [o.array.reshape(()).item() for o in operands if o is not None and o.complete]
    first = operands[0]
    if len(bounds) != 3 or first is None or bounds[2] == 0:
        return None
    if (bounds[1] - bounds[0]) / bounds[2] > MAX_ELEMENTS:
        return None
    array = np.arange(*bounds, dtype=first.array.dtype)
    return _Partial(array, np.ones(array.shape, dtype=bool))


def _expand(_node: ir.Node, operands: list[_Partial | None]) -> _Partial | None:
    data, shape = operands[0], operands[1]
    if data is None or shape is None or not shape.complete:
        return None
    target = np.broadcast_shapes(data.array.shape, tuple(int(d) for d in shape.array))
    if np.prod([float(d) for d in target]) > MAX_ELEMENTS:
        return None
    return _Partial(np.broadcast_to(data.array, target), np.broadcast_to(data.known, target))


def _constant_of_shape(node: ir.Node, operands: list[_Partial | None]) -> _Partial | None:
    shape = operands[0]
    if shape is None or not shape.complete:
        return None
    target = [int(d) for d in shape.array]
    if any(d < 0 for d in target) or np.prod([float(d) for d in target]) > MAX_ELEMENTS:
        return None
    attribute = node.attributes.get("value")
    fill = np.zeros(1, np.float32) if attribute is None else attribute.as_tensor().numpy()
    if fill.dtype.kind == "f":
        return None  # weights and states, not shapes
    array = np.full(target, fill.reshape(-1)[0], dtype=fill.dtype)
    return _Partial(array, np.ones(array.shape, dtype=bool))


def _divide(a: Array, b: Array) -> Array:
    if a.dtype.kind == "f":
        return np.asarray(a / b)
    if np.any(b == 0):
        raise ValueError("division by zero")
    return np.asarray(np.trunc(a / b)).astype(a.dtype)


def _modulo(a: Array, b: Array) -> Array:
    if np.any(b == 0):
        raise ValueError("division by zero")
    return np.asarray(np.mod(a, b))


_RULES: dict[str, _Rule] = {
    # moving
    "Identity": _moving(_same),
    "Gather": _moving(_gather),
    "Slice": _moving(_slice),
    "Squeeze": _moving(_squeeze),
    "Unsqueeze": _moving(_unsqueeze),
    "Reshape": _moving(_reshape),
    "Transpose": _moving(_transpose),
    "Concat": _concat,
    "Cast": _cast,
    # making
    "Range": _range,
    "Expand": _expand,
    "ConstantOfShape": _constant_of_shape,
    # computing
    "Add": _pointwise(np.add),
    "Sub": _pointwise(np.subtract),
    "Mul": _pointwise(np.multiply),
    "Div": _pointwise(_divide),
    "Neg": _pointwise(np.negative),
    "Abs": _pointwise(np.abs),
    "Floor": _pointwise(np.floor),
    "Ceil": _pointwise(np.ceil),
    "Sqrt": _pointwise(np.sqrt),
    "Equal": _pointwise(np.equal),
    "Less": _pointwise(np.less),
    "Greater": _pointwise(np.greater),
    "LessOrEqual": _pointwise(np.less_equal),
    "GreaterOrEqual": _pointwise(np.greater_equal),
    "And": _pointwise(np.logical_and),
    "Or": _pointwise(np.logical_or),
    "Not": _pointwise(np.logical_not),
    "Where": _pointwise(np.where),
    "Mod": _pointwise(_modulo),
    # reducing
    "ReduceProd": _reducing(np.prod),
    "ReduceSum": _reducing(np.sum),
    "ReduceMax": _reducing(np.max),
    "ReduceMin": _reducing(np.min),
}
