"""A loaded model: the graph, what it was read from, and what had to be done to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import onnx_ir

from mho.types import TensorSpec

_MAX_PROTO_BYTES = 1_900_000_000  # protobuf cannot hold 2 GiB in one message


@dataclass(frozen=True)
class Model:
    """An ONNX model that was checked, inlined, brought to one opset and given shapes.

    The ``graph`` is never changed in place; a rewrite works on a clone (``rewritten``).

    digest: SHA-256 (hex) of the files it was read from, provenance of every result.
    notes: sentences for the reader about what loading had to do or could not do.
    path: the file that it was read from.
    """

    ir: onnx_ir.Model
    digest: str
    notes: tuple[str, ...] = ()
    path: Path | None = None

    @property
    def graph(self) -> onnx_ir.Graph:
        return self.ir.graph

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The graph inputs that a caller must feed: initialisers with a default are left out."""
        fixed = self.graph.initializers
        return tuple(_spec(value) for value in self.graph.inputs if value.name not in fixed)

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return tuple(_spec(value) for value in self.graph.outputs)

    def rewritten(self, rewrite: Callable[[onnx_ir.Model], None], *notes: str) -> Model:
        """A copy on which ``rewrite`` has been run; weights are shared, not copied."""
        copy = self.ir.clone()
        rewrite(copy)
        return replace(self, ir=copy, notes=(*self.notes, *notes))


def fits_one_message(model: onnx_ir.Model) -> bool:
    """Whether the weights of the main graph leave room for the rest."""
    size = sum(v.const_value.nbytes for v in model.graph.initializers.values() if v.const_value)
    return size <= _MAX_PROTO_BYTES


def serialized(model: onnx_ir.Model) -> bytes | None:
    """The model as ONNX bytes; None where it is too large for one message (save it instead)."""
    if not fits_one_message(model):
        return None
    proto = onnx_ir.to_proto(model)
    return proto.SerializeToString(deterministic=True)


def save(model: onnx_ir.Model, path: Path) -> None:
    """Write the model, weights in ``<name>.data`` beside it where they are too many for one
    file."""
    data = serialized(model)
    if data is None:
        onnx_ir.save(model, path, external_data=path.name + ".data")
    else:
        path.write_bytes(data)


def _spec(value: onnx_ir.Value) -> TensorSpec:
    dtype = "unknown"
    if value.dtype is not None:
        dtype = "string" if value.dtype == onnx_ir.DataType.STRING else value.dtype.numpy().name
    shape: tuple[int | str | None, ...] = ()
    if value.shape is not None:
        shape = tuple(d if isinstance(d, int) else d.value for d in value.shape)
    return TensorSpec(name=value.name or "", dtype=dtype, shape=shape)
