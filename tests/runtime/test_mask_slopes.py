"""Marginals predicted from slopes in the masks, for every value, against a slow version of their
formula with central differences in float64."""

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
from mho.graph.target import SCORES, scored
from mho.registry import entries
from mho.runtime.coalitions import MaskedCoalitions
from mho.runtime.engine import obstacle
from mho.runtime.problem import Problem
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
    *(Player(f"r:{i}", {"r": (i,)}) for i in range(5)),  # the last unit of r does not play
    Player("group", {"s": (0, 3)}),
    *(Player(f"s:{i}", {"s": (i,)}) for i in (1, 2, 4)),
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


def arguments(value: Value, mask: FloatArray) -> FloatArray:
    """``(inputs,)``: the argument of each one's surrogate under a mask, from its formula."""
    z = forward(mask)
    wanted = value.wanted(KNOWN, 4)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)

    def odds(i: int) -> float:
        return float(np.log(p[i][wanted[i]].sum() / p[i][~wanted[i]].sum()))

    formulas: dict[Surrogate, Callable[[int], float]] = {
        Surrogate.SCORE: lambda i: z[i][wanted[i]].mean(),
        Surrogate.LOG_PROBABILITY: odds,
        Surrogate.PROBABILITY: odds,
        Surrogate.MARGIN: lambda i: z[i][wanted[i]].max() - z[i][~wanted[i]].max(),
        Surrogate.SQUARED_ERROR: lambda i: ((z[i] - KNOWN.truth[i]) ** 2).mean(),  # type: ignore[index]
    }
    return np.array([formulas[value.surrogate](i) for i in range(len(z))])


def worth(value: Value, argument: FloatArray) -> FloatArray:
    """The smooth worth of an argument, as a chance p = 1 / (1 + exp(-argument)) has it."""
    if value.surrogate is Surrogate.LOG_PROBABILITY:
        return np.asarray(np.log(1 / (1 + np.exp(-argument))))
    if value.surrogate is Surrogate.PROBABILITY:
        return np.asarray(1 / (1 + np.exp(-argument)))
    return argument


def weighed(value: Value, each: FloatArray, rows: np.ndarray | None = None) -> float:
    """The sum of the worths of inputs ``(inputs,)``, over ``rows`` of those that matter, or all."""
    weights = value.weights(KNOWN)
    matter = np.flatnonzero(weights)
    chosen = matter if rows is None else matter[rows]
    total = sum(weights[i] * each[i] for i in chosen)
    return float(value.sign * total * len(matter) / len(chosen))


def linearised(value: Value, mask: FloatArray, rows: np.ndarray | None = None) -> FloatArray:
    """``(players,)``, slowly, one player after another: its mask moved to both ends along the
    tangent of the argument, which is a central difference."""
    step, found = 1e-5, []
    middle = arguments(value, mask)
    for player, share in enumerate(mask):
        moved = step * (np.arange(len(PLAYERS)) == player)
        slope = (arguments(value, mask + moved) - arguments(value, mask - moved)) / (2 * step)
        kept, gone = middle + (1 - share) * slope, middle - share * slope
        found.append(weighed(value, worth(value, kept) - worth(value, gone), rows))
    return np.array(found)


def test_every_value_is_here() -> None:
    assert set(ASKED) == set(VALUES)


