"""Layers on flattened tokens get the batch in front."""

from __future__ import annotations

import numpy as np
import pytest

from graph.nets import evaluate, net, normal, run
from mho.graph import units
from mho.graph.mask import mask_input, masked, substitute_input
from mho.graph.model import Model
from mho.graph.reduce import activation_output, activations
from mho.graph.unfold import unfolded

T, C, U = 5, 4, 3


def flattened() -> Model:
    """A feed-forward block as GPT-2's exports have it; the tokens' number comes from the input."""
    return net(
        """s = Shape(x)  b = Gather(s, first)  t = Gather(s, second)
        f = Reshape(x, flat)  h = Gemm(f, w, c)  r = Relu(h)
        n = Concat<axis = 0>(b, t, u)  k = Reshape(r, n)
        m = ReduceMean<keepdims = 0>(k, second)  y = MatMul(m, v)""",
        f"(float[N,T,{C}] x) => (float[N,2] y)",
        w=normal(1, C, U),
        c=normal(2, U),
        v=normal(3, U, 2),
        flat=np.array([-1, C]),
        first=np.array([0]),
        second=np.array([1]),
        u=np.array([U]),
    )


X = normal(4, 6, T, C)
R = np.maximum(X @ normal(1, C, U) + normal(2, U), 0)


@pytest.mark.parametrize("names", [["h"], ["r"], ["h", "r"]])
def test_nothing_changes_but_the_named_tensors(names: list[str]) -> None:
    model = flattened()
    made, layers = unfolded(model, [units.layer(model, n) for n in names], "x")
    np.testing.assert_array_equal(run(made, x=X)["y"], run(model, x=X)["y"])
    assert [(layer.name, layer.axis, layer.units) for layer in layers] == [(n, 2, U) for n in names]
    found = run(activations(made, layers, None), x=X)
    for name in names:
        assert found[activation_output(name)].shape == (6, T, U)
    assert [v.name for n in model.graph for v in n.outputs if "mho" in (v.name or "")] == []


def test_reduced_and_masked_per_input() -> None:
    model = flattened()
    made, layers = unfolded(model, [units.layer(model, "r")], "x")
    found = run(activations(made, layers, "mean"), x=X)
    np.testing.assert_allclose(found[activation_output("r")], R.mean(axis=1), rtol=1e-5)
    keep = np.random.default_rng(5).integers(0, 2, (6, U)).astype(np.float32)
    fed = {"x": X, mask_input("r"): keep, substitute_input("r"): np.ones((1, 1, U), np.float32)}
    y = evaluate(masked(made, layers), fed)["y"]
    kept = np.where(keep[:, None] > 0, R, 1)
    np.testing.assert_allclose(y, kept.mean(axis=1) @ normal(3, U, 2), rtol=1e-5, atol=1e-6)


def test_an_output_keeps_its_shape_under_another_name() -> None:
    model = net(
        "f = Reshape(x, flat)  h = Gemm(f, w)",
        f"(float[N,T,{C}] x) => (float[M,{U}] h)",
        w=normal(1, C, U),
        flat=np.array([-1, C]),
    )
    made, _ = unfolded(model, [units.layer(model, "h")], "x")
    (value,) = run(made, x=X).values()
    np.testing.assert_array_equal(value, run(model, x=X)["h"])
