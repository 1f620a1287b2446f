"""How long operators take for one row, as far as shapes can tell."""

from __future__ import annotations

import math

import onnx_ir as ir

from mho.graph.families import DENSE, PRODUCTS, RECURRENT
from mho.graph.flow import dims

_UNKNOWN_DIM = 64
"""What an unknown dimension other than the batch is taken for."""
_PRODUCTS_A_SECOND = 1.2e11
_BYTES_A_SECOND = 2.5e10
"""Of one thread: multiply-adds of convolutions, and bytes of activations read or written. Only the
ratio of the two matters to where a model is cut; a machine's own figures are within a factor of two
of it."""
_CONVOLUTIONS = {"Conv", "FusedConv", "ConvInteger", "QLinearConv"}


def seconds(node: ir.Node) -> float:
    """An estimate for one row on one thread; what is inside subgraphs is not counted."""
    moved = sum(row_bytes(value) for value in (*node.inputs, *node.outputs) if value is not None)
    return _multiplications(node) / _PRODUCTS_A_SECOND + moved / _BYTES_A_SECOND


def row_bytes(value: ir.Value) -> int:
    """Bytes of an activation for one row; nothing for weights."""
    if value.is_initializer() or value.const_value is not None:
        return 0
    itemsize = 4.0 if value.dtype in (None, ir.DataType.STRING) else value.dtype.itemsize
    return int(_elements(value) * itemsize)


def _multiplications(node: ir.Node) -> float:
    """Multiply-adds of the operators that are mostly made of them."""
    weight = node.inputs[1] if len(node.inputs) > 1 else None
    if node.op_type == "QLinearConv":
        weight = node.inputs[3]
    if weight is None or not node.outputs:
        return 0.0
    shape, out = dims(weight), dims(node.outputs[0])
    if shape is None or out is None:
        return 0.0
    size = math.prod(_length(dim) for dim in shape)
    if node.op_type in _CONVOLUTIONS:
        return size * math.prod(_length(dim) for dim in out[2:])
    if node.op_type == "ConvTranspose":
        given = dims(node.inputs[0]) if node.inputs[0] is not None else None
        return size * math.prod(_length(dim) for dim in (given or ())[2:])
    if node.op_type in RECURRENT:
        recurrent = dims(node.inputs[2]) if node.inputs[2] is not None else None
        both = size + math.prod(_length(dim) for dim in recurrent or (0,))
        return both * _length(out[0])
    if node.op_type in DENSE:
        return float(size)
    if node.op_type in PRODUCTS and len(shape) > 1:
        return _elements(node.outputs[0]) * _length(shape[-2])
    return 0.0


def _elements(value: ir.Value) -> float:
    """Of one row: the leading axis is taken for the batch."""
    shape = dims(value)
    return 0.0 if not shape else float(math.prod(_length(dim) for dim in shape[1:]))


def _length(dim: int | str | None) -> int:
    return dim if isinstance(dim, int) else _UNKNOWN_DIM
