"""What onnx's shape inference is told of fused operators: that which follows from their parts.

It knows no operator of onnxruntime's, but it asks for what is registered with it. To leave those of
onnxruntime to onnxruntime, ours have a domain of their own, which no model keeps.
"""

from __future__ import annotations

import atexit
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import onnx
import onnx.defs
import onnx.shape_inference
import onnx_ir as ir
from onnx import helper
from onnx.defs import OpSchema

from mho.graph.fusion import Default, Emitters, Fused, entries

ASIDE = "mho.fused"
"""The domain of fused operators that wait to be taken apart."""
OPSET = 18
"""That of their parts."""

_TENSORS = [
    f"tensor({name})"
    for name in ("float", "float16", "bfloat16", "double", "int32", "int64", "bool")
]
_KINDS = {
    int: (OpSchema.AttrType.INT, OpSchema.AttrType.INTS),
    float: (OpSchema.AttrType.FLOAT, OpSchema.AttrType.FLOATS),
    str: (OpSchema.AttrType.STRING, OpSchema.AttrType.STRINGS),
}


@cache
def operators() -> dict[str, Fused]:
    """Name -> fused operator, for all that may be set aside; onnx is told of them the first
    time."""
    found = {operator.op_type: operator for operator in entries().values() if not operator.at_once}
    for operator in found.values():
        onnx.defs.register_schema(_schema(operator))
    atexit.register(_forget, list(found))
    return found


def _forget(names: list[str]) -> None:
    """onnx 1.21 crashes where it still holds our functions when Python is gone."""
    for name in names:
        onnx.defs.deregister_schema(name, 1, ASIDE)


def _schema(operator: Fused) -> OpSchema:
    """Any number of tensors of any type, in and out."""

    def parameter(name: str) -> OpSchema.FormalParameter:
        variadic = OpSchema.FormalParameterOption.Variadic
        return OpSchema.FormalParameter(
            name, "T", param_option=variadic, is_homogeneous=False, min_arity=0
        )

    schema = OpSchema(
        operator.op_type,
        ASIDE,
        1,
        inputs=[parameter("x")],
        outputs=[parameter("y")],
        type_constraints=[("T", _TENSORS, "")],
        attributes=[
            OpSchema.Attribute(name, _kind(default), "", required=False)
            for name, default in operator.attributes.items()
        ],
    )
    schema.set_type_and_shape_inference_function(lambda seen: _infer(operator, seen))
    return schema


def _kind(default: Default) -> OpSchema.AttrType:
    one, several = _KINDS[type(default[0] if isinstance(default, tuple) else default)]
    return several if isinstance(default, tuple) else one


def _infer(operator: Fused, seen: Any) -> None:
    """Set the types of the outputs; ``seen`` is onnx's InferenceContext."""
    count = seen.get_num_inputs()
    given = [seen.get_input_type(i) if seen.has_input(i) else None for i in range(count)]
    attributes = [seen.get_attribute(name) for name in operator.attributes]
    node = onnx.NodeProto(
        op_type=operator.op_type,
        domain=ASIDE,
        input=["" if kind is None else f"x{i}" for i, kind in enumerate(given)],
        output=[f"y{i}" for i in range(seen.get_num_outputs())],
        attribute=[attribute for attribute in attributes if attribute is not None],
    )
    types = tuple(None if kind is None else kind.SerializeToString() for kind in given)
    found = _derived(node.SerializeToString(), types)
    for i, kind in (found or _element_type(given)).items():
        if seen.has_output(i):
            seen.set_output_type(i, kind)


def _element_type(given: Sequence[onnx.TypeProto | None]) -> dict[int, onnx.TypeProto]:
    """That of the result of a node that is not understood; inference insists on one."""
    for kind in given:
        if kind is not None and ir.DataType(kind.tensor_type.elem_type).is_floating_point():
            return {0: helper.make_tensor_type_proto(kind.tensor_type.elem_type, None)}
    return {}


@lru_cache(maxsize=1024)
def _derived(data: bytes, types: tuple[bytes | None, ...]) -> dict[int, onnx.TypeProto]:
    """Output -> its type, of the node ``data`` with inputs of ``types``."""
    node = onnx.NodeProto.FromString(data)
    inputs = [
        onnx.ValueInfoProto(name=f"x{i}", type=onnx.TypeProto.FromString(kind))
        for i, kind in enumerate(types)
        if kind is not None
    ]
    operator = operators()[node.op_type]
    given = [i for i in range(len(node.output)) if i in operator.gives]
    outputs = [onnx.ValueInfoProto(name=f"y{i}") for i in given]
    model = ir.from_proto(
        helper.make_model(
            helper.make_graph([node], "whole", inputs, outputs),
            opset_imports=[helper.make_opsetid("", OPSET)],
        )
    )
    if not operator.replace(model.graph[0], Emitters(model.graph)):
        return {}
    result = onnx.shape_inference.infer_shapes(ir.to_proto(model), data_prop=True)
    known = {dim.dim_param for entry in inputs for dim in entry.type.tensor_type.shape.dim}
    for entry in result.graph.output:
        for dim in entry.type.tensor_type.shape.dim:
            if dim.dim_param not in known:  # a name that stands for this node alone
                dim.ClearField("dim_param")
    return {
        i: entry.type
        for i, entry in zip(given, result.graph.output, strict=True)
        if entry.type.tensor_type.elem_type
    }
