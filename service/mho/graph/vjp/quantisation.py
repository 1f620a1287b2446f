"""Derivatives across quantisation, straight through: as if nothing were rounded.

What lies outside the range that can be represented is clipped, and has the gradient zero; what is
rounded into the range lies inside (as torch's fake quantisation has it).
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from mho.graph.flow import dims, integer
from mho.graph.rule import PERTURBED, Call, known_rank, refuse, rule
from mho.graph.term import Term
from mho.types import Array

_MICROSOFT = "com.microsoft"
_SINGLE = ((), (1,))
"""Shapes of a scale for the whole tensor."""


def _quantize(at: Call) -> Term:
    x, scale = at.x, _aligned(at, 1).cast(at.x)
    low, high = _range(at)
    inside = (x >= low).op("And", x <= high)
    return at.dy.cast(x) / scale * inside.cast(x)


def _range(at: Call) -> tuple[Term, Term]:
    """The least and the largest number that is not clipped, per tensor or per channel."""
    integers = _stored(at.node)
    half = 0.5 if integers.is_integer() else 0.0
    least, most = float(integers.min) - half, float(integers.max) + half
    scale, zero = _known(at, 1), _known(at, 2) if at.has(2) else np.zeros(())
    if scale is not None and zero is not None:
        ends = ((end - zero.astype(np.float64)) * scale for end in (least, most))
        low, high = (at.constant(end, at.x) for end in ends)
        return low, high
    factor = _aligned(at, 1).cast(at.x)
    offset = _aligned(at, 2).op("Cast", to=at.x.dtype) if at.has(2) else at.x.number(0)
    return (least - offset) * factor, (most - offset) * factor


def _dequantize(at: Call) -> Term:
    return at.dy * _aligned(at, 1).cast(at.dy)


def _stored(node: ir.Node) -> ir.DataType:
    """The type of the quantised numbers."""
    zero = node.inputs[2] if len(node.inputs) > 2 else None
    return node.outputs[0].dtype or (zero and zero.dtype) or ir.DataType.UINT8


def _aligned(at: Call, position: int) -> Term:
    """A scale or a zero point, broadcast along its axis."""
    given = at.input(position)
    return given if given.dims == () else given.reshape(_alignment(at))


def _known(at: Call, position: int) -> Array | None:
    tensor = at.input(position).value.const_value
    return None if tensor is None else tensor.numpy().reshape(_alignment(at))


def _alignment(at: Call) -> list[int]:
    if at.input(1).dims in _SINGLE:
        return []
    axis = at.integer("axis", 1)
    return [-1] + [1] * (-axis - 1 if axis < 0 else at.rank() - axis - 1)


def _unclear(node: ir.Node) -> str:
    scale = node.inputs[1]
    assert scale is not None
    if integer(node, "block_size", 0):
        return "it has a scale for every block"
    if dims(scale) is None:
        return "the shape of its scale is not known"
    return "" if dims(scale) in _SINGLE else known_rank(0)(node)


for _domain in ("", _MICROSOFT):
    rule("QuantizeLinear", _quantize, domain=_domain, refusal=_unclear, quantised=True)
    rule("DequantizeLinear", _dequantize, domain=_domain, refusal=_unclear, quantised=True)

# computed with quantised numbers

refuse(
    f"its scale follows from the numbers that it quantises; {PERTURBED}", "DynamicQuantizeLinear"
)
_COMPUTES = f"it computes with quantised numbers; {PERTURBED}"
refuse(_COMPUTES, "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger")
refuse(
    _COMPUTES,
    *("QLinearAdd", "QLinearMul", "QLinearConv", "QLinearConcat", "QLinearWhere", "QGemm"),
    *("QLinearAveragePool", "QLinearGlobalAveragePool", "QLinearReduceMean"),
    *("QLinearLeakyRelu", "QLinearSigmoid", "QLinearSoftmax", "QAttention", "QOrderedMatMul"),
    *("MatMulIntegerToFloat", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"),
    *("MatMulNBits", "MatMulBnb4", "MatMulFpQ4", "GatherBlockQuantized", "QMoE"),
    domain=_MICROSOFT,
)
