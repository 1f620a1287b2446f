"""Which numbers elementwise operators turn into given ones, found in float64.

Between the weights of a unit and the tensor in which it is removed lie operators such as
Sigmoid, a scale, or a GELU in eight nodes. For one unit they are a function of one number, whose
semantics are those of onnx's reference implementation. Nothing is assumed of its shape: it may be
flat, or rise and fall (GELU, SiLU), or jump; what is found is tried before it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper, numpy_helper

from mho.graph.flow import dims, is_float
from mho.graph.weights import NotHeld, constant
from mho.types import Array, FloatArray

Function = Callable[[FloatArray], FloatArray]
"""``(points, units)`` -> the same shape: the operators, applied to each unit's own numbers."""

_FLOATS = {
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.BFLOAT16,
    onnx.TensorProto.DOUBLE,
}
_MAGNITUDES = np.logspace(-6, 6, 193)
_GRID = np.concatenate([-_MAGNITUDES[::-1], [0.0], _MAGNITUDES])
_ZOOMS, _PARTS = 14, 32
"""Each zoom divides what is left by 16 at least: 16^14 is beyond the precision of float64."""


@dataclass(frozen=True)
class Region:
    """Elementwise nodes, in the order of the graph, through which ``sources`` become ``value``."""

    value: ir.Value
    sources: tuple[ir.Value, ...]
    nodes: tuple[ir.Node, ...]


@np.errstate(all="ignore")
def preimage(function: Function, wanted: FloatArray, stored: np.dtype) -> FloatArray:
    """``(units,)`` numbers, as ``stored`` can hold them, that ``function`` turns into ``wanted``.

    Of several the one nearest to zero. NaN where there is none within a few roundings of
    ``wanted``.
    """
    eps = _precision(stored)
    within = 16 * eps * np.abs(wanted) + (1e-7 if eps < 1e-5 else 1e-4)
    found = np.full(len(wanted), np.nan)
    # The number itself, for Relu and Clip give it back; then zero, which every weight can be.
    for tried in (wanted, np.zeros_like(wanted)):
        tried = _rounded(tried, stored)
        hit = np.isnan(found) & (_distance(function, tried[None], wanted)[0] <= within)
        found[hit] = tried[hit]
    if not np.isnan(found).any():
        return found
    points = np.repeat(_GRID[:, None], len(wanted), axis=1)
    for _ in range(_ZOOMS):
        low, high = _bracket(points, function(points) - wanted)
        points = low + (high - low) * np.linspace(0.0, 1.0, _PARTS + 1)[:, None]
        points[-1] = high
    points = _rounded(points, stored)
    distance = _distance(function, points, wanted)
    best = np.argmin(distance, axis=0)
    unit = np.arange(len(wanted))
    hit = np.isnan(found) & (distance[best, unit] <= within)
    found[hit] = points[best, unit][hit]
    return found


def _precision(stored: np.dtype) -> float:
    """The distance from 1 to the next number; NumPy tells it for its own types only."""
    eps = 1.0
    while float(np.asarray(1.0 + eps / 2).astype(stored)) != 1.0:
        eps /= 2
    return eps


def _rounded(points: FloatArray, stored: np.dtype) -> FloatArray:
    return points.astype(stored).astype(np.float64)


def _distance(function: Function, points: FloatArray, wanted: FloatArray) -> FloatArray:
    """How far the results lie from ``wanted``; infinitely far where a point is no number."""
    off = np.abs(function(points) - wanted)
    return np.where(np.isfinite(off) & np.isfinite(points), off, np.inf)


def _bracket(points: FloatArray, off: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Ends ``(units,)`` of the interval to look into: the one nearest to zero in which ``off``
    changes its sign, or else the surroundings of the smallest."""
    unit = np.arange(points.shape[1])
    finite, sign = np.isfinite(off), np.sign(off)
    changes = finite[:-1] & finite[1:] & (sign[:-1] * sign[1:] <= 0)
    far = np.maximum(np.abs(points[:-1]), np.abs(points[1:]))
    at = np.argmin(np.where(changes, far, np.inf), axis=0)
    least = np.argmin(np.where(np.isfinite(off), np.abs(off), np.inf), axis=0)
    crossed = changes.any(axis=0)
    low = np.where(crossed, at, np.maximum(least - 1, 0))
    high = np.where(crossed, at + 1, np.minimum(least + 1, len(points) - 1))
    return points[low, unit], points[high, unit]


def function_of(
    region: Region, free: ir.Value, fixed: float, axis: int, units: Sequence[int], opset: int
) -> Function:
    """The region as a function of what ``free`` holds for ``units``; all other sources hold
    ``fixed``.

    axis: of the units in ``region.value``, whose rank all sources have. NotHeld where a constant
    differs between positions, or the reference implementation does not serve an operator.
    """
    from onnx.reference import ReferenceEvaluator  # takes a while to import

    shape = dims(region.value)
    assert shape is not None
    constants = {}
    for node in region.nodes:
        for value in node.inputs:
            inside = value is None or value.producer() in region.nodes or value in region.sources
            if not inside:
                assert value is not None
                constants[value.name] = _for_units(constant(value), axis, len(shape), units, shape)
    graph = helper.make_graph(
        [_in_double(node) for node in region.nodes],
        "region",
        [_double(value) for value in region.sources],
        [_double(region.value)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    try:
        evaluator = ReferenceEvaluator(model)
    except Exception as error:  # whatever it cannot do is no reason to fail
        raise NotHeld(_not_computed(region, error)) from error

    def function(points: FloatArray) -> FloatArray:
        spread = [1] * len(shape)
        spread[0], spread[axis] = points.shape
        fed: dict[str, FloatArray] = {
            value.name or "": points.reshape(spread)
            if value is free
            else np.full(spread, fixed, dtype=np.float64)
            for value in region.sources
        }
        try:
            results = evaluator.run(None, fed)
            assert isinstance(results, list)
            found = np.asarray(results[0])
        except Exception as error:  # as above
            raise NotHeld(_not_computed(region, error)) from error
        if list(found.shape) != spread:
            raise NotHeld(
                f"a constant between '{free.name}' and '{region.value.name}' differs between "
                "positions"
            )
        return found.astype(np.float64).reshape(points.shape)

    return function


def _for_units(
    array: Array, axis: int, rank: int, units: Sequence[int], shape: Sequence[object]
) -> Array:
    """A constant as it broadcasts to ``units`` alone, floats in float64."""
    at = axis - (rank - array.ndim)
    if 0 <= at < array.ndim and array.shape[at] == shape[axis]:
        array = np.take(array, units, axis=at)
    exact = array.dtype.kind in "biuOSU"
    return array if exact else array.astype(np.float64)


def _in_double(node: ir.Node) -> onnx.NodeProto:
    proto = ir.to_proto(node)
    if node.op_type == "Cast":
        for attribute in proto.attribute:
            if attribute.name == "to" and attribute.i in _FLOATS:
                attribute.i = onnx.TensorProto.DOUBLE
    return proto


def _double(value: ir.Value) -> onnx.ValueInfoProto:
    if value.dtype is not None and not is_float(value):
        raise NotHeld(f"tensor '{value.name}' holds no floating-point numbers")
    return helper.make_tensor_value_info(value.name or "", onnx.TensorProto.DOUBLE, None)


def _not_computed(region: Region, error: Exception) -> str:
    names = ", ".join(dict.fromkeys(node.op_type for node in region.nodes))
    return f"what {names} before '{region.value.name}' come to cannot be computed ({error})"
