"""The node builder: every rewrite adds its nodes, constants and graph inputs through it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from mho.errors import InvalidModel
from mho.types import Array

PREFIX = "mho/"
"""All tensors that mho adds to a graph begin with this."""

_BOOLEAN = {
    *("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "IsNaN", "IsInf"),
    *("Not", "And", "Or"),
}
_COUNTING = {"Shape", "Size", "NonZero", "ArgMax", "ArgMin"}
_SHARED_BYTES = 4096
"""Constants up to this size are made once and used again."""


class Emitter:
    """Appends nodes to ``graph``; call ``graph.sort()`` when all are in.

    ``scope`` distinguishes the tensors of several rewrites of one graph; names are made unique, in
    the subgraphs too.
    """

    def __init__(self, graph: ir.Graph, scope: str) -> None:
        self.graph = graph
        self.scope = scope
        self._taken = {value.name for value in (*graph.inputs, *graph.initializers.values())}
        for node in graph.all_nodes():
            self._taken.update(value.name for value in node.outputs)
        for inner in graph.subgraphs():
            self._taken.update(
                value.name for value in (*inner.inputs, *inner.initializers.values())
            )
        self._counter = 0
        self._constants: dict[tuple[str, tuple[int, ...], bytes], ir.Value] = {}

    def op(
        self, op_type: str, *inputs: ir.Value | None, name: str = "", **attributes: Any
    ) -> ir.Value:
        """One node with one output, whose tensor is called ``name`` or gets a name of ours."""
        return self._node(op_type, inputs, attributes, [name])[0]

    def ops(
        self, op_type: str, *inputs: ir.Value | None, outputs: int, **attributes: Any
    ) -> tuple[ir.Value, ...]:
        """The ``outputs`` tensors of one node, which get names of ours."""
        return self._node(op_type, inputs, attributes, [""] * outputs)

    def _node(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: dict[str, Any],
        names: Sequence[str],
    ) -> tuple[ir.Value, ...]:
        made = tuple(ir.Value(name=self._unique(name or self._called(op_type))) for name in names)
        dtype = _output_type(op_type, inputs, attributes)
        if dtype is not None:
            for output in made:
                output.dtype = dtype
        given = list(inputs)
        while given and given[-1] is None:  # onnxruntime crashes on a bias that is left out so
            given.pop()
        node_name = f"{made[0].name}:node"
        self._place(ir.node(op_type, given, attributes, outputs=made, name=node_name))
        return made

    def _called(self, op_type: str) -> str:
        """What a tensor that ``op_type`` makes is called where nobody says more."""
        return f"{PREFIX}{self.scope}/{op_type}"

    def _place(self, node: ir.Node) -> None:
        self.graph.append(node)

    def constant(self, array: Array | Sequence[int] | float, dtype: Any = None) -> ir.Value:
        """An initialiser; integers become int64, other numbers float32 unless ``dtype`` says
        more."""
        data = np.asarray(array, dtype=dtype)
        if dtype is None and data.dtype != np.bool_:
            data = data.astype(np.int64 if data.dtype.kind in "iu" else np.float32)
        key = (data.dtype.name, data.shape, data.tobytes() if data.nbytes <= _SHARED_BYTES else b"")
        if key in self._constants:
            return self._constants[key]
        name = self._unique(f"{PREFIX}{self.scope}/constant")
        tensor = ir.tensor(data, name=name)
        value = ir.Value(
            name=name,
            shape=ir.Shape(data.shape),
            type=ir.TensorType(tensor.dtype),
            const_value=tensor,
        )
        self.graph.register_initializer(value)
        if data.nbytes <= _SHARED_BYTES:
            self._constants[key] = value
        return value

    def input(
        self, name: str, dtype: ir.DataType, shape: Sequence[int | str | None] | None
    ) -> ir.Value:
        """A new graph input called exactly ``name``; InvalidModel where the model has one
        already."""
        self._claim(name)
        value = ir.Value(name=name, type=ir.TensorType(dtype))
        value.shape = None if shape is None else ir.Shape(shape)
        self.graph.inputs.append(value)
        return value

    def output(
        self, value: ir.Value, name: str, dtype: ir.DataType, shape: Sequence[int | str | None]
    ) -> None:
        """Make ``value`` a graph output called exactly ``name``."""
        self._claim(name)
        self._taken.discard(name)
        named = self.op("Identity", value, name=name)
        named.shape = ir.Shape(shape)
        named.type = ir.TensorType(dtype)
        self.graph.outputs.append(named)

    def inside(self, body: ir.Graph) -> Emitter:
        """An emitter for ``body``, a subgraph of a node to come; no name is in both graphs."""
        inner = type(self)(body, f"{self.scope}/body")
        inner._taken = self._taken
        return inner

    def unique(self, name: str) -> str:
        """``name``, or the like where that is taken; taken from now on."""
        return self._unique(name)

    def _claim(self, name: str) -> None:
        """Take ``name`` from the tensor that has it, unless the outside knows it by that name."""
        if name not in self._taken:
            self._taken.add(name)
            return
        try:
            holder = tensor_named(self.graph, name)
        except KeyError:
            holder = None
        if holder is None or holder.producer() is None or holder.is_graph_output():
            raise InvalidModel(
                f"the model has a tensor called '{name}', a name that mho needs; rename it",
                subject=name,
            )
        holder.name = self._unique(name)

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
    """The element type of an output: given by a Cast, fixed by the operator, or the first
    input's."""
    if op_type == "Cast":
        return ir.DataType(attributes["to"])
    if op_type in _BOOLEAN:
        return ir.DataType.BOOL
    if op_type in _COUNTING:
        return ir.DataType.INT64
    if op_type == "Where":
        inputs = inputs[1:]
    if op_type == "OneHot":
        inputs = inputs[2:]
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


def replace_uses(value: ir.Value, new: ir.Value) -> None:
    """Let every node that reads ``value``, in subgraphs too, read ``new``; graph outputs stay."""
    for user, position in list(value.uses()):
        user.replace_input_with(position, new)
