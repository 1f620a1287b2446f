"""Walks over the protobuf messages of a model: every graph, node and tensor, however deep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx

GraphLike = onnx.GraphProto | onnx.FunctionProto


def bodies(model: onnx.ModelProto) -> Iterator[tuple[GraphLike, int]]:
    """The main graph, the functions, and all their subgraphs, each with its nesting (0 at the top).

    A graph comes before its subgraphs.
    """
    pending: list[tuple[GraphLike, int]] = [(f, 0) for f in reversed(model.functions)]
    pending.append((model.graph, 0))
    while pending:
        body, depth = pending.pop()
        yield body, depth
        pending.extend((graph, depth + 1) for node in body.node for graph in subgraphs(node))


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs that are attributes of ``node``: branches of If, bodies of Loop and Scan."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Every node of every body."""
    for body, _ in bodies(model):
        yield from body.node


def tensors(model: onnx.ModelProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    """Every tensor that holds data, with words that say where it is."""
    for body, _ in bodies(model):
        if isinstance(body, onnx.GraphProto):
            for tensor in body.initializer:
                yield f"initializer '{tensor.name}'", tensor
        for node in body.node:
            for attribute in node.attribute:
                where = f"attribute '{attribute.name}' of {called(node)}"
                if attribute.HasField("t"):
                    yield where, attribute.t
                for tensor in attribute.tensors:
                    yield where, tensor
        if isinstance(body, onnx.FunctionProto):
            for attribute in body.attribute_proto:
                where = f"default of '{attribute.name}' of function '{body.name}'"
                if attribute.HasField("t"):
                    yield where, attribute.t
                for tensor in attribute.tensors:
                    yield where, tensor


def called(node: onnx.NodeProto) -> str:
    """How to name ``node`` to its author: its name, or what it produces."""
    if node.name:
        return f"node '{node.name}' ({node.op_type})"
    made = next((name for name in node.output if name), "")
    return f"the {node.op_type} node that makes '{made}'" if made else f"a {node.op_type} node"


def elements(dims: Sequence[int]) -> int:
    """The product of ``dims``, exact (Python integers do not overflow)."""
    count = 1
    for dim in dims:
        count *= dim
    return count