@pytest.mark.parametrize(("name", "asked"), CASES, ids=IDS)
def test_as_a_slow_version_has_it(name: str, asked: Asked) -> None:
    value = VALUES[name](asked)
    masks = np.random.default_rng(1).uniform(0, 1, (4, len(PLAYERS)))
    masks[0], masks[1] = 1, 0
    found = game(value).linearised(masks)
    for mask, each in zip(masks, found, strict=True):
        np.testing.assert_allclose(each, linearised(value, mask), rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize(("name", "asked"), CASES, ids=IDS)
def test_over_minibatches(name: str, asked: Asked) -> None:
    value = VALUES[name](asked)
    played = game(value)
    size = played.samples // 2 + 1
    masks = np.random.default_rng(3).uniform(0, 1, (2, len(PLAYERS)))
    rows = np.stack([np.random.default_rng(k).permutation(played.samples)[:size] for k in (4, 5)])
    found = played.linearised(masks, rows)
    for mask, chosen, each in zip(masks, rows, found, strict=True):
        np.testing.assert_allclose(each, linearised(value, mask, chosen), rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize(("name", "asked"), CASES, ids=IDS)
def test_a_smooth_worth_is_v_and_another_is_named(name: str, asked: Asked) -> None:
    """The slow worth that slopes are compared with is V where units are kept or gone."""
    value = VALUES[name](asked)
    played = game(value)
    coalitions = np.random.default_rng(2).integers(0, 2, (4, len(PLAYERS))).astype(bool)
    slow = [weighed(value, worth(value, arguments(value, c.astype(float)))) for c in coalitions]
    if value.smooth:
        np.testing.assert_allclose(played.values(coalitions), slow, rtol=1e-5, atol=1e-6)
        assert played.surrogate == ""
    else:
        assert not np.allclose(played.values(coalitions), slow)
        assert played.surrogate == value.stand_in != ""


def one_layer(value: Value, classes: int, judged: np.ndarray) -> MaskedCoalitions:
    """A network whose scores are linear in the masks of its one layer, some units together, one
    not playing."""
    model = net(
        "a = Gemm(x, w)  r = Tanh(a)  y = Gemm(r, v)", f"(float[N,3] x) => (float[N,{classes}] y)",
        w=W, v=normal(8, 6, classes),
    )  # fmt: skip
    players = [Player("pair", {"r": (0, 4)}), *(Player(f"r:{i}", {"r": (i,)}) for i in (1, 2, 3))]
    return MaskedCoalitions(
        problem(model, data(X), "r"), players, MEANS, value, Samples(judged)
    )  # fmt: skip


def marginals_are_exact(played: MaskedCoalitions) -> None:
    """Those of every player at coalitions of all sizes."""
    count = len(played.players)
    for size in range(count + 1):
        coalition = np.random.default_rng(size).permutation(count) < size
        found = played.linearised(coalition[None].astype(np.float64))[0]
        for player in range(count):
            ends = np.stack([coalition, coalition])
            ends[:, player] = True, False
            kept, gone = played.values(ends)
            np.testing.assert_allclose(found[player], kept - gone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "asked", "classes"),
    [
        ("logit", Asked(classes=(0, 2)), 4),
        ("margin", Asked(), 2),
        ("probability", Asked(), 2),
        ("cross_entropy", Asked(), 2),
    ],
)
def test_marginals_are_exact_where_the_argument_is_linear_in_the_masks(
    name: str, asked: Asked, classes: int
) -> None:
    """Mean scores are, and between two classes the margin and the log-odds."""
    judged = np.array([0, 1, 1, 0, 0, 1, 1])
    marginals_are_exact(one_layer(VALUES[name](asked), classes, judged))


def test_batches_do_not_matter() -> None:
    value = VALUES["margin"]()
    masks = np.random.default_rng(1).uniform(0, 1, (5, len(PLAYERS)))
    narrow, wide = game(value, memory=1).linearised(masks), game(value).linearised(masks)
    np.testing.assert_allclose(narrow, wide, rtol=1e-4, atol=1e-6)


def test_probabilities_of_the_model_itself() -> None:
    """A closing Sigmoid gives independent probabilities, which softmax would not: their log-odds
    are linear in the masks here, so that marginals are exact."""
    model = net(
        "a = Gemm(x, w)  r = Tanh(a)  z = Gemm(r, v)  y = Sigmoid(z)",
        "(float[N,3] x) => (float[N,4] y)",
        w=W,
        v=normal(3, 6, 4),
    )
    made = replace(problem(model, data(X), "r"), model=scored(model, score="probability"))
    value = VALUES["probability"](Asked(classes=(2,), probabilities=True))
    players = [Player(str(i), {"r": (i,)}) for i in range(6)]
    found = MaskedCoalitions(made, players, MEANS, value, KNOWN)
    z = np.tanh(X @ W) @ normal(3, 6, 4)
    expected = (1 / (1 + np.exp(-z)))[:, 2].mean()
    np.testing.assert_allclose(found.values(np.ones((1, 6), bool)), expected, rtol=1e-5)
    marginals_are_exact(found)


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
    marginals_are_exact(found)


def in_the_way(made: Problem) -> str:
    names = [layer.name for layer in made.layers]
    return obstacle(made.model, SCORES, names, single=made.single)


def test_a_model_that_takes_one_input_at_a_time_has_none() -> None:
    found = in_the_way(problem(mlp(), data(X), "r", single=True))
    assert found.startswith("the model takes one input at a time")


def test_what_is_in_the_way_is_said() -> None:
    model = net(
        "r = Tanh(x)  d = Det(r)  y = Unsqueeze(d, one)",
        "(float[N,3,3] x) => (float[N,1] y)",
        one=np.array([1]),
    )
    made = problem(model, data(normal(1, 2, 3, 3)), "r")
    assert in_the_way(made).startswith("from 'r', ")
    players = [Player(str(i), {"r": (i,)}) for i in range(3)]
    value, known = VALUES["logit"](), Samples(np.zeros(2, np.int64))
    found = MaskedCoalitions(made, players, {"r": np.zeros(3)}, value, known)
    with pytest.raises(
        InvalidOption, match=r"no slopes in the masks: from 'r', .*Det.*permutation"
    ):
        _ = found.surrogate
    assert in_the_way(problem(mlp(), data(X), "r", "s")) == ""
