"""The scalar F of one output that is attributed: scores before or after softmax, and one class of
them."""

from __future__ import annotations

import onnx_ir as ir

from mho.errors import InvalidOption, UnknownLayer, Unsupported
from mho.graph.carry import carriers
from mho.graph.emit import PREFIX, Emitter
from mho.graph.flow import is_float
from mho.graph.model import Model

SCORES = f"{PREFIX}scores"
"""Graph output ``(batch, classes)``."""
TARGET = f"{PREFIX}target"
"""Graph input ``(batch,)`` int64: the class of each row."""
TARGET_SCORE = f"{PREFIX}F"
"""Graph output ``(batch,)``: the score of each row's class."""

_REPLAYED = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Cast"}
_SKIPPED = {"Identity", "Dropout"}
_SQUASHING = {"Softmax", "LogSoftmax", "Sigmoid"}


def scored(model: Model, output: str = "", score: str = "logit") -> Model:
    """``model`` with the one output ``mho/scores`` ``(batch, classes)``, float32.

    ``logit`` is the tensor before a closing Softmax, LogSoftmax (or Softmax and Log) or Sigmoid, or
    the output itself where there is none. ``probability`` is what comes after; where the model does
    not squash its output, Softmax is appended (Sigmoid for a single class). A ``score`` of
    ``output`` is the output as it is, squashed or not. An output of more than two dimensions has as
    many classes as elements, in C order. ``output`` defaults to the first float output. Raises
    UnknownLayer for a name that is no output, Unsupported for a model or an output that cannot be
    scored, InvalidOption for an output that is no float tensor.
    """
    name = _chosen_output(model, output)

    def rewrite(copy: ir.Model) -> None:
        graph = copy.graph
        value = next(v for v in graph.outputs if v.name == name)
        emit = Emitter(graph, "scores")
        squash, before, after = _squashing(value)
        if score == "output":
            scores = value
        elif squash is None:
            scores = value if score == "logit" else _squashed(emit, graph, value)
        elif score == "logit":
            scores = _replayed(emit, before, after)
        else:
            log = any(node.op_type in ("LogSoftmax", "Log") for node in (squash, *after))
            scores = emit.op("Exp", value) if log else value
        flat = emit.op("Flatten", scores, axis=1)
        if flat.dtype != ir.DataType.FLOAT:
            flat = emit.op("Cast", flat, to=ir.DataType.FLOAT)
        graph.outputs.clear()
        emit.output(flat, SCORES, ir.DataType.FLOAT, ("N", _classes(value)))
        graph.sort()

    return model.rewritten(rewrite)


def targeted(model: Model) -> Model:
    """A ``scored`` model with the further output ``mho/F``: the score of the class in
    ``mho/target``."""

    def rewrite(copy: ir.Model) -> None:
        graph = copy.graph
        emit = Emitter(graph, "target")
        scores = next(v for v in graph.outputs if v.name == SCORES)
        target = emit.input(TARGET, ir.DataType.INT64, ("N",))
        column = emit.op("Unsqueeze", target, emit.constant([1]))
        picked = emit.op("GatherElements", scores, column, axis=1)
        score = emit.op("Squeeze", picked, emit.constant([1]))
        emit.output(score, TARGET_SCORE, ir.DataType.FLOAT, ("N",))
        graph.sort()

    return model.rewritten(rewrite)


def _chosen_output(model: Model, wanted: str) -> str:
    floats = {v.name: v for v in model.graph.outputs if v.name and _is_float_tensor(v)}
    names = [v.name or "" for v in model.graph.outputs]
    if wanted and wanted not in names:
        raise UnknownLayer(
            f"the model has no output '{wanted}'; its outputs are {', '.join(names)}",
            subject="output",
        )
    if wanted and wanted not in floats:
        raise InvalidOption(
            f"output '{wanted}' is no float tensor and cannot be attributed; choose one of "
            f"{', '.join(floats) or 'none'}",
            subject="output",
        )
    if not floats:
        raise Unsupported(
            f"none of the model's outputs ({', '.join(names)}) is a float tensor that could be "
            "attributed; export it with its scores or probabilities as an output"
        )
    name = wanted or next(iter(floats))
    shape = floats[name].shape
    if shape is not None and len(shape) == 0:
        raise Unsupported(
            f"output '{name}' is one number for the whole batch and not one per input; choose "
            "another --output, or export the model with its scores",
            subject="output",
        )
    return name


def _is_float_tensor(value: ir.Value) -> bool:
    tensor = value.type is None or isinstance(value.type, ir.TensorType)
    return tensor and is_float(value)  # scikit-learn's exports yield sequences of maps as well


def _squashing(output: ir.Value) -> tuple[ir.Node | None, ir.Value, list[ir.Node]]:
    """The node that squashes the scores, what it squashes, and the nodes from there to ``output``.

    It is looked for through what only moves elements, and through Log, of which Softmax makes
    LogSoftmax.
    """
    value, after = output, list[ir.Node]()
    logged = False
    while (node := value.producer()) is not None and node.inputs and node.inputs[0] is not None:
        if node.domain not in ("", "ai.onnx"):
            break
        if node.op_type in _SQUASHING and not (logged and node.op_type != "Softmax"):
            return node, node.inputs[0], after[::-1]
        if node.op_type == "Log" and not logged:
            logged = True
        elif node.op_type not in _REPLAYED | _SKIPPED or not is_float(node.inputs[0]):
            break
        after.append(node)
        value = node.inputs[0]
    return None, output, []


def _replayed(emit: Emitter, value: ir.Value, nodes: list[ir.Node]) -> ir.Value:
    """``value`` moved as ``nodes`` move what was squashed, so that rows stay rows."""
    for node in nodes:
        if node.op_type in _REPLAYED:
            attributes = {name: attribute.value for name, attribute in node.attributes.items()}
            value = emit.op(node.op_type, value, *node.inputs[1:], **attributes)
    return value


def _squashed(emit: Emitter, graph: ir.Graph, value: ir.Value) -> ir.Value:
    """Probabilities of scores: Softmax over the classes, Sigmoid where there is one class."""
    axis = _class_axis(graph, value)
    if axis is None or (value.shape is not None and value.shape[axis] == 1):
        return emit.op("Sigmoid", value)
    return emit.op("Softmax", value, axis=axis)


def _class_axis(graph: ir.Graph, value: ir.Value) -> int | None:
    """Where the units of the last linear operator are; else channels first where all positions are
    single (``(N, 1000, 1, 1)``), else the last axis. None where there is no axis but the batch."""
    shape = value.shape
    if shape is None:
        return -1
    if len(shape) < 2:
        return None
    carried = carriers(graph).by_value.get(value)
    if carried is not None:
        return carried.axis
    return 1 if all(d == 1 for d in list(shape)[2:]) else len(shape) - 1


def _classes(value: ir.Value) -> int | None:
    if value.shape is None:
        return None
    count = 1
    for dim in list(value.shape)[1:]:
        if not isinstance(dim, int):
            return None
        count *= dim
    return count
