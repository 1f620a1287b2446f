"""Cheap orders of removal, against torch in float64 and the definitions."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch

from graph.nets import net, normal
from mho.errors import InvalidOption
from mho.evaluation import Player
from mho.graph.model import Model
from mho.methods.ablation import ORDERS, Ablation
from mho.runtime.orders import BY_NAME, Basis, rankings
from mho.runtime.problem import Problem
from runtime.bound import bound, data, problem

W, U, V = normal(1, 5, 2, 3, 3, scale=0.4), normal(2, 4, 5, 1, 1), normal(3, 4, 3)
X, JUDGED = normal(4, 6, 2, 6, 6), np.array([0, 1, 2, 0, 1, 2])
UNITS = {"r": 5, "s": 4}


def smooth() -> Model:
    return net(
        """a = Conv(x, w)  r = Tanh(a)  b = Conv(r, u)  s = Tanh(b)
        g = GlobalAveragePool(s)  f = Flatten(g)  y = Gemm(f, v)""",
        "(float[N,2,6,6] x) => (float[N,3] y)", w=W, u=U, v=V,
    )  # fmt: skip


def layers_by_torch(x: torch.Tensor) -> dict[str, torch.Tensor]:
    w, u, v = (torch.tensor(array, dtype=torch.float64) for array in (W, U, V))
    r = torch.tanh(torch.conv2d(x, w))
    s = torch.tanh(torch.conv2d(r, u))
    return {"r": r, "s": s, "y": s.mean(dim=(2, 3)) @ v}


def slopes_by_torch(x: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Activations and dF/dy, layer -> ``(inputs, units, *positions)``."""
    found = layers_by_torch(torch.tensor(x, dtype=torch.float64, requires_grad=True))
    score = found["y"][torch.arange(len(x)), torch.tensor(JUDGED[: len(x)])].sum()
    slopes = torch.autograd.grad(score, [found[name] for name in UNITS])
    return (
        {name: found[name].detach().numpy() for name in UNITS},
        {name: slope.numpy() for name, slope in zip(UNITS, slopes, strict=True)},
    )


def basis(of: Problem, over: np.ndarray | None = None, said: list[str] | None = None) -> Basis:
    over = np.arange(len(of.data)) if over is None else over
    return Basis(of, over, JUDGED[: len(of.data)], 0, [].append if said is None else said.append)


def units(of: Problem) -> list[Player]:
    return [
        Player(f"{layer.name}:{unit}", {layer.name: (unit,)})
        for layer in of.layers
        for unit in range(layer.units)
    ]


def ranked(name: str, of: Problem, **options: Any) -> np.ndarray:
    return rankings([name], basis(of, **options), units(of))[0][name]


