"""The operator cases of the onnx package, and whether our gradients of each are right.

Each case ends in a ``Verdict``: checked against central differences along random directions, or a
reason why there is nothing to check.
"""

from __future__ import annotations

import warnings
import zlib
from functools import cache
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests

from graph.agreement import CHECKED, ZERO, Comparison, Verdict, operators
from graph.nets import loaded
from graph.slopes import proto_of, run_proto
from mho.errors import MhoError
from mho.graph.backward import obstacles
from mho.graph.emit import tensor_named
from mho.graph.flow import is_float
from mho.graph.model import Model
from mho.graph.rule import Refused, entries

PARTLY = "the gradient agrees, and other float inputs have none"
NO_FLOAT_IN = "no float tensor goes in"
NO_FLOAT_OUT = "no float tensor comes out"
NO_TENSOR = "sequences, optionals or maps"
NO_RULE = "an operator has no rule"
REFUSED = "an operator is refused"
NODE_REFUSED = "a rule refuses the node"
NOT_LOADED = "the model is not loaded"

FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
_POOLS = {"AveragePool", "LpPool", "MaxPool"}
_LARGE = 1500
_SIDE = 9


@cache
def cases() -> dict[str, TestCase]:
    """Name -> case."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # cases about overflows and infinities
        return {case.name: case for case in load_model_tests(kind="node")}


@cache
def verdict(name: str) -> Verdict:
    case = cases()[name]
    known = _by_types(case.model) or _by_entries(case.model)
    if known is not None:
        return known
    inputs, outputs = case.data_sets[0]
    feeds = _named(case.model.graph.input, inputs)
    expected = _named(case.model.graph.output, outputs)
    with np.errstate(all="ignore"):  # some cases are about infinities
        if sum(np.size(array) for array in feeds.values()) > _LARGE:
            return _by_numbers(name, *_cropped(case.model, feeds, expected))
        found = _by_numbers(name, case.model, feeds, expected)
        if found.kind in (NODE_REFUSED, PARTLY):
            again = _by_numbers(name, *_with_constants(case.model, feeds), expected)
            found = found if again.kind == NOT_LOADED else again
    return found


def _cropped(
    proto: onnx.ModelProto, feeds: dict[str, Any], expected: dict[str, Any]
) -> tuple[onnx.ModelProto, dict[str, Any], dict[str, Any]]:
    """A pool of fewer pixels, for onnx.reference is slow; what it gives is onnxruntime's word."""
    if {op_type for _domain, op_type in operators(proto)} - _POOLS or len(feeds) > 1:
        return proto, feeds, expected
    made = onnx.ModelProto()
    made.CopyFrom(proto)
    (info,) = made.graph.input
    for output in made.graph.output:
        output.type.tensor_type.ClearField("shape")
    array = feeds[info.name][(slice(1), slice(2), *[slice(_SIDE)] * (feeds[info.name].ndim - 2))]
    for dim, size in zip(info.type.tensor_type.shape.dim, array.shape, strict=True):
        dim.dim_value = size
    return made, {info.name: array}, run_proto(proto_of(loaded(made)), {info.name: array})


def _by_types(proto: onnx.ModelProto) -> Verdict | None:
    kinds = [i.type.WhichOneof("value") for i in (*proto.graph.input, *proto.graph.output)]
    if any(kind != "tensor_type" for kind in kinds):
        return Verdict(NO_TENSOR)
    if not any(i.type.tensor_type.elem_type in FLOATS for i in proto.graph.input):
        return Verdict(NO_FLOAT_IN)
    if not any(i.type.tensor_type.elem_type in FLOATS for i in proto.graph.output):
        return Verdict(NO_FLOAT_OUT)
    return None


def _by_entries(proto: onnx.ModelProto) -> Verdict | None:
    """What is said of the operators; only of one that stands alone, for others may not be met."""
    found = operators(proto)
    if len(found) > 1:
        return None
    ((domain, op_type),) = found
    entry = entries().get((domain, op_type))
    name = f"{domain}.{op_type}" if domain else op_type
    if entry is None and (domain, op_type) not in _functions(proto):
        return Verdict(NO_RULE, name)
    if isinstance(entry, Refused):
        return Verdict(REFUSED, f"{name}: {entry.why}")
    return None


def _functions(proto: onnx.ModelProto) -> set[tuple[str, str]]:
    return {(function.domain, function.name) for function in proto.functions}


def _with_constants(
    proto: onnx.ModelProto, feeds: dict[str, Any]
) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """Integers as initialisers: models have axes and the like so, the cases have them as inputs."""
    made = onnx.ModelProto()
    made.CopyFrom(proto)
    varying = [info for info in made.graph.input if info.type.tensor_type.elem_type in FLOATS]
    names = {info.name for info in varying}
    made.graph.ClearField("input")
    made.graph.input.extend(varying)
    made.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(feeds[name]), name)
        for name in feeds
        if name not in names
    )
    return made, {name: value for name, value in feeds.items() if name in names}


def _by_numbers(
    name: str, proto: onnx.ModelProto, feeds: dict[str, Any], expected: dict[str, Any]
) -> Verdict:
    try:
        model = loaded(proto)
    except MhoError as error:
        return Verdict(NOT_LOADED, str(error))
    targets = [v.name or "" for v in model.graph.outputs if is_float(v)]
    floats = [v.name or "" for v in model.graph.inputs if is_float(v)]
    blocked: dict[str, str] = {}
    for target in targets:
        for value, obstacle in obstacles(model.graph, tensor_named(model.graph, target)).items():
            blocked.setdefault(value.name or "", obstacle.message())
    wrt = [name for name in floats if name not in blocked]
    reasons = [blocked[name].partition(" (on the way")[0] for name in floats if name in blocked]
    if not wrt:
        return Verdict(_kind_of_obstacle(model), reasons[0])
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    found = Comparison(model, feeds, expected, targets, wrt, rng).verdict()
    return Verdict(PARTLY, reasons[0]) if reasons and found.kind in (CHECKED, ZERO) else found


def _kind_of_obstacle(model: Model) -> str:
    known = [entries().get((node.domain, node.op_type)) for node in model.graph]
    if any(entry is None for entry in known):
        return NO_RULE
    return REFUSED if any(isinstance(entry, Refused) for entry in known) else NODE_REFUSED


def _named(infos: Any, values: Any) -> dict[str, Any]:
    """Name -> array; onnx gives some as messages."""
    return {
        info.name: numpy_helper.to_array(v) if isinstance(v, TensorProto) else v
        for info, v in zip(infos, values, strict=False)
    }
