"""Numbers of few bits that stand for real ones: what quantisation makes, and what is made of that.

The gradient with respect to such a tensor is a float tensor: with respect to the numbers that it
holds, as if they were real. Only a rule that says that it is ``quantised`` takes and gives it.
"""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from mho.graph.flow import is_float

_MAKERS = ("QuantizeLinear", "DynamicQuantizeLinear")
_PLACES_AND_FLAGS = (ir.DataType.INT64, ir.DataType.BOOL, ir.DataType.STRING)


def quantised(nodes: Iterable[ir.Node]) -> set[ir.Value]:
    """The tensors of that kind that ``nodes``, which are in order, make."""
    found: set[ir.Value] = set()
    for node in nodes:
        if node.op_type in _MAKERS or any(value in found for value in node.inputs if value):
            found.update(output for output in node.outputs if _few_bits(output))
    return found


def _few_bits(value: ir.Value) -> bool:
    return value.dtype is not None and value.dtype not in _PLACES_AND_FLAGS and not is_float(value)
