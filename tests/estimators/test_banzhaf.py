"""Banzhaf values by maximum sample reuse, against the definition and a slow version."""

from __future__ import annotations

import numpy as np
import pytest

from estimators.playing import played
from games import TableGame, random_game, sampled_game, semivalue_by_coalitions
from mho.estimators.banzhaf import Banzhaf
from mho.sampling.draws import minibatch, stream
from mho.sampling.intervals import student_factor


@pytest.mark.parametrize("size", [0, 2])
def test_equals_means_with_and_without_each_player(size: int) -> None:
    """In blocks of sixteen, on the same coalitions and inputs, one player and block at a time."""
    game = sampled_game(5, 6, 1)
    found = played(Banzhaf, game, seed=3, minibatch=size, evaluations=50)
    blocks = []
    for index in range(int(found.draws[0])):
        generator = stream(3, index)
        half = np.repeat(np.arange(16)[:, None] < 8, 5, axis=1)
        coalitions = generator.permuted(half, axis=0)
        rows = minibatch(generator, 6, size)
        worth = [game.by_input(c)[slice(None) if rows is None else rows].mean() for c in coalitions]
        blocks.append(
            [
                np.mean([w for w, c in zip(worth, coalitions, strict=True) if c[player]])
                - np.mean([w for w, c in zip(worth, coalitions, strict=True) if not c[player]])
                for player in range(5)
            ]
        )
    np.testing.assert_allclose(found.values, np.mean(blocks, axis=0), atol=1e-12)
    error = np.std(blocks, axis=0, ddof=1) / np.sqrt(len(blocks))
    np.testing.assert_allclose(found.std_error, error, atol=1e-12)


def test_it_is_not_the_shapley_value() -> None:
    """All of five players are needed: 1/5 each is fair, 1/16 is Banzhaf's."""
    game = TableGame(lambda c: float(c.all()), 5)
    game.chunk = 1000
    found = played(Banzhaf, game, evaluations=30_000)
    np.testing.assert_allclose(found.values, 1 / 16, atol=0.01)
    assert Banzhaf().estimand == "Banzhaf value"
    assert Banzhaf().interval == (0.5, 0.5)


def test_every_coalition_serves_all_players() -> None:
    """The error at a given budget hardly depends on how many players there are."""
    errors = []
    for players in (6, 60):
        game = TableGame(lambda c: float(np.sqrt(c.mean())), players)
        game.chunk = 1000
        errors.append(played(Banzhaf, game, evaluations=2000).std_error.mean())
    assert errors[1] < errors[0]


def test_what_a_minibatch_adds_to_all_coalitions_of_a_block_cancels() -> None:
    """Levels of inputs that differ a hundred times as much as the coalitions."""
    level = 100 * np.random.default_rng(0).normal(size=6)
    game, plain = sampled_game(5, 6, 1), sampled_game(5, 6, 1)
    worth = game.worth_of
    game.worth_of = lambda c: worth(c) + level
    one, other = (played(Banzhaf, g, minibatch=2) for g in (game, plain))
    np.testing.assert_allclose(one.values, other.values, atol=1e-10)
    np.testing.assert_allclose(one.std_error, other.std_error, atol=1e-10)


def test_intervals_cover_neither_too_little_nor_too_much() -> None:
    game = random_game(6, 5)
    exact = semivalue_by_coalitions(game, 0.5, 0.5)
    covered = []
    for seed in range(200):
        found = played(Banzhaf, game, seed=seed)
        width = student_factor(int(found.draws[0])) * found.std_error
        covered.append(np.abs(found.values - exact) <= width)
    assert 0.90 <= np.mean(covered) <= 0.99
