"""Exact values against the definition, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from estimators.playing import played
from games import (
    TableGame,
    random_game,
    sampled_game,
    semivalue_by_coalitions,
    shapley_by_orders,
)
from mho.errors import InvalidOption
from mho.estimator import Asked
from mho.estimators.exact import Exact


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_mean_over_all_orders(seed: int) -> None:
    game = random_game(6, seed)
    found = played(Exact, game)
    np.testing.assert_allclose(found.values, shapley_by_orders(game), atol=1e-12)
    assert not found.std_error.any()
    assert not found.draws.any()
    assert found.exact.all()


@pytest.mark.parametrize("interval", [(0.9, 1.0), (0.5, 0.5), (0.0, 0.0), (1.0, 1.0), (0.0, 1.0)])
def test_equals_the_mean_over_coalitions_of_any_inclusion_rate(
    interval: tuple[float, float],
) -> None:
    game = random_game(5, 3)
    np.testing.assert_allclose(
        played(Exact, game, inclusion=interval).values,
        semivalue_by_coalitions(game, *interval),
        atol=1e-12,
    )


def test_names_the_estimand() -> None:
    assert Exact().estimand == "Shapley value"
    asked = Asked(inclusion=(0.9, 1.0))
    assert Exact(asked).estimand == "semivalue with inclusion rate uniform on [0.9, 1]"


def test_efficiency_and_null_players() -> None:
    found = played(Exact, random_game(7, 3, null=(2, 5)))
    assert found.values.sum() == pytest.approx(found.v_full - found.v_empty, abs=1e-12)
    assert found.values[2] == found.values[5] == 0.0


def test_symmetric_players_get_the_same() -> None:
    found = played(Exact, TableGame(lambda c: float(c.sum() >= 3), 5))
    np.testing.assert_allclose(found.values, 0.2)


def test_glove_game() -> None:
    """One left glove (player 0), two right ones; a pair is worth 1: 2/3, 1/6 and 1/6."""
    found = played(Exact, TableGame(lambda c: float(c[0] and (c[1] or c[2])), 3))
    np.testing.assert_allclose(found.values, [2 / 3, 1 / 6, 1 / 6])


def test_many_players_are_exact_to_rounding() -> None:
    """Players that interact in pairs get their own share and half of each pair's."""
    pairs = np.random.default_rng(0).normal(size=(16, 16))
    numbers = np.arange(2**16)
    kept = ((numbers[:, None] >> np.arange(16)) & 1).astype(np.float64)
    estimator = Exact()
    state = estimator.state_class()(16, ((kept @ pairs) * kept).sum(axis=1), len(numbers))
    expected = (pairs.sum(axis=0) + pairs.sum(axis=1)) / 2
    np.testing.assert_allclose(estimator.estimate(state).values, expected, rtol=1e-10)


def test_evaluates_every_coalition_once_over_all_inputs() -> None:
    for game in (random_game(6, 0), sampled_game(6, 5, 0)):
        assert played(Exact, game, minibatch=2).evaluations == game.evaluations == 64


def test_nothing_is_known_before_the_last_coalition() -> None:
    game = random_game(6, 0)
    estimator = Exact()
    half = estimator.step(estimator.init(game), game)
    found = estimator.estimate(half)
    assert np.isnan(found.values).all()
    assert np.isinf(found.std_error).all()
    assert np.isnan(found.v_full)
    assert found.v_empty == game.worth(np.zeros(6, dtype=bool))
    assert found.evaluations == 7


def test_refuses_more_players_than_it_serves_and_names_the_remedy() -> None:
    with pytest.raises(InvalidOption, match=r"up to 20 players, not 21; take another"):
        Exact().init(TableGame(lambda c: 0.0, 21))
    with pytest.raises(InvalidOption, match="needs 64 evaluations"):
        Exact(Asked(evaluations=63)).init(random_game(6, 0))
