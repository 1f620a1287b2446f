"""The truncated multi-armed bandit of Neuron Shapley, as its paper and its code have it.

Ghorbani & Zou 2020, algorithm 1, with the constants of their code. Written one evaluation at a time
and without regard to speed, to be compared with; mho's own is ``estimators/tmab.py``, which says
how it departs from this.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mho.evaluation import CoalitionEvaluator
from mho.sampling.draws import stream
from mho.types import FloatArray

_STREAK = 6
"""Low evaluations in a row after which the rest of a permutation counts 0."""
_TOLERANCE = 0.2
"""How far above the base V still counts as low."""
_ERROR = 0.2
"""Chance that one interval errs; players and looks have no share in it."""


@dataclass(frozen=True)
class Reached:
    """After a permutation. evaluations: of V so far. mean: ``(players,)``, NaN for those without a
    sample. active: how many players are still evaluated."""

    evaluations: int
    mean: FloatArray
    active: int


def bandit(
    game: CoalitionEvaluator, top: int, base: float, extent: float, seed: int
) -> Iterator[Reached]:
    """What is known after each permutation, until one player is active.

    top: k. base: V of a network that guesses. extent: R of the empirical Bernstein bound, the range
    of V; 0 for that of the values met so far, where V has none. Permutations are those of estimator
    ``permutation`` of the same seed. V is taken over all inputs, which are fewer than the 128 that
    the paper draws for each permutation.
    """
    players = len(game.players)
    samples: list[list[float]] = [[] for _ in range(players)]
    active = set(range(players))
    evaluations, index = 0, 0
    lowest, highest = math.inf, -math.inf

    def worth(kept: np.ndarray) -> float:
        nonlocal evaluations, lowest, highest
        evaluations += 1
        v = float(game.values(kept[None])[0])
        lowest, highest = min(lowest, v), max(highest, v)
        return v

    v_full = worth(np.ones(players, dtype=bool))
    while len(active) > 1:
        order = stream(seed, index).permutation(players)
        index += 1
        kept = np.ones(players, dtype=bool)
        last: float | None = v_full
        low = 0
        reached = set()
        for player in order:
            if player not in active:
                kept[player] = False
                last = None
                continue
            if last is None:
                last = worth(kept)
            kept[player] = False
            new = worth(kept)
            samples[player].append(last - new)
            reached.add(player)
            last = new
            low = low + 1 if new - base <= _TOLERANCE else 0
            if low == _STREAK:
                break
        for player in active - reached:
            samples[player].append(0.0)
        mean = np.array([np.mean(each) if each else np.nan for each in samples])
        yield Reached(evaluations, mean, len(active))
        threshold = np.sort(mean)[::-1][top]
        reach = extent or highest - lowest
        active = {
            player
            for player in range(players)
            if abs(mean[player] - threshold) < _width(samples[player], reach)
        }


def _width(samples: list[float], extent: float) -> float:
    """Maurer & Pontil (2009), theorem 4."""
    n = len(samples)
    if n < 2:
        return math.inf
    log = math.log(2 / _ERROR)
    variance = float(np.var(samples, ddof=1))
    return math.sqrt(2 * variance * log / n) + 7 * extent * log / (3 * (n - 1))
