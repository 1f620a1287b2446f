"""A batch dimension that an exporter fixed is made symbolic, and what was fixed with it is freed.

Half of all exports fix the batch, and most of those fix it inside as well: in the targets of
Reshape and Expand, in constants that are concatenated, in the sizes of Resize, in the initial
states of recurrent layers. The batch is followed from the inputs through every operator; where a
constant holds it, the constant is replaced. Nothing is proved here: the caller compares a batch of
three with three single runs.
"""

from __future__ import annotations

import onnx_ir as ir

from mho.errors import InvalidModel, Unsupported
from mho.graph import convert
from mho.graph.batch_rules import visit
from mho.graph.families import RECURRENT
from mho.graph.flow import dims
from mho.graph.freeing import Freeing
from mho.graph.model import Model

SYMBOL = "N"
"""The name of the freed dimension, unless the model uses it for another."""


def batched(model: Model) -> bool:
    """Whether an input already has a symbolic leading dimension."""
    shapes = [dims(value) for value in model.graph.inputs]
    return any(shape and not isinstance(shape[0], int) for shape in shapes)


def symbolic(model: Model) -> Model | None:
    """``model`` with the batch dimension of inputs and outputs named ``N``, shapes inferred anew.

    None where it is symbolic already. Unsupported, naming the node, where the batch cannot be
    followed, as where samples are mixed.
    """
    if batched(model):
        return None
    return model.rewritten(_free, "the fixed batch dimension was made symbolic")


def _free(model: ir.Model) -> None:
    walk = Freeing(model)
    _start(walk)
    for node in list(walk.graph):
        if any(value in walk.at for value in node.inputs if value is not None):
            visit(walk, node)
    walk.graph.sort()
    symbol = _symbol(walk)
    _declare(walk, symbol)
    try:
        convert.infer(model)
    except InvalidModel as error:
        raise Unsupported(
            "the fixed batch dimension cannot be made symbolic: without it "
            f"{error.message.split('; export')[0]}; export the model with a dynamic batch"
        ) from error
    _name(walk, symbol)


def _start(walk: Freeing) -> None:
    """Find the inputs that hold the batch, and its size.

    It leads; in the initial state of a recurrent layer it is second, behind the directions.
    """
    states = {
        node.inputs[i]
        for node in walk.graph
        if node.op_type in RECURRENT
        for i in (5, 6)
        if len(node.inputs) > i
    }
    inputs = [value for value in walk.graph.inputs if walk.before.get(value)]
    inputs.sort(key=lambda value: (value in states, len(walk.before[value]) < 2))  # stable
    if not inputs:
        raise Unsupported("no input has a dimension that could be the batch")
    size = walk.before[inputs[0]][0]
    if not isinstance(size, int) or size < 1:
        raise Unsupported(
            f"input '{inputs[0].name}' has the fixed batch {size}; export the model with a "
            "batch of 1 or a symbolic one"
        )
    walk.size = size
    for value in inputs:
        axis = 1 if value in states else 0
        if len(walk.before[value]) > axis and walk.before[value][axis] == size:
            walk.at[value] = axis


def _declare(walk: Freeing, symbol: str) -> None:
    """Take back every shape that was inferred with the fixed batch, and free inputs and outputs."""
    for node in walk.graph.all_nodes():
        for value in node.outputs:
            if node.domain == "":
                value.shape = None
            elif value in walk.at:  # nothing infers its shape again
                _set(value, walk.before.get(value), walk.at[value], None)
    for value in walk.graph.inputs:
        if value in walk.at:
            _set(value, walk.before[value], walk.at[value], symbol)


def _name(walk: Freeing, symbol: str) -> None:
    """Call the dimension by its name wherever it is the batch alone."""
    for value, axis in walk.at.items():
        alone = value in walk.kept or walk.merged(value) == 1
        if alone and value.shape is not None and not isinstance(value.shape[axis], int):
            _set(value, dims(value), axis, symbol)


def _symbol(walk: Freeing) -> str:
    taken = {dim for shape in walk.before.values() for dim in shape if isinstance(dim, str)}
    return SYMBOL if SYMBOL not in taken else f"{SYMBOL}_batch"


def _set(
    value: ir.Value, shape: tuple[int | str | None, ...] | None, axis: int, dim: str | None
) -> None:
    if shape is not None:
        value.shape = ir.Shape([*shape[:axis], dim, *shape[axis + 1 :]])
