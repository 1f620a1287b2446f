"""Shapley on games without a model: against the definition, and what the result says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from games import TableGame, random_game, shapley_by_orders
from methods.solving import solve
from mho.errors import InvalidOption
from mho.evaluation import Layer
from mho.method import build
from mho.methods.shapley import Shapley


def test_exact_by_layer() -> None:
    game = random_game(6, 0)
    result = solve(Shapley(estimator="exact"), game)
    np.testing.assert_allclose(result.scores["layer"], shapley_by_orders(game), atol=1e-12)
    assert result.std_error == {}
    assert result.estimand == "Shapley value of V = accuracy"
    assert result.report["efficiency_gap"] == pytest.approx(0, abs=1e-12)


def test_permutation_has_standard_errors_and_efficiency() -> None:
    result = solve(Shapley(evaluations=200, seed=4), random_game(6, 0))
    assert result.std_error["layer"].shape == (6,)
    assert abs(float(result.report["efficiency_gap"])) < 1e-12  # type: ignore[arg-type]
    assert result.evaluations["coalitions"] <= 200


def test_of_another_seed_differs_and_of_the_same_does_not() -> None:
    runs = [
        solve(Shapley(evaluations=60, seed=s), random_game(6, 0)).scores["layer"] for s in (1, 1, 2)
    ]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_unknown_estimator_is_named_with_those_there_are() -> None:
    with pytest.raises(InvalidOption, match=r"estimator 'psychic' does not exist.*permutation"):
        solve(Shapley(estimator="psychic"), random_game(3, 0))


@pytest.mark.parametrize("estimator", ["permutation", "exact"])
@pytest.mark.parametrize("restart_after", [0, 1, 4])
def test_resumed_equals_an_undisturbed_one(estimator: str, restart_after: int) -> None:
    method = Shapley(estimator=estimator, evaluations=0)
    whole = solve(method, random_game(6, 1))
    resumed = solve(method, random_game(6, 1), restart_after=restart_after)
    np.testing.assert_array_equal(resumed.scores["layer"], whole.scores["layer"])
    assert resumed.std_error.keys() == whole.std_error.keys()
    for name, error in whole.std_error.items():
        np.testing.assert_array_equal(resumed.std_error[name], error)


def test_groups_stay_together() -> None:
    class Grouped(TableGame):
        """Two players that share five units."""

        @property
        def layers(self) -> Sequence[Layer]:
            return [Layer("layer", "Conv", 5, ("N", 5), 1)]

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
