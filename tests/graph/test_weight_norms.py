"""Norms of the weights that make units, against the weights as they were drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graph.nets import net, normal
from mho.errors import InvalidOption
from mho.graph.units import layer
from mho.graph.weight_norms import weight_norms

W, K = normal(1, 4, 2, 3, 3), normal(2, 3, 4)
BN: dict[str, Any] = {
    "scale": normal(3, 4), "shift": normal(4, 4), "mean": normal(5, 4),
    "variance": np.abs(normal(6, 4)) + np.float32(0.1),
}  # fmt: skip
IMAGE = "(float[N,2,6,6] x) => (float[N,4,4,4] y)"


def norms(body: str, signature: str, name: str, **weights: Any) -> np.ndarray:
    model = net(body, signature, **weights)
    return weight_norms(model, layer(model, name))


def of(weights: np.ndarray, axis: int = 0) -> np.ndarray:
    moved = np.moveaxis(weights, axis, 0).astype(np.float64)
    return np.sqrt((moved.reshape(len(moved), -1) ** 2).sum(axis=1))


@pytest.mark.parametrize("name", ["c", "r", "y"])
def test_convolutions_through_their_activation(name: str) -> None:
    body = "c = Conv(x, w, b)  r = Relu(c)  y = Identity(r)"
    np.testing.assert_allclose(norms(body, IMAGE, name, w=W, b=normal(9, 4)), of(W), rtol=1e-5)


def test_grouped_and_depthwise_convolutions() -> None:
    weights = normal(1, 6, 2, 3, 3)
    body = "c = Conv<group = 2>(x, w)  y = Tanh(c)"
    signature = "(float[N,4,6,6] x) => (float[N,6,4,4] y)"
    np.testing.assert_allclose(norms(body, signature, "y", w=weights), of(weights), rtol=1e-5)


def test_transposed_convolutions_in_groups() -> None:
    weights = normal(1, 4, 3, 2, 2)  # (in, out of a group, ...)
    body = "y = ConvTranspose<group = 2>(x, w)"
    signature = "(float[N,4,6,6] x) => (float[N,6,7,7] y)"
    expected = np.concatenate([of(weights[:2], axis=1), of(weights[2:], axis=1)])
    np.testing.assert_allclose(norms(body, signature, "y", w=weights), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["n", "r"])
def test_a_batch_normalisation_multiplies_the_weights(name: str) -> None:
    body = """c = Conv(x, w)
        n = BatchNormalization<epsilon = 0.01>(c, scale, shift, mean, variance)
        r = Relu(n)  y = Identity(r)"""
    ratio = np.abs(BN["scale"]) / np.sqrt(BN["variance"] + 0.01)
    np.testing.assert_allclose(norms(body, IMAGE, name, w=W, **BN), of(W) * ratio, rtol=1e-5)
    np.testing.assert_allclose(norms(body, IMAGE, "c", w=W, **BN), of(W), rtol=1e-5)


def test_a_constant_scale_does_too() -> None:
    ratio = normal(7, 4, 1, 1)
    for step, factor in (("Mul", ratio), ("Div", 1 / ratio)):
        body = f"c = Conv(x, w)  n = {step}(c, k)  h = Add(n, k)  y = Relu(h)"
        expected = of(W) * np.abs(factor).ravel()
        np.testing.assert_allclose(norms(body, IMAGE, "y", w=W, k=ratio), expected, rtol=1e-5)


@pytest.mark.parametrize("transposed", [0, 1])
def test_dense_layers(transposed: int) -> None:
    weights = K.T if transposed else K
    body = f"g = Gemm<transB = {transposed}, alpha = 2.0>(x, k)  y = Sigmoid(g)"
    signature = "(float[N,3] x) => (float[N,4] y)"
    np.testing.assert_allclose(norms(body, signature, "y", k=weights), 2 * of(K, 1), rtol=1e-5)


def test_products_of_tokens_with_bias_and_formula() -> None:
    body = "m = MatMul(x, k)  a = Add(m, b)  s = Sigmoid(a)  y = Mul(a, s)"
    signature = "(float[N,5,3] x) => (float[N,5,4] y)"
    np.testing.assert_allclose(
        norms(body, signature, "y", k=K, b=normal(8, 4)), of(K, 1), rtol=1e-5
    )


def test_joined_units_have_the_norms_of_their_parts() -> None:
    body = "a = Conv(x, w)  r = Relu(a)  b = Conv(x, u)  y = Concat<axis = 1>(r, b)"
    other = normal(8, 3, 2, 3, 3)
    found = norms(body, "(float[N,2,6,6] x) => (float[N,7,4,4] y)", "y", w=W, u=other)
    np.testing.assert_allclose(found, np.concatenate([of(W), of(other)]), rtol=1e-5)


@pytest.mark.parametrize(
    ("body", "name", "why"),
    [
        ("a = Conv(x, w)  b = Conv(x, u)  y = Add(a, b)", "y", "operator Add .* makes it of sev"),
        ("a = Conv(x, w)  y = MaxPool<kernel_shape = [1, 1]>(a)", "y", "operator MaxPool"),
        ("q = Relu(x)  y = Conv(q, w)", "q", "no operator makes units in 'q'"),
        ("y = Conv(x, w)", "x", "no operator makes units in 'x'"),
    ],
)
def test_where_there_are_none(body: str, name: str, why: str) -> None:
    given = {"w": W, "u": normal(8, 4, 2, 3, 3)}
    with pytest.raises(InvalidOption, match=f"weight norm of the units of '{name}': .*{why}"):
        norms(body, IMAGE, name, **given)


def test_weights_that_are_computed_have_none() -> None:
    signature = "(float[N,2,6,6] x, float[4,2,3,3] v) => (float[N,4,4,4] y)"
    with pytest.raises(InvalidOption, match=r"operator Conv .* has no stored real weights"):
        norms("y = Conv(x, v)", signature, "y")
