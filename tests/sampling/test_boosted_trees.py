"""The model of V: its Shapley values against the definition, and how well it fits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from games import TableGame, semivalue_by_coalitions
from mho.sampling.boosted_trees import BoostedTrees, fitted
from mho.sampling.draws import stream
from mho.types import BoolArray, FloatArray


def coalitions(rows: int, players: int, seed: int = 0) -> BoolArray:
    return np.random.default_rng(seed).random((rows, players)) < 0.5


def interacting(kept: BoolArray) -> FloatArray:
    """A linear part, a product of three and a threshold."""
    product = kept[:, 0] & kept[:, 1] & ~kept[:, 2]
    return kept @ np.arange(1.0, kept.shape[1] + 1) + 6.0 * product + 4.0 * (kept.sum(axis=1) > 3)


def missed(model: BoostedTrees, kept: BoolArray, worth: FloatArray) -> float:
    """The share of the variance that the model does not explain."""
    return float(np.var(worth - model.values(kept)) / np.var(worth))


def linear(model: BoostedTrees) -> BoostedTrees:
    """The model without its trees."""
    return replace(model, asked=model.asked[:0], leaves=model.leaves[:0])


@pytest.mark.parametrize("players", [1, 2, 3, 6])
def test_shapley_values_are_those_of_the_model_itself(players: int) -> None:
    kept = coalitions(120, players)
    worth = np.random.default_rng(1).normal(size=120)
    model = fitted(kept, worth, stream(0))
    game = TableGame(lambda c: float(model.values(c[None])[0]), players)
    slow = semivalue_by_coalitions(game, 0.0, 1.0)
    np.testing.assert_allclose(model.shapley, slow, atol=1e-12)


def test_an_additive_game_is_found_again() -> None:
    weights = np.array([1.0, -2.0, 0.0, 5.0, 0.5])
    kept = coalitions(400, 5)
    model = fitted(kept, kept @ weights + 3.0, stream(0))
    fresh = coalitions(100, 5, seed=9)
    assert missed(model, fresh, fresh @ weights) < 0.001
    np.testing.assert_allclose(model.shapley, weights, atol=0.05)


def test_trees_find_what_is_not_linear() -> None:
    kept, fresh = coalitions(1500, 8), coalitions(500, 8, seed=9)
    model = fitted(kept, interacting(kept), stream(0))
    worth = interacting(fresh)
    assert missed(model, fresh, worth) < missed(linear(model), fresh, worth) / 3


def test_a_tree_asks_for_different_players() -> None:
    kept = coalitions(300, 6)
    model = fitted(kept, interacting(kept), stream(0))
    assert all(len(set(players)) == 4 for players in model.asked.tolist())


def test_of_many_coalitions_each_tree_sees_some() -> None:
    """The generator then chooses, and it alone."""
    kept = coalitions(2500, 6)
    worth = interacting(kept)
    one, same, other = (fitted(kept, worth, stream(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.leaves, same.leaves)
    assert not np.array_equal(one.leaves, other.leaves)
    assert missed(other, kept, worth) < missed(linear(other), kept, worth) / 3


def test_a_game_that_never_changes() -> None:
    model = fitted(coalitions(50, 4), np.full(50, 2.5), stream(0))
    np.testing.assert_allclose(model.values(coalitions(9, 4)), 2.5)
    np.testing.assert_allclose(model.shapley, 0.0)
