"""Structural checks on the parsed protobuf message, before anything is built from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx
import onnx_ir as ir

from mho.errors import InvalidModel
from mho.graph import fusion
from mho.graph.messages import GraphLike, bodies, called, elements, nodes, subgraphs, tensors

MAX_RANK = 64
"""NumPy cannot hold more dimensions."""

_MAX_ELEMENTS = 2**63 - 1
_STANDARD = ("", "ai.onnx.ml")
_TRUSTED = (*_STANDARD, "com.microsoft")

_FIELDS: dict[int, tuple[str, int]] = {
    onnx.TensorProto.FLOAT: ("float_data", 1),
    onnx.TensorProto.COMPLEX64: ("float_data", 2),
    onnx.TensorProto.DOUBLE: ("double_data", 1),
    onnx.TensorProto.COMPLEX128: ("double_data", 2),
    onnx.TensorProto.INT64: ("int64_data", 1),
    onnx.TensorProto.UINT32: ("uint64_data", 1),
    onnx.TensorProto.UINT64: ("uint64_data", 1),
    onnx.TensorProto.STRING: ("string_data", 1),
}
"""Element type -> the field that holds it when it is not raw, and entries per element; int32_data
holds all the others."""


def structure(model: onnx.ModelProto, max_nodes: int, max_nesting: int) -> None:
    """Refuse, by InvalidModel, what no later step should see.

    Checked: sizes and nesting; operator sets, domains and operators; names (unique, defined);
    outputs; the form of every tensor. Order of nodes and cycles are left to the sort, types and
    shapes to the inference. ``ai.onnx``, the long name of the default domain, is rewritten to ''.
    """
    if not model.HasField("graph") or not (model.graph.node or model.graph.output):
        raise InvalidModel("the file holds no graph; give a model saved by an ONNX exporter")
    _size(model, max_nodes, max_nesting)
    _text(model)
    _one_name_for_the_default_domain(model)
    _operator_sets(model)
    _operators(model)
    _calls(model, max_nodes)
    for where, tensor in tensors(model):
        _tensor(where, tensor)
    _no_sparse(model)
    if not model.graph.output:
        raise InvalidModel(
            "the graph has no outputs, so there is nothing to explain; "
            "export the model with at least one output"
        )
    _names(model.graph, set())
    for function in model.functions:
        _names(function, set())
    for body, _ in bodies(model):
        if isinstance(body, onnx.GraphProto):
            for info in (*body.input, *body.output, *body.value_info):
                _declared_shape(info)


def _size(model: onnx.ModelProto, max_nodes: int, max_nesting: int) -> None:
    count = 0
    for body, depth in bodies(model):
        if depth > max_nesting:
            raise InvalidModel(
                f"graph '{body.name}' is nested {depth} deep in other nodes; at most {max_nesting} "
                "is allowed (setting max_nesting)",
                subject=body.name,
            )
        count += len(body.node)
        if count > max_nodes:
            raise InvalidModel(
                f"the model has more than {max_nodes} nodes (subgraphs and functions counted); "
                "raise the setting max_nodes if it is meant to be that large"
            )


def _text(model: onnx.ModelProto) -> None:
    """Names must be UTF-8; protobuf hands over what is not as bytes."""
    for body, _ in bodies(model):
        found: list[object] = [body.name, *(info.name for info in body.value_info)]
        if isinstance(body, onnx.GraphProto):
            found += [tensor.name for tensor in body.initializer]
            found += [info.name for info in (*body.input, *body.output)]
        else:
            found += [body.domain, *body.input, *body.output, *body.attribute]
        for node in body.node:
            found += [node.name, node.op_type, node.domain, node.overload, *node.input]
            found += [*node.output, *(attribute.name for attribute in node.attribute)]
        broken = next((name for name in found if not isinstance(name, str)), None)
        if broken is not None:
            raise InvalidModel(
                f"the name {broken!r} in graph {body.name!r} is not UTF-8; the model is damaged"
            )
    for entry in model.opset_import:
        if not isinstance(entry.domain, str):
            raise InvalidModel("an operator set's name is not UTF-8 text; the model is damaged")


def _one_name_for_the_default_domain(model: onnx.ModelProto) -> None:
    for imports in (model.opset_import, *(f.opset_import for f in model.functions)):
        for entry in imports:
            if entry.domain == "ai.onnx":
                entry.domain = ""
    for node in nodes(model):
        if node.domain == "ai.onnx":
            node.domain = ""


def _operator_sets(model: onnx.ModelProto) -> None:
    if not model.opset_import:
        raise InvalidModel(
            "the model names no operator set, so its operators have no defined meaning; "
            "export it again with a current exporter"
        )
    newest = {"": onnx.defs.onnx_opset_version(), "ai.onnx.ml": _newest_ml()}
    for imports in (model.opset_import, *(f.opset_import for f in model.functions)):
        seen: dict[str, int] = {}
        for entry in imports:
            name = entry.domain or "ai.onnx"
            if seen.setdefault(entry.domain, entry.version) != entry.version:
                raise InvalidModel(
                    f"operator set '{name}' is imported in versions {seen[entry.domain]} and "
                    f"{entry.version}; a model has one version of each",
                    subject=name,
                )
            known = newest.get(entry.domain)
            if known is not None and not 1 <= entry.version <= known:
                raise InvalidModel(
                    f"operator set '{name}' version {entry.version} is unknown here (1 to {known} "
                    f"are known to onnx {onnx.__version__}); export with opset {known} or lower",
                    subject=name,
                )


def _newest_ml() -> int:
    return max(
        s.since_version
        for s in onnx.defs.get_all_schemas_with_history()
        if s.domain == "ai.onnx.ml"
    )


def _operators(model: onnx.ModelProto) -> None:
    functions = {(f.domain, f.name) for f in model.functions}
    top = {entry.domain: entry.version for entry in model.opset_import}
    for function in model.functions:
        own = {entry.domain: entry.version for entry in function.opset_import}
        _operators_of(_nodes_within(function), own or top, functions)
    _operators_of(_nodes_within(model.graph), top, functions)


def _nodes_within(body: GraphLike) -> Iterator[onnx.NodeProto]:
    pending = [body]
    while pending:
        current = pending.pop()
        for node in current.node:
            yield node
            pending.extend(subgraphs(node))


def _operators_of(
    found: Iterable[onnx.NodeProto], versions: dict[str, int], functions: set[tuple[str, str]]
) -> None:
    known: set[tuple[str, str]] = set()
    for node in found:
        key = (node.domain, node.op_type)
        if key in known or key in functions:
            continue
        if node.domain == "com.microsoft.nchwc":
            raise InvalidModel(
                f"{called(node)} is in onnxruntime's own layout: the model was saved after it had "
                "been optimised for one processor; give the model as it was exported",
                subject=node.name,
            )
        if node.domain not in _TRUSTED:
            raise InvalidModel(
                f"{called(node)} is a custom operator of domain '{node.domain}', which cannot be "
                "run here; export the model with standard operators, or define it as a function "
                "in the model",
                subject=node.name,
            )
        if node.domain not in versions:
            raise InvalidModel(
                f"{called(node)} is of domain '{node.domain or 'ai.onnx'}', whose operator set "
                "the model does not import; export the model again",
                subject=node.name,
            )
        fused = key in fusion.entries()  # onnxruntime has some in the standard domain too
        if node.domain in _STANDARD and not fused and not _exists(node, versions[node.domain]):
            raise InvalidModel(
                f"{called(node)}: operator '{node.op_type}' does not exist in operator set "
                f"'{node.domain or 'ai.onnx'}' version {versions[node.domain]}; "
                "export the model with standard operators",
                subject=node.name,
            )
        known.add(key)


def _exists(node: onnx.NodeProto, version: int) -> bool:
    try:
        schema = onnx.defs.get_schema(node.op_type, version, node.domain)
    except onnx.defs.SchemaError:
        return False
    return not schema.deprecated


def _calls(model: onnx.ModelProto, max_nodes: int) -> None:
    """Refuse functions that call themselves, or that inlining would blow up."""
    by_key = {(f.domain, f.name, f.overload): f for f in model.functions}
    sizes: dict[tuple[str, str, str], int] = {}
    open_calls: set[tuple[str, str, str]] = set()

    def size(key: tuple[str, str, str]) -> int:
        if key in open_calls:
            raise InvalidModel(
                f"function '{key[1]}' calls itself, directly or through others; "
                "ONNX functions must not be recursive",
                subject=key[1],
            )
        if key not in sizes:
            open_calls.add(key)
            sizes[key] = total(by_key[key])
            open_calls.remove(key)
        return sizes[key]

    def total(body: GraphLike) -> int:
        count = 0
        for node in _nodes_within(body):
            key = (node.domain, node.op_type, node.overload)
            count += size(key) if key in by_key else 1
        return count

    if len(by_key) > max_nodes or len(by_key) != len(model.functions):
        raise InvalidModel("a function is defined twice; export the model again")
    try:
        count = total(model.graph)
    except RecursionError:
        raise InvalidModel("functions call one another too deeply; inline them first") from None
    if count > max_nodes:
        raise InvalidModel(
            f"the model has {count} nodes once its functions are inlined; at most {max_nodes} are "
            "allowed (setting max_nodes)"
        )


def _tensor(where: str, tensor: onnx.TensorProto) -> None:
    try:
        dtype = ir.DataType(tensor.data_type)
    except ValueError:
        dtype = ir.DataType.UNDEFINED
    if dtype is ir.DataType.UNDEFINED:
        raise InvalidModel(
            f"{where} has the unknown element type {tensor.data_type}", subject=tensor.name
        )
    size = elements(dimensions(where, tensor.dims))
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return  # its file is looked at in external.py
    if tensor.HasField("segment"):
        raise InvalidModel(f"{where} is stored in segments, which nothing supports; save it whole")
    if tensor.HasField("raw_data"):
        found, expected, what = len(tensor.raw_data), size_in_bytes(dtype, size), "bytes"
    else:
        field, each = _FIELDS.get(tensor.data_type, ("int32_data", 1))
        found, expected, what = len(getattr(tensor, field)), size * each, f"entries of {field}"
        if dtype is not ir.DataType.STRING and dtype.bitwidth < 8:
            expected = size_in_bytes(dtype, size)
    if found != expected:
        raise InvalidModel(
            f"{where} has shape {list(tensor.dims)} and type {dtype.name}, which needs {expected} "
            f"{what}, but holds {found}; the model is damaged or was edited wrongly",
            subject=tensor.name,
        )


def size_in_bytes(dtype: ir.DataType, size: int) -> int:
    """Bytes that ``size`` elements take; elements of less than a byte are packed."""
    if dtype is ir.DataType.STRING:
        return -1
    return -(-size * int(dtype.bitwidth) // 8)


def dimensions(where: str, dims: Iterable[int]) -> tuple[int, ...]:
    """``dims`` as a tuple; InvalidModel if negative, too many, or their product overflows."""
    found = tuple(int(dim) for dim in dims)
    if len(found) > MAX_RANK:
        raise InvalidModel(f"{where} has {len(found)} dimensions; at most {MAX_RANK} are possible")
    if any(dim < 0 for dim in found):
        raise InvalidModel(
            f"{where} has the shape {list(found)}; a dimension must not be negative "
            "(leave it symbolic where it varies)"
        )
    if elements(tuple(dim for dim in found if dim)) > _MAX_ELEMENTS:
        raise InvalidModel(f"{where} has the shape {list(found)}, whose size overflows 64 bits")
    return found


def _no_sparse(model: onnx.ModelProto) -> None:
    for body, _ in bodies(model):
        sparse = isinstance(body, onnx.GraphProto) and len(body.sparse_initializer) > 0
        if sparse or any(
            attribute.HasField("sparse_tensor") or attribute.sparse_tensors
            for node in body.node
            for attribute in node.attribute
        ):
            raise InvalidModel(
                "the model holds sparse tensors, which are not supported; save its weights dense",
                subject=body.name,
            )


def _names(body: GraphLike, outer: set[str]) -> None:
    """Every name is made once, and everything that is used is made somewhere in scope."""
    made: set[str] = set()

    def make(name: str, by: str) -> None:
        if name in made:
            raise InvalidModel(
                f"the name '{name}' is given to two values (the second by {by}); names of values "
                "must be unique in a graph",
                subject=name,
            )
        made.add(name)

    if isinstance(body, onnx.GraphProto):
        inputs = [info.name for info in body.input]
        for name in inputs:
            make(name, "a graph input")
        weights: set[str] = set()
        for tensor in body.initializer:
            if not tensor.name:
                raise InvalidModel("an initializer has no name; export the model again")
            if tensor.name in weights or tensor.name not in made:
                make(tensor.name, "an initializer")
            weights.add(tensor.name)
        outputs = [info.name for info in body.output]
    else:
        for name in body.input:
            make(name, "a function input")
        outputs = list(body.output)
    for node in body.node:
        for name in node.output:
            if name:
                make(name, called(node))
    visible = made | outer
    for node in body.node:
        for name in node.input:
            if name and name not in visible:
                raise InvalidModel(
                    f"{called(node)} reads '{name}', which nothing makes; "
                    "the model is damaged or was cut wrongly",
                    subject=name,
                )
        for graph in subgraphs(node):
            _names(graph, visible)
    for name in outputs:
        if name not in visible:
            raise InvalidModel(
                f"output '{name}' is made by no node; the model is damaged or was cut wrongly",
                subject=name,
            )


def _declared_shape(info: onnx.ValueInfoProto) -> None:
    if info.type.HasField("tensor_type") and info.type.tensor_type.HasField("shape"):
        dims = info.type.tensor_type.shape.dim
        dimensions(
            f"tensor '{info.name}'", [d.dim_value if d.HasField("dim_value") else 1 for d in dims]
        )
