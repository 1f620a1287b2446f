"""Ablation on games without a model: single removals, curves, rankings, orders and budgets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from games import TableGame, random_game
from methods.solving import solve
from mho.errors import InvalidOption
from mho.method import build
from mho.methods.ablation import ORDERS, Ablation
from mho.players import GIVEN

WEIGHTS = [0.5, -1.0, 2.0, 0.0]


def ranked(game: TableGame, **rankings: list[float]) -> TableGame:
    """``game`` with rankings from outside."""
    game.rankings = {name: np.array(scores) for name, scores in rankings.items()}
    return game


def additive(weights: list[float], **rankings: list[float]) -> TableGame:
    return ranked(TableGame(lambda c: float(np.dot(c, weights)), len(weights)), **rankings)


def by_hand(weights: list[float], scores: list[float]) -> list[float]:
    """V of an additive game as the highest scores are removed first, one after the other."""
    left = dict(enumerate(weights))
    found = [sum(left.values())]
    for player in sorted(left, key=lambda player: -scores[player]):
        del left[player]
        found.append(sum(left.values()))
    return found


def test_scores_are_the_losses_of_single_removals() -> None:
    result = solve(Ablation(draws=3), additive(WEIGHTS))
    np.testing.assert_allclose(result.scores["layer"], WEIGHTS)


def test_curves_follow_the_orders() -> None:
    curves = solve(Ablation(draws=3), additive(WEIGHTS)).curves
    assert set(curves) == {"removed", "top", "bottom", "random"}
    np.testing.assert_array_equal(curves["removed"], np.arange(5))
    np.testing.assert_allclose(curves["top"], [1.5, -0.5, -1.0, -1.0, 0.0])
    np.testing.assert_allclose(curves["bottom"], [1.5, 2.5, 2.5, 2.0, 0.0])
    assert curves["random"].shape == (3, 5)
    np.testing.assert_allclose(curves["random"][:, [0, -1]], [[1.5, 0.0]] * 3)


def test_random_curves_are_means_of_removals() -> None:
    """Averaged over many draws, removing k of n additive players leaves the share (n - k)/n."""
    curves = solve(Ablation(draws=1000), additive([1.0, 2.0, 3.0])).curves
    np.testing.assert_allclose(curves["random"].mean(axis=0), [6, 4, 2, 0], atol=0.15)


def test_takes_a_given_ranking() -> None:
    game = additive(WEIGHTS, **{GIVEN: [4.0, 3.0, 2.0, 1.0]})
    result = solve(Ablation(draws=1), game)
    np.testing.assert_array_equal(result.scores["layer"], [4.0, 3.0, 2.0, 1.0])
    np.testing.assert_allclose(result.curves["top"], [1.5, 1.0, 2.0, 0.0, 0.0])
    assert result.report["ranking"] == "given"
    assert result.report["orders"] == []


SCORES = {
    "activation": [0.1, 0.2, 0.3, 0.4],
    "conductance": [0.4, -0.3, 0.2, -0.1],
    "weight_norm": [1.0, 3.0, 3.0, 2.0],
}


@pytest.mark.parametrize("given", [False, True])
def test_further_orders_remove_their_highest_first(given: bool) -> None:
    rankings = SCORES | ({GIVEN: [1.0, 2.0, 3.0, 4.0]} if given else {})
    method = Ablation(draws=2, orders=("conductance", "activation", "weight_norm"))
    result = solve(method, additive(WEIGHTS, **rankings))
    assert list(result.curves)[4:] == ["conductance", "activation", "weight_norm"]
    for name in method.orders:
        np.testing.assert_allclose(
            result.curves[name], by_hand(WEIGHTS, SCORES[name]), err_msg=name, atol=1e-12
        )
    assert result.report["orders"] == ["conductance", "activation", "weight_norm"]
    assert result.curves["random"].shape == (2, 5)


def test_further_orders_leave_the_other_curves_as_they_were() -> None:
    alone = solve(Ablation(draws=3), additive(WEIGHTS)).curves
    beside = solve(Ablation(draws=3, orders=("activation",)), additive(WEIGHTS, **SCORES)).curves
    for name, curve in alone.items():
        np.testing.assert_array_equal(beside[name], curve)


def test_an_order_that_is_named_twice_is_one_curve() -> None:
    method = Ablation(draws=1, orders=("activation", "activation"))
    game = additive(WEIGHTS, **SCORES)
    result = solve(method, game)
    assert "activation" in result.curves
    assert game.evaluations == 1 + 4 + 4 * 5


def test_orders_that_there_are_not() -> None:
    assert build(Ablation, {"orders": list(ORDERS)}).orders == ORDERS
    with pytest.raises(InvalidOption, match="'orders' names 'size'; choose from activation, wei"):
        build(Ablation, {"orders": ["activation", "size"]})


def test_keeps_its_budget_and_says_what_it_needs() -> None:
    game = additive([1.0] * 50)
    result = solve(Ablation(draws=2, evaluations=100), game)
    assert game.evaluations == result.evaluations["coalitions"] <= 100
    with pytest.raises(InvalidOption, match="take 59"):
        solve(Ablation(draws=2, evaluations=58), additive([1.0] * 50))
    many: dict[str, Any] = {"activation": list(range(50)), "conductance": list(range(50))}
    game = additive([1.0] * 50, **many)
    method = Ablation(draws=2, evaluations=100, orders=("activation", "conductance"))
    assert solve(method, game).evaluations["coalitions"] == game.evaluations <= 100
    with pytest.raises(InvalidOption, match="take 63"):
        solve(
            Ablation(draws=2, evaluations=62, orders=("activation", "conductance")),
            additive([1.0] * 50, **many),
        )


@pytest.mark.parametrize("restart_after", [1, 2, 3, 4, 5])
def test_resumed_ablation_equals_an_undisturbed_one(restart_after: int) -> None:
    scores = {name: [0.3, 0.1, 0.2, 0.6, 0.5, 0.4] for name in ("activation", "weight_norm")}
    scores["weight_norm"] = scores["weight_norm"][::-1]
    method = Ablation(draws=2, orders=("weight_norm", "activation"))
    whole = solve(method, ranked(random_game(6, 1), **scores))
    resumed = solve(method, ranked(random_game(6, 1), **scores), restart_after=restart_after)
    assert set(whole.curves) == {"removed", "top", "bottom", "random", "weight_norm", "activation"}
    for name in whole.curves:
        np.testing.assert_array_equal(resumed.curves[name], whole.curves[name])
    np.testing.assert_array_equal(resumed.scores["layer"], whole.scores["layer"])
