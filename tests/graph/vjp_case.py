"""One call of one operator, and its gradients by our rule and by finite differences.

The oracle is ``onnx.reference`` in float64: it has all operators, onnxruntime's CPU has no float64
convolution. The same graph is then run by onnxruntime in float32.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from graph.scan_reference import Scan
from mho.graph.backward import gradients
from mho.graph.emit import Emitter
from mho.graph.term import Term

Draw = Callable[[np.random.Generator], np.ndarray]


def normal(*shape: int, scale: float = 1.0) -> Draw:
    return lambda rng: scale * rng.standard_normal(shape)


def positive(*shape: int) -> Draw:
    """Between 0.5 and 2."""
    return lambda rng: rng.uniform(0.5, 2.0, shape)


def between(low: float, high: float, *shape: int) -> Draw:
    return lambda rng: rng.uniform(low, high, shape)


def apart(*shape: int) -> Draw:
    """Numbers of both signs, no two of them, and none and zero, closer than 0.1: for kinks."""

    def draw(rng: np.random.Generator) -> np.ndarray:
        count = int(np.prod(shape))
        steps = (np.arange(count) - count // 2 + 0.5) * 0.2
        return rng.permutation(steps).reshape(shape)

    return draw


def fixed(array: Any) -> Draw:
    return lambda rng: np.asarray(array)


@dataclass(frozen=True)
class Case:
    """``inputs`` are drawn, or None where an optional input is left out.

    constant: positions of float inputs that the gradient is not taken of.
    computed: positions of integer inputs that are known only when the graph is run.
    unasked: outputs on which the target does not depend.
    outputs: how many outputs the node has. opset, domain: of the node.
    no_kernel: why onnxruntime can't run it, or its gradient, on the CPU; '' where it can.
    oracle: computes the outputs in float64 from the inputs, where onnx.reference is wrong or has no
    such operator; the gradient is then checked in float32 alone, by onnxruntime.
    """

    op: str
    inputs: Sequence[Draw | None]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    constant: Sequence[int] = ()
    computed: Sequence[int] = ()
    unasked: Sequence[int] = ()
    outputs: int = 1
    opset: int = 18
    domain: str = ""
    no_kernel: str = ""
    oracle: Callable[..., Any] | None = None
    tolerance: float = 1e-6
    single_tolerance: float = 2e-4

    def __str__(self) -> str:
        said = ",".join(f"{k}={v}" for k, v in self.attributes.items() if not isinstance(v, str))
        words = ",".join(str(v) for v in self.attributes.values() if isinstance(v, str))
        return "-".join(part for part in (self.op, self.note, words, said) if part)[:90]

    def draw(self) -> list[np.ndarray | None]:
        rng = np.random.default_rng(zlib.crc32(str(self).encode()))
        return [None if make is None else np.asarray(make(rng)) for make in self.inputs]


def case(op: str, *inputs: Draw | None, **more: Any) -> Case:
    """``Case`` whose attributes are the keywords that it has no field for."""
    known = {k: more.pop(k) for k in list(more) if k in Case.__dataclass_fields__}
    return Case(op, inputs, more, **known)


def model_of(
    case: Case, arrays: Sequence[np.ndarray | None], dtype: type[Any], *, symbolic: bool
) -> onnx.ModelProto:
    """The node alone; float inputs are graph inputs of ``dtype``, others are initialisers unless
    they are ``computed``."""
    names, fed, held = [], [], []
    for i, array in enumerate(arrays):
        names.append("" if array is None else f"x{i}")
        if array is None:
            continue
        if i in case.computed:
            element = helper.np_dtype_to_tensor_dtype(array.dtype)
            fed.append(helper.make_tensor_value_info(f"x{i}", element, array.shape))
            continue
        if array.dtype.kind != "f":
            held.append(numpy_helper.from_array(array, f"x{i}"))
            continue
        shape: list[Any] = list(array.shape)
        if symbolic:
            shape = [f"d{i}_{axis}" for axis in range(array.ndim)]
        element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        if i in case.constant:
            held.append(numpy_helper.from_array(array.astype(dtype), f"x{i}"))
        else:
            fed.append(helper.make_tensor_value_info(f"x{i}", element, shape))
    outputs = [f"y{i}" for i in range(case.outputs)]
    node = helper.make_node(
        case.op, names, outputs, name="node", domain=case.domain, **case.attributes
    )
    graph = helper.make_graph(
        [node], "g", fed, [onnx.ValueInfoProto(name=n) for n in outputs], held
    )
    imports = [helper.make_opsetid("", case.opset)]
    if case.domain:
        imports.append(helper.make_opsetid(case.domain, 1))
    model = helper.make_model(graph, opset_imports=imports, ir_version=10)
    return onnx.shape_inference.infer_shapes(model)


def with_gradients(
    model: onnx.ModelProto, asked: Collection[str]
) -> tuple[onnx.ModelProto, list[str]]:
    """``model`` with a graph input ``seed/y`` for each output of ``asked`` and an output ``d/x``
    for each float graph input; and the names of these inputs x."""
    made = ir.from_proto(model)
    graph = made.graph
    emit = Emitter(graph, "test")
    wrt = [v for v in graph.inputs if v.dtype in (ir.DataType.FLOAT, ir.DataType.DOUBLE)]
    seeds = {}
    for output in list(graph.outputs):
        if output.name in asked:
            dtype = output.dtype or wrt[0].dtype
            output.dtype = dtype
            assert dtype is not None
            seeds[output] = Term(emit, emit.input(f"seed/{output.name}", dtype, None))
    found = gradients(graph, emit, seeds, wrt)
    graph.outputs.clear()
    for value in wrt:
        term = found.get(value)
        made_of = Term(emit, value).zeros() if term is None else term
        assert value.dtype is not None
        emit.output(made_of.value, f"d/{value.name}", value.dtype, tuple(value.shape or ()))
    graph.sort()
    proto = ir.to_proto(made)
    for output in proto.graph.output:
        output.type.tensor_type.ClearField("shape")
    return proto, [value.name or "" for value in wrt]


def by_rule(
    case: Case,
    arrays: Sequence[np.ndarray | None],
    seeds: Mapping[str, np.ndarray],
    dtype: Any,
    run: Callable[[onnx.ModelProto, dict[str, np.ndarray]], list[Any]],
    *,
    symbolic: bool,
) -> dict[str, np.ndarray]:
    """Input name -> gradient."""
    model, names = with_gradients(model_of(case, arrays, dtype, symbolic=symbolic), seeds)
    feeds = {
        f"x{i}": a.astype(dtype) if f"x{i}" in names else a
        for i, a in enumerate(arrays)
        if a is not None
    }
    feeds |= {f"seed/{name}": array.astype(dtype) for name, array in seeds.items()}
    wanted = {entry.name for entry in model.graph.input}
    found = run(model, {k: v for k, v in feeds.items() if k in wanted})
    return dict(zip(names, found, strict=True))


def outputs_of(case: Case, arrays: Sequence[np.ndarray | None]) -> dict[str, np.ndarray]:
    """Output name -> float64 value."""
    if case.oracle is not None:
        made = case.oracle(*arrays)
        values = list(made) if isinstance(made, tuple) else [made]
    else:
        model = model_of(case, arrays, np.float64, symbolic=False)
        feeds = {entry.name: arrays[int(entry.name[1:])] for entry in model.graph.input}
        values = ReferenceEvaluator(model).run(None, feeds)
    return {f"y{i}": np.asarray(v) for i, v in enumerate(values) if np.asarray(v).dtype.kind == "f"}


def by_differences(
    case: Case, arrays: Sequence[np.ndarray | None], seeds: Mapping[str, np.ndarray], step: float
) -> dict[str, np.ndarray]:
    """Input name -> central differences of Σ seed · output."""

    def value(changed: Sequence[np.ndarray | None]) -> float:
        found = outputs_of(case, changed)
        return float(sum((found[name] * seed).sum() for name, seed in seeds.items()))

    result = {}
    for i, array in enumerate(arrays):
        if array is None or array.dtype.kind != "f" or i in case.constant:
            continue
        slope = np.zeros(array.shape)
        for place in np.ndindex(array.shape):
            ends = []
            for side in (step, -step):
                moved = list(arrays)
                moved[i] = np.array(array)
                moved[i][place] += side  # type: ignore[index]
                ends.append(value(moved))
            slope[place] = (ends[0] - ends[1]) / (2 * step)
        result[f"x{i}"] = slope
    return result


def run_reference(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> list[Any]:
    return list(ReferenceEvaluator(model, new_ops=[Scan]).run(None, feeds))


def run_onnxruntime(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> list[Any]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options)
    return list(session.run(None, feeds))
