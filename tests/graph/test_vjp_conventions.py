"""What derivative rules do where a derivative does not exist, and what finite differences of one
node can't show: types that meet, refusals, how few nodes there are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from graph.vjp_case import run_onnxruntime, with_gradients
from mho.errors import Unsupported
from mho.graph.backward import obstacles


def graph_of(signature: str, *nodes: str) -> onnx.ModelProto:
    """A model in ONNX's textual form: inputs => outputs, and the nodes."""
    text = f'<ir_version: 9, opset_import: ["" : 18]> g {signature} {{ {" ".join(nodes)} }}'
    return onnx.shape_inference.infer_shapes(onnx.parser.parse_model(text))


def slopes(model: onnx.ModelProto, **feeds: Any) -> dict[str, np.ndarray]:
    """Input name -> gradient of the sum of y."""
    made, names = with_gradients(model, ["y"])
    types = {entry.name: entry.type.tensor_type.elem_type for entry in made.graph.input}
    fed = {
        name: np.asarray(array, onnx.helper.tensor_dtype_to_np_dtype(types[name]))
        for name, array in feeds.items()
    }
    outputs = {entry.name for entry in model.graph.output}
    forward = dict(zip(outputs, run_onnxruntime(model, fed), strict=True))
    fed |= {f"seed/{name}": np.ones_like(value) for name, value in forward.items()}
    return dict(zip(names, run_onnxruntime(made, fed), strict=True))


def emitted(model: onnx.ModelProto) -> list[str]:
    """The operators of the nodes that are added for the gradients."""
    made, _ = with_gradients(model, ["y"])
    given = {node.name for node in model.graph.node}
    return [node.op_type for node in made.graph.node if node.name not in given][:-1]


@pytest.mark.parametrize(("op", "sign"), [("Max", 1), ("Min", -1)])
def test_the_first_of_equal_operands_gets_the_gradient(op: str, sign: int) -> None:
    model = graph_of("(float[2] a, float[2] b, float[2] c) => (float[2] y)", f"y = {op}(a, b, c)")
    a, b, c = sign * np.array([[1, 3], [2, 3], [2, 1]])
    found = slopes(model, a=a, b=b, c=c)
    np.testing.assert_array_equal([found["a"], found["b"], found["c"]], [[0, 1], [1, 0], [0, 0]])


def test_an_operand_that_is_read_twice_gets_the_gradient_once() -> None:
    found = slopes(graph_of("(float[2] x) => (float[2] y)", "y = Min(x, x)"), x=[1, 2])
    np.testing.assert_array_equal(found["x"], [1, 1])


@pytest.mark.parametrize("op", ["ReduceMax", "ReduceMin"])
def test_equal_extremes_of_a_reduction_share_the_gradient(op: str) -> None:
    model = graph_of("(float[2, 3] x) => (float y)", f"y = {op} <keepdims = 0>(x)")
    sign = 1 if op == "ReduceMax" else -1
    found = slopes(model, x=sign * np.array([[1, 2, 0], [2, 0, 2]]))
    np.testing.assert_allclose(found["x"], np.array([[0, 1, 0], [1, 0, 1]]) / 3)


def test_at_a_bound_the_gradient_is_the_bound_s() -> None:
    model = graph_of(
        "(float[3] x, float low, float high) => (float[3] y)", "y = Clip(x, low, high)"
    )
    found = slopes(model, x=[0, 0.5, 1], low=0, high=1)
    np.testing.assert_array_equal(found["x"], [0, 1, 0])
    assert (found["low"], found["high"]) == (1, 1)
    assert slopes(model, x=[0, 0.5, 1], low=1, high=1)["high"] == 3


def test_a_norm_of_zeros_has_gradient_zero() -> None:
    found = slopes(graph_of("(float[3] x) => (float[1] y)", "y = ReduceL2(x)"), x=[0, 0, 0])
    np.testing.assert_array_equal(found["x"], [0, 0, 0])


