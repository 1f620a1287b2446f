"""Slopes of every value in the masks, against central differences in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest

from graph.nets import net, normal
from mho.errors import InvalidOption
from mho.evaluation import Player
from mho.graph.model import Model
from mho.graph.target import scored
from mho.registry import entries
from mho.runtime.coalitions import MaskedCoalitions
from mho.runtime.mask_slopes import obstacle
from mho.types import FloatArray
from mho.value import Asked, Samples, Surrogate, Value
from runtime.bound import SETTINGS, data, problem

F = np.float32
VALUES = entries("mho.values", Value)
W, U, V = normal(1, 3, 6), normal(2, 6, 5), normal(3, 5, 4)
X = normal(4, 7, 3)
KNOWN = Samples(
    np.array([0, 1, 2, 3, 0, 1, 1]),
    {"a": np.array([1, 1, 0, 0, 1, 0, 0], bool), "b": np.array([0, 0, 1, 1, 0, 0, 1], bool)},
    normal(5, 7, 4).astype(np.float64),
)
MEANS = {"r": normal(6, 6), "s": normal(7, 5)}
PLAYERS = [
    *(Player(f"r #{i}", {"r": (i,)}) for i in range(5)),  # the last unit of r does not play
    Player("group", {"s": (0, 3)}),
    *(Player(f"s #{i}", {"s": (i,)}) for i in (1, 2, 4)),
]
ASKED = {
    "accuracy": [Asked()],
    "top_k_accuracy": [Asked(rank=2)],
    "recall": [Asked(classes=(1, 3))],
    "precision": [Asked(classes=(1,)), Asked(classes=(0, 1))],
    "cross_entropy": [Asked(), Asked(classes=(0, 1))],
    "logit": [Asked(), Asked(classes=(0, 2))],
    "probability": [Asked(), Asked(classes=(0, 2))],
    "margin": [Asked(), Asked(classes=(0, 2))],
    "squared_error": [Asked()],
    "attack_success": [Asked(), Asked(classes=(2,))],
    "subgroup_accuracy": [Asked(subgroups=("a",))],
    "gap": [Asked(subgroups=("a", "b")), Asked(subgroups=("a",))],
}
CASES = [(name, asked) for name, listed in ASKED.items() for asked in listed]
IDS = [f"{name}-{index}" for index, (name, _) in enumerate(CASES)]


def mlp() -> Model:
    return net(
        "a = Gemm(x, w)  r = Tanh(a)  b = Gemm(r, u)  s = Softplus(b)  y = Gemm(s, v)",
        "(float[N,3] x) => (float[N,4] y)",
        w=W,
        u=U,
        v=V,
    )


def game(value: Value, memory: int = SETTINGS.memory_bytes) -> MaskedCoalitions:
    settings = replace(SETTINGS, memory_bytes=memory)
    made = problem(mlp(), data(X), "r", "s", settings=settings)
    return MaskedCoalitions(made, PLAYERS, MEANS, value, KNOWN)


def forward(mask: FloatArray) -> FloatArray:
    """Scores ``(inputs, classes)`` under one mask ``(players,)``, in float64."""
    kept = {"r": np.ones(6), "s": np.ones(5)}
    for share, player in zip(mask, PLAYERS, strict=True):
        for name, units in player.members.items():
            kept[name][list(units)] = share
    x, w, u, v = (array.astype(np.float64) for array in (X, W, U, V))
    r = np.tanh(x @ w) * kept["r"] + (1 - kept["r"]) * MEANS["r"]
    s = np.log1p(np.exp(r @ u)) * kept["s"] + (1 - kept["s"]) * MEANS["s"]
    return np.asarray(s @ v)


def smooth(value: Value, mask: FloatArray, rows: np.ndarray | None = None) -> float:
    """The surrogate of V under a mask, over the inputs ``rows`` that matter, or all."""
    z = forward(mask)
    wanted = value.wanted(KNOWN, 4)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    formulas: dict[Surrogate, Callable[[int], float]] = {
        Surrogate.SCORE: lambda i: z[i][wanted[i]].mean(),
        Surrogate.LOG_PROBABILITY: lambda i: np.log(p[i][wanted[i]].sum()),
        Surrogate.PROBABILITY: lambda i: p[i][wanted[i]].sum(),
        Surrogate.MARGIN: lambda i: z[i][wanted[i]].max() - z[i][~wanted[i]].max(),
        Surrogate.SQUARED_ERROR: lambda i: ((z[i] - KNOWN.truth[i]) ** 2).mean(),  # type: ignore[index]
    }
    weights = value.weights(KNOWN)
    matter = np.flatnonzero(weights)
    rows = np.arange(len(matter)) if rows is None else rows
    worth = sum(weights[i] * formulas[value.surrogate](int(i)) for i in matter[rows])
    return float(value.sign * worth * len(matter) / len(rows))


def slopes(value: Value, mask: FloatArray, rows: np.ndarray | None = None) -> FloatArray:
    """Central differences of ``smooth``, ``(players,)``."""
    step, found = 1e-5, []
    for player in range(len(PLAYERS)):
        moved = step * (np.arange(len(PLAYERS)) == player)
        ends = (smooth(value, mask + sign * moved, rows) for sign in (1, -1))
        found.append((next(ends) - next(ends)) / (2 * step))
    return np.array(found)


def test_every_value_is_here() -> None:
    assert set(ASKED) == set(VALUES)


@pytest.mark.parametrize(("name", "asked"), CASES, ids=IDS)
def test_slopes(name: str, asked: Asked) -> None:
    value = VALUES[name](asked)
    masks = np.random.default_rng(1).uniform(0, 1, (3, len(PLAYERS)))
    masks[0] = 1
    found = game(value).slopes(masks)
    for mask, worth, slope in zip(masks, found.worth, found.slopes, strict=True):
        np.testing.assert_allclose(worth, smooth(value, mask), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(slope, slopes(value, mask), rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize(("name", "asked"), CASES, ids=IDS)
def test_where_units_are_kept_or_gone_a_smooth_worth_is_v(name: str, asked: Asked) -> None:
    value = VALUES[name](asked)
    played = game(value)
    coalitions = np.random.default_rng(2).integers(0, 2, (4, len(PLAYERS))).astype(bool)
    found, worth = played.values(coalitions), played.slopes(coalitions.astype(np.float64)).worth
    if value.smooth:
        np.testing.assert_allclose(worth, found, rtol=1e-5, atol=1e-6)
        assert played.surrogate == ""
    else:
        assert played.surrogate == value.stand_in
        assert not np.allclose(worth, found)


@pytest.mark.parametrize(("name", "asked"), CASES, ids=IDS)
def test_slopes_over_minibatches(name: str, asked: Asked) -> None:
    value = VALUES[name](asked)
    played = game(value)
    size = played.samples // 2 + 1
    masks = np.random.default_rng(3).uniform(0, 1, (2, len(PLAYERS)))
    rows = np.stack([np.random.default_rng(k).permutation(played.samples)[:size] for k in (4, 5)])
    found = played.slopes(masks, rows)
    for mask, chosen, worth, slope in zip(masks, rows, found.worth, found.slopes, strict=True):
        np.testing.assert_allclose(worth, smooth(value, mask, chosen), rtol=1e-4, atol=1e-5)
        expected = slopes(value, mask, chosen)
        np.testing.assert_allclose(slope, expected, rtol=2e-3, atol=2e-5)


def test_batches_do_not_matter() -> None:
    value = VALUES["margin"]()
    masks = np.random.default_rng(1).uniform(0, 1, (5, len(PLAYERS)))
    narrow, wide = game(value, memory=1).slopes(masks), game(value).slopes(masks)
    np.testing.assert_allclose(narrow.worth, wide.worth, rtol=1e-5)
    np.testing.assert_allclose(narrow.slopes, wide.slopes, rtol=1e-4, atol=1e-6)


def test_probabilities_of_the_model_itself() -> None:
    """A closing Sigmoid gives independent probabilities, which softmax would not."""
    model = net(
        "a = Gemm(x, w)  r = Tanh(a)  z = Gemm(r, v)  y = Sigmoid(z)",
        "(float[N,3] x) => (float[N,4] y)",
        w=W,
        v=normal(3, 6, 4),
    )
    made = replace(problem(model, data(X), "r"), model=scored(model, score="probability"))
    value = VALUES["probability"](Asked(classes=(0, 2), probabilities=True))
    players = [Player(str(i), {"r": (i,)}) for i in range(6)]
    found = MaskedCoalitions(made, players, MEANS, value, KNOWN, probabilities=True)
    z = np.tanh(X @ W) @ normal(3, 6, 4)
    expected = (1 / (1 + np.exp(-z)))[:, [0, 2]].sum(axis=1).mean()
    np.testing.assert_allclose(found.values(np.ones((1, 6), bool)), expected, rtol=1e-5)
    np.testing.assert_allclose(found.slopes(np.ones((1, 6))).worth, expected, rtol=1e-5)


@pytest.mark.parametrize("known", [True, False])
def test_a_single_output(known: bool) -> None:
    model = net(
        "a = Gemm(x, w)  r = Tanh(a)  y = Gemm(r, v)",
        "(float[N,3] x) => (float[N,1] y)",
        w=W,
        v=normal(3, 6, 1),
    )
    made = problem(model, data(X), "r")
    if not known:

        def forget(copy: ir.Model) -> None:
            copy.graph.outputs[0].shape = ir.Shape(("N", None))

        made = replace(made, model=made.model.rewritten(forget))
    players = [Player(str(i), {"r": (i,)}) for i in range(6)]
    known_of = Samples(np.zeros(7, np.int64))
    found = MaskedCoalitions(made, players, MEANS, VALUES["probability"](), known_of)
    expected = (1 / (1 + np.exp(-np.tanh(X @ W) @ normal(3, 6, 1)))).mean()
    np.testing.assert_allclose(found.values(np.ones((1, 6), bool)), expected, rtol=1e-5)
    np.testing.assert_allclose(found.slopes(np.ones((1, 6))).worth, expected, rtol=1e-5)


def test_a_model_that_takes_one_input_at_a_time_has_none() -> None:
    assert obstacle(problem(mlp(), data(X), "r", single=True)) == (
        "the model takes one input at a time"
    )


def test_what_is_in_the_way_is_said() -> None:
    model = net(
        "r = Tanh(x)  d = Det(r)  y = Unsqueeze(d, one)",
        "(float[N,3,3] x) => (float[N,1] y)",
        one=np.array([1]),
    )
    made = problem(model, data(normal(1, 2, 3, 3)), "r")
    assert obstacle(made).startswith("from 'r', ")
    players = [Player(str(i), {"r": (i,)}) for i in range(3)]
    value, known = VALUES["logit"](), Samples(np.zeros(2, np.int64))
    found = MaskedCoalitions(made, players, {"r": np.zeros(3)}, value, known)
    with pytest.raises(
        InvalidOption, match=r"no slopes in the masks: from 'r', .*Det.*permutation"
    ):
        _ = found.surrogate
    assert obstacle(problem(mlp(), data(X), "r", "s")) == ""