def flat(by_layer: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([by_layer[name] for name in UNITS])


def made(model: Model | None = None, inputs: int = 6) -> Problem:
    return problem(model or smooth(), data(X[:inputs]), "r", "s")


def test_there_is_an_order_for_every_name() -> None:
    assert set(BY_NAME) == set(ORDERS)


@pytest.mark.parametrize("over", [None, np.array([1, 4])])
def test_activation(over: np.ndarray | None) -> None:
    tensors, _ = slopes_by_torch(X)
    chosen = slice(None) if over is None else over
    expected = {n: np.abs(y[chosen]).mean(axis=(0, 2, 3)) for n, y in tensors.items()}
    np.testing.assert_allclose(ranked("activation", made(), over=over), flat(expected), rtol=1e-4)


@pytest.mark.parametrize("over", [None, np.array([1, 4])])
def test_gradient_x_activation(over: np.ndarray | None) -> None:
    tensors, slopes = slopes_by_torch(X)
    chosen = slice(None) if over is None else over
    expected = {
        n: (y * slopes[n]).sum(axis=(2, 3))[chosen].mean(axis=0) for n, y in tensors.items()
    }
    np.testing.assert_allclose(
        ranked("gradient_x_activation", made(), over=over), flat(expected), rtol=1e-3, atol=1e-5
    )


def test_weight_norm() -> None:
    expected = {"r": np.sqrt((W**2).sum(axis=(1, 2, 3))), "s": np.sqrt((U**2).sum(axis=(1, 2, 3)))}
    np.testing.assert_allclose(ranked("weight_norm", made()), flat(expected), rtol=1e-5)


def conductance_by_torch(x: np.ndarray, pieces: int) -> dict[str, np.ndarray]:
    """Mean over inputs of Σ g_mid · Δy over many pieces of the line from zero."""
    total = {name: np.zeros(count) for name, count in UNITS.items()}
    for index in range(pieces):
        low, _ = slopes_by_torch(x * (index / pieces))
        high, _ = slopes_by_torch(x * ((index + 1) / pieces))
        _, middle = slopes_by_torch(x * ((index + 0.5) / pieces))
        for name in UNITS:
            total[name] += (middle[name] * (high[name] - low[name])).sum(axis=(0, 2, 3)) / len(x)
    return total


def test_conductance_by_gradients() -> None:
    said: list[str] = []
    of = made()
    found, notes = rankings(["conductance"], basis(of, said=said), units(of))
    expected = flat(conductance_by_torch(X, 200))
    largest = np.abs(expected).max()
    np.testing.assert_allclose(found["conductance"], expected, atol=0.02 * largest)
    assert notes == (
        "order conductance: over 6 of 6 inputs, 8 intervals of each path, by gradient",
    )
    assert said[0] == "ranking units by conductance"
    # nine units on 48 intervals
    assert all(re.fullmatch(r".* conductance: \d+ of 432 pieces", text) for text in said[1:])
    assert len(said) > 1


def test_conductance_by_differences() -> None:
    """Behind an operator without a rule: Det is none for matrices of one number each."""
    model = net(
        """a = Conv(x, w)  r = Tanh(a)  b = Conv(r, u)  h = Tanh(b)  e = Unsqueeze(h, ends)
        s = Det(e)  g = GlobalAveragePool(s)  f = Flatten(g)  y = Gemm(f, v)""",
        "(float[N,2,6,6] x) => (float[N,3] y)", w=W, u=U, v=V, ends=np.array([4, 5]),
    )  # fmt: skip
    of = problem(model, data(X), "r", "h")
    found, notes = rankings(["conductance"], basis(of), units(of))
    expected = flat(conductance_by_torch(X, 100))
    largest = np.abs(expected).max()
    np.testing.assert_allclose(found["conductance"], expected, atol=0.05 * largest)
    assert "over 6 of 6 inputs, 4 intervals of each path, by finite difference" in notes[0]
    with pytest.raises(InvalidOption, match=r"needs the gradient at every layer: .*operator Det"):
        ranked("gradient_x_activation", of)


def test_conductance_looks_at_some_inputs_only() -> None:
    x = normal(5, 40, 2, 6, 6)
    of = problem(smooth(), data(x), "r", "s")
    many = Basis(of, np.arange(40), np.tile(JUDGED, 7)[:40], 0, lambda _: None)
    _, notes = rankings(["conductance"], many, units(of))
    assert "over 32 of 40 inputs" in notes[0]
    _, notes = rankings(
        ["conductance"], Basis(of, np.arange(3), many.judged, 0, lambda _: None), units(of)
    )
    assert "over 3 of 40 inputs" in notes[0]


def test_players_of_several_units_add_up() -> None:
    of = made()
    together = [Player("a", {"r": (0, 3), "s": (1,)}), Player("b", {"s": (2,)})]
    names = ("activation", "weight_norm", "conductance", "gradient_x_activation")
    found, _ = rankings(names, basis(of), together)
    alone, _ = rankings(names, basis(of), units(of))
    for name in names:
        members = alone[name][[0, 3, 6]]
        one = np.sqrt((members**2).sum()) if name == "weight_norm" else members.sum()
        np.testing.assert_allclose(found[name], [one, alone[name][7]], rtol=1e-5)


def test_orders_of_a_token_model() -> None:
    model = net(
        """e = Gather(table, i)  h = MatMul(e, w)  r = Tanh(h)
        m = ReduceMean<keepdims = 0>(r, one)  y = MatMul(m, v)""",
        "(int64[N,4] i) => (float[N,3] y)",
        table=normal(1, 9, 6), w=normal(2, 6, 5), v=normal(3, 5, 3), one=np.array([1]),
    )  # fmt: skip
    tokens = np.random.default_rng(0).integers(0, 9, (6, 4))
    method = Ablation(orders=ORDERS, value="logit", draws=1)
    found = bound(method, model, data({"i": tokens})).evaluator.rankings
    r = np.tanh(normal(1, 9, 6)[tokens] @ normal(2, 6, 5))
    np.testing.assert_allclose(found["activation"], np.abs(r).mean(axis=(0, 1)), rtol=1e-4)
    target = np.argmax(r.mean(axis=1) @ normal(3, 5, 3), axis=1)
    slope = normal(3, 5, 3)[:, target].T / 4
    expected = (slope[:, None] * r).sum(axis=1).mean(axis=0)
    np.testing.assert_allclose(found["gradient_x_activation"], expected, rtol=1e-3, atol=1e-5)
    # from an embedding of zeros, at which r is 0: the score is linear in r
    np.testing.assert_allclose(found["conductance"], expected, rtol=1e-3, atol=1e-5)


def test_layers_before_the_path() -> None:
    model = net(
        """c = Cast<to = 1>(i)  k = MatMul(c, w)  q = Round(k)  t = Cast<to = 7>(q)
        p = Gather(table, t)  m = ReduceMean<keepdims = 0>(p, one)  y = MatMul(m, v)""",
        "(int64[N,4] i) => (float[N,3] y)",
        table=normal(1, 9, 6), w=np.eye(4, dtype=np.float32), v=normal(3, 6, 3),
        one=np.array([1]),
    )  # fmt: skip
    tokens = np.random.default_rng(0).integers(0, 9, (6, 4))
    of = problem(model, data({"i": tokens}), "k")
    with pytest.raises(InvalidOption, match="order 'conductance' has no path through layer 'k'"):
        rankings(["conductance"], basis(of), units(of))