def test_a_power_of_a_negative_number_has_a_gradient_in_the_base_alone() -> None:
    model = graph_of("(float[2] x, float[2] p) => (float[2] y)", "y = Pow(x, p)")
    found = slopes(model, x=[-2, 0], p=[3, 3])
    np.testing.assert_allclose(found["x"], [12, 0])
    np.testing.assert_array_equal(found["p"], [np.nan, 0])


@pytest.mark.parametrize("op", ["Cast <to = 11>(x)", "CastLike(x, like)"])
def test_a_gradient_is_cast_back(op: str) -> None:
    model = graph_of(
        "(float[2] x, double like) => (double[2] y)", f"wide = {op}", "y = Mul(wide, wide)"
    )
    found = slopes(model, x=[3, 4], like=0)
    np.testing.assert_array_equal(found["x"], [6, 8])
    assert found["x"].dtype == np.float32
    assert found["like"] == 0


def test_no_gradient_passes_whole_numbers() -> None:
    model = graph_of(
        "(float[2] x) => (float[2] y)",
        "whole = Cast <to = 7>(x)",
        "part = Cast <to = 1>(whole)",
        "y = Mul(part, x)",
    )
    np.testing.assert_array_equal(slopes(model, x=[2.5, 3.5])["x"], [2, 3])


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        ("y = Dropout(x, ratio, yes)", "its training_mode is true"),
        ("y = Dropout(x, ratio, flag)", "only known when the model is run"),
        ('y = Einsum <equation = "ii->i">(x)', "repeats an index within one operand"),
        ('y = Einsum <equation = "ij,jk->ik">(x)', "does not fit its 1 operands"),
        ('y = Einsum <equation = "ij,ij->ij">(x, row)', "broadcasts the index 'i'"),
        ('y = Einsum <equation = "...j->j">(x)', "sums over an ellipsis"),
        ("y = Where(flag, x, x)", ""),
        ("y = ReduceMean(x, whole)", ""),
        ("y = Unique(x)", "equal elements become one"),
    ],
)
def test_what_is_not_served_is_refused_in_words(node: str, reason: str) -> None:
    text = f"""<ir_version: 9, opset_import: ["" : 18]>
        g (float[3, 3] x, float[1, 3] row, bool flag, int64[1] whole) => (y)
        <float ratio = {{0.5}}, bool yes = {{1}}> {{ {node} }}"""
    graph = ir.from_proto(onnx.parser.parse_model(text)).graph
    found = obstacles(graph, graph.outputs[0])
    x = next(value for value in graph.inputs if value.name == "x")
    assert bool(found.get(x)) == bool(reason)
    if reason:
        assert reason in found[x].message()
        with pytest.raises(Unsupported, match=reason):
            with_gradients(onnx.parser.parse_model(text), ["y"])


@pytest.mark.parametrize(
    ("signature", "node", "operators"),
    [
        ("(float[N, T, 3] x) => (y) <float[3, 2] w = {1, 2, 3, 4, 5, 6}>", "MatMul(x, w)", 2),
        ("(float[N, 3] x) => (y) <float[3, 2] w = {1, 2, 3, 4, 5, 6}>", "MatMul(x, w)", 1),
        ("(float[N, 3] x) => (y) <float[3, 2] w = {1, 2, 3, 4, 5, 6}>", "Gemm(x, w)", 1),
        ("(float[N, 3] x) => (y) <float p = {2}>", "Pow(x, p)", 2),
        ("(float[N, 3] x) => (y)", "Relu(x)", 2),
        ("(float[N, 3] x) => (y) <float six = {6}>", "Min(x, six)", 3),
        ("(float[N, 3] x) => (y)", "Softmax(x)", 4),
    ],
)
def test_few_nodes_are_emitted(signature: str, node: str, operators: int) -> None:
    model = graph_of(signature, f"y = {node}")
    found = emitted(model)
    assert len(found) == operators, found
