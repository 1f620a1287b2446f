"""Permutation sampling, plain and in antithetic pairs, against slow versions."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from estimators.playing import played
from games import TableGame, random_game, sampled_game, shapley_by_orders
from mho.estimator import Estimator
from mho.estimators.antithetic import Antithetic
from mho.estimators.permutation import Permutation
from mho.sampling.draws import minibatch, stream
from mho.sampling.intervals import student_factor

BOTH: list[type[Estimator[Any]]] = [Permutation, Antithetic]


def walked(game: TableGame, order: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
    """Marginals as the players leave in ``order``, one by one; over ``rows`` of the inputs."""

    def worth() -> float:
        each = game.by_input(kept)
        return float(each.mean() if rows is None else each[rows].mean())

    kept, marginal = np.ones(game.count, dtype=bool), np.zeros(game.count)
    for player in order:
        before = worth()
        kept[player] = False
        marginal[player] = before - worth()
    return marginal


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("size", [0, 3])
def test_equals_a_slow_version_on_the_same_orders_and_inputs(
    kind: type[Estimator[Any]], size: int
) -> None:
    game = sampled_game(6, 5, 1)
    naive = []
    found = played(kind, game, seed=11, minibatch=size, evaluations=42)
    draws = int(found.draws[0])
    for index in range(draws):
        generator = stream(11, index)
        order = generator.permutation(6)
        rows = minibatch(generator, 5, size)
        marginals = [walked(game, order, rows)]
        if kind is Antithetic:
            marginals.append(walked(game, order[::-1], rows))
        naive.append(np.mean(marginals, axis=0))
    np.testing.assert_allclose(found.values, np.mean(naive, axis=0), atol=1e-12)
    error = np.std(naive, axis=0, ddof=1) / np.sqrt(draws)
    np.testing.assert_allclose(found.std_error, error, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "size", "cost"),
    [
        (Permutation, 0, 5.0),  # both ends are known
        (Permutation, 3, 7 * 3 / 5),  # both ends on the draw's own inputs
        (Antithetic, 0, 10.0),
        (Antithetic, 3, 12 * 3 / 5),  # the ends are shared by both orders
    ],
)
def test_a_draw_costs_what_it_must(kind: type[Estimator[Any]], size: int, cost: float) -> None:
    game = sampled_game(6, 5, 0)
    found = played(kind, game, minibatch=size, evaluations=80)
    draws = int(found.draws[0])
    assert draws == int(78 / cost + 1e-9)
    assert found.evaluations == pytest.approx(2 + draws * cost)
    assert game.evaluations == pytest.approx(found.evaluations)


def test_by_default_24_permutations_are_walked() -> None:
    assert played(Permutation, random_game(5, 0)).draws.tolist() == [24] * 5
    assert played(Antithetic, random_game(5, 0)).draws.tolist() == [12] * 5


@pytest.mark.parametrize("kind", BOTH)
def test_null_players_get_exactly_zero(kind: type[Estimator[Any]]) -> None:
    found = played(kind, sampled_game(6, 4, 2, null=(0, 5)), minibatch=2)
    assert found.values[0] == found.values[5] == 0.0
    assert found.std_error[0] == 0.0


@pytest.mark.parametrize("kind", BOTH)
def test_values_on_minibatches_add_up_to_what_these_say(kind: type[Estimator[Any]]) -> None:
    """Each draw to V(all) - V(none) on its inputs, which is right on average."""
    game = sampled_game(4, 5, 3)
    found = played(kind, game, seed=2, minibatch=2, evaluations=60)
    ends = []
    for index in range(int(found.draws[0])):
        generator = stream(2, index)
        generator.permutation(4)
        rows = minibatch(generator, 5, 2)
        full, empty = (game.by_input(np.full(4, kept))[rows].mean() for kept in (True, False))
        ends.append(full - empty)
    assert found.values.sum() == pytest.approx(np.mean(ends), abs=1e-12)


def test_interactions_of_pairs_cancel_within_an_antithetic_pair() -> None:
    pairs = np.random.default_rng(0).normal(size=(6, 6))
    game = TableGame(lambda c: float(c @ pairs @ c), 6)
    found = played(Antithetic, game, evaluations=22)
    np.testing.assert_allclose(found.values, shapley_by_orders(game), atol=1e-12)
    np.testing.assert_allclose(found.std_error, 0, atol=1e-12)


def test_pairs_are_better_than_as_many_single_orders_where_size_matters() -> None:
    """A game that depends on the size of the coalition, and a little on who is in it."""
    table = random_game(6, 4)
    game = TableGame(lambda c: float(c.sum() ** 2) + 0.1 * table.worth(c), 6)
    exact = shapley_by_orders(game)
    errors = [
        np.mean(
            [np.square(played(k, game, seed=s, evaluations=82).values - exact) for s in range(40)]
        )
        for k in BOTH
    ]
    assert errors[1] < 0.1 * errors[0]


@pytest.mark.parametrize("kind", BOTH)
def test_intervals_cover_neither_too_little_nor_too_much(kind: type[Estimator[Any]]) -> None:
    """90 to 99 % of the 95 % intervals hold the exact value, over 200 seeds and all players."""
    game = random_game(6, 5)
    exact = shapley_by_orders(game)
    covered = []
    for seed in range(200):
        found = played(kind, game, seed=seed, evaluations=2 + 24 * 5)
        width = student_factor(int(found.draws[0])) * found.std_error
        covered.append(np.abs(found.values - exact) <= width)
    assert 0.90 <= np.mean(covered) <= 0.99


def test_errors_fall_with_the_root_of_the_draws() -> None:
    game = random_game(6, 6)
    errors = [
        played(Permutation, game, evaluations=2 + 5 * draws).std_error.mean()
        for draws in (100, 400, 1600)
    ]
    for few, many in pairwise(errors):
        assert many == pytest.approx(few / 2, rel=0.15)
