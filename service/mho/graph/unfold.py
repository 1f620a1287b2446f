"""Layers on flattened tokens, brought back to one row per input.

Exporters write a linear layer on tokens as Reshape to (batch · tokens, features), Gemm, Reshape
back. Masks, chords and reductions rest on the leading axis being the batch, so the tensor is
unfolded for them, and folded again for those that read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx_ir as ir

from mho.evaluation import Layer
from mho.graph.emit import Emitter, tensor_named
from mho.graph.model import Model


def unfolded(model: Model, layers: Sequence[Layer], batch: str) -> tuple[Model, tuple[Layer, ...]]:
    """``model`` with the tensors of ``layers``, whose leading dimension is batch · positions,
    turned into ``(batch, positions, ...)`` under their own names, and the layers as they then are.

    batch: the graph input whose leading dimension is the batch. The positions of one input must be
    side by side. Graph outputs keep their shape, under another name.
    """

    def rewrite(copy: ir.Model) -> None:
        graph = copy.graph
        emit = Emitter(graph, "unfold")
        for layer in layers:
            _unfold(graph, emit, layer, tensor_named(graph, batch))
        graph.sort()

    return model.rewritten(rewrite), tuple(
        replace(layer, shape=(None, None, *layer.shape[1:]), axis=layer.axis + 1)
        for layer in layers
    )


def _unfold(graph: ir.Graph, emit: Emitter, layer: Layer, batch: ir.Value) -> None:
    folded = tensor_named(graph, layer.name)
    uses = list(folded.uses())
    rows = emit.op("Slice", emit.op("Shape", batch), emit.constant([0]), emit.constant([1]))
    whole = emit.op("Shape", folded)
    behind = emit.op("Slice", whole, emit.constant([1]), emit.constant([len(layer.shape)]))
    sizes = emit.op("Concat", rows, emit.constant([-1]), behind, axis=0)
    result = emit.op("Reshape", folded, sizes)
    again = emit.op("Reshape", result, whole)
    rest = [dim if isinstance(dim, int) else None for dim in layer.shape[1:]]
    leading = None if batch.shape is None else batch.shape[0]
    result.shape, again.shape = ir.Shape([leading, None, *rest]), folded.shape
    for user, position in uses:
        user.replace_input_with(position, again)
    for index, output in enumerate(graph.outputs):
        if output is folded:
            graph.outputs[index] = again
    folded.name, result.name = emit.unique(f"{layer.name}/folded"), layer.name
