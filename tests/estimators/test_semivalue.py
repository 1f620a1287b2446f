"""The semivalue of an interval of rates, against exact integration, and how it differs."""

from __future__ import annotations

import numpy as np
import pytest

from estimators.playing import played
from games import random_game, semivalue_by_coalitions
from mho.estimator import Asked
from mho.estimators.assisted import Assisted
from mho.estimators.semivalue import Semivalue
from mho.sampling.intervals import student_factor
from sums_of_games import random_sum, semivalue


@pytest.mark.parametrize("inclusion", [(0.9, 1.0), (0.2, 0.7), (0.5, 0.5), (0.0, 1.0)])
@pytest.mark.parametrize("minibatch", [0, 2])
def test_right_on_average_with_intervals_that_cover(
    inclusion: tuple[float, float], minibatch: int
) -> None:
    game = random_sum(4, 6, seed=1)
    exact = semivalue(game, *inclusion)
    runs = [
        played(Semivalue, game, seed=seed, minibatch=minibatch, inclusion=inclusion)
        for seed in range(30)
    ]
    values = np.array([run.values for run in runs])
    error = values.std(axis=0, ddof=1) / np.sqrt(len(runs))
    assert np.all(np.abs(values.mean(axis=0) - exact) <= 3.7 * error + 1e-12)
    width = np.array([student_factor(int(run.draws[0])) * run.std_error for run in runs])
    assert (np.abs(values - exact) <= width).mean() >= 0.90


def test_without_slopes() -> None:
    game = random_game(5, 3)
    exact = semivalue_by_coalitions(game, 0.6, 0.9)
    values = np.array(
        [played(Semivalue, game, seed=seed, inclusion=(0.6, 0.9)).values for seed in range(50)]
    )
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    assert np.all(np.abs(values.mean(axis=0) - exact) <= 3.5 * error)


def test_near_the_full_coalition_where_nothing_is_asked_for() -> None:
    assert Semivalue().interval == (0.9, 1.0)
    assert Semivalue().estimand == "semivalue with inclusion rate uniform on [0.9, 1]"
    half = Semivalue(Asked(inclusion=(0.25, 0.75)))
    assert half.estimand == "semivalue with inclusion rate uniform on [0.25, 0.75]"


def test_of_all_rates_it_is_the_shapley_value_draw_by_draw() -> None:
    game = random_sum(4, 6, seed=1)
    whole = played(Semivalue, game, seed=4, inclusion=(0.0, 1.0))
    np.testing.assert_array_equal(whole.values, played(Assisted, game, seed=4).values)


def test_at_the_ends_it_is_one_marginal() -> None:
    """A rate of 1 asks what each player is worth to all others, a rate of 0 what it is alone."""
    game = random_sum(4, 1, seed=1)
    for rate in (1.0, 0.0):
        rest = np.full((12, 12), bool(rate))
        kept, gone = rest.copy(), rest.copy()
        np.fill_diagonal(kept, True)
        np.fill_diagonal(gone, False)
        found = played(Semivalue, game, inclusion=(rate, rate))
        np.testing.assert_allclose(found.values, game.values(kept) - game.values(gone), atol=1e-12)
        assert found.std_error.max() < 1e-12
