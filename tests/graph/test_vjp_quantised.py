"""Gradients across quantisation: straight through, with what is clipped left out.

Finite differences see nothing but steps here, so that each test says what the gradient is.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from onnx import parser

from graph.nets import loaded, net, normal
from graph.slopes import differentiated, run_single
from mho.errors import Unsupported
from mho.graph.backward import obstacles
from mho.graph.emit import tensor_named
from mho.graph.model import Model

F, I8, U8 = np.float32, np.int8, np.uint8
X = np.array([[-9, -1.6, -1.4, -0.26, 0, 0.2], [0.3, 1.4, 1.6, 2.9, 3.3, 9]], F)
PAIR = "q = QuantizeLinear(x, s, z)  y = DequantizeLinear(q, s, z)"
SIGNATURE = "(float[2,6] x) => (float[2,6] y)"


def slope(model: Model, x: np.ndarray, seed: np.ndarray) -> np.ndarray:
    found = run_single(differentiated(model, "y", ["x"]), {"x": x, "seed/y": seed})
    return np.asarray(found["d/x"])


def inside(x: np.ndarray, scale: Any, zero: Any, least: float, most: float) -> np.ndarray:
    """Whether ``x`` is not clipped: as the paper-like formula has it, round first, then clip."""
    rounded = np.round(x.astype(np.float64) / scale) + zero
    return (rounded >= least) & (rounded <= most)


@pytest.mark.parametrize(
    ("scale", "zero", "dtype"),
    [(0.0115, 0, I8), (0.02, 128, U8), (0.02, 0, U8), (0.0125, -37, I8), (1e-4, 1000, np.uint16)],
)
def test_what_is_clipped_has_no_gradient(scale: float, zero: int, dtype: Any) -> None:
    model = net(PAIR, SIGNATURE, opset=21, s=F(scale), z=dtype(zero))
    limits = np.iinfo(dtype)
    wanted = inside(X, scale, zero, limits.min, limits.max)
    assert 0 < wanted.sum() < wanted.size
    seed = normal(1, 2, 6)
    np.testing.assert_allclose(slope(model, X, seed), seed * wanted, rtol=1e-6)


def test_numbers_that_are_rounded_into_the_range_lie_inside() -> None:
    model = net(PAIR, SIGNATURE, s=F(0.5), z=I8(0))
    x = np.array([[-64.26, -64.24, -64, 63.5, 63.74, 63.76], [0] * 6], F)
    found = slope(model, x, np.ones((2, 6), F))
    assert found[0].tolist() == [0, 1, 1, 1, 1, 0]


def test_without_a_zero_point() -> None:
    model = net("q = QuantizeLinear(x, s)  y = DequantizeLinear(q, s)", SIGNATURE, s=F(0.01))
    seed = normal(1, 2, 6)
    wanted = seed * inside(X, 0.01, 0, 0, 255)
    np.testing.assert_allclose(slope(model, X, seed), wanted, rtol=1e-6)


@pytest.mark.parametrize("rows", ["2", "N"])
@pytest.mark.parametrize("axis", [0, 1, -1, -2])
def test_a_scale_for_each_channel(axis: int, rows: str) -> None:
    size = X.shape[axis]
    scale = np.linspace(0.003, 0.02, size, dtype=F)
    zero = np.arange(size).astype(I8) * 9
    body = f"q = QuantizeLinear<axis={axis}>(x, s, z)  y = DequantizeLinear<axis={axis}>(q, s, z)"
    model = net(body, f"(float[{rows},6] x) => (float[{rows},6] y)", s=scale, z=zero)
    behind = (-1, 1) if axis in (0, -2) else (-1,)
    wanted = inside(X, scale.reshape(behind), zero.reshape(behind), -128, 127)
    assert 0 < wanted.sum() < wanted.size
    seed = normal(1, 2, 6)
    np.testing.assert_allclose(slope(model, X, seed), seed * wanted, rtol=1e-5)


def test_a_scale_of_one_element_and_one_for_each_channel() -> None:
    model = net(
        "q = QuantizeLinear(x, s, z)  y = DequantizeLinear(q, t, u)",
        SIGNATURE,
        s=np.array([0.01], F),
        z=np.array([3], I8),
        t=np.linspace(0.01, 0.02, 6, dtype=F),
        u=np.zeros(6, I8),
    )
    seed = normal(1, 2, 6)
    factor = np.linspace(0.01, 0.02, 6) / 0.01
    wanted = seed * factor * inside(X, 0.01, 3, -128, 127)
    np.testing.assert_allclose(slope(model, X, seed), wanted, rtol=1e-5)


def test_a_scale_that_is_known_when_the_graph_is_run() -> None:
    body = f"s = Abs(w)  {PAIR}"
    model = net(body, "(float[2,6] x, float w) => (float[2,6] y)", z=I8(5))
    made = differentiated(model, "y", ["x"])
    seed = normal(1, 2, 6)
    found = run_single(made, {"x": X, "w": F(-0.012), "seed/y": seed})["d/x"]
    wanted = seed * inside(X, 0.012, 5, -128, 127)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_the_operators_of_onnxruntime_itself() -> None:
    proto = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18, "com.microsoft" : 1]>
        g (float[2,6] x) => (float[2,6] y) <float s = {0.0115}, int8 z = {3}> {
            q = com.microsoft.QuantizeLinear(x, s, z)
            d = com.microsoft.DequantizeLinear(q, s, z)
            y = Identity(d)
        }"""
    )
    seed = normal(1, 2, 6)
    wanted = seed * inside(X, 0.0115, 3, -128, 127)
    np.testing.assert_allclose(slope(loaded(proto), X, seed), wanted, rtol=1e-6)


