"""What an edit starts from: the model as its file has it, where its layers are found there."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import onnx_ir as ir

from mho.errors import InvalidModel
from mho.graph.edit import OLDEST_OPSET
from mho.graph.flow import each_read, named_values
from mho.graph.load import Limits, as_written, load
from mho.graph.model import Model

_HALF = ("FLOAT16", "BFLOAT16")


def editable(model: Model, layers: Collection[str], limits: Limits) -> Model:
    """The model that ``model`` was loaded from, whose ``layers`` are to be edited.

    It is read from the file again and left as it is there, so that opset, functions, metadata and
    names survive. Where the file is of an opset whose operators mean something else, or a layer is
    inside a function or a fused operator, it is the model as ``load`` makes it, and a note says so.
    InvalidModel where the file is gone or has changed.
    """
    if model.path is None:
        raise InvalidModel("the model was read from no file, so that there is none to edit")
    original = as_written(model.path, limits)
    if original.digest != model.digest:
        raise InvalidModel(
            f"{model.path.name} has changed since the run began; run it again",
            subject=model.path.name,
        )
    _hold_attributes(original.ir)
    if not _sorted(original.graph):
        original.graph.sort()
    opset = opset_of(original)
    there = named_values(original.graph)
    missing = [name for name in layers if name not in there]
    if opset >= OLDEST_OPSET and not missing:
        kept = opset != opset_of(model)
        note = f"the edited model is of opset {opset} as its file is"
        return replace(original, notes=(*original.notes, note)) if kept else original
    found = load(model.path, limits)
    if missing:
        why = f"the file has no tensor '{missing[0]}' outside of functions and fused operators"
    else:
        why = f"operators of opset {opset} are not edited"
    now = opset_of(found)
    return replace(
        found,
        notes=(
            *original.notes,
            f"the edited model is the file's as mho reads it (opset {now}, functions inlined, "
            f"fused operators taken apart), because {why}",
        ),
    )


def opset_of(model: Model) -> int:
    """The version of the standard operators that the model uses."""
    return int(model.ir.opset_imports.get("", 0))


def half_precision(model: Model) -> bool:
    """Whether some tensor holds 16-bit floats."""
    values = named_values(model.graph).values()
    return any(value.dtype is not None and value.dtype.name in _HALF for value in values)


def _hold_attributes(model: ir.Model) -> None:
    """Read external tensors of attributes, which have no place beside the edited file, in place."""
    nodes = [*model.graph.all_nodes()]
    for function in model.functions.values():
        nodes += function.all_nodes()
    for node in nodes:
        for name, attribute in list(node.attributes.items()):
            if attribute.type != ir.AttributeType.TENSOR or attribute.is_ref():
                continue
            tensor = attribute.as_tensor()
            if isinstance(tensor, ir.ExternalTensor):
                held = ir.Tensor(tensor.numpy().copy(), dtype=tensor.dtype, name=tensor.name)
                node.attributes[name] = ir.AttrTensor(name, held)


def _sorted(graph: ir.Graph) -> bool:
    """Whether every node stands behind those that make what it reads, as onnxruntime does not ask
    of a file."""
    made: set[ir.Value] = set()
    for node in graph:
        for value in each_read(node):
            producer = value.producer()
            if producer is not None and producer.graph is graph and value not in made:
                return False
        made.update(node.outputs)
    return True
