"""RegressionMSR: against a slow version, the identity it rests on, and what it saves."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise, product
from math import comb
from typing import Any

import numpy as np
import pytest

from estimators.playing import played, states
from games import TableGame, random_game, semivalue_by_coalitions, shapley_by_orders
from mho.errors import InvalidOption
from mho.estimator import Asked
from mho.estimators.permutation import Permutation
from mho.estimators.regression_msr import RegressionMSR
from mho.sampling.boosted_trees import BoostedTrees, fitted
from mho.sampling.draws import stream

WEIGHTS = np.array([2.0, -1.0, 0.5, 0.0, 3.0, 1.0, -0.5, 0.25, 1.5])


def saturating(coalition: np.ndarray) -> float:
    """A smooth game with interactions, as networks have."""
    return float(np.tanh(coalition @ WEIGHTS / 3) + 0.3 * coalition[0] * coalition[4])


def by_hand(coalition: np.ndarray, rest: float) -> np.ndarray:
    """What one coalition says of every player, from the formula."""
    n, size = len(coalition), int(coalition.sum())
    return np.array([(n - 1) * rest * (1 / size if c else -1 / (n - size)) for c in coalition])


def test_what_single_coalitions_say_is_the_shapley_value_on_average() -> None:
    """Of all sizes from 1 to n - 1 alike, and all coalitions of a size alike; with the ends."""
    game = random_game(5, 3)
    mean = np.zeros(5)
    for bits in product((False, True), repeat=5):
        kept = np.array(bits)
        if 0 < kept.sum() < 5:
            mean += by_hand(kept, game.worth(kept)) / 4 / comb(5, int(kept.sum()))
    ends = (game.worth(np.ones(5, dtype=bool)) - game.worth(np.zeros(5, dtype=bool))) / 5
    np.testing.assert_allclose(mean + ends, shapley_by_orders(game), atol=1e-12)


def drawn(seed: int, kind: int, blocks: int, players: int) -> list[np.ndarray]:
    """The first coalitions of pairs, 32 from each stream."""
    kept: list[np.ndarray] = []
    for block in range(blocks):
        generator = stream(seed, kind, block)
        size = generator.integers(1, players, 32)
        order = generator.random((32, players)).argsort(axis=1).argsort(axis=1)
        kept += [row < s for row, s in zip(order, size, strict=True)]
    return kept


def test_equals_a_slow_version_on_the_same_pairs() -> None:
    pairs, players, seed = 40, 5, 11
    game = random_game(players, 1)
    found = played(RegressionMSR, game, evaluations=2 + 2 * pairs, seed=seed)
    full, empty = np.ones(players, dtype=bool), np.zeros(players, dtype=bool)

    def guess(model: BoostedTrees, kept: np.ndarray, worth: Callable[[np.ndarray], float]) -> Any:
        def rest(c: np.ndarray) -> float:
            return worth(c) - float(model.values(c[None])[0])

        both = (by_hand(kept, rest(kept)) + by_hand(~kept, rest(~kept))) / 2
        return model.shapley + (rest(full) - rest(empty)) / players + both

    kept = drawn(seed, 0, 2, players)
    guesses, elsewhere, rests, worths = [], [], [], []
    for fold in range(5):
        others = [c for k in range(pairs) if k % 5 != fold for c in (kept[k], ~kept[k])]
        worth = np.array([game.worth(c) for c in others])
        model = fitted(np.stack(others), worth, stream(seed, 1, pairs, fold))
        guesses += [guess(model, kept[k], game.worth) for k in range(fold, pairs, 5)]
        elsewhere.append([guess(model, c, lambda _: 0.0) for c in drawn(seed, 2, 1, players)])
        for k in range(fold, pairs, 5):
            worths += [game.worth(kept[k]), game.worth(~kept[k])]
            rests += [game.worth(c) - float(model.values(c[None])[0]) for c in (kept[k], ~kept[k])]
    np.testing.assert_allclose(found.values, np.mean(guesses, axis=0), atol=1e-12)
    # Models of two folds share three of the four folds that each is fitted to.
    models = 4 * np.var(elsewhere, axis=0, ddof=1).mean(axis=0)
    variance = np.var(guesses, axis=0, ddof=1) + models
    np.testing.assert_allclose(found.std_error, np.sqrt(variance / pairs), atol=1e-12)
    missed = float(np.square(rests).mean())
    assert found.report["explained"] == pytest.approx(1 - missed / np.var(worths))


def test_takes_a_third_of_the_evaluations_of_permutations_for_the_same_error() -> None:
    """On a smooth game, root mean square over 12 seeds."""
    exact = semivalue_by_coalitions(TableGame(saturating, 9), 0.0, 1.0)

    def error(kind: type[RegressionMSR | Permutation], evaluations: int) -> float:
        runs = [
            played(kind, TableGame(saturating, 9, chunk=500), evaluations=evaluations, seed=seed)
            for seed in range(12)
        ]
        return float(np.sqrt(np.mean([(run.values - exact) ** 2 for run in runs])))

    assert error(RegressionMSR, 300) < error(Permutation, 900)


def test_an_additive_game_is_nearly_exact_and_explained() -> None:
    game = TableGame(lambda c: float(c @ WEIGHTS), 9)
    found = played(RegressionMSR, game, evaluations=400)
    np.testing.assert_allclose(found.values, WEIGHTS, atol=0.05)
    assert float(found.report["explained"]) > 0.99  # type: ignore[arg-type]


def test_fits_come_when_pairs_have_doubled_and_say_what_is_known() -> None:
    """150 pairs: at a half and at the end, five models each, one a step."""
    estimator = RegressionMSR(Asked(evaluations=302))
    game = random_game(6, 0)
    seen = [estimator.estimate(state) for state in states(estimator, game)]
    known = sorted({int(estimate.draws[0]) for estimate in seen})
    assert known == [0, 75, 150]
    assert np.isnan(seen[0].values).all()
    assert np.isinf(seen[0].std_error).all()
    first = next(estimate for estimate in seen if estimate.draws[0] == 75)
    alone = played(RegressionMSR, random_game(6, 0), evaluations=152)
    np.testing.assert_array_equal(first.values, alone.values)
    np.testing.assert_array_equal(first.std_error, alone.std_error)


def test_a_step_does_not_change_the_state_that_it_is_given() -> None:
    estimator, game = RegressionMSR(Asked(evaluations=62)), random_game(5, 0)
    before = list(states(estimator, game))
    for state, following in pairwise(before):
        again = estimator.step(state, game)
        np.testing.assert_array_equal(again.worth, following.worth)
        np.testing.assert_array_equal(again.guesses.mean, following.guesses.mean)
        np.testing.assert_array_equal(again.coming.squares, following.coming.squares)


def test_many_players_take_fifty_evaluations_each() -> None:
    large = TableGame(lambda c: float(c.sum()), 201)
    with pytest.raises(InvalidOption, match=r"takes 10050 for 201 players.*others need fewer"):
        RegressionMSR(Asked(evaluations=10_049)).init(large)
    assert RegressionMSR(Asked(evaluations=10_050)).init(large).pairs == 5024
    assert RegressionMSR().init(large).pairs == 5025
    few = TableGame(lambda c: float(c.sum()), 200)
    assert RegressionMSR(Asked(evaluations=22)).init(few).pairs == 10
    with pytest.raises(InvalidOption, match="takes 22 for 200 players: 10 pairs"):
        RegressionMSR(Asked(evaluations=21)).init(few)
