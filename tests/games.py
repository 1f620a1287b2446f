"""Games without a model: tests of estimators and game methods play these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import permutations

import numpy as np

from mho.evaluation import Layer, Player
from mho.types import BoolArray, FloatArray


@dataclass
class TableGame:
    """V given by a function of one coalition ``(players,)`` bool; counts its evaluations."""

    worth: Callable[[BoolArray], float]
    count: int
    chunk: int = 7
    ranking: FloatArray | None = None
    evaluations: int = field(default=0, init=False)

    @property
    def players(self) -> Sequence[Player]:
        return [Player(f"layer #{i}", {"layer": (i,)}) for i in range(self.count)]

    @property
    def layers(self) -> Sequence[Layer]:
        return [Layer("layer", "Conv", self.count, ("N", self.count), 1)]

    def values(self, coalitions: BoolArray) -> FloatArray:
        self.evaluations += len(coalitions)
        return np.array([self.worth(coalition) for coalition in coalitions])


def random_game(players: int, seed: int, *, null: Sequence[int] = ()) -> TableGame:
    """A game whose 2^n values are drawn at random; ``null`` players change nothing."""
    table = np.random.default_rng(seed).normal(size=2**players)
    matters = np.array([i not in null for i in range(players)])
    weights = 1 << np.arange(players)
    return TableGame(lambda c: float(table[int(((c & matters) * weights).sum())]), players)


def shapley_by_orders(game: TableGame) -> FloatArray:
    """Slow, from the definition: the mean marginal over all n! orders in which players join."""
    total = np.zeros(game.count)
    orders = list(permutations(range(game.count)))
    for order in orders:
        coalition = np.zeros(game.count, dtype=bool)
        before = game.worth(coalition)
        for player in order:
            coalition[player] = True
            after = game.worth(coalition)
            total[player] += after - before
            before = after
    return total / len(orders)
