"""Exact Shapley values against the definition, and the axioms."""

from __future__ import annotations

import numpy as np
import pytest

from games import TableGame, random_game, shapley_by_orders
from mho.errors import InvalidOption
from mho.estimator import Estimate
from mho.estimators.exact import Exact


def solve(game: TableGame) -> Estimate:
    estimator = Exact()
    state = estimator.init(game, evaluations=0, seed=0)
    while not estimator.done(state):
        state = estimator.step(state, game)
    return estimator.estimate(state)


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_mean_over_all_orders(seed: int) -> None:
    game = random_game(6, seed)
    np.testing.assert_allclose(solve(game).values, shapley_by_orders(game), atol=1e-12)


def test_efficiency_and_null_players() -> None:
    estimate = solve(random_game(7, 3, null=(2, 5)))
    assert estimate.values.sum() == pytest.approx(estimate.v_full - estimate.v_empty, abs=1e-12)
    assert estimate.values[2] == estimate.values[5] == 0.0


def test_symmetric_players_get_the_same() -> None:
    estimate = solve(TableGame(lambda c: float(c.sum() >= 3), 5))
    np.testing.assert_allclose(estimate.values, 0.2)


def test_glove_game() -> None:
    """One left glove (player 0), two right ones; a pair is worth 1: 2/3, 1/6 and 1/6."""
    estimate = solve(TableGame(lambda c: float(c[0] and (c[1] or c[2])), 3))
    np.testing.assert_allclose(estimate.values, [2 / 3, 1 / 6, 1 / 6])


def test_evaluates_every_coalition_once() -> None:
    game = random_game(6, 0)
    assert solve(game).evaluations == game.evaluations == 64


def test_refuses_more_players_than_it_serves_and_names_another_estimator() -> None:
    with pytest.raises(InvalidOption, match=r"up to 20 players, not 21.*permutation"):
        Exact().init(TableGame(lambda c: 0.0, 21), evaluations=0, seed=0)
    with pytest.raises(InvalidOption, match="needs 64 evaluations"):
        Exact().init(random_game(6, 0), evaluations=63, seed=0)
