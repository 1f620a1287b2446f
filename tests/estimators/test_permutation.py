"""Permutation sampling: against exact values, its intervals, and what must hold exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from games import TableGame, random_game, shapley_by_orders
from mho.errors import InvalidOption
from mho.estimators.permutation import Permutation, PermutationState
from mho.state import pack, unpack

ESTIMATOR = Permutation()


def run(game: TableGame, permutations: int, seed: int = 0) -> PermutationState:
    budget = 2 + permutations * max(1, game.count - 1)
    state = ESTIMATOR.init(game, evaluations=budget, seed=seed)
    while not ESTIMATOR.done(state):
        state = ESTIMATOR.step(state, game)
    return state


def test_equals_a_slow_version_on_the_same_orders() -> None:
    """The mean of marginals along the drawn orders, evaluated naively one by one."""
    game = random_game(6, 1)
    state = run(game, 5, seed=11)
    naive = []
    for index in range(5):
        generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([11, index])))
        kept, marginal = np.ones(6, dtype=bool), np.zeros(6)
        for player in generator.permutation(6):
            before = game.worth(kept)
            kept[player] = False
            marginal[player] = before - game.worth(kept)
        naive.append(marginal)
    estimate = ESTIMATOR.estimate(state)
    np.testing.assert_allclose(estimate.values, np.mean(naive, axis=0), atol=1e-12)
    np.testing.assert_allclose(
        estimate.std_error, np.std(naive, axis=0, ddof=1) / np.sqrt(5), atol=1e-12
    )


def test_efficiency_holds_to_float_precision_for_any_number_of_permutations() -> None:
    for permutations in (2, 3, 17):
        estimate = ESTIMATOR.estimate(run(random_game(9, 4), permutations))
        assert estimate.values.sum() == pytest.approx(estimate.v_full - estimate.v_empty, abs=1e-12)


def test_null_players_get_exactly_zero() -> None:
    estimate = ESTIMATOR.estimate(run(random_game(8, 2, null=(0, 7)), 10))
    assert estimate.values[0] == estimate.values[7] == 0.0
    assert estimate.std_error[0] == estimate.lower[0] == estimate.upper[0] == 0.0


def test_spends_what_it_says_and_no_more_than_the_budget() -> None:
    game = random_game(6, 0)
    state = ESTIMATOR.init(game, evaluations=40, seed=0)
    while not ESTIMATOR.done(state):
        state = ESTIMATOR.step(state, game)
    assert ESTIMATOR.estimate(state).evaluations == game.evaluations == 2 + 7 * 5


def test_intervals_cover_the_exact_values() -> None:
    """90 to 99 % of the 95 % intervals do, over 250 seeds, pooled over all but null players."""
    game = random_game(6, 5, null=(3,))
    exact = shapley_by_orders(game)
    players = [i for i in range(6) if i != 3]
    covered: list[bool] = []
    for seed in range(250):
        estimate = ESTIMATOR.estimate(run(game, 24, seed))
        inside = (estimate.lower <= exact) & (exact <= estimate.upper)
        covered.extend(inside[players])
    assert 0.90 <= np.mean(covered) <= 0.99


def test_unbiased() -> None:
    game = random_game(6, 6)
    means = np.array([ESTIMATOR.estimate(run(game, 4, seed)).values for seed in range(300)])
    error = means.std(axis=0, ddof=1) / np.sqrt(len(means))
    assert np.all(np.abs(means.mean(axis=0) - shapley_by_orders(game)) < 3.5 * error)


@pytest.mark.parametrize("stop_after", [0, 1, 2, 5, 9, 11])
def test_a_run_resumed_from_its_checkpoint_equals_an_undisturbed_one(stop_after: int) -> None:
    whole: Any = ESTIMATOR.estimate(run(random_game(9, 7), 6))
    game = random_game(9, 7)
    state = ESTIMATOR.init(game, evaluations=2 + 6 * 8, seed=0)
    for _ in range(stop_after):
        state = ESTIMATOR.step(state, game)
    state = unpack(PermutationState, pack(state))
    while not ESTIMATOR.done(state):
        state = ESTIMATOR.step(state, random_game(9, 7))
    resumed = ESTIMATOR.estimate(state)
    np.testing.assert_array_equal(resumed.values, whole.values)
    np.testing.assert_array_equal(resumed.std_error, whole.std_error)


def test_the_same_draws_whatever_the_chunk() -> None:
    small, large = random_game(9, 8), random_game(9, 8)
    small.chunk, large.chunk = 1, 100
    np.testing.assert_array_equal(run(small, 4).mean, run(large, 4).mean)


def test_too_small_a_budget_is_refused_with_the_least_that_does() -> None:
    with pytest.raises(InvalidOption, match="take 22"):
        ESTIMATOR.init(random_game(11, 0), evaluations=21, seed=0)


def test_a_single_player_gets_everything() -> None:
    estimate = ESTIMATOR.estimate(run(TableGame(lambda c: 3.0 * c[0], 1), 2))
    assert estimate.values == pytest.approx([3.0])
