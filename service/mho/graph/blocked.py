"""Masks inside onnxruntime's blocked layout, where they cost one pass over the activation.

On CPUs with vector units onnxruntime keeps the channels of convolutions in blocks of 8 or 16, and
leaves that layout for every product of an activation with a mask. Depthwise convolutions with
constant weights stay in it. So a layer is marked with one (``marked``), onnxruntime optimises the
graph, and in what it made of the mark (``opened``) the weight becomes the mask m, and the bias
(1 - m) * substitute. That rows have masks of their own is had by taking rows for channels:
``(rows, C, H, W)`` and ``(1, rows * C, H, W)`` are the same bytes in that layout too. The number of
groups is an attribute, so the number of rows is fixed.

Which marks come out as they went in is for ``unharmed`` to say: the layout may not be used for a
layer, and a normalisation behind a mark may have been folded into it. Such layers take the nodes of
``mask.masked``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx
import onnx_ir as ir

from mho.evaluation import Layer
from mho.graph.emit import PREFIX, Emitter, tensor_named
from mho.graph.mask import mask_input, placed, substitute_input
from mho.graph.model import Model

_DOMAIN = "com.microsoft.nchwc"
_IMAGE_RANK = 4


def blockable(model: Model, layers: Sequence[Layer]) -> list[Layer]:
    """Those of ``layers`` that have the form of an image with channels, in float32."""
    return [
        layer
        for layer in layers
        if len(layer.shape) == _IMAGE_RANK
        and layer.axis == 1
        and tensor_named(model.graph, layer.name).dtype == ir.DataType.FLOAT
    ]


def marked(model: Model, layers: Sequence[Layer]) -> Model:
    """``model`` with a depthwise convolution that changes nothing behind each of ``layers``, which
    must be ``blockable``."""

    def rewrite(copy: ir.Model) -> None:
        emit = Emitter(copy.graph, "mark")
        for number, layer in enumerate(layers):
            weight = emit.constant(np.ones((layer.units, 1, 1, 1), dtype=np.float32))
            bias = _bias(copy.graph, layer, number)

            def convolved(activation: ir.Value, weight: ir.Value = weight, bias: ir.Value = bias,
                          layer: Layer = layer) -> ir.Value:  # fmt: skip
                return emit.op(
                    "Conv", activation, weight, bias, kernel_shape=[1, 1], group=layer.units
                )

            placed(copy.graph, emit, layer, convolved)
        copy.graph.sort()

    return model.rewritten(rewrite)


def parsed(model: Model, optimised: bytes) -> Model:
    """What onnxruntime made of ``model``."""
    return replace(model, ir=ir.from_proto(onnx.load_from_string(optimised)))


def unharmed(optimised: Model, layers: Sequence[Layer]) -> list[Layer]:
    """Those of the ``marked`` layers whose mark is a depthwise convolution in the blocked layout,
    with the weights that it had."""
    marks = _marks(optimised.ir.graph)
    return [
        layer
        for number, layer in enumerate(layers)
        if _mark_name(layer) in marks and _intact(marks[_mark_name(layer)], layer, number)
    ]


def opened(optimised: Model, layers: Sequence[Layer], rows: int) -> Model:
    """``optimised``, whose marks at ``layers`` are all ``unharmed``, with the inputs of
    ``mask.masked`` for batches of exactly ``rows``. Substitutes are ``(1, units, 1, 1)``."""

    def rewrite(copy: ir.Model) -> None:
        graph = copy.graph
        marks = _marks(graph)
        emit = Emitter(graph, "blocked")
        for layer in layers:
            _open(emit, marks[_mark_name(layer)], layer, rows)
        read_by = {value for node in graph for value in node.inputs}
        for name, value in list(graph.initializers.items()):
            if value not in read_by:
                del graph.initializers[name]
        graph.sort()

    return optimised.rewritten(rewrite)


def _open(emit: Emitter, node: ir.Node, layer: Layer, rows: int) -> None:
    mask = emit.input(mask_input(layer.name), ir.DataType.FLOAT, (rows, layer.units))
    substitute = emit.input(substitute_input(layer.name), ir.DataType.FLOAT, (1, layer.units, 1, 1))
    flat = emit.op("Reshape", substitute, emit.constant([1, -1]))
    replaced = emit.op("Mul", emit.op("Sub", emit.constant(1.0), mask), flat)
    together = emit.constant([1, rows * layer.units, 0, 0])
    out = node.outputs[0]
    uses = list(out.uses())
    for position in (0, 3):  # the activation, and what was fused in to be added
        given = node.inputs[position] if len(node.inputs) > position else None
        if given is not None:
            node.replace_input_with(position, emit.op("Reshape", given, together))
    node.replace_input_with(1, emit.op("Reshape", mask, emit.constant([-1, 1, 1, 1])))
    node.replace_input_with(2, emit.op("Reshape", replaced, emit.constant([-1])))
    node.attributes["group"] = ir.AttrInt64("group", rows * layer.units)
    out.shape = None  # rows and channels are one axis now
    apart = emit.op("Reshape", out, emit.constant([rows, layer.units, 0, 0]))
    for user, position in uses:
        user.replace_input_with(position, apart)


def _mark_name(layer: Layer) -> str:
    return f"{PREFIX}mark/{layer.name}"


def _pattern(layer: Layer, number: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """A bias by which a mark is known again; no two are alike, so that none is shared."""
    return np.arange(1, layer.units + 1, dtype=np.float32) + np.float32(number) / 4096


def _bias(graph: ir.Graph, layer: Layer, number: int) -> ir.Value:
    tensor = ir.tensor(_pattern(layer, number), name=_mark_name(layer))
    value = ir.Value(
        name=_mark_name(layer),
        shape=ir.Shape((layer.units,)),
        type=ir.TensorType(tensor.dtype),
        const_value=tensor,
    )
    graph.register_initializer(value)
    return value


def _marks(graph: ir.Graph) -> dict[str, ir.Node]:
    """Name of the bias -> the convolution in the blocked layout that reads it."""
    found = {}
    for node in graph:
        if node.op_type == "Conv" and node.domain == _DOMAIN and len(node.inputs) > 2:
            bias = node.inputs[2]
            if bias is not None and bias.name is not None:
                found[bias.name] = node
    return found


def _intact(node: ir.Node, layer: Layer, number: int) -> bool:
    weight, bias = node.inputs[1], node.inputs[2]
    assert weight is not None and bias is not None  # noqa: PT018
    if weight.const_value is None or bias.const_value is None:
        return False
    ones = weight.const_value.numpy()
    pads = node.attributes.get("pads")
    return (
        ones.shape == (layer.units, 1, 1, 1)
        and bool((ones == 1).all())
        and np.array_equal(bias.const_value.numpy(), _pattern(layer, number))
        and (pads is None or not any(pads.as_ints()))
    )
