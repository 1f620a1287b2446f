"""Every estimator on a small network, through its masks, against all 512 coalitions of units."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from estimators.playing import ESTIMATORS, played
from games import TableGame, semivalue_by_coalitions
from mho.estimator import Asked, Estimator
from mho.evaluation import CoalitionEvaluator
from mho.sampling.intervals import student_factor
from runtime.small_cnn import made

DRAWN = [
    pytest.param(kind, id=name)
    for name, kind in ESTIMATORS.items()
    if kind.unbiased and name != "exact"
]
SMOOTH = ["cross_entropy", "logit"]
"""Of six inputs, accuracy and probability change too seldom for errors told from few draws."""


@cache
def network(value: str) -> CoalitionEvaluator:
    game = made(value=value).evaluator
    assert isinstance(game, CoalitionEvaluator)
    assert len(game.players) == 9
    return game


@cache
def truth(value: str, low: float, high: float) -> np.ndarray:
    """From the definition, over V of all coalitions, evaluated once each."""
    numbers = np.arange(2**9)
    kept = ((numbers[:, None] >> np.arange(9)) & 1).astype(bool)
    worth = network(value).values(kept)
    weights = 1 << np.arange(9)
    return semivalue_by_coalitions(TableGame(lambda c: float(worth[c @ weights]), 9), low, high)


@pytest.mark.parametrize("value", [*SMOOTH, "accuracy"])
@pytest.mark.parametrize("inclusion", [None, (0.9, 1.0)])
def test_exact(value: str, inclusion: tuple[float, float] | None) -> None:
    found = played(ESTIMATORS["exact"], network(value), inclusion=inclusion)
    expected = truth(value, *(inclusion or (0.0, 1.0)))
    np.testing.assert_allclose(found.values, expected, atol=1e-6)


@pytest.mark.parametrize("value", SMOOTH)
@pytest.mark.parametrize("minibatch", [0, 2])
@pytest.mark.parametrize("kind", DRAWN)
def test_intervals_hold_the_exact_values(
    kind: type[Estimator[Any]], minibatch: int, value: str
) -> None:
    """Four of five intervals of 95 % do, of 9 players and 4 seeds: players of a run go together.
    And errors are small enough to mean something."""
    expected = truth(value, *kind(Asked()).interval)
    inside = []
    for seed in range(4):
        found = played(kind, network(value), seed=seed, minibatch=minibatch, evaluations=400)
        assert found.exact.all()
        assert found.std_error.mean() < np.abs(expected).max() / 2
        factor = np.array([student_factor(int(n)) for n in found.draws])
        inside.append(np.abs(found.values - expected) <= factor * found.std_error + 1e-7)
    assert np.mean(inside) >= 0.8


def test_the_bandit_finds_the_best_unit() -> None:
    expected = truth("cross_entropy", 0.0, 1.0)
    found = played(ESTIMATORS["tmab"], network("cross_entropy"), top=1, evaluations=4000)
    assert np.argmax(found.values) == np.argmax(expected)
