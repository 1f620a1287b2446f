"""Gradients of whole models, and what they are held to: central differences in float64.

``differentiated`` gives a model that computes gradients; ``doubled`` the same graph in float64,
which onnx.reference runs.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from graph.scan_reference import Scan
from graph.vjp_case import run_onnxruntime
from mho.graph.backward import gradients
from mho.graph.emit import Emitter, tensor_named
from mho.graph.model import Model, serialized
from mho.graph.term import Term

_NARROW = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16)


def seed_input(tensor: str) -> str:
    """Graph input: the gradient of whatever is asked about with respect to ``tensor``."""
    return f"seed/{tensor}"


def gradient_output(tensor: str) -> str:
    return f"d/{tensor}"


def differentiated(
    model: Model, targets: str | Sequence[str], wrt: Sequence[str], *, also: Sequence[str] = ()
) -> Model:
    """``model`` with the further outputs ``d/x``: the gradient of Σ seed · target with respect to
    each tensor x of ``wrt`` on which a target depends.

    also: tensors that become outputs as they are, after the gradients.
    """

    def rewrite(copy: ir.Model) -> None:
        graph = copy.graph
        emit = Emitter(graph, "test")
        seeds = {}
        for name in [targets] if isinstance(targets, str) else targets:
            value = tensor_named(graph, name)
            assert value.dtype is not None
            shape = None if value.shape is None else tuple(value.shape)
            seeds[value] = Term(emit, emit.input(seed_input(name), value.dtype, shape))
        sources = [tensor_named(graph, name) for name in wrt]
        found = gradients(graph, emit, seeds, sources)
        for source in sources:
            if source in found:
                term = found[source]
                assert term.dtype == source.dtype
                emit.output(term.value, gradient_output(source.name or ""), term.dtype, ())
                graph.outputs[-1].shape = source.shape
        for name in also:
            shown = tensor_named(graph, name)
            if not shown.is_graph_output():
                graph.outputs.append(shown)
        graph.sort()

    return model.rewritten(rewrite)


def proto_of(model: Model) -> onnx.ModelProto:
    data = serialized(model.ir)
    assert data is not None
    return onnx.load_from_string(data)


def run_single(model: Model, feeds: Mapping[str, Any]) -> dict[str, Any]:
    """All outputs by name, by onnxruntime, of a model that onnx's checker has passed."""
    proto = proto_of(model)
    checked = onnx.ModelProto()
    checked.CopyFrom(proto)
    for info in (*checked.graph.input, *checked.graph.output):
        info.type.tensor_type.shape.SetInParent()  # it insists on a shape, unknown or not
    onnx.checker.check_model(checked)
    return run_proto(proto, feeds)


def run_proto(proto: onnx.ModelProto, feeds: Mapping[str, Any]) -> dict[str, Any]:
    """All outputs by name, by onnxruntime; floats are fed in the types that the model takes."""
    types = {info.name: info.type.tensor_type.elem_type for info in proto.graph.input}
    fed = {}
    for name, value in feeds.items():
        if name in types:
            array = np.asarray(value)
            dtype = helper.tensor_dtype_to_np_dtype(types[name])
            fed[name] = array.astype(dtype) if array.dtype.kind == "f" else array
    found = run_onnxruntime(proto, fed)
    return dict(zip((info.name for info in proto.graph.output), found, strict=True))


def doubled(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model with every float tensor in float64, subgraphs and casts included."""
    made = onnx.ModelProto()
    made.CopyFrom(proto)
    _double_graph(made.graph)
    return made


def _double_graph(graph: onnx.GraphProto) -> None:
    for info in (*graph.input, *graph.output):
        if info.type.tensor_type.elem_type in _NARROW:
            info.type.tensor_type.elem_type = TensorProto.DOUBLE
    graph.ClearField("value_info")
    for tensor in graph.initializer:
        _double(tensor)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name in ("to", "dtype", "stash_type") and attribute.i in _NARROW:
                attribute.i = TensorProto.DOUBLE
            if attribute.type == onnx.AttributeProto.TENSOR:
                _double(attribute.t)
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                _double_graph(inner)


def _double(tensor: TensorProto) -> None:
    if tensor.data_type in _NARROW:
        array = numpy_helper.to_array(tensor).astype(np.float64)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


class Erf(OpRun):
    """onnx.reference's own rounds to float32."""

    op_domain = ""

    def _run(self, x: np.ndarray) -> tuple[np.ndarray]:
        return (_erf(x),)


class Gelu(OpRun):
    """onnx.reference's own uses its Erf."""

    op_domain = ""

    def _run(self, x: np.ndarray, approximate: str = "none") -> tuple[np.ndarray]:
        if approximate == "tanh":
            inner = np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)
            return ((0.5 * x * (1 + np.tanh(inner))).astype(x.dtype),)
        return ((0.5 * x * (1 + _erf(x / np.sqrt(2)))).astype(x.dtype),)


