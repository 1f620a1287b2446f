"""Masks whose substitutes differ from row to row: one replacement for each row of a batch."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from mho.evaluation import Layer
from mho.graph.emit import tensor_named
from mho.graph.mask import substitute_input
from mho.graph.model import Model


def rowwise(model: Model, layers: Sequence[Layer]) -> Model:
    """A ``masked`` model whose substitutes are ``(batch, ...)``, of the shape of the layer, or
    ``(1, ...)`` for a batch whose rows have the same.

    The nodes stay as they are: what broadcast over the batch is now added row by row.
    """

    def rewrite(copy: ir.Model) -> None:
        for layer in layers:
            value = tensor_named(copy.graph, substitute_input(layer.name))
            value.shape = ir.Shape((None, *layer.shape[1:]))

    return model.rewritten(rewrite)
