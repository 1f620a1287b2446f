"""Predictions from slopes alone: their mean, their standard errors, and what is said of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from estimators.playing import played
from mho.errors import InvalidOption
from mho.estimator import GRADIENT_COST, Asked
from mho.estimators.gradient import Gradient
from mho.sampling.coalitions import Strata, drawn
from sums_of_games import random_sum, semivalue


@pytest.mark.parametrize("inclusion", [None, (0.9, 1.0)])
def test_the_mean_of_predictions_over_the_drawn_coalitions(
    inclusion: tuple[float, float] | None,
) -> None:
    """A slow version: one draw after another, the mean of all."""
    game = random_sum(4, 6, seed=1)
    found = played(Gradient, game, seed=5, minibatch=2, inclusion=inclusion)
    strata = Strata(*(inclusion or (0.0, 1.0)), 8)
    each = []
    for index in range(64):
        draw = drawn(strata, index, game, 2, 5, 0, mirrored=False)
        assert draw.inputs is not None
        each.append(game.linearised(draw.mask[None], draw.inputs[None])[0])
    np.testing.assert_allclose(found.values, np.mean(each, axis=0), atol=1e-12)
    by_stratum = np.array(each).reshape(8, 8, -1)  # draw, stratum, player
    variance = (by_stratum.var(axis=0, ddof=1) / 8).sum(axis=0) / 64
    np.testing.assert_allclose(found.std_error, np.sqrt(variance), atol=1e-12)
    assert found.draws.tolist() == [64] * 12


@pytest.mark.parametrize("inclusion", [(0.0, 1.0), (0.5, 1.0)])
@pytest.mark.parametrize("minibatch", [0, 2])
def test_right_on_average_where_slopes_are_those_of_the_multilinear_extension(
    inclusion: tuple[float, float], minibatch: int
) -> None:
    """There the mean slope is the mean marginal, so that all the bias is the network's."""
    game = random_sum(4, 6, seed=1)
    exact = semivalue(game, *inclusion)
    runs = [
        played(Gradient, game, seed=seed, minibatch=minibatch, inclusion=inclusion)
        for seed in range(60)
    ]
    values = np.array([run.values for run in runs])
    error = values.std(axis=0, ddof=1) / np.sqrt(len(runs))
    assert np.all(np.abs(values.mean(axis=0) - exact) <= 3.5 * error)
    # Inputs are met in turn, which makes for less error than is said.
    said = np.sqrt(np.mean([run.std_error**2 for run in runs], axis=0))
    ratio = said / values.std(axis=0, ddof=1)
    assert ratio.min() > 0.7
    assert ratio.max() < (1.8 if minibatch else 1.4)


def test_all_is_approximate_and_says_so() -> None:
    game = random_sum(4, seed=1)
    found = played(Gradient, game)
    assert not found.exact.any()
    assert not Gradient.unbiased
    assert any("take them as a ranking" in note for note in found.notes)
    assert found.report["predicted_from"] == "the value itself"
    other = replace(game, predicted_by=random_sum(4, seed=2).tables)
    assert played(Gradient, other).report["predicted_from"] == "another game"


def test_what_it_speaks_of() -> None:
    assert Gradient().estimand == "Shapley value, predicted from slopes,"
    near = Gradient(Asked(inclusion=(0.9, 1.0)))
    assert near.estimand == "semivalue on [0.9, 1], predicted from slopes,"
    assert near.interval == (0.9, 1.0)


@pytest.mark.parametrize("minibatch", [0, 2])
@pytest.mark.parametrize("budget", [50, 99, 400])
def test_the_budget_is_kept_and_used(budget: int, minibatch: int) -> None:
    game = random_sum(4, 6, seed=1)
    found = played(Gradient, game, evaluations=budget, minibatch=minibatch)
    spent = game.evaluations + GRADIENT_COST * game.gradients
    assert found.evaluations + GRADIENT_COST * found.gradients == pytest.approx(spent)
    assert budget - GRADIENT_COST < spent <= budget + 1e-9


def test_too_few_evaluations_are_refused_with_the_least_that_do() -> None:
    game = random_sum(4, seed=1)
    with pytest.raises(InvalidOption, match="16 draws of slopes, counts for 50") as refused:
        played(Gradient, game, evaluations=49)
    assert refused.value.subject == "evaluations"
    assert np.isfinite(played(Gradient, game, evaluations=50).std_error).all()


def test_a_game_without_slopes_is_refused_with_its_reason() -> None:
    with pytest.raises(InvalidOption, match="no slopes in the masks: it is a table"):
        played(Gradient, replace(random_sum(4), smooth=False))


@pytest.mark.parametrize(("linear", "taken"), [(True, 16), (False, "all")])
def test_a_part_of_the_inputs_by_default_where_v_is_a_sum_over_them(
    linear: bool, taken: int | str
) -> None:
    game = replace(random_sum(2, 40), linear=linear)
    assert played(Gradient, game).report["inputs_a_draw"] == taken


def test_the_same_numbers_whatever_the_chunk_and_wherever_it_is_resumed() -> None:
    game = random_sum(4, 6, seed=1)
    whole = played(Gradient, game, minibatch=2)
    for chunk in (1, 3, 100):
        for after in (0, 1, 4):
            again = played(Gradient, replace(game, chunk=chunk), minibatch=2, restart_after=after)
            np.testing.assert_array_equal(again.values, whole.values)
            np.testing.assert_array_equal(again.std_error, whole.std_error)


def test_null_players_get_nothing() -> None:
    found = played(Gradient, random_sum(4, 6, seed=1, null=(3,)))
    assert found.values[3] == pytest.approx(0, abs=1e-15)
