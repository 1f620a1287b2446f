"""Multiply-adds against counts by hand, and that larger is slower."""

from __future__ import annotations

import pytest

from graph.nets import net, normal
from mho.graph import work
from mho.graph.work import row_bytes, seconds

CASES = {
    "Conv": ("y = Conv<pads = [1,1,1,1]>(x, w)", "[N,2,8,8]", (6, 2, 3, 3), 6 * 2 * 9 * 64),
    "grouped": ("y = Conv<group = 2>(x, w)", "[N,2,8,8]", (6, 1, 1, 1), 6 * 64),
    "ConvTranspose": (
        "y = ConvTranspose<strides = [2,2]>(x, w)", "[N,2,8,8]", (2, 5, 2, 2), 2 * 5 * 4 * 64,
    ),
    "Gemm": ("y = Gemm(x, w)", "[N,7]", (7, 5), 35),
    "MatMul of tokens": ("y = MatMul(x, w)", "[N,4,7]", (7, 5), 4 * 35),
    "MatMul of pairs": ("t = Transpose<perm = [0,2,1]>(x)  y = MatMul(x, t)", "[N,4,7]", (1,), 112),
    "Relu": ("y = Relu(x)", "[N,4,7]", (1,), 0),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_multiplications_by_hand(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_PRODUCTS_A_SECOND", 1.0)
    monkeypatch.setattr(work, "_BYTES_A_SECOND", 1e30)
    body, shape, weight, expected = CASES[name]
    out = ",".join("NabC"[: shape.count(",") + 1])
    model = net(body, f"(float{shape} x) => (float[{out}] y)", w=normal(1, *weight))
    assert seconds(list(model.graph)[-1]) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_recurrent_layers_multiply_once_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_PRODUCTS_A_SECOND", 1.0)
    monkeypatch.setattr(work, "_BYTES_A_SECOND", 1e30)
    model = net(
        "y = LSTM<hidden_size = 3>(x, w, r)",
        "(float[6,N,2] x) => (float[6,1,N,3] y)",
        w=normal(1, 1, 12, 2),
        r=normal(2, 1, 12, 3),
    )
    assert seconds(next(iter(model.graph))) == pytest.approx(6 * 12 * 5)


def test_bytes_are_those_of_activations_and_not_of_weights() -> None:
    model = net(
        "y = Add(x, w)", "(float16[N,4,unknown] x) => (float16[N,4,unknown] y)",
        w=normal(1, 4, 1, dtype="float16"),
    )  # fmt: skip
    (node,) = model.graph
    x, w = node.inputs
    assert x is not None
    assert w is not None
    assert row_bytes(x) == 4 * 64 * 2
    assert row_bytes(w) == 0
