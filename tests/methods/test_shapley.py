"""Shapley on games without a model: against the definition, and what the result says."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from games import TableGame, random_game, shapley_by_orders
from methods.solving import solve
from mho.errors import InvalidOption
from mho.evaluation import Layer
from mho.method import build
from mho.methods import shapley
from mho.methods.shapley import Shapley
from mho.sampling.intervals import student_factor
from sums_of_games import random_sum, semivalue


def test_exact_by_layer() -> None:
    game = random_game(6, 0)
    result = solve(Shapley(estimator="exact"), game)
    np.testing.assert_allclose(result.scores["layer"], shapley_by_orders(game), atol=1e-12)
    assert result.std_error == {}
    assert result.estimand == "Shapley value of V = accuracy"
    assert result.report["efficiency_gap"] == pytest.approx(0, abs=1e-12)


def test_permutation_has_standard_errors_and_efficiency() -> None:
    method = Shapley(estimator="permutation", evaluations=200, seed=4)
    result = solve(method, random_game(6, 0))
    assert result.std_error["layer"].shape == (6,)
    assert abs(float(result.report["efficiency_gap"])) < 1e-12  # type: ignore[arg-type]
    assert result.evaluations["coalitions"] <= 200


def test_the_default_is_the_shapley_value_by_marginals_that_slopes_correct() -> None:
    game = random_sum(6, 3, seed=1)
    result = solve(Shapley(), game)
    exact = semivalue(game)
    assert result.estimand == "Shapley value of V = accuracy"
    width = result.interval_factor * result.std_error["l0"]
    assert (np.abs(result.scores["l0"] - exact) <= width).mean() > 0.8
    assert result.interval_factor == student_factor(int(result.report["draws"]))  # type: ignore[call-overload]
    assert result.evaluations["slopes"] == round(game.gradients)
    assert result.evaluations["coalitions"] == round(game.evaluations)
    assert result.report["stopped_by"] == "budget"
    assert result.report["predicted_from"] == "the value itself"
    full, empty = game.values(np.array([[True] * 18, [False] * 18]))
    assert (result.report["v_full"], result.report["v_empty"]) == (full, empty)
    gap = result.scores["l0"].sum() - (full - empty)
    assert result.report["efficiency_gap"] == pytest.approx(gap)


def test_of_another_seed_differs_and_of_the_same_does_not() -> None:
    runs = [
        solve(Shapley(evaluations=60, seed=s), random_game(6, 0)).scores["layer"] for s in (1, 1, 2)
    ]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_the_highest_and_the_lowest_are_named() -> None:
    game = random_game(6, 0)
    result = solve(Shapley(estimator="exact", top=2), game)
    exact = shapley_by_orders(game)
    order = np.argsort(-exact)
    highest: Any = result.report["highest"]
    assert [row["player"] for row in highest] == [f"layer:{i}" for i in order[:2]]
    assert all(row["settled"] and not row["approximate"] for row in highest)
    assert [row["score"] for row in highest] == pytest.approx(list(exact[order[:2]]))
    lowest: Any = result.report["lowest"]
    assert [row["player"] for row in lowest] == [f"layer:{i}" for i in order[:1:-1]]


def test_candidates_are_told_from_those_that_are_approximate() -> None:
    game = random_sum(20, seed=1)
    result = solve(Shapley(estimator="assisted", evaluations=300, top=4), game)
    error = result.std_error["l0"]
    flipped = int(np.isfinite(error).sum())
    assert flipped == result.report["flipped_players"] < 60
    rows: Any = [*result.report["highest"], *result.report["lowest"]]  # type: ignore[misc]
    for row in rows:
        index = int(row["player"].split(":")[1])
        assert row["approximate"] == bool(np.isinf(error[index]))
        assert row["std_error"] == (None if row["approximate"] else error[index])
        assert not (row["approximate"] and row.get("settled"))
    assert np.isfinite(result.interval_factor)


def test_it_stops_when_the_top_is_settled() -> None:
    """Most runs of a game whose best is far ahead end before their budget, and in no more of them
    than confidence allows is another called settled."""
    game = random_sum(4, 6, seed=1)
    best = int(np.argmax(semivalue(game)))
    ended, wrong = 0, 0
    for seed in range(10):
        method = Shapley(top=1, confidence=0.9, evaluations=1500, minibatch=2, seed=seed)
        result = solve(method, game)
        (row,) = result.report["highest"]  # type: ignore[misc]
        if result.report["stopped_by"] == "top settled":
            ended += 1
            assert row["settled"]  # type: ignore[call-overload]
            assert result.evaluations["coalitions"] < 1400
        wrong += bool(row["settled"] and row["player"] != f"l0:{best}")  # type: ignore[call-overload]
    assert ended >= 5
    assert wrong <= 1


def test_it_stops_at_a_standard_error() -> None:
    game = random_sum(4, seed=1)
    whole = solve(Shapley(evaluations=3000), game)
    result = solve(Shapley(evaluations=3000, std_error=0.1), game)
    assert result.report["stopped_by"] == "std_error"
    assert result.std_error["l0"].max() <= 0.1
    assert result.evaluations["coalitions"] < whole.evaluations["coalitions"]


def test_it_stops_after_seconds_and_says_that_the_numbers_are_not_repeatable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of evaluation, however long the run lay in between."""
    clock = iter(np.arange(10_000) * 0.5)
    ticking = SimpleNamespace(monotonic=lambda: float(next(clock)))
    monkeypatch.setattr(shapley, "time", ticking)
    method = Shapley(seconds=10)
    game = random_sum(4, seed=1)
    result = solve(method, game, restart_after=7)
    assert result.report["stopped_by"] == "seconds"
    assert any("stopped after 10 seconds" in note for note in result.notes)
    assert next(clock) == 0.5 * 2 * 20  # init and 19 steps, each of half a second
    state = method.init(game)
    assert method.progress(state).fraction < 0.1


