"""Ablation on games without a model: single removals, curves, rankings and budgets."""

from __future__ import annotations

import numpy as np
import pytest

from games import TableGame, random_game
from methods.solving import solve
from mho.errors import InvalidOption
from mho.methods.ablation import Ablation


def additive(weights: list[float]) -> TableGame:
    return TableGame(lambda c: float(np.dot(c, weights)), len(weights))


def test_scores_are_the_losses_of_single_removals() -> None:
    weights = [0.5, -1.0, 2.0, 0.0]
    result = solve(Ablation(draws=3), additive(weights))
    np.testing.assert_allclose(result.scores["layer"], weights)


def test_curves_follow_the_orders() -> None:
    weights = [0.5, -1.0, 2.0, 0.0]
    curves = solve(Ablation(draws=3), additive(weights)).curves
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
    game = additive([0.5, -1.0, 2.0, 0.0])
    game.ranking = np.array([4.0, 3.0, 2.0, 1.0])
    result = solve(Ablation(draws=1), game)
    np.testing.assert_array_equal(result.scores["layer"], game.ranking)
    np.testing.assert_allclose(result.curves["top"], [1.5, 1.0, 2.0, 0.0, 0.0])
    assert result.report["ranking"] == "given"


def test_keeps_its_budget_and_says_what_it_needs() -> None:
    game = additive([1.0] * 50)
    result = solve(Ablation(draws=2, evaluations=100), game)
    assert game.evaluations == result.evaluations["coalitions"] <= 100
    with pytest.raises(InvalidOption, match="take 59"):
        solve(Ablation(draws=2, evaluations=58), additive([1.0] * 50))


@pytest.mark.parametrize("restart_after", [1, 2, 3, 4, 5])
def test_resumed_ablation_equals_an_undisturbed_one(restart_after: int) -> None:
    whole = solve(Ablation(draws=2), random_game(6, 1))
    resumed = solve(Ablation(draws=2), random_game(6, 1), restart_after=restart_after)
    for name in whole.curves:
        np.testing.assert_array_equal(resumed.curves[name], whole.curves[name])
    np.testing.assert_array_equal(resumed.scores["layer"], whole.scores["layer"])
