"""Bytes -> a model that can be trusted to be what it says, in one form.

The steps, in order: the file is recognised, parsed and checked; external data is located; functions
are inlined; constants become initialisers; nodes are sorted; shapes are inferred, which also finds
contradictions; a model older than opset 18 is raised to it; fused operators are taken apart; shape
arithmetic is folded; every node and value gets a unique name. Tensors that survive keep their
names, for layers are chosen by them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes

from mho.config import Settings
from mho.errors import InvalidModel
from mho.graph import check, convert, external, fold, sniff
from mho.graph.flow import fed_values
from mho.graph.messages import elements
from mho.graph.model import Model
from mho.graph.unfuse import set_aside, take_apart

_CHUNK = 1 << 20
_MAX_MESSAGE = 2**31 - 1
_KEEP_MAPPED = 1_900_000_000
_MAX_ACTIVATION = 2**31 - 1
_MAX_CONSTANTS = 2**28


@dataclass(frozen=True)
class Limits:
    """How large a model may be: bytes with external data, nodes inlined, subgraphs in subgraphs."""

    max_bytes: int = Settings.max_model_bytes
    max_nodes: int = Settings.max_nodes
    max_nesting: int = Settings.max_nesting


def load(path: Path, limits: Limits | None = None) -> Model:
    """The model at ``path``, checked and normalised; external data is looked for beside it.

    The digest is the SHA-256 of the file, or, where there is external data, of the digest of the
    file followed by name and digest of every data file in order of name.

    InvalidModel for everything that is wrong with the file.
    """
    return _model(path, limits, normalise=True)


def as_written(path: Path, limits: Limits | None = None) -> Model:
    """The model at ``path``, checked as ``load`` does it and otherwise as its file has it: opset,
    functions and names are the file's, and so is where its weights are kept."""
    return _model(path, limits, normalise=False)


def _model(path: Path, limits: Limits | None, *, normalise: bool) -> Model:
    limits = limits or Limits()
    data = _read(path, limits)
    proto = _parse(path, data)
    digest = hashlib.sha256(data).hexdigest()
    size = len(data)
    del data
    check.structure(proto, limits.max_nodes, limits.max_nesting)
    files = external.locate(proto, path.parent)
    size += sum((path.parent / name).stat().st_size for name in files)
    if size > limits.max_bytes:
        raise InvalidModel(
            f"the model has {size} bytes with its external data; at most {limits.max_bytes} are "
            "allowed (setting max_model_bytes)"
        )
    notes: list[str] = []
    if proto.training_info:
        proto.ClearField("training_info")
        notes.append("training information in the file is ignored")
    try:
        model = _built(proto)
        del proto
        _point_at_files(model, path.parent)
        if normalise:
            notes += _normalise(model)
            _read_in(model)
    except InvalidModel:
        raise
    except Exception as error:  # whatever damaged bytes set off is the model's fault
        raise InvalidModel(
            f"the model cannot be read ({type(error).__name__}: {error}); export it again"
        ) from error
    return Model(model, _digest(digest, path.parent, files), tuple(notes), path)


