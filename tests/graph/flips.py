"""Where a network bends: which choices of ReLUs and pools float32 makes otherwise than float64.

A gradient is not continuous there, so one flip changes it by more than rounding does.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper

from graph.vjp_case import run_onnxruntime
from mho.graph.flow import axes_of

_AT_ZERO = (
    "Relu",
    "LeakyRelu",
    "PRelu",
    "Elu",
    "Celu",
    "Selu",
    "ThresholdedRelu",
    "Abs",
    "Softsign",
)


def bends(nodes: Iterable[ir.Node]) -> list[ir.Node]:
    """The nodes whose gradient is not continuous in their first input."""
    known = (*_AT_ZERO, "HardSwish", "HardSigmoid", "Clip", "MaxPool", "ReduceMax", "GlobalMaxPool")
    return [node for node in nodes if node.op_type in known]


def flips(node: ir.Node, single: np.ndarray, double: np.ndarray) -> int:
    """How many choices of ``node`` differ between its first input in float32 and in float64."""
    if node.op_type == "MaxPool":
        return _differing(_indices(node, single), _indices(node, double))
    if node.op_type in ("ReduceMax", "GlobalMaxPool"):
        axes = axes_of(node) if node.op_type == "ReduceMax" else tuple(range(2, single.ndim))
        return _differing(_largest(single, axes), _largest(double, axes))
    return sum(_differing(single > at, double > at) for at in _thresholds(node))


def _thresholds(node: ir.Node) -> list[float]:
    if node.op_type in _AT_ZERO:
        return [0.0]
    if node.op_type == "HardSwish":
        return [-3.0, 3.0]
    if node.op_type == "HardSigmoid":
        alpha, beta = (
            node.attributes[name].as_float() if name in node.attributes else default
            for name, default in (("alpha", 0.2), ("beta", 0.5))
        )
        return [-beta / alpha, (1 - beta) / alpha]
    limits = [v.const_value for v in node.inputs[1:] if v is not None]
    return [float(tensor.numpy()) for tensor in limits if tensor is not None]


def _largest(array: np.ndarray, axes: tuple[int, ...] | None) -> np.ndarray:
    return array == array.max(axis=axes or None, keepdims=True)


def _indices(node: ir.Node, array: np.ndarray) -> np.ndarray:
    """What MaxPool says of where its maxima lie."""
    element = helper.np_dtype_to_tensor_dtype(array.dtype)
    pool = ir.to_proto(node)
    pool.input[:], pool.output[:] = ["x"], ["y", "i"]
    graph = helper.make_graph(
        [pool],
        "pool",
        [helper.make_tensor_value_info("x", element, list(array.shape))],
        [onnx.ValueInfoProto(name=name) for name in ("y", "i")],
    )
    model = helper.make_model(
        onnx.shape_inference.infer_shapes(
            helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
        ).graph,
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    return np.asarray(run_onnxruntime(model, {"x": array})[1])


def _differing(first: np.ndarray, second: np.ndarray) -> int:
    return int((first != second).sum())
