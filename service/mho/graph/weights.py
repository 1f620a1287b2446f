"""The constants that nodes read: had as arrays, and replaced for one node alone."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from mho.graph.emit import Emitter
from mho.types import Array


class NotHeld(Exception):
    """Units can't be made constant by changing weights; the text says what is in the way."""


def constant(value: ir.Value | None) -> Array:
    """What an initialiser, a Constant or an Identity of one holds; NotHeld where it is computed."""
    source = value
    while source is not None and source.const_value is None:
        node = source.producer()
        if node is None or node.op_type != "Identity" or node.domain != "":
            break
        source = node.inputs[0]
    tensor = None if source is None else ir.convenience.get_const_tensor(source)
    if tensor is None:
        name = None if value is None else value.name
        raise NotHeld(f"the weights '{name}' are computed, not stored")
    return tensor.numpy()


def optional(node: ir.Node, position: int) -> ir.Value | None:
    """The input at ``position``; None where it is left out."""
    return node.inputs[position] if position < len(node.inputs) else None


def replace(node: ir.Node, position: int, array: Array, emit: Emitter) -> None:
    """Let ``node`` read ``array`` at ``position``; other readers of what was there keep it.

    An initialiser that nothing else reads keeps its name where its shape stays.
    """
    old = optional(node, position)
    tensor = ir.tensor(np.ascontiguousarray(array).reshape(array.shape))
    if old is not None and _alone(old) and _shape(old) == array.shape:
        tensor.name = old.name
        old.const_value = tensor
        return
    base = old.name if old is not None else f"{node.name or node.outputs[0].name}/bias"
    name = emit.unique(base or "weight")
    tensor.name = name
    value = ir.Value(
        name=name,
        shape=ir.Shape(array.shape),
        type=ir.TensorType(tensor.dtype),
        const_value=tensor,
    )
    emit.graph.register_initializer(value)
    if position >= len(node.inputs):
        node.resize_inputs(position + 1)
    node.replace_input_with(position, value)
    if old is not None:
        _drop(old)


def _shape(value: ir.Value) -> tuple[int, ...] | None:
    return None if value.const_value is None else tuple(value.const_value.shape.numpy())


def _alone(value: ir.Value) -> bool:
    return value.is_initializer() and len(value.uses()) == 1 and not value.is_graph_output()


def _drop(value: ir.Value) -> None:
    """Remove a weight that nothing reads any more, unless the outside knows it by its name."""
    if value.uses() or value.is_graph_output() or value.is_graph_input():
        return
    if value.is_initializer():
        graph = value.graph
        if isinstance(graph, ir.Graph) and value.name is not None:
            del graph.initializers[value.name]
        return
    node = value.producer()
    if node is None or node.op_type not in ("Constant", "Identity") or node.graph is None:
        return
    sources = [source for source in node.inputs if source is not None]
    node.graph.remove(node, safe=True)
    for source in sources:
        _drop(source)