def _erf(x: np.ndarray) -> np.ndarray:
    return np.vectorize(math.erf, otypes=[x.dtype])(x)


class Reference:
    """Runs a model by onnx.reference; float32 feeds become float64 where the model is of that."""

    def __init__(self, proto: onnx.ModelProto) -> None:
        self._evaluator = ReferenceEvaluator(proto, new_ops=[Erf, Gelu, Scan])
        self._names = [info.name for info in proto.graph.output]
        self._types = {info.name: info.type.tensor_type.elem_type for info in proto.graph.input}

    def __call__(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        """All outputs by name."""
        fed = {
            name: self._cast(name, value) for name, value in feeds.items() if name in self._types
        }
        with np.errstate(all="ignore"), redirect_stdout(io.StringIO()):
            return dict(zip(self._names, self._evaluator.run(None, fed), strict=True))

    def _cast(self, name: str, value: Any) -> Any:
        if self._types[name] == TensorProto.DOUBLE:
            return np.asarray(value).astype(np.float64)
        return value


Run = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def along(
    run: Run,
    feeds: Mapping[str, Any],
    seeds: Mapping[str, np.ndarray],
    direction: Mapping[str, np.ndarray],
    step: float = 1e-5,
) -> float:
    """The derivative of Σ seed · output along ``direction``, by central differences; outputs whose
    seed is 0 may be infinite."""
    ends = [_moved(run, feeds, seeds, direction, by) for by in (step, -step)]
    return (ends[0] - ends[1]) / (2 * step)


def _moved(
    run: Run,
    feeds: Mapping[str, Any],
    seeds: Mapping[str, np.ndarray],
    direction: Mapping[str, np.ndarray],
    by: float,
) -> float:
    moved = {
        name: value + by * direction[name] if name in direction else value
        for name, value in feeds.items()
    }
    found = run(moved)
    with np.errstate(invalid="ignore"):
        return float(
            sum(np.where(seed == 0, 0, found[name] * seed).sum() for name, seed in seeds.items())
        )


def everywhere(
    run: Run, feeds: Mapping[str, Any], seeds: Mapping[str, np.ndarray], name: str
) -> np.ndarray:
    """The gradient of Σ seed · output with respect to the feed ``name``, element by element."""
    slope = np.zeros(np.shape(feeds[name]))
    for place in np.ndindex(slope.shape):
        direction = np.zeros(slope.shape)
        direction[place] = 1.0
        slope[place] = along(run, feeds, seeds, {name: direction})
    return slope


def without_shapes(model: Model) -> Model:
    """Nothing is known of the shapes, not even the rank."""
    return _reshaped(model, lambda _shape: None)


def without_dims(model: Model) -> Model:
    """Ranks are known, and no dimension."""
    return _reshaped(model, lambda shape: ir.Shape([None] * len(shape)))


def with_names(model: Model) -> Model:
    """Each dimension of each tensor has a name of its own, so that none is known to equal
    another."""
    counter = iter(range(10**6))
    return _reshaped(model, lambda shape: ir.Shape([f"d{next(counter)}" for _ in shape]))


def _reshaped(model: Model, change: Callable[[ir.Shape], ir.Shape | None]) -> Model:
    def rewrite(copy: ir.Model) -> None:
        values = [*copy.graph.inputs, *(v for node in copy.graph for v in node.outputs)]
        for value in values:
            if value.shape is not None:
                value.shape = change(value.shape)

    return model.rewritten(rewrite)


KNOWN: dict[str, Callable[[Model], Model]] = {
    "all shapes": lambda model: model,
    "no dimensions": without_dims,
    "unrelated names": with_names,
    "no ranks": without_shapes,
}
"""How much of the shapes the driver may see."""
