"""Shapley and ablation against slow versions, on games without a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from games import TableGame, random_game, shapley_by_orders
from mho.errors import InvalidOption
from mho.method import build
from mho.methods.ablation import Ablation
from mho.methods.shapley import Shapley
from mho.results import Result
from mho.state import pack, unpack


def solve(method: Any, game: TableGame, *, restart_after: int = -1) -> Result:
    state, steps = method.init(game), 0
    while not method.done(state):
        state = method.step(state, game)
        steps += 1
        if steps == restart_after:
            state = unpack(method.state_class(), pack(state))
    return method.result(state, game)


def additive(weights: list[float]) -> TableGame:
    return TableGame(lambda c: float(np.dot(c, weights)), len(weights))


def test_shapley_exact_by_layer() -> None:
    game = random_game(6, 0)
    result = solve(Shapley(estimator="exact"), game)
    np.testing.assert_allclose(result.scores["layer"], shapley_by_orders(game), atol=1e-12)
    assert result.std_error == {}
    assert result.estimand == "Shapley value of V = accuracy"
    assert result.report["efficiency_gap"] == pytest.approx(0, abs=1e-12)


def test_shapley_permutation_has_standard_errors_and_efficiency() -> None:
    result = solve(Shapley(evaluations=200, seed=4), random_game(6, 0))
    assert result.std_error["layer"].shape == (6,)
    assert abs(float(result.report["efficiency_gap"])) < 1e-12  # type: ignore[arg-type]
    assert result.evaluations["coalitions"] <= 200


def test_shapley_of_another_seed_differs_and_of_the_same_does_not() -> None:
    runs = [
        solve(Shapley(evaluations=60, seed=s), random_game(6, 0)).scores["layer"] for s in (1, 1, 2)
    ]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_unknown_estimator_is_named_with_those_there_are() -> None:
    with pytest.raises(InvalidOption, match=r"estimator 'psychic' does not exist.*permutation"):
        solve(Shapley(estimator="psychic"), random_game(3, 0))


def test_ablation_scores_are_the_losses_of_single_removals() -> None:
    weights = [0.5, -1.0, 2.0, 0.0]
    result = solve(Ablation(draws=3), additive(weights))
    np.testing.assert_allclose(result.scores["layer"], weights)


def test_ablation_curves_follow_the_orders() -> None:
    weights = [0.5, -1.0, 2.0, 0.0]
    curves = solve(Ablation(draws=3), additive(weights)).curves
    np.testing.assert_array_equal(curves["removed"], np.arange(5))
    np.testing.assert_allclose(curves["top"], [1.5, -0.5, -1.0, -1.0, 0.0])
    np.testing.assert_allclose(curves["bottom"], [1.5, 2.5, 2.5, 2.0, 0.0])
    assert curves["random"].shape == (3, 5)
    np.testing.assert_allclose(curves["random"][:, [0, -1]], [[1.5, 0.0]] * 3)


def test_ablation_random_curves_are_means_of_removals() -> None:
    """Averaged over many draws, removing k of n additive players leaves the share (n - k)/n."""
    curves = solve(Ablation(draws=1000), additive([1.0, 2.0, 3.0])).curves
    np.testing.assert_allclose(curves["random"].mean(axis=0), [6, 4, 2, 0], atol=0.15)


def test_ablation_takes_a_given_ranking() -> None:
    game = additive([0.5, -1.0, 2.0, 0.0])
    game.ranking = np.array([4.0, 3.0, 2.0, 1.0])
    result = solve(Ablation(draws=1), game)
    np.testing.assert_array_equal(result.scores["layer"], game.ranking)
    np.testing.assert_allclose(result.curves["top"], [1.5, 1.0, 2.0, 0.0, 0.0])
    assert result.report["ranking"] == "given"


def test_ablation_keeps_its_budget_and_says_what_it_needs() -> None:
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


def test_groups_stay_together() -> None:
    game = TableGame(lambda c: float(c.sum()), 2)
    wide = game.layers[0].__class__("layer", "Conv", 5, ("N", 5), 1)

    class Grouped(TableGame):
        @property
        def layers(self) -> Any:
            return [wide]

    result = solve(Shapley(estimator="exact"), Grouped(lambda c: float(c.sum()), 2))
    np.testing.assert_allclose(result.scores["groups"], [1.0, 1.0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nonsense": 1}, "has no option 'nonsense'; it has layers"),
        ({"evaluations": -1}, "must lie at or above 0"),
        ({"evaluations": 1.5}, "takes a whole number"),
        ({"evaluations": float("nan")}, "takes a whole number"),
        ({"tolerance": 2.0}, "must lie between 1e-06 and 1"),
        ({"tolerance": float("nan")}, "must lie between"),
        ({"tolerance": "x"}, "takes a number"),
        ({"layers": "conv"}, "takes a list of names"),
        ({"engine": "magic"}, "choose one of auto, gradient, finite_difference"),
        ({"seed": True}, "takes a number"),
    ],
)
def test_options_out_of_range_are_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        build(Shapley, options)


def test_a_class_index_may_be_written_as_a_number() -> None:
    assert build(Shapley, {"target": 3}).target == "3"
