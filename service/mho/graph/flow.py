"""What depends on what in a graph."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import onnx_ir as ir


def fed_values(graph: ir.Graph) -> set[ir.Value]:
    """The values that depend on a graph input; all others are constant."""
    fed = set(graph.inputs)
    for node in graph:
        if any(value in fed for value in each_read(node)):
            fed.update(node.outputs)
    return fed


def reads(node: ir.Node) -> list[ir.Value]:
    """What ``node`` reads: its inputs, and what its subgraphs take from outside them."""
    return list(each_read(node))


def each_read(node: ir.Node) -> Iterator[ir.Value]:
    """``reads`` one by one, for a search that may end early."""
    yield from (value for value in node.inputs if value is not None)
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            graphs = [attribute.as_graph()]
        elif attribute.type == ir.AttributeType.GRAPHS:
            graphs = list(attribute.as_graphs())
        else:
            continue
        for graph in graphs:
            for inner in graph.all_nodes():
                yield from (value for value in inner.inputs if value is not None)
            yield from graph.outputs


def reads_one_of(node: ir.Node, values: set[ir.Value]) -> bool:
    """Whether exactly one of what ``node`` reads is in ``values``."""
    return len(list(islice((value for value in each_read(node) if value in values), 2))) == 1


def named_values(graph: ir.Graph) -> dict[str, ir.Value]:
    """Name -> graph input or node output, in the order of the graph; weights left out."""
    found = {value.name or "": value for value in graph.inputs}
    for node in graph:
        found.update({value.name: value for value in node.outputs if value.name})
    return found


def is_float(value: ir.Value) -> bool:
    """Whether it holds floating-point numbers that a network computes with."""
    return value.dtype in (
        ir.DataType.FLOAT,
        ir.DataType.FLOAT16,
        ir.DataType.BFLOAT16,
        ir.DataType.DOUBLE,
    )


def dims(value: ir.Value) -> tuple[int | str | None, ...] | None:
    """The shape with names for symbolic and None for unknown dimensions; None where unknown."""
    if value.shape is None:
        return None
    return tuple(dim if isinstance(dim, int) else dim.value for dim in value.shape)


def integer(node: ir.Node, name: str, default: int) -> int:
    """The integer attribute ``name`` of ``node``."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_int()


def constant_integers(value: ir.Value | None) -> tuple[int, ...] | None:
    """The elements of a small integer initialiser; None where it is anything else."""
    if value is None or value.const_value is None or value.const_value.size > 1024:
        return None
    if value.dtype not in (ir.DataType.INT64, ir.DataType.INT32):
        return None
    return tuple(int(number) for number in value.const_value.numpy().reshape(-1))


def constant_number(value: ir.Value | None) -> float | None:
    """What an initialiser of one element holds; None where it is anything else."""
    if value is None or value.const_value is None or value.const_value.size != 1:
        return None
    return float(value.const_value.numpy().item())


def axes_of(node: ir.Node, position: int = 1) -> tuple[int, ...] | None:
    """The axes of a Squeeze, Unsqueeze or Reduce: attribute before opset 13 or 18, input since.

    An empty tuple where none are given (all of them); None where they are computed.
    """
    attribute = node.attributes.get("axes")
    if attribute is not None:
        return tuple(attribute.as_ints())
    given = node.inputs[position] if len(node.inputs) > position else None
    return () if given is None else constant_integers(given)
