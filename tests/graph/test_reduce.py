"""Activations as outputs, reduced over positions."""

from __future__ import annotations

import numpy as np
import pytest

from graph.nets import net, normal, run
from mho.graph import units
from mho.graph.reduce import REDUCTIONS, activation_output, activations

BODY = """c = Conv(x, w)  t = Transpose<perm = [0, 2, 3, 1]>(c)  r = Relu(t)
    f = Flatten(r)  y = Gemm(f, v)"""
WEIGHTS = {"w": normal(1, 3, 2, 1, 1), "v": normal(2, 36, 2)}
SIGNATURE = "(float[N,2,3,4] x) => (float[N,2] y)"


@pytest.mark.parametrize("reduction", [*REDUCTIONS, None])
@pytest.mark.parametrize("opset", [18, 17, 13])
def test_reductions_over_positions(reduction: str | None, opset: int) -> None:
    model = net(BODY, SIGNATURE, **WEIGHTS)
    model.graph.opset_imports[""] = opset  # one that could not be raised
    layers = [units.layer(model, name) for name in ("c", "r", "y")]
    x = normal(3, 5, 2, 3, 4)
    found = run(activations(model, layers, reduction), x=x)
    c = np.einsum("oi,nihw->nohw", WEIGHTS["w"][:, :, 0, 0], x)
    r = np.maximum(c.transpose(0, 2, 3, 1), 0)
    y = r.reshape(5, -1) @ WEIGHTS["v"]
    for name, value, axes in (("c", c, (2, 3)), ("r", r, (1, 2)), ("y", y, ())):
        expected = value if reduction is None else getattr(np, reduction)(value, axis=axes)
        np.testing.assert_allclose(found[activation_output(name)], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("reduction", [*REDUCTIONS, None])
def test_magnitudes(reduction: str | None) -> None:
    model = net(BODY, SIGNATURE, **WEIGHTS)
    x = normal(3, 5, 2, 3, 4)
    graph = activations(model, [units.layer(model, "c")], reduction, magnitude=True)
    c = np.abs(np.einsum("oi,nihw->nohw", WEIGHTS["w"][:, :, 0, 0], x))
    expected = c if reduction is None else getattr(np, reduction)(c, axis=(2, 3))
    np.testing.assert_allclose(run(graph, x=x)[activation_output("c")], expected, rtol=1e-4)


def test_only_what_is_needed_is_run() -> None:
    model = net(BODY, SIGNATURE, **WEIGHTS)
    slim = activations(model, [units.layer(model, "c")], "mean")
    assert [node.op_type for node in slim.graph] == ["Conv", "ReduceMean", "Identity"]
    assert "v" not in slim.graph.initializers


def test_a_sum_of_float16_does_not_overflow() -> None:
    model = net("y = Relu(x)", "(float16[N,1,2,2] x) => (float16[N,1,2,2] y)")
    x = np.full((1, 1, 2, 2), 60_000, np.float16)
    found = run(activations(model, [units.layer(model, "y")], "sum"), x=x)
    np.testing.assert_allclose(found[activation_output("y")], [[240_000]], rtol=1e-3)


def test_a_graph_input_as_layer() -> None:
    model = net("y = Relu(x)", "(float[N,3,4] x) => (float[N,3,4] y)")
    layer = units.layer(model, "x")
    x = normal(1, 2, 3, 4)
    found = run(activations(model, [layer], "mean"), x=x)
    axis = 1 if layer.axis == 2 else 2
    np.testing.assert_allclose(found[activation_output("x")], x.mean(axis=axis), rtol=1e-6)
