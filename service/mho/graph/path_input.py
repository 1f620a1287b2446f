"""Which tensors the straight-line path from baseline to input runs on."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from mho.errors import UnknownLayer, Unsupported
from mho.graph.families import NO_DERIVATIVE, ONLY_SHAPES, QUANTISED
from mho.graph.flow import (
    dims,
    each_read,
    fed_values,
    integer,
    is_float,
    named_values,
    reads_one_of,
)
from mho.graph.model import Model
from mho.types import TensorSpec

_MOST_LISTED = 8
_LENGTH_BLIND = {"LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization"}
_REMEDY = "choose a float tensor between the inputs and the output"


@dataclass(frozen=True)
class PathInput:
    """Where the path runs.

    tensors: graph inputs, or one inner tensor.
    embedded: whether it is an inner tensor, which is computed from the inputs and then replaced.
    why: a sentence for the reader.
    """

    tensors: tuple[TensorSpec, ...]
    embedded: bool
    why: str


def find(model: Model, output: str) -> PathInput:
    """The path input for ``output``: its float graph inputs, or else the embedding of its tokens.

    The embedding is the earliest float tensor through which everything differentiable between the
    looked-up rows and the output passes; what is constant (embeddings of positions) is added first,
    and a normalisation that alone reads it comes before, too: it does not see the length of a
    vector, so that a straight line from zero would be a jump to its end.
    Dependence through integers, as of an attention mask on tokens, does not count.

    UnknownLayer for an unknown output, Unsupported where there is no such tensor.
    """
    target = _output(model, output)
    graph = model.graph
    leading = _leading_to(graph, target)
    floats = [v for v in graph.inputs if is_float(v) and v in leading]
    if floats:
        names = ", ".join(f"'{v.name}'" for v in floats)
        return PathInput(
            tuple(_spec(v) for v in floats), False, f"the output depends on {names} as real numbers"
        )
    sources, kind = _embeddings(graph, leading)
    if not sources:
        raise Unsupported(
            f"output '{output}' depends on no float input and on no embedding of the inputs, so a "
            "straight path has nowhere to run; choose a float tensor with --path-input",
            subject=output,
        )
    waist = _waist(graph, sources, target, leading)
    if waist is None:
        names = ", ".join(f"'{v.name}'" for v in sources[:_MOST_LISTED])
        raise Unsupported(
            f"no single tensor carries all that leads from {names} to output '{output}'; choose "
            "one of them, or a tensor after them, with --path-input",
            subject=output,
        )
    chosen = _normalised(_with_constants(waist, _told(graph)))
    if chosen in sources:
        why = f"the output depends on the inputs through {kind} '{chosen.name}'"
    else:
        names = ", ".join(f"'{v.name}'" for v in sources[:_MOST_LISTED])
        why = f"'{chosen.name}' is the first tensor through which all of {names} passes"
    return PathInput((_spec(chosen),), True, why)


def named(model: Model, tensor: str, output: str) -> PathInput:
    """A path input that the user chose.

    UnknownLayer where there is no such tensor; Unsupported where it is not float, is constant, or
    the output does not depend on it differentiably.
    """
    target = _output(model, output)
    values = named_values(model.graph)
    if tensor in model.graph.initializers:
        raise Unsupported(f"tensor '{tensor}' is constant; {_REMEDY}", subject=tensor)
    if tensor not in values:
        close = difflib.get_close_matches(tensor, values, n=3, cutoff=0.5)
        hint = (
            "did you mean " + " or ".join(f"'{c}'" for c in close) + "?"
            if close
            else ("name a graph input or an inner float tensor, as Netron shows it")
        )
        raise UnknownLayer(f"the model has no tensor '{tensor}'; {hint}", subject=tensor)
    value = values[tensor]
    if not is_float(value):
        raise Unsupported(
            f"tensor '{tensor}' holds no floating-point numbers, so no straight path can run on "
            f"it; {_REMEDY}",
            subject=tensor,
        )
    if value not in fed_values(model.graph):
        raise Unsupported(f"tensor '{tensor}' is constant; {_REMEDY}", subject=tensor)
    leading = _leading_to(model.graph, target)
    if value not in leading or value is target:
        raise Unsupported(
            f"output '{output}' does not depend on tensor '{tensor}' differentiably; {_REMEDY}",
            subject=tensor,
        )
    why = "chosen by the user"
    others = [v for v in model.graph.inputs if is_float(v) and v in leading and v is not value]
    if not value.is_graph_input() and others and _waist_misses(model.graph, value, others, target):
        why += "; part of the output does not pass through it and stays fixed"
    return PathInput((_spec(value),), not value.is_graph_input(), why)


def _output(model: Model, name: str) -> ir.Value:
    found: dict[str | None, ir.Value] = {value.name: value for value in model.graph.outputs}
    if name in found:
        return found[name]
    names = ", ".join(f"'{known}'" for known in found)
    raise UnknownLayer(f"the model has no output '{name}'; its outputs are {names}", subject=name)


def _steps(node: ir.Node) -> Iterator[ir.Value]:
    """The inputs of ``node`` on which its outputs depend differentiably."""
    if node.op_type in NO_DERIVATIVE and node.domain == "":
        return
    if node.op_type in QUANTISED:
        if node.inputs[0] is not None:
            yield node.inputs[0]
        return
    yield from (value for value in each_read(node) if is_float(value))


def _leading_to(graph: ir.Graph, target: ir.Value) -> set[ir.Value]:
    """The values from which a differentiable way leads to ``target``, itself included."""
    leading = {target}
    for node in reversed(graph):
        if any(value in leading for value in node.outputs):
            leading.update(_steps(node))
    return leading


def _embeddings(graph: ir.Graph, leading: set[ir.Value]) -> tuple[list[ir.Value], str]:
    """Where integers that depend on the inputs become floats on the way to the output."""
    told = _told(graph)
    looked_up: list[ir.Value] = []
    converted: list[ir.Value] = []
    for node in graph:
        if not node.outputs or node.outputs[0] not in leading:
            continue
        output = node.outputs[0]
        first = node.inputs[0] if node.inputs else None
        if first is None or not is_float(output):
            continue
        if node.op_type == "Gather" and first not in told:
            indices = node.inputs[1]
            plain = first.shape is not None and len(first.shape) == 2
            if indices in told and plain and integer(node, "axis", 0) == 0:
                looked_up.append(output)
        elif node.op_type in ("Cast", "OneHot") and first in told and not is_float(first):
            converted.append(output)
    if looked_up:
        return looked_up, "the embedding"
    return converted, "the conversion to real numbers"


def _told(graph: ir.Graph) -> set[ir.Value]:
    """The values that depend on what the inputs hold, and not only on how long they are."""
    told = set(graph.inputs)
    for node in graph:
        if node.op_type not in ONLY_SHAPES and any(value in told for value in each_read(node)):
            told.update(node.outputs)
    return told


def _waist(
    graph: ir.Graph, sources: list[ir.Value], target: ir.Value, leading: set[ir.Value]
) -> ir.Value | None:
    """The earliest value through which every way from ``sources`` to ``target`` runs.

    Values are numbered in the order of the graph, so that all steps go forward. A value lies on
    every way exactly if no step passes over its number.
    """
    order = _ways(graph, sources, leading)
    number = {value: i for i, value in enumerate(order)}
    furthest = max(number[value] for value in sources)
    reach = furthest
    for value in order:
        if number[value] >= reach and is_float(value) and value is not target:
            return value
        for node in value.consumers():
            for output in node.outputs:
                if output in number and value in set(_steps(node)):
                    reach = max(reach, number[output])
    return None


def _ways(graph: ir.Graph, sources: list[ir.Value], leading: set[ir.Value]) -> list[ir.Value]:
    """The values that lie between ``sources`` and what ``leading`` leads to, in order."""
    reached = set(sources)
    order: list[ir.Value] = [v for v in graph.inputs if v in reached]
    for node in graph:
        from_source = any(value in reached for value in _steps(node))
        for output in node.outputs:
            if output in leading and (from_source or output in reached):
                reached.add(output)
                order.append(output)
    return order


def _with_constants(value: ir.Value, told: set[ir.Value]) -> ir.Value:
    """``value`` after the additions of constants that follow it at once."""
    while True:
        consumers = set(value.consumers())
        if len(consumers) != 1 or value.is_graph_output():
            return value
        node = consumers.pop()
        if node.op_type != "Add" or dims(node.outputs[0]) != dims(value):
            return value
        if not reads_one_of(node, told):
            return value
        value = node.outputs[0]


def _normalised(value: ir.Value) -> ir.Value:
    """``value`` after the normalisation that alone reads it."""
    consumers = set(value.consumers())
    if len(consumers) != 1 or value.is_graph_output():
        return value
    node = consumers.pop()
    whole = node.op_type in _LENGTH_BLIND and node.inputs[0] is value
    return node.outputs[0] if whole and dims(node.outputs[0]) == dims(value) else value


def _waist_misses(
    graph: ir.Graph, value: ir.Value, sources: list[ir.Value], target: ir.Value
) -> bool:
    """Whether a way from ``sources`` to ``target`` avoids ``value``."""
    reached = set(sources)
    for node in graph:
        if any(v in reached for v in _steps(node)):
            reached.update(v for v in node.outputs if v is not value)
    return target in reached


def _spec(value: ir.Value) -> TensorSpec:
    assert value.dtype is not None
    return TensorSpec(value.name or "", value.dtype.numpy().name, dims(value) or ())
