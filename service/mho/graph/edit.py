"""Units removed from a model for good: each becomes its constant, in the weights where that is
exact.

Where no weights do it, one node with constants stands behind the layer and replaces the units. The
nodes, shapes, inputs and outputs of the graph are otherwise as before, and so are all names: the
tensor that a layer is named by holds what the rest of the model reads.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, count

import numpy as np
import onnx_ir as ir

from mho.editing import LayerEdit
from mho.errors import InvalidOption, UnknownLayer
from mho.evaluation import Layer
from mho.graph.emit import PREFIX, Emitter, tensor_named
from mho.graph.flow import named_values
from mho.graph.hold import Walk
from mho.graph.mask import broadcast_shape, placed
from mho.graph.model import Model
from mho.graph.producers import Patch, called
from mho.graph.weights import NotHeld, replace
from mho.types import Array

OLDEST_OPSET = 9
"""From here on the operators mean what this module takes them to mean."""
_WEIGHTS_APART = 4
"""The IR version from which a weight need not be a graph input."""


@dataclass(frozen=True)
class Removal:
    """What is to go from a layer.

    units: sorted, none twice. constants: of all units of the layer, ``(units,)``, or, where they
    differ between positions, in the layer's shape without the batch.
    """

    layer: Layer
    units: tuple[int, ...]
    constants: Array


@dataclass(frozen=True)
class Edited:
    model: Model
    layers: tuple[LayerEdit, ...]


def edited(
    model: Model,
    removals: Sequence[Removal],
    *,
    known: Model | None = None,
    by_node: Collection[str] = (),
) -> Edited:
    """``model`` with ``removals`` made permanent, in the order of the graph.

    known: the same model with shapes, where ``model`` is as its file has it. by_node: layers that
    get a node whatever weights could do. UnknownLayer for a layer that the graph does not have;
    InvalidOption for a constant that is not finite, or beyond the layer's type.
    """
    names = named_values(model.graph)
    for removal in removals:
        if removal.layer.name not in names:
            raise UnknownLayer(
                f"the graph has no tensor '{removal.layer.name}' at its top level",
                subject=removal.layer.name,
            )
    layers: list[LayerEdit] = []

    def rewrite(copy: ir.Model) -> None:
        opset = copy.opset_imports.get("", 0)
        copy.ir_version = max(copy.ir_version, _WEIGHTS_APART)
        order = {name: place for place, name in enumerate(named_values(copy.graph))}
        with _described(copy.graph, (known or model).graph):
            for removal in sorted(removals, key=lambda entry: order[entry.layer.name]):
                layers.append(_removed(copy.graph, opset, removal, by_node))

    return Edited(model.rewritten(rewrite), tuple(layers))


def _removed(graph: ir.Graph, opset: int, removal: Removal, by_node: Collection[str]) -> LayerEdit:
    name = removal.layer.name
    value = tensor_named(graph, name)
    _check_constants(removal, value)
    try:
        if name in by_node:
            raise NotHeld("changed weights gave other scores than the masked model")
        units = _one_each(removal)
        patches = Walk(graph, opset).hold(value, removal.layer.axis, units)
    except NotHeld as reason:
        node = _replaced_behind(graph, removal, value)
        return LayerEdit(name, removal.units, node=node.name or "", why=str(reason))
    emit = Emitter(graph, "edit")
    for patch in patches:
        _apply(patch, emit)
    return LayerEdit(name, removal.units, tuple(called(patch.node) for patch in patches))


def _check_constants(removal: Removal, value: ir.Value) -> None:
    dtype = np.dtype(np.float32) if value.dtype is None else value.dtype.numpy()
    with np.errstate(over="ignore"):
        held = _chosen(removal).astype(dtype).astype(np.float64)
    if not np.isfinite(held).all():
        raise InvalidOption(
            f"a substitute of layer '{removal.layer.name}' is not finite as {dtype.name}, so that "
            "its unit cannot be removed for good; choose another --substitute",
            subject="substitute",
        )


def _chosen(removal: Removal) -> Array:
    """``(removed units, positions)``, with one position where the constants have none."""
    constants = np.asarray(removal.constants)
    if constants.ndim > 1:
        constants = np.moveaxis(constants, removal.layer.axis - 1, 0)
    return constants.reshape(len(constants), -1)[list(removal.units)]


def _one_each(removal: Removal) -> dict[int, float]:
    chosen = _chosen(removal)
    if (chosen != chosen[:, :1]).any():
        raise NotHeld("the substitute differs between positions")
    return {unit: float(value) for unit, value in zip(removal.units, chosen[:, 0], strict=True)}


def _apply(patch: Patch, emit: Emitter) -> None:
    for position, array in patch.weights.items():
        replace(patch.node, position, array, emit)
    for name, number in patch.attributes.items():
        patch.node.attributes[name] = ir.AttrFloat32(name, number)


class _Behind(Emitter):
    """Puts nodes right behind ``producer``, or before all others where there is none."""

    producer: ir.Node | None = None

    def _place(self, node: ir.Node) -> None:
        if self.producer is None:
            self.graph.insert_before(self.graph[0], node)
        else:
            self.graph.insert_after(self.producer, node)


def _replaced_behind(graph: ir.Graph, removal: Removal, value: ir.Value) -> ir.Node:
    """Put ``Where(keep, layer, constants)`` behind the layer, for all that reads it."""
    layer = removal.layer
    emit = _Behind(graph, "edit")
    emit.producer = value.producer()
    spread = broadcast_shape(layer)
    keep = np.ones(layer.units, dtype=np.bool_)
    keep[list(removal.units)] = False
    dtype = np.dtype(np.float32) if value.dtype is None else value.dtype.numpy()
    constants = np.asarray(removal.constants).astype(dtype)
    constants = constants.reshape(spread) if constants.ndim == 1 else constants[None]
    made: list[ir.Node] = []

    def replaced(activation: ir.Value) -> ir.Value:
        kept = emit.constant(keep.reshape(spread))
        result = emit.op("Where", kept, activation, emit.constant(constants, dtype=dtype))
        node = result.producer()
        assert node is not None
        made.append(node)
        return result

    placed(graph, emit, layer, replaced)
    made[0].name = _unused(f"{PREFIX}edit/{layer.name}", {node.name for node in graph.all_nodes()})
    if value.name == layer.name and not value.is_graph_input():
        value.name = emit.unique(f"{layer.name}/unmasked")
        made[0].outputs[0].name = layer.name
    return made[0]


def _unused(wanted: str, taken: Collection[str | None]) -> str:
    """``wanted``, or with a number; onnxruntime refuses two nodes of one name."""
    numbered = (f"{wanted}.{i}" for i in count(1))
    return next(name for name in chain([wanted], numbered) if name not in taken)


@contextmanager
def _described(graph: ir.Graph, known: ir.Graph) -> Iterator[None]:
    """Lend ``graph`` the shapes and types of the tensors that ``known`` has by the same names."""
    described = named_values(known)
    own = {}
    for name, value in named_values(graph).items():
        own[name] = value.shape, value.type
        if name in described:
            value.shape, value.type = described[name].shape, described[name].type
    yield
    for name, value in named_values(graph).items():
        if name in own:
            value.shape, value.type = own[name]
