"""What every estimator must hold, played against the definition on games that are tables.

A new file in ``estimators/`` is tested here without further ado, by what its class claims.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from estimators.playing import ESTIMATORS, played, states
from games import TableGame, random_game, sampled_game, semivalue_by_coalitions
from mho.errors import InvalidOption
from mho.estimator import GRADIENT_COST, Asked, Estimate, Estimator
from mho.sampling.intervals import student_factor

KINDS = [pytest.param(kind, id=name) for name, kind in ESTIMATORS.items()]
DRAWN = [pytest.param(kind, id=name) for name, kind in ESTIMATORS.items() if name != "exact"]
UNBIASED = [
    pytest.param(kind, id=name)
    for name, kind in ESTIMATORS.items()
    if kind.unbiased and name != "exact"
]
MINIBATCHES = [
    pytest.param(kind, id=name) for name, kind in ESTIMATORS.items() if "minibatch" in kind.takes
]
NULL = 2


def truth(kind: type[Estimator[Any]], game: TableGame) -> np.ndarray:
    return semivalue_by_coalitions(game, *kind(Asked()).interval)


def same(one: Estimate, other: Estimate) -> None:
    for name in ("values", "std_error", "draws", "approximate"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for name in ("v_full", "v_empty", "evaluations", "gradients"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-12)
    assert one.report == other.report
    assert list(one.notes) == list(other.notes)


@pytest.mark.parametrize("kind", UNBIASED)
@pytest.mark.parametrize("minibatch", [0, 2])
def test_right_on_average_with_intervals_that_cover(
    kind: type[Estimator[Any]], minibatch: int
) -> None:
    """The mean over 100 seeds lies within 3.5 of its standard errors, and nine of ten 95 %
    intervals hold the exact value, pooled over all but the null player."""
    game = sampled_game(6, 6, 1, null=(NULL,), spread=0.5)
    game.chunk = 1000
    exact = truth(kind, game)
    runs = [played(kind, game, seed=seed, minibatch=minibatch) for seed in range(100)]
    values = np.array([run.values for run in runs])
    error = values.std(axis=0, ddof=1) / np.sqrt(len(runs))
    assert np.all(np.abs(values.mean(axis=0) - exact) <= 3.5 * error + 1e-12)
    factor = np.array([[student_factor(int(n)) for n in run.draws] for run in runs])
    width = factor * np.array([run.std_error for run in runs])
    inside = (np.abs(values - exact) <= width)[:, np.arange(6) != NULL]
    assert inside.mean() >= 0.90


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("minibatch", [0, 4])
def test_the_same_numbers_whatever_the_chunk(kind: type[Estimator[Any]], minibatch: int) -> None:
    found = []
    for chunk in (1, 5, 1000):
        game = sampled_game(5, 6, 1)
        game.chunk = chunk
        found.append(played(kind, game, seed=3, minibatch=minibatch))
    same(found[0], found[1])
    same(found[0], found[2])


@pytest.mark.parametrize("kind", DRAWN)
def test_the_same_numbers_for_the_same_seed_and_others_for_another(
    kind: type[Estimator[Any]],
) -> None:
    once, again, other = (played(kind, random_game(6, 1), seed=seed) for seed in (1, 1, 2))
    same(once, again)
    assert not np.array_equal(once.values, other.values)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("restart_after", [0, 1, 2, 5])
@pytest.mark.parametrize("minibatch", [0, 2])
def test_a_run_resumed_from_its_checkpoint_equals_an_undisturbed_one(
    kind: type[Estimator[Any]], restart_after: int, minibatch: int
) -> None:
    whole = played(kind, sampled_game(5, 6, 7), minibatch=minibatch)
    resumed = played(kind, sampled_game(5, 6, 7), minibatch=minibatch, restart_after=restart_after)
    same(resumed, whole)


@pytest.mark.parametrize("kind", KINDS)
def test_it_may_be_asked_after_any_step(kind: type[Estimator[Any]]) -> None:
    """An interrupted run says what it knows: shapes are right, nothing is worse than unknown, and
    progress never falls."""
    game = sampled_game(5, 6, 2)
    estimator = kind(Asked())
    fraction = 0.0
    for state in states(estimator, game):
        found = estimator.estimate(state)
        for array in (found.values, found.std_error, found.draws, found.exact):
            assert array.shape == (5,)
        assert np.all(np.isfinite(found.values) | np.isinf(found.std_error))
        assert found.evaluations == pytest.approx(game.evaluations)
        assert found.gradients == pytest.approx(game.gradients)
        progress = estimator.progress(state)
        assert progress.fraction >= fraction
        fraction = progress.fraction
    assert fraction == pytest.approx(1.0, abs=0.35)
    assert np.isfinite(found.values).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_is_a_few_batches_at_most(kind: type[Estimator[Any]]) -> None:
    game = sampled_game(6, 6, 2)
    game.chunk = 10
    estimator, before = kind(Asked(seed=1)), 0.0
    for index, _ in enumerate(states(estimator, game)):
        spent = game.evaluations + GRADIENT_COST * game.gradients
        assert index == 0 or spent - before <= 3 * game.chunk
        before = spent


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("minibatch", [0, 2])
def test_too_small_a_budget_is_refused_with_the_least_that_does(
    kind: type[Estimator[Any]], minibatch: int
) -> None:
    def starts(evaluations: int) -> bool:
        try:
            kind(Asked(evaluations=evaluations, minibatch=minibatch)).init(sampled_game(6, 6, 0))
        except InvalidOption:
            return False
        return True

    with pytest.raises(InvalidOption) as refused:
        kind(Asked(evaluations=3, minibatch=minibatch)).init(sampled_game(6, 6, 0))
    assert refused.value.subject == "evaluations"
    numbers = [int(word) for word in re.findall(r"\d+", refused.value.message)]
    assert any(starts(number) and not starts(number - 1) for number in numbers if number > 3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("minibatch", [0, 2])
def test_no_more_is_spent_than_the_budget(kind: type[Estimator[Any]], minibatch: int) -> None:
    for budget in (257, 300):
        game = sampled_game(6, 6, 0)
        found = played(kind, game, evaluations=budget, minibatch=minibatch)
        spent = found.evaluations + GRADIENT_COST * found.gradients
        assert spent <= budget + 1e-9
        assert spent == pytest.approx(game.evaluations + GRADIENT_COST * game.gradients)


@pytest.mark.parametrize("kind", KINDS)
def test_null_players_get_nothing(kind: type[Estimator[Any]]) -> None:
    found = played(kind, random_game(6, 2, null=(0, 4)))
    for player in (0, 4):
        assert abs(found.values[player]) <= 4.5 * found.std_error[player] + 1e-12


@pytest.mark.parametrize(
    "kind", [pytest.param(k, id=n) for n, k in ESTIMATORS.items() if k.efficient]
)
def test_values_add_up_where_that_is_claimed(kind: type[Estimator[Any]]) -> None:
    for seed in range(3):
        found = played(kind, random_game(6, seed), seed=seed, evaluations=64 + seed)
        assert found.values.sum() == pytest.approx(found.v_full - found.v_empty, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_player_gets_everything(kind: type[Estimator[Any]]) -> None:
    found = played(kind, TableGame(lambda c: 3.0 * c[0] - 1.0, 1))
    np.testing.assert_allclose(found.values, [3.0])


@pytest.mark.parametrize("kind", MINIBATCHES)
def test_a_minibatch_of_all_inputs_is_no_minibatch(kind: type[Estimator[Any]]) -> None:
    """Where it is as large as the data or larger."""
    for size in (6, 100):
        found = played(kind, sampled_game(5, 6, 4), minibatch=size)
        assert found.report["inputs_a_draw"] == "all"


@pytest.mark.parametrize("kind", KINDS)
def test_it_says_what_it_estimates(kind: type[Estimator[Any]]) -> None:
    estimator = kind(Asked())
    assert "value" in estimator.estimand
    assert kind.summary
    assert kind.takes <= {"inclusion", "minibatch"}
