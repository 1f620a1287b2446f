"""What onnx's compiled code does for a graph: check it, raise its opset, infer its shapes.

That code takes one serialised message, which cannot hold 2 GiB and is slow to copy. So weights are
left out of it: a large initialiser goes in as a graph input of the same name, type and shape.
"""

from __future__ import annotations

import onnx
import onnx.checker
import onnx.shape_inference
import onnx.version_converter
import onnx_ir as ir

from mho.errors import InvalidModel
from mho.graph.check import MAX_RANK

OLDEST_OPSET = 18
"""Older models are raised to this; newer ones stay, for nothing can lower them reliably."""

_OLDEST_USABLE = 13
"""From here on the operators mean what the rules of this room take them to mean."""

_LARGE_BYTES = 1024
_MOST_PROPAGATED = 5_000_000
_PROPAGATED = (ir.DataType.INT64, ir.DataType.INT32)
_IR_VERSION = 10
"""Opset 18 needs 8; 10 is the newest that onnxruntime 1.18 and all later ones read."""


def check(model: ir.Model) -> None:
    """onnx's own checker: attributes, counts of inputs, forms. InvalidModel if it objects."""
    model.ir_version = max(model.ir_version, _IR_VERSION)
    proto = _without_weights(model)
    for info in (*proto.graph.input, *proto.graph.output):
        if info.type.HasField("tensor_type"):
            info.type.tensor_type.shape.SetInParent()  # it insists on a shape, unknown or not
    try:
        onnx.checker.check_model(proto)
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        raise InvalidModel(
            f"onnx's checker refuses the model: {_first_line(error)}; export it again"
        ) from error


def infer(model: ir.Model) -> None:
    """Give every value the type and shape that follow from the inputs; in place.

    Strict: InvalidModel where an operator cannot take its inputs, or what is declared contradicts
    what follows.
    """
    try:
        inferred = onnx.shape_inference.infer_shapes(
            _without_weights(model),
            check_type=True,
            strict_mode=True,
            data_prop=_propagation_cost(model) <= _MOST_PROPAGATED,
        )
    except (onnx.shape_inference.InferenceError, ValueError, RuntimeError) as error:
        raise InvalidModel(
            f"the model's types and shapes contradict one another: {_first_line(error)}; "
            "export it again"
        ) from error
    found = ir.from_proto(inferred)
    for graph, source in zip(model.graphs(), found.graphs(), strict=True):
        known = ir.convenience.create_value_mapping(source)
        for name, value in ir.convenience.create_value_mapping(graph).items():
            if value.const_value is not None or name not in known:
                continue
            if known[name].type is not None:
                value.type = known[name].type
            shape = known[name].shape
            if shape is not None:  # a negative number is onnx's own slip and means unknown
                value.shape = ir.Shape(
                    [None if isinstance(dim, int) and dim < 0 else dim for dim in shape]
                )


def _propagation_cost(model: ir.Model) -> int:
    """How many elements onnx would compute to know shapes better: it does so without a limit.

    An upper bound, by the operators' own rules: only Concat makes a vector longer than its inputs.
    """
    sizes: dict[ir.Value, int] = {}
    total = 0
    for node in model.graph:
        if node.op_type in ("Shape", "Size"):
            size = MAX_RANK
        else:
            given = [_elements(value, sizes) for value in node.inputs if value is not None]
            if node.op_type == "Gather":
                given = given[1:]
            size = sum(given) if node.op_type == "Concat" else max(given, default=0)
        total += size
        if total > _MOST_PROPAGATED:
            break
        sizes.update(dict.fromkeys(node.outputs, size))
    return total


def _elements(value: ir.Value, sizes: dict[ir.Value, int]) -> int:
    """How many elements propagation knows: integer weights, and what is made of them."""
    tensor = value.const_value
    if tensor is None:
        return sizes.get(value, 0)
    return int(tensor.size) if tensor.dtype in _PROPAGATED and len(tensor.shape) <= 1 else 0


def upgrade(model: ir.Model) -> str | None:
    """Raise the model to opset 18 where it is older; in place.

    Returns a sentence on what was done, None for nothing. Functions must have been inlined. A model
    of opset 13 to 17 that cannot be raised stays as it is. InvalidModel for one older than that.
    """
    version = model.opset_imports.get("")
    if version is None or version >= OLDEST_OPSET:
        return None
    if version < 9 and any(node.op_type == "Scan" for node in model.graph.all_nodes()):
        raise InvalidModel(
            f"the model uses Scan of opset {version}, which means something else since opset 9; "
            f"export it with opset {OLDEST_OPSET} or higher"
        )
    try:
        converted = onnx.version_converter.convert_version(_without_weights(model), OLDEST_OPSET)
        graph = _with_weights(converted, model.graph)
        candidate = ir.Model(graph, ir_version=model.ir_version)
        infer(candidate)
    except (onnx.version_converter.ConvertError, InvalidModel, ValueError, RuntimeError) as error:
        if version >= _OLDEST_USABLE:
            return (
                f"the model stays at opset {version}: it could not be raised to {OLDEST_OPSET} "
                f"({_first_line(error)})"
            )
        raise InvalidModel(
            f"the model is of opset {version} and cannot be raised to {OLDEST_OPSET}: "
            f"{_first_line(error)}; export it with opset {OLDEST_OPSET} or higher"
        ) from error
    imports = {**model.opset_imports, "": OLDEST_OPSET}
    model.graph = candidate.graph
    model.opset_imports.clear()
    model.opset_imports.update(imports)
    return f"the model was raised from opset {version} to {OLDEST_OPSET}"


def _without_weights(model: ir.Model) -> onnx.ModelProto:
    """The message for onnx's code; ``model`` is as before when it returns."""
    graph = model.graph
    weights = dict(graph.initializers)
    inputs = len(graph.inputs)
    try:
        for name, value in weights.items():
            tensor = value.const_value
            if tensor is None or tensor.dtype == ir.DataType.STRING:
                continue
            if tensor.nbytes > _LARGE_BYTES:
                value.shape = ir.Shape(tensor.shape.numpy())
                value.type = ir.TensorType(tensor.dtype)
                del graph.initializers[name]
                graph.inputs.append(value)
            elif isinstance(tensor, ir.ExternalTensor):
                value.const_value = ir.tensor(tensor.numpy().copy(), name=name)
        return ir.to_proto(model)
    finally:
        del graph.inputs[inputs:]
        graph.initializers.clear()
        graph.initializers.update(weights)


def _with_weights(converted: onnx.ModelProto, original: ir.Graph) -> ir.Graph:
    graph = ir.from_proto(converted).graph
    own = {value.name for value in original.inputs}
    for value in list(graph.inputs):
        if value.name in own:
            continue
        assert value.name is not None
        value.const_value = original.initializers[value.name].const_value
        graph.inputs.remove(value)
        graph.register_initializer(value)
    return graph


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300].rstrip(".")
