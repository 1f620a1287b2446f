"""The state of following a batch dimension through a graph, and the repairs that rules make."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from mho.errors import Unsupported
from mho.graph.axes import Dims, product
from mho.graph.emit import Emitter
from mho.graph.flow import constant_integers, dims, fed_values


class Freeing:
    """Walks through the graph in order; ``at`` says along which axis a value holds the batch.

    The dimension there is ``size`` times what was merged into it, batch outermost.
    """

    def __init__(self, model: ir.Model) -> None:
        self.model = model
        self.graph = model.graph
        self.emit = Emitter(model.graph, "batch")
        self.fed = fed_values(self.graph)
        values = [*self.graph.inputs, *self.graph.initializers.values()]
        values += [value for node in self.graph for value in node.outputs]
        self.before = {value: shape for value in values if (shape := dims(value)) is not None}
        self.at: dict[ir.Value, int] = {}
        self.size = 1
        self.kept: set[ir.Value] = set()
        """Values that keep a batch dimension which the model squeezed away: one rank more."""

    def shape(self, value: ir.Value, node: ir.Node) -> Dims:
        shape = self.before.get(value)
        if shape is None:
            raise self.lost(node, f"the shape of '{value.name}' is unknown")
        return shape

    def merged(self, value: ir.Value) -> int:
        """How many entries of the dimension belong to one sample."""
        dim = self.before[value][self.at[value]]
        return max(dim // self.size, 1) if isinstance(dim, int) else 1

    def lost(self, node: ir.Node, why: str) -> Unsupported:
        return Unsupported(
            f"the fixed batch dimension cannot be made symbolic: {node.op_type} node "
            f"'{node.name}': {why}; export the model with a dynamic batch",
            subject=node.name or "",
        )

    def first(self, node: ir.Node) -> tuple[ir.Value, int]:
        """The first input that holds the batch, and where."""
        value = next(v for v in node.inputs if v is not None and v in self.at)
        return value, self.at[value]

    def length(self, value: ir.Value, axis: int) -> ir.Value:
        """The length of ``value`` along ``axis`` as a vector of one."""
        return self.emit.op(
            "Gather", self.emit.op("Shape", value), self.emit.constant([axis]), axis=0
        )

    def batch(self, value: ir.Value) -> ir.Value:
        """The number of samples in ``value`` as a vector of one."""
        length = self.length(value, self.at[value])
        merged = self.merged(value)
        return length if merged == 1 else self.emit.op("Div", length, self.emit.constant([merged]))

    def repeated(self, node: ir.Node, index: int, axis: int, like: ir.Value) -> None:
        """Repeat constant input ``index`` of ``node`` along ``axis`` for the batch of ``like``."""
        constant = node.inputs[index]
        assert constant is not None
        shape = self.shape(constant, node)
        length = shape[axis]
        if not isinstance(length, int) or length % self.size:
            raise self.lost(node, f"constant '{constant.name}' does not fit the batch")
        block = length // self.size
        one = constant if self.size == 1 else self._one_of(node, constant, axis, block)
        repeats = self._spliced((1,) * len(shape), axis, self.batch(like))
        replacement = self.emit.op("Expand" if block == 1 else "Tile", one, repeats)
        node.replace_input_with(index, replacement)

    def _one_of(self, node: ir.Node, constant: ir.Value, axis: int, block: int) -> ir.Value:
        """The part of ``constant`` that belongs to one sample; all must be alike."""
        if constant.const_value is not None:
            array = np.moveaxis(constant.const_value.numpy(), axis, 0)
            parts = array.reshape(self.size, block, *array.shape[1:])
            if not np.array_equal(parts, np.broadcast_to(parts[:1], parts.shape)):
                raise self.lost(
                    node, f"constant '{constant.name}' differs from sample to sample of the batch"
                )
        numbers = (self.emit.constant([0]), self.emit.constant([block]), self.emit.constant([axis]))
        return self.emit.op("Slice", constant, *numbers)

    def patch(self, node: ir.Node, index: int, entry: int, piece: ir.Value) -> None:
        """Put ``piece`` (a vector of one) at ``entry`` of the integer vector at input ``index``.

        In a vector that Concat puts together, the part in question is patched. An entry that is
        computed stays, for what is computed follows the batch by itself.
        """
        vector = node.inputs[index]
        numbers = constant_integers(vector)
        if numbers is not None:
            node.replace_input_with(index, self._spliced(numbers, entry, piece))
            return
        maker = None if vector is None else vector.producer()
        if maker is None or maker.op_type != "Concat":
            return
        pieces = list(maker.inputs)
        for i, part in enumerate(pieces):
            shape = None if part is None else self.before.get(part)
            if not shape or not isinstance(shape[0], int):
                return
            if entry < shape[0]:
                known = constant_integers(part)
                if known is not None:
                    pieces[i] = self._spliced(known, entry, piece)
                    node.replace_input_with(index, self.emit.op("Concat", *pieces, axis=0))
                return
            entry -= shape[0]

    def _spliced(self, numbers: tuple[int, ...], entry: int, piece: ir.Value) -> ir.Value:
        known = constant_integers(piece)
        if known is not None:
            return self.emit.constant([*numbers[:entry], *known, *numbers[entry + 1 :]])
        ahead, behind = numbers[:entry], numbers[entry + 1 :]
        pieces = [self.emit.constant(ahead)] if ahead else []
        pieces.append(piece)
        if behind:
            pieces.append(self.emit.constant(behind))
        return self.emit.op("Concat", *pieces, axis=0)

    def lands(self, node: ir.Node, before: Dims, axis: int, after: Dims) -> int:
        """Where the batch is after a reshape: where as many elements lie before it, outermost."""
        if before[: axis + 1] == after[: axis + 1] and before[axis] == self.size:
            return axis
        ahead = product(before[:axis])
        for i, dim in enumerate(after):
            divides = not isinstance(dim, int) or dim % self.size == 0
            if ahead is not None and product(after[:i]) == ahead and divides:
                return i
        raise self.lost(node, f"{list(before)} to {list(after)} merges the batch into the rest")

    def keep_shape(self, value: ir.Value, shape: Dims, axis: int) -> None:
        self.before[value] = shape
        self.at[value] = axis
        self.kept.add(value)
        value.shape = None

    def become(self, node: ir.Node, op_type: str, *inputs: ir.Value | None) -> None:
        node.op_type = op_type
        node.attributes.clear()
        node.resize_inputs(len(inputs))
        for i, value in enumerate(inputs):
            node.replace_input_with(i, value)
