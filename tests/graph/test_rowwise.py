"""Substitutes that differ from row to row, against the formula."""

from __future__ import annotations

import numpy as np
import pytest

from graph.nets import evaluate, net, normal
from mho.graph import units
from mho.graph.mask import mask_input, masked, substitute_input
from mho.graph.rowwise import rowwise


@pytest.mark.parametrize("rows", [1, 4])
def test_every_row_has_its_own(rows: int) -> None:
    model = net(
        "c = Conv(x, w)  r = Relu(c)  h = MatMul(t, v)  g = Tanh(h)",
        "(float[N,2,5,5] x, float[N,3,4] t) => (float[N,3,3,3] r, float[N,3,6] g)",
        w=normal(1, 3, 2, 3, 3), v=normal(2, 4, 6),
    )  # fmt: skip
    layers = [units.layer(model, name) for name in ("r", "g")]
    x, t = normal(3, rows, 2, 5, 5), normal(4, rows, 3, 4)
    clean = evaluate(model, {"x": x, "t": t})
    instead = {"r": normal(5, *clean["r"].shape), "g": normal(6, *clean["g"].shape)}
    masks = {
        "r": np.random.default_rng(7).random((rows, 3)).astype(np.float32),
        "g": np.random.default_rng(8).random((rows, 6)).astype(np.float32),
    }
    feeds = {"x": x, "t": t}
    feeds |= {mask_input(name): mask for name, mask in masks.items()}
    feeds |= {substitute_input(name): values for name, values in instead.items()}
    found = evaluate(rowwise(masked(model, layers), layers), feeds)
    for name, shape in (("r", (rows, 3, 1, 1)), ("g", (rows, 1, 6))):
        mask = masks[name].reshape(shape)
        expected = mask * clean[name] + (1 - mask) * instead[name]
        np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=1e-5)