def _read(path: Path, limits: Limits) -> bytes:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist or is no ordinary file"
        raise InvalidModel(f"{path} {what}; give an .onnx file", subject=str(path))
    size = path.stat().st_size
    if size == 0:
        raise InvalidModel(f"{path.name} is empty; copy or export the model again")
    if size > limits.max_bytes:
        raise InvalidModel(
            f"{path.name} has {size} bytes; at most {limits.max_bytes} are allowed "
            "(setting max_model_bytes)"
        )
    if size > _MAX_MESSAGE:
        raise InvalidModel(
            f"{path.name} has {size} bytes, but one ONNX file cannot hold 2 GiB or more; save the "
            "model with external data"
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidModel(f"{path.name} cannot be read: {error.strerror}") from error


def _parse(path: Path, data: bytes) -> onnx.ModelProto:
    looks = sniff.foreign(data) or sniff.text(data)
    if looks:
        raise InvalidModel(f"{path.name} is not ONNX: {looks}", subject=path.name)
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except Exception as error:  # protobuf's own error, whose module only the API may know
        missing = sniff.cut_short(data)
        if missing:
            raise InvalidModel(
                f"{path.name} is truncated or damaged: {missing}; copy or export the model again"
            ) from error
        raise InvalidModel(
            f"{path.name} cannot be parsed as ONNX: it is damaged, no ONNX at all, or nested "
            "deeper than 100 messages; export the model again"
        ) from error
    if not proto.HasField("graph"):
        raise InvalidModel(
            f"{path.name} is not an ONNX model: it holds no graph; give the file that an ONNX "
            "exporter wrote"
        )
    return proto


def _built(proto: onnx.ModelProto) -> ir.Model:
    if not proto.graph.name:
        proto.graph.name = "graph"  # onnx's checker insists on one
    return ir.from_proto(proto)


def _point_at_files(model: ir.Model, folder: Path) -> None:
    ir.external_data.set_base_dir(model.graph, str(folder))
    for function in model.functions.values():
        ir.external_data.set_base_dir(function.graph, str(folder))


def _read_in(model: ir.Model) -> None:
    """Read external weights where all fit into one message; they stay mapped where they do not."""
    weights = [v.const_value for v in model.graph.initializers.values()]
    mapped = [tensor for tensor in weights if isinstance(tensor, ir.ExternalTensor)]
    if mapped and sum(tensor.nbytes for tensor in mapped) <= _KEEP_MAPPED:
        ir.external_data.load_to_model(model)


def _normalise(model: ir.Model) -> list[str]:
    notes: list[str] = []
    passes.RemoveInitializersFromInputsPass()(model)
    _inline(model)
    apart = set_aside(model)
    _lift(model)
    try:
        model.graph.sort()
    except ValueError as error:
        raise InvalidModel(
            "the graph has a cycle: some nodes wait for their own results; export the model again"
        ) from error
    passes.OutputFixPass()(model)
    passes.RemoveUnusedNodesPass()(model)
    convert.check(model)
    convert.infer(model)
    note = convert.upgrade(model)
    if note:
        notes.append(note)
        _lift(model)
    apart |= _take_apart(model)
    if apart:
        notes.append(f"fused operators were taken apart: {', '.join(sorted(apart))}")
    if fold.fold(model):
        passes.RemoveUnusedNodesPass()(model)
        convert.infer(model)
    _name(model)
    _shapes(model)
    return notes


def _take_apart(model: ir.Model) -> set[str]:
    done = take_apart(model)
    if done:
        _lift(model)
        convert.infer(model)
    return done


def _lift(model: ir.Model) -> None:
    passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    passes.LiftSubgraphInitializersToMainGraphPass()(model)


def _inline(model: ir.Model) -> None:
    if not model.functions:
        return
    try:
        passes.InlinePass()(model)
        model.functions.clear()  # what is left is called by nobody
        passes.RemoveUnusedOpsetsPass()(model)
    except (ValueError, RuntimeError) as error:
        cause = error.__cause__ or error
        raise InvalidModel(
            f"the model's functions cannot be inlined: {cause}; export it without functions"
        ) from error


def _name(model: ir.Model) -> None:
    """Unique names for all nodes and values; outputs that are left out stay without a name."""
    left_out = [v for node in model.graph.all_nodes() for v in node.outputs if v.name == ""]
    passes.NameFixPass(_Names())(model)
    for value in left_out:
        if not value.uses() and not value.is_graph_output():
            value.name = ""


class _Names:
    """Names for what has none: the operator's."""

    def generate_node_name(self, node: ir.Node) -> str:
        return node.name or node.op_type

    def generate_value_name(self, value: ir.Value) -> str:
        producer = value.producer()
        return value.name or (f"{producer.name}_out" if producer is not None else "value")


def _shapes(model: ir.Model) -> None:
    """Refuse shapes that cannot exist, and tensors that no memory could hold."""
    fed = fed_values(model.graph)
    computed = 0
    for node in model.graph.all_nodes():
        for value in node.outputs:
            if value.shape is None:
                continue
            known = [dim for dim in value.shape if isinstance(dim, int)]
            dims = check.dimensions(f"tensor '{value.name}'", known)
            if elements(dims) > _MAX_ACTIVATION:
                raise InvalidModel(
                    f"tensor '{value.name}', made by {node.op_type} node '{node.name}', has the "
                    f"shape {value.shape} with {elements(dims)} elements for one input; at most "
                    f"{_MAX_ACTIVATION} are allowed"
                )
            if value not in fed and node.graph is model.graph:
                computed += elements(dims)
                if computed > _MAX_CONSTANTS:
                    raise InvalidModel(
                        f"nodes that depend on no input compute more than {_MAX_CONSTANTS} "
                        f"elements (the last is '{value.name}'); store them as weights"
                    )


def _digest(digest: str, folder: Path, files: tuple[str, ...]) -> str:
    if not files:
        return digest
    total = hashlib.sha256(bytes.fromhex(digest))
    for name in files:
        part = hashlib.sha256()
        with (folder / name).open("rb") as file:
            while chunk := file.read(_CHUNK):
                part.update(chunk)
        total.update(name.encode() + b"\0" + part.digest())
    return total.hexdigest()
