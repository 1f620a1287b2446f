"""Operators whose own weights say what a unit is: the weights with which it becomes a constant.

Those of ``FREE`` can make a unit any constant at every position, whatever they read: weights 0, and
the constant as bias. Those of ``ZERO`` have no bias and can make it 0 alone. Rows of a batch, pads
at borders and the other units are as before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from mho.graph.flow import dims, integer
from mho.graph.weights import NotHeld, constant, optional
from mho.types import Array

Units = Mapping[int, float]
"""Unit -> the constant that it is to be."""


@dataclass(frozen=True)
class Patch:
    """New weights of ``node`` by input position, and attributes to set."""

    node: ir.Node
    weights: Mapping[int, Array]
    attributes: Mapping[str, float] = field(default_factory=dict)


Rule = Callable[[ir.Node, int, Units], Patch]
"""(node, unit axis of its output, units) -> what to change; NotHeld where it does not serve."""


def _conv(node: ir.Node, axis: int, units: Units) -> Patch:
    _need(axis == 1, node, f"its units are along axis 1, not {axis}")
    weight = constant(node.inputs[1]).copy()
    bias = _bias(node, 2, weight.shape[0], weight.dtype)
    which, values = _listed(units)
    weight[which] = 0
    bias[which] = values
    return Patch(node, {1: weight, 2: bias})


def _conv_transpose(node: ir.Node, axis: int, units: Units) -> Patch:
    """The kernel is ``(inputs, units of a group, ...)``; a group reads a block of the inputs."""
    _need(axis == 1, node, f"its units are along axis 1, not {axis}")
    weight = constant(node.inputs[1]).copy()
    groups = integer(node, "group", 1)
    inputs, each = weight.shape[0] // groups, weight.shape[1]
    bias = _bias(node, 2, groups * each, weight.dtype)
    for unit, value in units.items():
        group, place = divmod(unit, each)
        weight[group * inputs : (group + 1) * inputs, place] = 0
        bias[unit] = value
    return Patch(node, {1: weight, 2: bias})


def _gemm(node: ir.Node, axis: int, units: Units) -> Patch:
    """alpha·A·B + beta·C: what is set in C is the constant over beta."""
    _need(axis == 1, node, f"its units are along axis 1, not {axis}")
    weight = constant(node.inputs[1]).copy()
    rows = bool(integer(node, "transB", 0))
    count = weight.shape[0 if rows else 1]
    attribute = node.attributes.get("beta")
    beta = 1.0 if attribute is None else attribute.as_float()
    given = optional(node, 2)
    attributes = {}
    if given is None or beta == 0:
        bias, attributes, beta = np.zeros(count, weight.dtype), {"beta": 1.0}, 1.0
    else:
        bias = constant(given)
        wide = (bias.shape[0], count) if bias.ndim == 2 and bias.shape[0] > 1 else (count,)
        bias = np.broadcast_to(bias.reshape(-1) if len(wide) == 1 else bias, wide).copy()
    which, values = _listed(units)
    if rows:
        weight[which] = 0
    else:
        weight[:, which] = 0
    bias[..., which] = np.asarray(values) / beta
    return Patch(node, {1: weight, 2: bias}, attributes)


def _batch_normalization(node: ir.Node, axis: int, units: Units) -> Patch:
    _need(axis == 1, node, f"its units are along axis 1, not {axis}")
    training = integer(node, "training_mode", 0) or sum(bool(v.name) for v in node.outputs) > 1
    _need(not training, node, "it normalises by the batch's own statistics")
    return _scale_and_shift(node, units)


def _instance_normalization(node: ir.Node, axis: int, units: Units) -> Patch:
    _need(axis == 1, node, f"its units are along axis 1, not {axis}")
    return _scale_and_shift(node, units)


def _layer_normalization(node: ir.Node, axis: int, units: Units) -> Patch:
    _need(_normalises_last(node, axis), node, "it normalises over more than the units")
    return _scale_and_shift(node, units)


def _rms_normalization(node: ir.Node, axis: int, units: Units) -> Patch:
    _need(_normalises_last(node, axis), node, "it normalises over more than the units")
    scale = constant(node.inputs[1]).copy()
    scale[list(units)] = 0
    return Patch(node, {1: scale})


def _gather(node: ir.Node, axis: int, units: Units) -> Patch:
    """An embedding: a unit is a column of the table."""
    table = constant(node.inputs[0]).copy()
    shape = dims(node.outputs[0])
    last = shape is not None and axis == len(shape) - 1
    _need(
        table.ndim == 2 and last and integer(node, "axis", 0) == 0,
        node,
        "it is no look-up in a table of units",
    )
    which, values = _listed(units)
    table[:, which] = values
    return Patch(node, {0: table})


def _matmul(node: ir.Node, axis: int, units: Units) -> Patch:
    shape = dims(node.outputs[0])
    weight = constant(node.inputs[1]).copy()
    last = shape is not None and axis == len(shape) - 1 and weight.ndim > 1
    _need(last, node, "its units are not the columns of its matrix")
    weight[..., list(units)] = 0
    return Patch(node, {1: weight})


def _mul(node: ir.Node, axis: int, units: Units) -> Patch:
    """A factor for each unit, as of a normalisation that is spelled Mul and Add."""
    position, factor = constant_operand(node)
    shape = dims(node.outputs[0])
    at = -1 if shape is None else axis - (len(shape) - factor.ndim)
    each = shape is not None and at >= 0 and factor.shape[at] == shape[axis]
    _need(each, node, "its factor is not one for each unit")
    factor = factor.copy()
    np.moveaxis(factor, at, 0)[list(units)] = 0
    return Patch(node, {position: factor})


def shifted(node: ir.Node, axis: int, units: Units) -> Patch:
    """An Add or Sub of a constant to what is 0 at ``units``: the constant says what they are."""
    position, shift = constant_operand(node)
    sign = -1.0 if node.op_type == "Sub" and position == 1 else 1.0
    shape = dims(node.outputs[0])
    count = None if shape is None else shape[axis]
    if shape is None or not isinstance(count, int):
        raise NotHeld(f"the shape behind {called(node)} is unknown")
    rank = max(shift.ndim, len(shape) - axis)
    wide = [1] * (rank - shift.ndim) + list(shift.shape)
    at = axis - (len(shape) - rank)
    wide[at] = count
    shift = np.broadcast_to(shift, wide).copy()
    which, values = _listed(units)
    spread = np.moveaxis(shift, at, 0)
    spread[which] = sign * np.asarray(values).reshape(-1, *[1] * (rank - 1))
    return Patch(node, {position: shift})


FREE: Mapping[str, Rule] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "BatchNormalization": _batch_normalization,
    "InstanceNormalization": _instance_normalization,
    "LayerNormalization": _layer_normalization,
    "Gather": _gather,
}

ZERO: Mapping[str, Rule] = {
    "MatMul": _matmul,
    "Mul": _mul,
    "RMSNormalization": _rms_normalization,
}


def called(node: ir.Node) -> str:
    """``Conv 'block1/conv'``: how messages and reports name a node."""
    return f"{node.op_type} '{node.name or node.outputs[0].name}'"


def constant_operand(node: ir.Node) -> tuple[int, Array]:
    """Position and value of the one operand of two that is stored; NotHeld where none is."""
    if len(node.inputs) == 2:
        for position in (1, 0):
            try:
                return position, constant(node.inputs[position])
            except NotHeld:
                continue
    raise NotHeld(f"{called(node)} has no stored operand")


def _scale_and_shift(node: ir.Node, units: Units) -> Patch:
    """What is normalised times 0 plus the constant."""
    scale = constant(node.inputs[1]).copy()
    shift = _bias(node, 2, scale.shape[0], scale.dtype)
    which, values = _listed(units)
    scale[which] = 0
    shift[which] = values
    return Patch(node, {1: scale, 2: shift})


def _normalises_last(node: ir.Node, axis: int) -> bool:
    shape = dims(node.outputs[0])
    scale = constant(node.inputs[1])
    if shape is None or scale.shape != (shape[axis],):
        return False
    return integer(node, "axis", -1) % len(shape) == axis == len(shape) - 1


def _bias(node: ir.Node, position: int, count: int, dtype: np.dtype) -> Array:
    given = optional(node, position)
    return np.zeros(count, dtype) if given is None else constant(given).copy()


def _listed(units: Units) -> tuple[list[int], list[float]]:
    return list(units), list(units.values())


def _need(holds: bool, node: ir.Node, why: str) -> None:
    if not holds:
        raise NotHeld(f"{called(node)} does not serve: {why}")
