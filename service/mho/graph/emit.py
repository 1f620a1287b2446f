"""The node builder: every rewrite adds its nodes, constants and graph inputs through it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from mho.types import Array

PREFIX = "mho/"
"""All tensors that mho adds to a graph begin with this."""


class Emitter:
    """Appends nodes to ``graph``; call ``graph.sort()`` when all are in.

    ``scope`` distinguishes the tensors of several rewrites of one graph; names are made unique.
    """

    def __init__(self, graph: ir.Graph, scope: str) -> None:
        self.graph = graph
        self.scope = scope
        self._taken = {value.name for value in (*graph.inputs, *graph.initializers.values())}
        for node in graph:
            self._taken.update(value.name for value in node.outputs)
        self._counter = 0

    def op(self, op_type: str, *inputs: ir.Value | None, name: str = "", **attributes: Any) -> ir.Value:
        """One node with one output, whose tensor is called ``name`` or gets a name of ours."""
        output = ir.Value(name=self._unique(name or f"{PREFIX}{self.scope}/{op_type}"))
        dtype = _output_type(op_type, inputs, attributes)
        if dtype is not None:
            output.dtype = dtype
        self.graph.append(
            ir.node(op_type, list(inputs), attributes, outputs=[output], name=f"{output.name}:node")
        )
        return output

    def constant(self, array: Array | Sequence[int] | float, dtype: Any = None) -> ir.Value:
        """An initialiser; integers become int64, other numbers float32 unless ``dtype`` says more."""
        data = np.asarray(array, dtype=dtype)
        if dtype is None and data.dtype != np.bool_:
            data = data.astype(np.int64 if data.dtype.kind in "iu" else np.float32)
        name = self._unique(f"{PREFIX}{self.scope}/constant")
        tensor = ir.tensor(data, name=name)
        value = ir.Value(
            name=name, shape=ir.Shape(data.shape), type=ir.TensorType(tensor.dtype), const_value=tensor
        )
        self.graph.register_initializer(value)
        return value

    def input(self, name: str, dtype: ir.DataType, shape: Sequence[int | str | None]) -> ir.Value:
        """A new graph input called exactly ``name``."""
        value = ir.Value(name=name, shape=ir.Shape(shape), type=ir.TensorType(dtype))
        self._taken.add(name)
        self.graph.inputs.append(value)
        return value

    def output(self, value: ir.Value, name: str, dtype: ir.DataType, shape: Sequence[int | str | None]) -> None:
        """Make ``value`` a graph output called exactly ``name``."""
        named = self.op("Identity", value, name=name)
        named.shape = ir.Shape(shape)
        named.type = ir.TensorType(dtype)
        self.graph.outputs.append(named)

    def _unique(self, wanted: str) -> str:
        name = wanted
        while name in self._taken:
            self._counter += 1
            name = f"{wanted}.{self._counter}"
        self._taken.add(name)
        return name


def _output_type(
    op_type: str, inputs: Sequence[ir.Value | None], attributes: dict[str, Any]
) -> ir.DataType | None:
    """The element type of an output: given by a Cast, fixed by the operator, or the first input's."""
    if op_type == "Cast":
        return ir.DataType(attributes["to"])
    if op_type in ("Equal", "Greater", "Less", "Not", "And", "Or"):
        return ir.DataType.BOOL
    if op_type in ("Shape", "Size"):
        return ir.DataType.INT64
    return inputs[0].dtype if inputs and inputs[0] is not None else None


def tensor_named(graph: ir.Graph, name: str) -> ir.Value:
    """The tensor called ``name`` at the top level of ``graph``; KeyError where there is none."""
    for value in graph.inputs:
        if value.name == name:
            return value
    if name in graph.initializers:
        return graph.initializers[name]
    for node in graph:
        for value in node.outputs:
            if value.name == name:
                return value
    raise KeyError(name)