def test_progress_in_seconds_where_they_run_out_first(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(np.arange(10_000) * 0.5)
    ticking = SimpleNamespace(monotonic=lambda: float(next(clock)))
    monkeypatch.setattr(shapley, "time", ticking)
    method, game = Shapley(seconds=2), random_sum(4, seed=1)
    state = method.step(method.init(game), game)
    progress = method.progress(state)
    assert (progress.done, progress.total, progress.unit) == (1.0, 2.0, "seconds")


@pytest.mark.parametrize(
    ("estimator", "noted"),
    [
        ("exact", {"minibatch"}),
        ("permutation", {"inclusion"}),
        ("assisted", {"inclusion"}),
        ("semivalue", set()),
        ("gradient", set()),
    ],
)
def test_options_without_a_meaning_for_the_estimator_are_noted(
    estimator: str, noted: set[str]
) -> None:
    method = Shapley(estimator=estimator, inclusion="0.2:0.9", minibatch=2)
    notes = solve(method, random_sum(2, 6)).notes
    for name in ("inclusion", "minibatch"):
        said = f"option '{name}' was set, but has no meaning for estimator '{estimator}'"
        assert (said in notes) == (name in noted)


@pytest.mark.parametrize("written", ["1:0.9", "-0.1:1", "0:1.1", "0.5", "a:b", "0:1:1", "nan:1"])
def test_an_interval_that_is_none_is_refused(written: str) -> None:
    method = Shapley(estimator="semivalue", inclusion=written)
    with pytest.raises(InvalidOption, match=f"inclusion is '{written}'; write two shares"):
        solve(method, random_game(3, 0))


def test_an_interval_is_what_the_semivalue_is_of() -> None:
    result = solve(Shapley(estimator="semivalue", inclusion="0.2:0.9"), random_game(3, 0))
    assert result.estimand.startswith("semivalue with inclusion rate uniform on [0.2, 0.9] of V")


@pytest.mark.parametrize("top", [6, 7])
def test_no_more_are_looked_for_than_play(top: int) -> None:
    with pytest.raises(InvalidOption, match=f"top is {top}, but only 6 players play"):
        solve(Shapley(top=top), random_game(6, 0))


def test_unknown_estimator_is_named_with_those_there_are() -> None:
    with pytest.raises(InvalidOption, match=r"estimator 'psychic' does not exist.*permutation"):
        solve(Shapley(estimator="psychic"), random_game(3, 0))


@pytest.mark.parametrize("estimator", ["permutation", "exact", "assisted", "semivalue"])
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
