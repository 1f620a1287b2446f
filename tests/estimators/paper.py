"""Neuron Shapley's walk and bandit, written one evaluation at a time as in the paper.

Ghorbani & Zou 2020, algorithm 1, with the departures that ``mho.sampling.removal_walk`` and
``mho.estimators.tmab`` name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from games import TableGame
from mho.sampling.draws import minibatch, stream

LOW_STEPS, LOW = 6, 0.1


@dataclass
class Slow:
    """samples: of each player, the marginals of its walks. evaluated: how often V was, over the
    inputs of a walk. mass: of each cut walk, V - V(none). missed: marginals that counted 0."""

    game: TableGame
    seed: int
    size: int = 0
    samples: list[list[float]] = field(default_factory=list)
    evaluated: int = 0
    walks: int = 0
    mass: list[float] = field(default_factory=list)
    missed: int = 0
    active: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.samples = [[] for _ in range(self.game.count)]
        self.active = list(range(self.game.count))

    def walk(self) -> None:
        game = self.game
        order = stream(self.seed, self.walks, 0).permutation(game.count)
        rows = minibatch(stream(self.seed, self.walks, 1), game.samples, self.size)
        everybody, nobody = np.ones(game.count, dtype=bool), np.zeros(game.count, dtype=bool)

        def worth(kept: np.ndarray) -> float:
            each = game.by_input(kept)
            return float(each.mean() if rows is None else each[rows].mean())

        self.evaluated += 0 if rows is None else 2
        base = worth(nobody)
        tolerance = LOW * abs(game.worth(everybody) - game.worth(nobody))
        kept, low = everybody.copy(), 0
        last: float | None = worth(kept)
        for position, player in enumerate(order):
            if player not in self.active:
                kept[player] = False
                last = None
                continue
            if last is None:
                last = worth(kept)
                self.evaluated += 1
            kept[player] = False
            new = worth(kept)
            self.evaluated += position < game.count - 1
            self.samples[player].append(last - new)
            last = new
            low = low + 1 if abs(new - base) <= tolerance else 0
            rest = [p for p in order[position + 1 :] if p in self.active]
            if low >= LOW_STEPS and rest and position + 1 < game.count - 1:
                self.mass.append(abs(new - base))
                self.missed += len(rest)
                for other in rest:
                    self.samples[other].append(0.0)
                break
        self.walks += 1

    def judge(self, top: int, confidence: float, look: int) -> None:
        """Who stays active: |mean - the (top + 1)-th highest mean| < empirical Bernstein width."""
        means = np.array([np.mean(s) for s in self.samples])
        seen = np.concatenate(self.samples)
        extent = seen.max() - seen.min()
        threshold = sorted(means, reverse=True)[top]
        error = (1 - confidence) * 6 / (math.pi * look) ** 2 / len(means) / 2
        log = math.log(2 / error)
        self.active = []
        for player, samples in enumerate(self.samples):
            n = len(samples)
            width = math.sqrt(2 * np.var(samples, ddof=1) * log / n)
            width += 7 * extent * log / (3 * (n - 1))
            if abs(means[player] - threshold) < width:
                self.active.append(player)