def test_numbers_of_four_bits() -> None:
    zero = np.array(2, ml_dtypes.int4)
    model = net(PAIR, SIGNATURE, opset=21, s=F(0.25), z=zero)
    seed = normal(1, 2, 6)
    np.testing.assert_allclose(slope(model, X, seed), seed * inside(X, 0.25, 2, -8, 7), rtol=1e-6)


def test_floats_of_eight_bits() -> None:
    zero = np.array(0, ml_dtypes.float8_e4m3fn)
    model = net(PAIR, SIGNATURE, opset=19, s=F(0.005), z=zero)
    seed = normal(1, 2, 6)
    np.testing.assert_allclose(slope(model, X, seed), seed * (abs(X) <= 448 * 0.005), rtol=1e-6)


def test_operators_that_only_move_numbers_lie_between() -> None:
    model = net(
        """q = QuantizeLinear(x, s, z)  r = Reshape(q, [3, 1, 4])  t = Transpose<perm=[2, 0, 1]>(r)
        u = Squeeze(t, [-1])  f = Flatten(u)  e = Unsqueeze(f, [0])
        y = DequantizeLinear<axis=2>(e, c, k)""".replace("[3, 1, 4]", "shape")
        .replace("[-1]", "last")
        .replace("[0])", "first)"),
        "(float[2,6] x) => (float[1,4,3] y)",
        s=F(0.0115),
        z=I8(0),
        c=np.array([0.5, 1, 2], F),
        k=np.zeros(3, I8),
        shape=np.array([3, 1, 4]),
        last=np.array([-1]),
        first=np.array([0]),
    )
    seed = normal(1, 1, 4, 3)
    moved = (seed * [0.5, 1, 2])[0].T.reshape(2, 6) / 0.0115
    np.testing.assert_allclose(
        slope(model, X, seed), moved * inside(X, 0.0115, 0, -128, 127), rtol=1e-5
    )


def test_a_quantised_network() -> None:
    """The pair is transparent inside the range, so that the gradient is the network's without."""
    weight = normal(2, 4, 3)
    rounded = np.round(weight / 0.02).astype(I8)
    body = f"""{PAIR.replace("y =", "d =")}  w = DequantizeLinear(k, t, z)
        h = MatMul(d, w)  q2 = QuantizeLinear(h, u, z)  y = DequantizeLinear(q2, u, z)"""
    model = net(
        body,
        "(float[N,4] x) => (float[N,3] y)",
        s=F(0.05),
        z=I8(0),
        t=F(0.02),
        u=F(0.1),
        k=rounded,
    )
    seed = normal(3, 5, 3)
    found = slope(model, normal(4, 5, 4), seed)
    np.testing.assert_allclose(found, seed @ (rounded * 0.02).T, rtol=1e-4)


@pytest.mark.parametrize(
    ("operator", "body"),
    [
        ("DequantizeLinear", "a, d, k = DynamicQuantizeLinear(x)  y = DequantizeLinear(a, d, k)"),
        ("DynamicQuantizeLinear", "a, d, k = DynamicQuantizeLinear(x)  y = Mul(x, d)"),
        (
            "QLinearMatMul",
            "i = QLinearMatMul(q, s, z, w, s, z, s, z)  y = DequantizeLinear(i, s, z)",
        ),
        ("MatMulInteger", "i = MatMulInteger(q, w, z, z)  y = DequantizeLinear(i, s)"),
        ("Cast", "i = MatMulInteger(q, w, z, z)  f = Cast<to=1>(i)  y = Mul(f, s)"),
        ("Cast", "f = Cast<to=1>(q)  y = Mul(f, s)"),
        ("Concat", "c = Concat<axis=0>(q, q)  y = DequantizeLinear(c, s, z)"),
        ("DequantizeLinear", "h = ReduceMax<keepdims=0>(x)  y = DequantizeLinear(q, h, z)"),
    ],
)
def test_computing_with_quantised_numbers_is_not_taken_for_zero(operator: str, body: str) -> None:
    signature = "(float[6,6] x) => (float[K,6] y)"
    model = net(
        f"q = QuantizeLinear(x, s, z)  {body}", signature, s=F(0.01), z=U8(0), w=np.ones((6, 6), U8)
    )
    with pytest.raises(Unsupported, match=f"operator {operator} "):
        differentiated(model, "y", ["x"])
    graph = model.ir.graph
    found = obstacles(graph, tensor_named(graph, "y"))
    assert found[tensor_named(graph, "x")].op_type == operator


def test_blocks_are_refused() -> None:
    model = net(
        "q = QuantizeLinear<block_size=2>(x, s, z)  y = DequantizeLinear<block_size=2>(q, s, z)",
        SIGNATURE,
        opset=21,
        s=np.ones((2, 3), F),
        z=np.zeros((2, 3), I8),
    )
    with pytest.raises(Unsupported, match="a scale for every block"):
        differentiated(model, "y", ["x"])


def test_numbers_that_are_no_result_of_quantisation_carry_nothing() -> None:
    model = net(
        "i = Cast<to=3>(x)  f = Cast<to=1>(i)  y = Mul(f, x)", "(float[2,6] x) => (float[2,6] y)"
    )
    seed = normal(1, 2, 6)
    np.testing.assert_allclose(slope(model, X, seed), seed * np.trunc(X), rtol=1e-6)
