"""Flattened tokens give what the same model on (batch, tokens, features) gives."""

from __future__ import annotations

import numpy as np
import pytest

from graph.nets import net, normal
from mho.errors import InvalidOption
from mho.graph.model import Model
from mho.methods.activation import Activation
from mho.methods.conductance import Conductance
from mho.methods.gradient import Gradient
from mho.methods.shapley import Shapley
from runtime.bound import bound, data, finished

T, C, U = 5, 4, 3
WEIGHTS = {
    "w": normal(1, C, U),
    "c": normal(2, U),
    "o": normal(3, U, C),
    "v": normal(4, C, 2),
    "flat_c": np.array([-1, C]),
    "flat_u": np.array([-1, U]),
    "width": np.array([C]),
    "one": np.array([1]),
    "i0": np.array([0]),
    "i1": np.array([1]),
}
X = normal(5, 4, T, C)
LABELS = [0, 1, 1, 0]


def folded(batch: str = "N") -> Model:
    """A block of GPT-2: Reshape, Gemm, activation, Gemm, Reshape back, and a way beside."""
    return net(
        """s = Shape(x)  n = Gather(s, i0)  t = Gather(s, i1)
        f = Reshape(x, flat_c)  h = Gemm(f, w, c)  r = Tanh(h)  p = Gemm(r, o)
        z = Concat<axis = 0>(n, t, width)  k = Reshape(p, z)  a = Add(k, x)
        m = ReduceMean<keepdims = 0>(a, one)  q = Tanh(m)  y = MatMul(q, v)""",
        f"(float[{batch},{T},{C}] x) => (float[{batch},2] y)",
        **{k: v for k, v in WEIGHTS.items() if k != "flat_u"},
    )


def plain() -> Model:
    return net(
        """g = MatMul(x, w)  h = Add(g, c)  r = Tanh(h)  p = MatMul(r, o)  a = Add(p, x)
        m = ReduceMean<keepdims = 0>(a, one)  q = Tanh(m)  y = MatMul(q, v)""",
        f"(float[N,{T},{C}] x) => (float[N,2] y)",
        **{k: WEIGHTS[k] for k in ("w", "c", "o", "v", "one")},
    )


METHODS = {
    "activation": Activation(layers=("r",)),
    "activation of neurons": Activation(layers=("h", "r"), granularity="neuron"),
    "shapley": Shapley(layers=("r",), value="cross_entropy", estimator="exact"),
    "conductance": Conductance(layers=("r",), engine="finite_difference"),
    "conductance of neurons": Conductance(
        layers=("r",), granularity="neuron", engine="finite_difference"
    ),
    "conductance by gradients": Conductance(layers=("r",), engine="gradient"),
    "gradient": Gradient(layers=("r",)),
}


@pytest.mark.parametrize("kind", METHODS)
@pytest.mark.parametrize("batch", ["N", "1"])
@pytest.mark.parametrize("single", [False, True])
def test_methods_do_not_see_the_difference(kind: str, batch: str, single: bool) -> None:
    method, given = METHODS[kind], data(X, LABELS)
    if single and kind == "conductance by gradients":
        with pytest.raises(InvalidOption, match="the model takes one input at a time"):
            bound(method, folded(batch), given, single=True)
        return
    found = bound(method, folded(batch), given, single=single)
    wanted = finished(method, bound(method, plain(), given).evaluator).scores
    scores = finished(method, found.evaluator).scores
    assert set(scores) == set(method.layers)
    for name, value in wanted.items():
        np.testing.assert_allclose(scores[name], value, rtol=2e-3, atol=1e-4)
    layer = next(layer for layer in found.layers if layer.name == "r")
    assert (layer.shape, layer.axis, layer.units) == (("N", T, U), 2, U)


def test_all_layers_are_unfolded_without_being_named() -> None:
    found = bound(Activation(), folded(), data(X))
    shapes = {layer.name: layer.shape for layer in found.layers}
    assert {"h", "r", "p"} <= set(shapes)
    assert all(shape[0] == "N" for shape in shapes.values())
    assert shapes["p"] == ("N", T, C)


def test_one_input_alone_tells_as_well() -> None:
    found = bound(Activation(layers=("r",)), folded(), data(X[:1]))
    assert found.layers[0].shape == ("N", T, U)


def tokens_first() -> Model:
    return net(
        """t = Transpose<perm = [1, 0, 2]>(x)  f = Reshape(t, flat_c)  h = Gemm(f, w)
        k = Reshape(h, back)  m = ReduceMean<keepdims = 0>(k, i0)  r = Relu(m)  y = Gemm(r, g)""",
        f"(float[N,{T},{C}] x) => (float[N,2] y)",
        **{k: WEIGHTS[k] for k in ("w", "flat_c", "i0")},
        back=np.array([T, -1, U]),
        g=normal(7, U, 2),
    )


def test_layers_with_the_batch_elsewhere_are_left_out_or_refused() -> None:
    """Here a token's inputs are side by side, so no reshape puts the batch in front."""
    found = bound(Activation(), tokens_first(), data(X))
    assert "h" not in [layer.name for layer in found.layers]
    assert "r" in [layer.name for layer in found.layers]
    assert found.notes[-1].startswith("layers left out, because their first dimension is not")
    for method in (Activation(layers=("h",)), Conductance(layers=("h",))):
        with pytest.raises(InvalidOption, match="layer 'h' has the shape"):
            bound(method, tokens_first(), data(X))


def test_conductance_cuts_around_tensors_with_the_batch_elsewhere() -> None:
    """The tail from ``r`` would read ``u``, whose leading axis is tokens: it goes further up."""
    model = net(
        """t = Transpose<perm = [1, 0, 2]>(x)  u = Tanh(t)
        h = MatMul(x, w)  r = Relu(h)  p = MatMul(r, o)
        b = Transpose<perm = [1, 0, 2]>(p)  d = Mul(b, u)  a = Transpose<perm = [1, 0, 2]>(d)
        m = ReduceMean<keepdims = 0>(a, one)  y = MatMul(m, v)""",
        f"(float[N,T,{C}] x) => (float[N,2] y)",
        **{k: WEIGHTS[k] for k in ("w", "o", "v", "one")},
    )
    method = Conductance(layers=("r",), tolerance=0.02, engine="finite_difference")
    for rows in (1, 4):
        given = data(X[:rows])
        evaluator = bound(method, model, given).evaluator
        result = finished(method, evaluator)
        assert evaluator._opened(0).members[0].tail.beside == ("x",)
        assert np.isfinite(result.scores["r"]).all()
        path = X[:rows, None] * np.linspace(0, 1, 2001)[1:, None, None].astype(np.float32)
        h = path @ WEIGHTS["w"]
        scores = np.maximum(h, 0) @ WEIGHTS["o"] * np.tanh(path)
        y = scores.mean(axis=2) @ WEIGHTS["v"]
        target = y[:, -1].argmax(axis=-1)
        # dF/dr = mean over tokens of tanh(x) * (o v), exact for this model
        ov = np.tanh(path)[..., None, :] * WEIGHTS["o"]
        gradient = np.einsum("iatuc,ck->iatuk", ov, WEIGHTS["v"]) / T
        gradient = gradient[np.arange(rows), ..., target]
        steps = np.diff(np.maximum(h, 0), axis=1)
        expected = (steps * (gradient[:, 1:] + gradient[:, :-1]) / 2).sum(axis=(1, 2))
        np.testing.assert_allclose(result.scores["r"], expected, rtol=0.05, atol=2e-3)
