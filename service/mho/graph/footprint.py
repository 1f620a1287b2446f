"""How much memory a batch needs, from the shapes in the graph."""

from __future__ import annotations

import weakref

import onnx_ir as ir

from mho.graph.flow import reads
from mho.graph.model import Model

_UNKNOWN_DIM = 64
"""What an unknown dimension other than the batch is taken for."""
_known: weakref.WeakKeyDictionary[Model, int] = weakref.WeakKeyDictionary()
"""Graphs never change, and warm ones are asked about at every call."""


def bytes_per_row(model: Model) -> int:
    """Bytes of activations that are alive at once, at the worst node, for one row of a batch.

    Tensors are counted from the node that makes them to the last one that reads them; weights and
    tensors without a batch are not counted. An estimate: the runtime's own workspace comes on top,
    and what is inside subgraphs.
    """
    if model not in _known:
        _known[model] = _bytes_alive(model.graph)
    return _known[model]


def _bytes_alive(graph: ir.Graph) -> int:
    last_use: dict[ir.Value, int] = {}
    for index, node in enumerate(graph):
        for value in (*node.outputs, *reads(node)):  # what nobody reads ends where it is made
            last_use[value] = index
    last_use |= dict.fromkeys(graph.outputs, len(graph))
    ending: dict[int, list[ir.Value]] = {}
    for value, index in last_use.items():
        ending.setdefault(index, []).append(value)
    alive = sum(_row_bytes(value) for value in graph.inputs if not value.is_initializer())
    peak = alive
    for index, node in enumerate(graph):
        alive += sum(_row_bytes(value) for value in node.outputs)
        peak = max(peak, alive)
        alive -= sum(_row_bytes(value) for value in ending.get(index, ()) if value.graph is graph)
    return max(peak, 1)


def _row_bytes(value: ir.Value) -> int:
    if value.is_initializer() or value.shape is None or len(value.shape) == 0:
        return 0
    leading, *rest = value.shape
    if isinstance(leading, int) and leading != 1:
        return 0
    count = 1
    for dim in rest:
        count *= dim if isinstance(dim, int) else _UNKNOWN_DIM
    itemsize = 4.0 if value.dtype in (None, ir.DataType.STRING) else value.dtype.itemsize
    return int(count * itemsize)
