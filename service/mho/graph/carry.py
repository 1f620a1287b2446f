"""Which tensors carry the units of a linear operator, and along which axis."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

import onnx_ir as ir

from mho.graph.axes import moved
from mho.graph.families import (
    ACTIVATIONS,
    ARITHMETIC,
    CONVOLUTIONS,
    DENSE,
    FUNCTIONS,
    NORMALISATIONS,
    PRODUCTS,
    QUANTISED,
    RECURRENT,
    SUMS,
    UNCHANGED,
)
from mho.graph.flow import dims, fed_values, integer, is_float
from mho.graph.pointwise import Formula, Formulas

_KEEPS_STAGE = UNCHANGED | QUANTISED | {"Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze"}


class Stage(Enum):
    """How far a tensor is from the operator that made its units."""

    LINEAR = "linear"
    NORMALISED = "normalised"
    ACTIVATED = "activated"
    JOINED = "joined"
    OTHER = "other"


@dataclass(frozen=True)
class Carried:
    """Units along ``axis``.

    op_type: what to call the tensor.
    listed: whether it is a layer that is offered to users.
    first: the listed tensor that a bias or scale added to this one would replace in the list; None
        where both would be of interest.
    """

    axis: int
    stage: Stage
    op_type: str
    listed: bool = False
    first: ir.Value | None = None


@dataclass(frozen=True)
class Carriers:
    """All tensors of a graph that carry units, in its order."""

    by_value: dict[ir.Value, Carried]
    linear: tuple[ir.Node, ...]
    """The linear operators that make units."""
    formulas: dict[ir.Value, tuple[ir.Value, frozenset[ir.Node]]]
    """Tensor -> the end of the formula that it alone enters, and the nodes of the formula."""
    fed: set[ir.Value]


def carriers(graph: ir.Graph) -> Carriers:
    """Follow units forward from every linear operator."""
    return _Walk(graph).run()


def is_linear(node: ir.Node, fed: set[ir.Value]) -> bool:
    """Whether ``node`` makes units: a convolution, or a product with a constant matrix."""
    if node.op_type in CONVOLUTIONS | DENSE:
        return True
    if node.op_type not in PRODUCTS or len(node.inputs) < 2:
        return False
    weight = node.inputs[1]
    if weight is None or weight in fed or node.inputs[0] not in fed:
        return False
    return node.op_type == "MatMulNBits" or (weight.shape is not None and len(weight.shape) == 2)


class _Walk:
    def __init__(self, graph: ir.Graph) -> None:
        self.graph = graph
        self.fed = fed_values(graph)
        self.found: dict[ir.Value, Carried] = {}
        self.linear: list[ir.Node] = []
        self.formulas: dict[ir.Value, tuple[ir.Value, frozenset[ir.Node]]] = {}

    def run(self) -> Carriers:
        search = Formulas(self.fed)
        for node in self.graph:
            if not node.outputs or node.outputs[0] not in self.fed:
                continue
            formula = search.visit(node)
            output = node.outputs[0]
            if node.op_type == "Split":
                self._split(node)
                continue
            if node.op_type in RECURRENT:
                for value, last in zip(node.outputs, (3, 2, 2), strict=False):
                    self.found[value] = Carried(last, Stage.OTHER, node.op_type)
                continue
            carried = self._after_formula(node, formula) or self._after(node)
            shape = dims(output)
            if carried is None or shape is None or not 0 < carried.axis < len(shape):
                continue
            self.found[output] = carried
        return Carriers(self.found, tuple(self.linear), self.formulas, self.fed)

    def _unlist(self, value: ir.Value) -> None:
        if value in self.found:
            self.found[value] = replace(self.found[value], listed=False)

    def _after(self, node: ir.Node) -> Carried | None:
        if is_linear(node, self.fed):
            self.linear.append(node)
            shape = dims(node.outputs[0])
            if shape is None:
                return None
            units = len(shape) - 1 if node.op_type in PRODUCTS else 1
            return Carried(units, Stage.LINEAR, node.op_type, True, node.outputs[0])
        operands = [v for v in node.inputs if v is not None and v in self.fed]
        if node.op_type == "Gather" and operands and node.inputs[0] not in self.fed:
            return self._embedding(node)
        if node.op_type == "Concat":
            return self._concat(node, operands)
        if node.op_type in ARITHMETIC | {"SkipLayerNormalization"} and len(operands) > 1:
            return self._arithmetic(node, operands)
        if not operands or operands[0] not in self.found or node.inputs[0] is None:
            return None
        source = operands[0]
        carried = self.found[source]
        if node.op_type in NORMALISATIONS:
            return Carried(carried.axis, Stage.NORMALISED, node.op_type, True, node.outputs[0])
        if node.op_type in ACTIVATIONS:
            if not _same_shape(source, node.outputs[0]):
                return None
            return Carried(carried.axis, Stage.ACTIVATED, node.op_type, True)
        if node.op_type in ARITHMETIC:
            return self._affine(node, source, carried)
        if node.op_type in FUNCTIONS:
            return Carried(carried.axis, Stage.OTHER, node.op_type)
        axis = moved(node, carried.axis)
        if axis is None:
            return None
        if node.op_type not in _KEEPS_STAGE:
            return Carried(axis, Stage.OTHER, node.op_type)
        kept = carried.first if self._sole(source) else None
        return replace(carried, axis=axis, listed=False, first=kept)

    def _affine(self, node: ir.Node, source: ir.Value, carried: Carried) -> Carried | None:
        """A sum or product with a constant: a bias, the scale of a normalisation, or neither."""
        if not _same_shape(source, node.outputs[0]):
            return None
        constant = next((v for v in node.inputs if v is not None and v is not source), None)
        scalar = constant is not None and _size(constant) == 1
        first = carried.first if self._sole(source) else None
        output = node.outputs[0]
        absorbed = (
            (carried.stage is Stage.LINEAR and node.op_type in ("Add", "Sub"))
            or carried.stage is Stage.NORMALISED
            or (carried.stage is Stage.ACTIVATED and scalar and first is not None)
        )
        if absorbed:
            if first is not None:
                self._unlist(first)
            return Carried(carried.axis, carried.stage, carried.op_type, True, output)
        if carried.stage is Stage.LINEAR and node.op_type in ("Mul", "Div") and not scalar:
            return Carried(carried.axis, Stage.NORMALISED, node.op_type, True, output)
        return Carried(carried.axis, Stage.OTHER, node.op_type)

    def _after_formula(self, node: ir.Node, formula: Formula | None) -> Carried | None:
        if formula is None or formula.source not in self.found:
            return None
        source, output = formula.source, node.outputs[0]
        inner = [value for n in formula.nodes for value in n.outputs if value is not output]
        closed = all(set(v.consumers()) <= formula.nodes and not v.is_graph_output() for v in inner)
        if closed and set(source.consumers()) <= formula.nodes and not source.is_graph_output():
            self.formulas[source] = (output, formula.nodes)
        if formula.name is None:
            return Carried(self.found[source].axis, Stage.OTHER, node.op_type)
        for value in inner:
            self._unlist(value)
        axis = self.found[source].axis
        return Carried(axis, Stage.ACTIVATED, formula.name, True, output)

    def _arithmetic(self, node: ir.Node, operands: list[ir.Value]) -> Carried | None:
        shape = dims(node.outputs[0])
        if shape is None:
            return None
        whole = [v for v in operands if v in self.found and dims(v) == shape]
        if not whole:
            return None
        axis = self.found[whole[0]].axis
        if node.op_type in ("Div", "Mul") and _is_standardisation(operands):
            return Carried(axis, Stage.NORMALISED, "LayerNormalization", True, node.outputs[0])
        units = shape[axis]
        full = all(_dim(v, axis - len(shape)) == units for v in operands)
        if node.op_type in SUMS and full and len(operands) > 1:
            return Carried(axis, Stage.JOINED, node.op_type, True)
        if node.op_type == "SkipLayerNormalization":
            return Carried(axis, Stage.JOINED, node.op_type, True)
        return Carried(axis, Stage.OTHER, node.op_type)

    def _concat(self, node: ir.Node, operands: list[ir.Value]) -> Carried | None:
        shape = dims(node.outputs[0])
        axes = {self.found[v].axis for v in operands if v in self.found}
        if shape is None or len(axes) != 1:
            return None
        axis = axes.pop()
        joined = integer(node, "axis", 0) % len(shape) == axis
        return Carried(axis, Stage.JOINED if joined else Stage.OTHER, "Concat", joined)

    def _embedding(self, node: ir.Node) -> Carried | None:
        table, shape = node.inputs[0], dims(node.outputs[0])
        if table is None or shape is None or table.shape is None or len(table.shape) != 2:
            return None
        if integer(node, "axis", 0) != 0 or not is_float(table):
            return None
        return Carried(len(shape) - 1, Stage.OTHER, "Gather")

    def _split(self, node: ir.Node) -> None:
        source = node.inputs[0]
        carried = self.found.get(source) if source is not None else None
        if carried is not None:
            for value in node.outputs:
                self.found[value] = Carried(carried.axis, Stage.OTHER, "Split")

    def _sole(self, value: ir.Value) -> bool:
        return len(value.consumers()) == 1 and not value.is_graph_output()


def _is_standardisation(operands: list[ir.Value]) -> bool:
    """(x - mean(x)) / sqrt(var): the decomposed layer normalisation of exports below opset 17."""
    centred = operands[0].producer()
    if centred is None or centred.op_type != "Sub" or centred.inputs[1] is None:
        return False
    mean = centred.inputs[1].producer()
    return mean is not None and mean.op_type == "ReduceMean" and mean.inputs[0] is centred.inputs[0]


def _same_shape(a: ir.Value, b: ir.Value) -> bool:
    return a.shape is not None and dims(a) == dims(b)


def _size(value: ir.Value) -> int | None:
    shape = dims(value)
    if shape is None:
        return None
    size = 1
    for dim in shape:
        if not isinstance(dim, int):
            return None
        size *= dim
    return size


def _dim(value: ir.Value, axis: int) -> int | str | None:
    shape = dims(value)
    return shape[axis] if shape is not None and len(shape) >= -axis else None
