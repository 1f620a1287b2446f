"""The size of the weights that make each unit, as they act behind a batch normalisation."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from mho.errors import InvalidOption
from mho.evaluation import Layer
from mho.graph.carry import Carriers, Stage, carriers, is_linear
from mho.graph.emit import tensor_named
from mho.graph.families import CONVOLUTIONS, DENSE
from mho.graph.flow import dims, integer
from mho.graph.model import Model
from mho.types import Array, FloatArray

_EPSILON = 1e-5
"""The default of BatchNormalization."""


def weight_norms(model: Model, layer: Layer) -> FloatArray:
    """``(units,)``: the Euclidean norm of the weights of each unit of ``layer``, biases left out.

    The units are followed from the layer back to the Conv, ConvTranspose, Gemm or MatMul that makes
    them, through activations and normalisations; what BatchNormalization or a constant scale
    multiplies a unit by multiplies its weights, so that a model has the norms of its folded self.
    A Concat along the units has those of its parts. InvalidOption names the tensor where no such
    operator with stored weights is found: at a sum of layers, or a pool.
    """
    norms = _Walk(carriers(model.graph), layer.name).norms(tensor_named(model.graph, layer.name))
    if norms.shape != (layer.units,):
        raise _refused(layer.name, f"{norms.size} weights stand behind {layer.units} units")
    return norms


class _Walk:
    def __init__(self, found: Carriers, layer: str) -> None:
        self._found = found
        self._layer = layer
        self._sources = {end: source for source, (end, _) in found.formulas.items()}

    def norms(self, value: ir.Value) -> FloatArray:
        scale: Array = np.ones(())
        while True:
            node = value.producer()
            if value in self._sources:
                value = self._sources[value]
                continue
            carried = self._found.by_value.get(value)
            if node is None or carried is None:
                raise _refused(self._layer, f"no operator makes units in '{value.name}'")
            if is_linear(node, self._found.fed):
                return np.asarray(self._own(node) * scale, dtype=np.float64)
            if node.op_type == "Concat" and carried.stage is Stage.JOINED:
                parts = [self.norms(part) for part in node.inputs if part is not None]
                return np.asarray(np.concatenate(parts) * scale)
            before = [v for v in node.inputs if v is not None and v in self._found.by_value]
            kept = carried.stage in (Stage.LINEAR, Stage.NORMALISED, Stage.ACTIVATED)
            if len(set(before)) != 1 or not kept:
                raise _refused(
                    self._layer,
                    f"operator {node.op_type} (node '{node.name}') pools it or makes it of several",
                )
            if carried.stage is not Stage.ACTIVATED:
                scale = scale * _factor(node, before[0], carried.axis)
            value = before[0]

    def _own(self, node: ir.Node) -> FloatArray:
        tensor = node.inputs[1].const_value if node.inputs[1] is not None else None
        if tensor is None or node.op_type not in CONVOLUTIONS | DENSE | {"MatMul", "FusedMatMul"}:
            raise _refused(
                self._layer,
                f"operator {node.op_type} (node '{node.name}') has no stored real weights",
            )
        weights = tensor.numpy().astype(np.float64)
        alpha = node.attributes.get("alpha")
        factor = 1.0 if alpha is None else abs(alpha.as_float())
        if node.op_type == "ConvTranspose":  # (in, out of a group, *kernel)
            groups = integer(node, "group", 1)
            grouped = weights.reshape(groups, weights.shape[0] // groups, *weights.shape[1:])
            weights = np.moveaxis(grouped, 2, 1).reshape(
                -1, *grouped.shape[1:2], *weights.shape[2:]
            )
        elif node.op_type not in CONVOLUTIONS and not integer(node, "transB", 0):
            weights = weights.T
        return np.asarray(factor * np.linalg.norm(weights.reshape(len(weights), -1), axis=1))


def _factor(node: ir.Node, source: ir.Value, axis: int) -> Array:
    """What ``node`` multiplies every unit by in size, ``(units,)`` or a scalar."""
    if node.op_type == "BatchNormalization":
        scale, _, _, variance = (_numbers(value) for value in node.inputs[1:5])
        if scale is not None and variance is not None:
            given = node.attributes.get("epsilon")
            epsilon = _EPSILON if given is None else given.as_float()
            return np.asarray(np.abs(scale) / np.sqrt(variance + epsilon))
    if node.op_type in ("Mul", "Div"):
        other = next((v for v in node.inputs if v is not source), None)
        numbers, shape = _numbers(other), dims(node.outputs[0])
        if numbers is not None and shape is not None:
            spread = numbers.reshape([1] * (len(shape) - numbers.ndim) + list(numbers.shape))
            if all(length == 1 for i, length in enumerate(spread.shape) if i != axis):
                sizes = np.abs(spread.reshape(-1))
                return sizes if node.op_type == "Mul" else np.asarray(1 / sizes)
    return np.ones(())


def _numbers(value: ir.Value | None) -> Array | None:
    tensor = None if value is None else value.const_value
    return None if tensor is None else tensor.numpy().astype(np.float64)


def _refused(layer: str, why: str) -> InvalidOption:
    return InvalidOption(
        f"there is no weight norm of the units of '{layer}': {why}; leave weight_norm out of "
        "--orders, or choose layers behind a convolution or a matrix product",
        subject="orders",
    )
