"""What one unit adds to the output of the linear operator that reads its layer.

Where a layer is read by one Conv, Gemm or MatMul with constant weights and by nothing else, moving
a single unit changes that operator's output by its response to the unit's own step, which takes one
``units``-th of the work: an outer product instead of a convolution over all channels. The chords of
such a layer are run from behind the operator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from mho.evaluation import Layer
from mho.graph.emit import Emitter, tensor_named
from mho.graph.flow import integer
from mho.graph.model import Model
from mho.types import Array

_MOST_WEIGHTS = 64 * 1024 * 1024
"""Bytes of rearranged weights beyond which the saving is not worth the memory."""
_WINDOW = ("strides", "pads", "dilations", "auto_pad")


@dataclass(frozen=True)
class Reader:
    """The linear operator behind a layer.

    output: its output tensor. weights: ``(units, outputs, taps)``, what each unit is multiplied by.
    kernel, attributes: of a convolution; empty for Gemm and MatMul.
    """

    output: str
    weights: Array
    kernel: tuple[int, ...] = ()
    attributes: tuple[tuple[str, Any], ...] = ()


def reader(model: Model, layer: Layer) -> Reader | None:
    """The linear operator that alone reads ``layer``; None where there is none that can be used."""
    value = tensor_named(model.graph, layer.name)
    uses = list(value.uses())
    if len(uses) != 1 or value.is_graph_output() or value.dtype != ir.DataType.FLOAT:
        return None
    node, position = uses[0]
    own = node.domain in ("", "ai.onnx") and node.graph is model.graph
    if position != 0 or not own or node.outputs[0].shape is None:
        return None
    if any(v is not None and v.const_value is None for v in node.inputs[1:]):
        return None  # what moves with the bias would be missed
    weights = _constant(node, 1)
    if weights is None or weights.nbytes > _MOST_WEIGHTS:
        return None
    output = node.outputs[0].name or ""
    if node.op_type == "Conv" and layer.axis == 1:
        return _convolution(node, weights, layer, output)
    if node.op_type == "MatMul" and layer.axis == len(layer.shape) - 1 and weights.ndim == 2:
        return Reader(output, weights[:, :, None])
    if node.op_type == "Gemm" and layer.axis == 1 and not integer(node, "transA", 0):
        oriented = weights.T if integer(node, "transB", 0) else weights
        scale = node.attributes["alpha"].as_float() if "alpha" in node.attributes else 1.0
        return Reader(output, (scale * oriented).astype(np.float32)[:, :, None])
    return None


def response(
    emit: Emitter, found: Reader, layer: Layer, step: ir.Value, place: ir.Value, unit: ir.Value
) -> ir.Value:
    """``(pairs, ...)``, shaped like the operator's output: what ``step`` of the pair's unit adds.

    step: ``(intervals, ...)`` of the layer. place: ``(pairs, 2)``, interval and unit. unit:
    ``(pairs,)``.
    """
    table = emit.constant(found.weights)
    weights = emit.op("Gather", table, unit, axis=0)  # (pairs, outputs, taps)
    if layer.axis != 1:
        order = [0, layer.axis, *[i for i in range(1, len(layer.shape)) if i != layer.axis]]
        step = emit.op("Transpose", step, perm=order)
    own = emit.op("GatherND", step, place)  # (pairs, *positions)
    if not found.kernel:
        # (pairs, *positions, 1) times (pairs, 1.., outputs)
        positions = emit.op("Unsqueeze", own, emit.constant([-1]))
        ones = [1] * (len(layer.shape) - 2)
        rows = emit.op("Reshape", weights, emit.constant([-1, *ones, found.weights.shape[1]]))
        return emit.op("Mul", positions, rows)
    windows = _windows(emit, found, own)
    flat = emit.op("Reshape", windows, emit.constant([0, 0, -1]))  # (pairs, taps, positions)
    product = emit.op("MatMul", weights, flat)  # (pairs, outputs, positions)
    behind = [2 + i for i in range(len(found.kernel))]
    shape = emit.op("Gather", emit.op("Shape", windows), emit.constant(behind), axis=0)
    outputs = emit.constant([-1, found.weights.shape[1]])
    return emit.op("Reshape", product, emit.op("Concat", outputs, shape, axis=0))


def _windows(emit: Emitter, found: Reader, own: ir.Value) -> ir.Value:
    """``(pairs, taps, *positions)``: the values that each tap of the kernel sees."""
    image = emit.op("Unsqueeze", own, emit.constant([1]))
    taps = math.prod(found.kernel)
    if taps == 1 and not found.attributes:
        return image
    picks = np.eye(taps, dtype=np.float32).reshape(taps, 1, *found.kernel)
    return emit.op("Conv", image, emit.constant(picks), **dict(found.attributes))


def _convolution(node: ir.Node, kernel: Array, layer: Layer, output: str) -> Reader | None:
    groups = integer(node, "group", 1)
    outputs, per_group, *window = kernel.shape
    taps = math.prod(window)
    if layer.units * outputs * taps * 4 > _MOST_WEIGHTS or layer.units != per_group * groups:
        return None
    weights = np.zeros((layer.units, outputs, taps), dtype=np.float32)
    flat = kernel.reshape(groups, outputs // groups, per_group, taps)
    for group in range(groups):
        rows = slice(group * per_group, (group + 1) * per_group)
        columns = slice(group * (outputs // groups), (group + 1) * (outputs // groups))
        weights[rows, columns] = flat[group].transpose(1, 0, 2)
    attributes = tuple(
        (name, node.attributes[name].value) for name in _WINDOW if name in node.attributes
    )
    pointwise = taps == 1 and not any(_matters(name, value) for name, value in attributes)
    return Reader(output, weights, tuple(window), () if pointwise else attributes)


def _matters(name: str, value: object) -> bool:
    """Whether an attribute changes what a kernel of one tap does."""
    if name in ("auto_pad", "dilations"):
        return False
    return any(number != (0 if name == "pads" else 1) for number in np.ravel(np.asarray(value)))


def _constant(node: ir.Node, position: int) -> Array | None:
    value = node.inputs[position] if len(node.inputs) > position else None
    tensor = None if value is None else value.const_value
    return None if tensor is None else tensor.numpy()
