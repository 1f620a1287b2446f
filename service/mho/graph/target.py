"""The scalar F of one output that is attributed: scores before or after softmax, and one class of them."""

from __future__ import annotations

import onnx_ir as ir

from mho.errors import InvalidOption, UnknownLayer, Unsupported
from mho.graph.emit import PREFIX, Emitter
from mho.graph.model import Model

SCORES = f"{PREFIX}scores"
"""Graph output ``(batch, classes)``."""
TARGET = f"{PREFIX}target"
"""Graph input ``(batch,)`` int64: the class of each row."""
TARGET_SCORE = f"{PREFIX}F"
"""Graph output ``(batch,)``: the score of each row's class."""

_FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE, ir.DataType.BFLOAT16)
_SHAPE_ONLY = {"Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Cast", "Dropout"}
_SQUASHING = {"Softmax", "LogSoftmax", "Sigmoid"}


def scored(model: Model, output: str = "", score: str = "logit") -> Model:
    """``model`` with the one output ``mho/scores`` ``(batch, classes)``, float32.

    ``logit`` is the tensor before a closing Softmax, LogSoftmax or Sigmoid, or the output itself where
    there is none. ``probability`` is what comes after; where the model does not squash its output,
    Softmax is appended (Sigmoid for a single class). ``output`` defaults to the first float output.
    Raises UnknownLayer for a name that is no output, Unsupported for one that is no float tensor.
    """
    name = _chosen_output(model, output)

    def rewrite(copy: ir.Model) -> None:
        graph = copy.graph
        value = next(v for v in graph.outputs if v.name == name)
        squash = _squashing_node(value)
        emit = Emitter(graph, "scores")
        if score == "logit":
            scores = value if squash is None else _argument(squash)
        elif squash is None:
            classes = _class_axis(value)
            single = value.shape is not None and value.shape[classes] == 1
            scores = (
                emit.op("Sigmoid", value) if single else emit.op("Softmax", value, axis=classes)
            )
        else:
            scores = emit.op("Exp", value) if squash.op_type == "LogSoftmax" else value
        flat = emit.op("Flatten", scores, axis=1)
        if value.dtype != ir.DataType.FLOAT:
            flat = emit.op("Cast", flat, to=ir.DataType.FLOAT)
        graph.outputs.clear()
        emit.output(flat, SCORES, ir.DataType.FLOAT, ("N", _classes(value)))
        graph.sort()

    return model.rewritten(rewrite)


def targeted(model: Model) -> Model:
    """A ``scored`` model with the further output ``mho/F``: the score of the class in ``mho/target``."""

    def rewrite(copy: ir.Model) -> None:
        graph = copy.graph
        emit = Emitter(graph, "target")
        scores = next(v for v in graph.outputs if v.name == SCORES)
        target = emit.input(TARGET, ir.DataType.INT64, ("N",))
        column = emit.op("Unsqueeze", target, emit.constant([1]))
        picked = emit.op("GatherElements", scores, column, axis=1)
        emit.output(
            emit.op("Squeeze", picked, emit.constant([1])), TARGET_SCORE, ir.DataType.FLOAT, ("N",)
        )
        graph.sort()

    return model.rewritten(rewrite)


def class_count(model: Model) -> int | None:
    """How many classes a ``scored`` model's output has; None where the graph does not say."""
    shape = next(v for v in model.graph.outputs if v.name == SCORES).shape
    return shape[1] if shape is not None and isinstance(shape[1], int) else None


def _chosen_output(model: Model, wanted: str) -> str:
    floats = [v.name for v in model.graph.outputs if v.name and v.dtype in _FLOATS]
    if not wanted:
        if not floats:
            raise Unsupported("the model has no float output that could be attributed")
        return floats[0]
    names = [v.name or "" for v in model.graph.outputs]
    if wanted not in names:
        raise UnknownLayer(
            f"the model has no output '{wanted}'; its outputs are {', '.join(names)}", subject="output"
        )
    if wanted not in floats:
        raise InvalidOption(
            f"output '{wanted}' is no float tensor and cannot be attributed; choose one of "
            f"{', '.join(floats) or 'none'}",
            subject="output",
        )
    return wanted


def _argument(node: ir.Node) -> ir.Value:
    value = node.inputs[0]
    if value is None:
        raise Unsupported(f"node '{node.name}' has no input")
    return value


def _squashing_node(output: ir.Value) -> ir.Node | None:
    """The Softmax, LogSoftmax or Sigmoid that closes the model, looked for through reshapes."""
    value = output
    while (node := value.producer()) is not None:
        if node.op_type in _SQUASHING:
            return node
        if node.op_type not in _SHAPE_ONLY:
            return None
        value = _argument(node)
    return None


def _class_axis(value: ir.Value) -> int:
    """Channels first where the positions are all single (``(N, 1000, 1, 1)``), else the last axis."""
    shape = value.shape
    if shape is None or len(shape) < 3:
        return -1 if shape is None else len(shape) - 1
    return 1 if all(d == 1 for d in list(shape)[2:]) else len(shape) - 1


def _classes(value: ir.Value) -> int | str | None:
    if value.shape is None:
        return None
    dims = list(value.shape)[1:]
    count = 1
    for dim in dims:
        if not isinstance(dim, int):
            return None
        count *= dim
    return count
