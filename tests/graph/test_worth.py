"""Arguments of smooth worths and their slopes in the masks, against the formulas and central
differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from graph.nets import evaluate, net, normal
from mho.errors import Unsupported
from mho.graph.mask import mask_input, substitute_input
from mho.graph.model import Model
from mho.graph.target import scored
from mho.graph.units import layer
from mho.graph.worth import ARGUMENT, TRUTH, WANTED, mask_slopes, slope_output, valued
from mho.value import Surrogate

F = np.float32
W, U, V = normal(1, 3, 6), normal(2, 6, 5), normal(3, 5, 4)
X = normal(4, 5, 3)
GIVEN = {
    "one class": np.eye(4, dtype=F)[[0, 3, 1, 1, 2]],
    "a group": np.array([[1, 0, 1, 0]] * 5, F),
}
TARGETS = normal(5, 5, 4)
SUBSTITUTES = {"r": normal(6, 6), "s": normal(7, 5)}
MASKS = {name: np.random.default_rng(8).uniform(0, 1, (5, n)) for name, n in (("r", 6), ("s", 5))}


def mlp(shape: str = "[N,4]") -> Model:
    """Kink-free, so that differences and slopes agree."""
    return net(
        "a = Gemm(x, w)  r = Tanh(a)  b = Gemm(r, u)  s = Softplus(b)  y = Gemm(s, v)",
        f"(float[N,3] x) => (float{shape} y)",
        w=W,
        u=U,
        v=V,
    )


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def slow(surrogate: Surrogate, z: np.ndarray, given: np.ndarray, chances: bool) -> np.ndarray:
    """The worth by the formulas as ``Surrogate`` writes them, in float64."""
    p = z if chances else softmax(z)
    inside = given.astype(bool)
    formulas: dict[Surrogate, Callable[[], np.ndarray]] = {
        Surrogate.SCORE: lambda: np.array([r[t].mean() for r, t in zip(z, inside, strict=True)]),
        Surrogate.LOG_PROBABILITY: lambda: np.log((p * given).sum(axis=1)),
        Surrogate.PROBABILITY: lambda: (p * given).sum(axis=1),
        Surrogate.MARGIN: lambda: np.array(
            [r[t].max() - r[~t].max() for r, t in zip(z, inside, strict=True)]
        ),
        Surrogate.SQUARED_ERROR: lambda: ((z - given) ** 2).mean(axis=1),
    }
    return formulas[surrogate]()


def argument(surrogate: Surrogate, z: np.ndarray, given: np.ndarray, chances: bool) -> np.ndarray:
    """What the link makes the worth of: log-odds of probabilities, else the worth itself."""
    worth = slow(surrogate, z, given, chances)
    if surrogate is Surrogate.LOG_PROBABILITY:
        worth = np.exp(worth)
    if surrogate in (Surrogate.LOG_PROBABILITY, Surrogate.PROBABILITY):
        return np.asarray(np.log(worth / (1 - worth)))
    return worth


def given_to(surrogate: Surrogate, kind: str) -> tuple[str, np.ndarray]:
    if surrogate is Surrogate.SQUARED_ERROR:
        return TRUTH, TARGETS
    return WANTED, GIVEN[kind]


def forward(masks: dict[str, np.ndarray]) -> np.ndarray:
    """Scores of the masked ``mlp`` in float64."""
    x, w, u, v = (array.astype(np.float64) for array in (X, W, U, V))
    r = np.tanh(x @ w) * masks["r"] + (1 - masks["r"]) * SUBSTITUTES["r"]
    s = np.log1p(np.exp(r @ u)) * masks["s"] + (1 - masks["s"]) * SUBSTITUTES["s"]
    return np.asarray(s @ v)


@pytest.mark.parametrize("kind", GIVEN)
@pytest.mark.parametrize("chances", [False, True])
@pytest.mark.parametrize("surrogate", Surrogate)
def test_the_argument_and_the_worth_that_the_link_makes_of_it(
    surrogate: Surrogate, chances: bool, kind: str
) -> None:
    model = scored(mlp(), score="probability" if chances else "logit")
    name, given = given_to(surrogate, kind)
    found = evaluate(valued(model, surrogate, probabilities=chances), {"x": X, name: given})
    z = forward({"r": np.ones(6), "s": np.ones(5)})
    given_z = softmax(z) if chances else z
    assert list(found) == [ARGUMENT]
    expected = argument(surrogate, given_z, given, chances)
    np.testing.assert_allclose(found[ARGUMENT], expected, rtol=1e-4, atol=1e-5)
    worth = surrogate.link(found[ARGUMENT].astype(np.float64))
    np.testing.assert_allclose(
        worth, slow(surrogate, given_z, given, chances), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("kind", GIVEN)
@pytest.mark.parametrize("chances", [False, True])
@pytest.mark.parametrize("surrogate", Surrogate)
def test_slopes_in_the_masks(surrogate: Surrogate, chances: bool, kind: str) -> None:
    """Between 0 and 1, against central differences in float64."""
    base = scored(mlp(), score="probability" if chances else "logit")
    layers = [layer(base, "r"), layer(base, "s")]
    name, given = given_to(surrogate, kind)
    model = mask_slopes(valued(base, surrogate, probabilities=chances), layers)
    feeds = {"x": X, name: given}
    for each in layers:
        feeds[mask_input(each.name)] = MASKS[each.name].astype(F)
        feeds[substitute_input(each.name)] = SUBSTITUTES[each.name][None]
    found = evaluate(model, feeds)

    def at(masks: dict[str, np.ndarray]) -> np.ndarray:
        z = forward(masks)
        return argument(surrogate, softmax(z) if chances else z, given, chances)

    np.testing.assert_allclose(found[ARGUMENT], at(MASKS), rtol=1e-4, atol=1e-5)
    step = 1e-5
    for each in layers:
        for unit in range(each.units):
            up, down = dict(MASKS), dict(MASKS)
            up[each.name] = MASKS[each.name] + step * (np.arange(each.units) == unit)
            down[each.name] = MASKS[each.name] - step * (np.arange(each.units) == unit)
            expected = (at(up) - at(down)) / (2 * step)
            np.testing.assert_allclose(
                found[slope_output(each.name)][:, unit], expected, rtol=2e-3, atol=2e-5
            )


def single(shape: str) -> Model:
    return net(
        "a = Gemm(x, w)  r = Tanh(a)  y = Gemm(r, v)", f"(float[N,3] x) => (float{shape} y)",
        w=W, v=normal(3, 6, 1),
    )  # fmt: skip


@pytest.mark.parametrize("known", [True, False])
def test_a_single_output_has_a_logistic_probability(known: bool) -> None:
    base = scored(single("[N,1]"))
    if not known:

        def forget(copy):  # type: ignore[no-untyped-def]
            copy.graph.outputs[0].shape = None

        base = base.rewritten(forget)
    model = valued(base, Surrogate.PROBABILITY, probabilities=False, single=not known)
    ones = np.ones((5, 1), F)
    found = evaluate(model, {"x": X, WANTED: ones})[ARGUMENT]
    z = (np.tanh(X @ W) @ normal(3, 6, 1))[:, 0]
    np.testing.assert_allclose(found, z, rtol=1e-5, atol=1e-6)
    worth = Surrogate.PROBABILITY.link(found.astype(np.float64))
    np.testing.assert_allclose(worth, 1 / (1 + np.exp(-z)), rtol=1e-5)


def test_neither_large_scores_nor_vanished_probabilities_overflow() -> None:
    model = net(
        "r = Identity(x)  y = Mul(r, c)", "(float[N,3] x) => (float[N,3] y)", c=np.ones(3, F)
    )
    x = np.array([[1e4, -1e4, 0], [-3e4, 2e4, 2e4], [0, 0, -200]], F)
    wanted = np.array([[0, 1, 0], [0, 1, 1], [0, 0, 1]], F)
    expected = {False: [-2e4, 0, -200 - np.log(2)], True: [np.log(1e-37), 0, -85.2]}
    for chances, worth in expected.items():
        base = scored(model, score="probability" if chances else "logit")
        layers = [layer(base, "r")]
        made = mask_slopes(valued(base, Surrogate.LOG_PROBABILITY, probabilities=chances), layers)
        feeds = {"x": x, WANTED: wanted, mask_input("r"): np.ones((3, 3), F)}
        found = evaluate(made, {**feeds, substitute_input("r"): np.zeros((1, 3), F)})
        link = Surrogate.LOG_PROBABILITY.link
        np.testing.assert_allclose(
            link(found[ARGUMENT].astype(np.float64)), worth, rtol=1e-3, atol=1e-5
        )
        assert np.isfinite(found[slope_output("r")]).all()


@pytest.mark.parametrize("surrogate", [Surrogate.LOG_PROBABILITY, Surrogate.PROBABILITY])
@pytest.mark.parametrize("chances", [False, True])
def test_all_classes_together_are_certain(surrogate: Surrogate, chances: bool) -> None:
    """There is nothing outside of T, and no change of the network changes its probability."""
    base = scored(mlp(), score="probability" if chances else "logit")
    layers = [layer(base, "r")]
    made = mask_slopes(valued(base, surrogate, probabilities=chances), layers)
    feeds = {"x": X, WANTED: np.ones((5, 4), F), mask_input("r"): MASKS["r"].astype(F)}
    found = evaluate(made, {**feeds, substitute_input("r"): SUBSTITUTES["r"][None]})
    certain = found[ARGUMENT].astype(np.float64)[:, None]
    slope = found[slope_output("r")].astype(np.float64)
    assert np.isfinite(slope).all()
    expected = 0.0 if surrogate is Surrogate.LOG_PROBABILITY else 1.0
    for end in (certain, certain + slope, certain - slope):
        np.testing.assert_allclose(surrogate.link(end), expected, atol=1e-6)


def test_a_layer_on_which_the_worth_does_not_depend_has_no_slope() -> None:
    base = scored(
        net(
            "a = Gemm(x, w)  r = Tanh(a)  n = Shape(r)  f = Cast<to = 1>(n)  "
            "g = ReduceSum<keepdims = 0>(f)  b = Gemm(x, v)  y = Mul(b, g)",
            "(float[N,3] x) => (float[N,4] y)",
            w=W,
            v=normal(3, 3, 4),
        )
    )
    layers = [layer(base, "r"), layer(base, "b")]
    made = mask_slopes(valued(base, Surrogate.SCORE, probabilities=False), layers)
    feeds = {"x": X, WANTED: GIVEN["one class"]}
    for each in layers:
        feeds[mask_input(each.name)] = np.ones((5, each.units), F)
        feeds[substitute_input(each.name)] = np.zeros((1, each.units), F)
    found = evaluate(made, feeds)
    assert not found[slope_output("r")].any()
    assert found[slope_output("b")].any()


def test_an_operator_without_a_rule_is_named() -> None:
    base = scored(
        net(
            "r = Tanh(x)  y = Det(r)  z = Unsqueeze(y, one)",
            "(float[N,3,3] x) => (float[N,1] z)",
            one=np.array([1]),
        )
    )
    with pytest.raises(Unsupported, match="Det"):
        mask_slopes(valued(base, Surrogate.SCORE, probabilities=False), [layer(base, "r")])
