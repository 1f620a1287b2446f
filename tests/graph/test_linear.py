"""Which operators may be read past; that their responses are right is shown with the chords."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from graph.nets import net, normal
from mho.graph import linear, units
from mho.graph.linear import Reader, reader

W = normal(1, 3, 4)


def read(
    body: str, outputs: str = "float[N,4] y", inputs: str = "float[N,3] x", **weights: Any
) -> Reader | None:
    model = net(body, f"({inputs}) => ({outputs})", **(weights or {"w": W}))
    return reader(model, units.layer(model, "r"))


def test_the_weights_of_a_unit() -> None:
    found = read("r = Relu(x)  y = Gemm<alpha = 2.0>(r, w)")
    assert found is not None
    assert (found.output, found.kernel, found.attributes) == ("y", (), ())
    np.testing.assert_allclose(found.weights[:, :, 0], 2 * W)
    turned = read("r = Relu(x)  y = Gemm<transB = 1>(r, w)", w=W.T)
    assert turned is not None
    np.testing.assert_array_equal(turned.weights[:, :, 0], W)


def test_a_group_reaches_its_own_outputs_only() -> None:
    kernel = normal(2, 4, 1, 2, 1)
    found = read(
        "r = Relu(x)  y = Conv<group = 2>(r, w)", "float[N,4,4,1] y", "float[N,2,5,1] x", w=kernel
    )
    assert found is not None
    assert found.weights.shape == (2, 4, 2)
    np.testing.assert_array_equal(found.weights[0, :2], kernel[:2, 0, :, 0])
    np.testing.assert_array_equal(found.weights[1, 2:], kernel[2:, 0, :, 0])
    assert not found.weights[0, 2:].any()
    assert not found.weights[1, :2].any()


REFUSED = {
    "two readers": ("r = Relu(x)  a = Gemm(r, w)  b = MatMul(r, w)  y = Add(a, b)", {}),
    "an output itself": (
        "r = Relu(x)  y = Gemm(r, w)",
        {"outputs": "float[N,4] y, float[N,3] r"},
    ),
    "no linear reader": ("r = Relu(x)  s = Exp(r)  y = Gemm(s, w)", {}),
    "the weight": (
        "r = Relu(x)  y = Gemm(w, r)",
        {"inputs": "float[4,3] x", "outputs": "float[3,3] y"},
    ),
    "both factors": (
        "r = Relu(x)  y = Mul(r, r)",
        {"outputs": "float[N,3] y"},
    ),
    "a bias that moves": (
        "r = Relu(x)  b = Neg(z)  y = Gemm(r, w, b)",
        {"inputs": "float[N,3] x, float[N,4] z"},
    ),
    "a product of two activations": (
        "r = Relu(x)  z = Transpose(x)  y = MatMul(r, z)",
        {"outputs": "float[N,M] y"},
    ),
    "turned": (
        "r = Relu(x)  y = Gemm<transA = 1>(r, w)",
        {"inputs": "float[3,3] x", "outputs": "float[3,4] y"},
    ),
    "captured by a subgraph": (
        """r = Relu(x)  y = If(p) <then_branch = t () => (float[N,4] one) { one = Gemm(r, w) },
           else_branch = e () => (float[N,4] two) { two = Gemm(x, w) }>""",
        {"inputs": "float[N,3] x, bool p"},
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_is_not_read_past(why: str) -> None:
    body, kinds = REFUSED[why]
    assert read(body, **kinds) is None


def test_weights_that_take_too_much_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read("r = Relu(x)  y = Gemm(r, w)") is not None
    monkeypatch.setattr(linear, "_MOST_WEIGHTS", W.nbytes - 1)
    assert read("r = Relu(x)  y = Gemm(r, w)") is None


def test_a_convolution_of_another_axis_is_not_read_past() -> None:
    model = net(
        "r = Relu(x)  y = Conv(r, w)", "(float[N,2,2] x) => (float[N,3,2] y)", w=normal(1, 3, 2, 1)
    )
    layer = units.layer(model, "r")
    assert reader(model, layer) is not None
    assert reader(model, replace(layer, axis=2)) is None
