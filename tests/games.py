"""Games without a model: tests of estimators and game methods play these.

What is linearised is the multilinear extension of V: the mean of V over coalitions in which player
i is kept with the chance that its mask says, whose slope in a mask is the mean marginal there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import permutations, product

import numpy as np

from mho.errors import InvalidOption
from mho.evaluation import Layer, Player
from mho.types import BoolArray, FloatArray, IntArray


@dataclass
class TableGame:
    """V given by a function of one coalition ``(players,)`` bool.

    linear: what the game says of V. smooth: whether it has slopes at all; predicted_by: the game
    whose slopes stand in for its own. evaluations, gradients: how often V and its slopes were had,
    over all inputs.
    """

    worth: Callable[[BoolArray], float]
    count: int
    chunk: int = 7
    rankings: Mapping[str, FloatArray] = field(default_factory=dict)
    linear: bool = True
    smooth: bool = True
    predicted_by: TableGame | None = None
    evaluations: float = field(default=0.0, init=False)
    gradients: float = field(default=0.0, init=False)

    @property
    def players(self) -> Sequence[Player]:
        return [Player(f"layer:{i}", {"layer": (i,)}) for i in range(self.count)]

    @property
    def layers(self) -> Sequence[Layer]:
        return [Layer("layer", "Conv", self.count, ("N", self.count), 1)]

    @property
    def samples(self) -> int:
        return 1

    def by_input(self, coalition: BoolArray) -> FloatArray:
        """``(inputs,)``, whose mean is V."""
        return np.array([self.worth(coalition)])

    def values(self, coalitions: BoolArray, samples: IntArray | None = None) -> FloatArray:
        chosen = self._chosen(len(coalitions), samples)
        self.evaluations += chosen.size / self.samples
        found = [self.by_input(c)[s].mean() for c, s in zip(coalitions, chosen, strict=True)]
        return np.array(found, dtype=np.float64)

    @property
    def surrogate(self) -> str:
        if not self.smooth:
            raise InvalidOption("the value has no slopes in the masks: it is a table")
        return "" if self.predicted_by is None else "another game"

    def linearised(self, masks: FloatArray, samples: IntArray | None = None) -> FloatArray:
        source = self if self.predicted_by is None else self.predicted_by
        assert self.smooth, "nobody may ask where there are no slopes"
        chosen = self._chosen(len(masks), samples)
        self.gradients += chosen.size / self.samples
        kept = source.members.T
        found = np.zeros(masks.shape)
        for row, mask in enumerate(masks):
            chance = np.where(kept, mask[:, None], 1 - mask[:, None])
            edge = np.ones((1, chance.shape[1]))
            lower = np.cumprod(np.concatenate([edge, chance[:-1]]), axis=0)
            upper = np.cumprod(np.concatenate([edge, chance[:0:-1]]), axis=0)[::-1]
            worth = source.table[:, chosen[row]].mean(axis=1)
            found[row] = (lower * upper * np.where(kept, 1, -1)) @ worth
        return found

    @cached_property
    def members(self) -> BoolArray:
        """``(2 ** players, players)``: all coalitions."""
        return np.array(list(product((False, True), repeat=self.count)))

    @cached_property
    def table(self) -> FloatArray:
        """``(2 ** players, inputs)``: the worth of all coalitions."""
        return np.array([self.by_input(c) for c in self.members], dtype=np.float64)

    def _chosen(self, count: int, samples: IntArray | None) -> IntArray:
        if samples is not None:
            return samples
        return np.tile(np.arange(self.samples, dtype=np.int64), (count, 1))


@dataclass
class SampledGame(TableGame):
    """V is the mean over ``inputs`` inputs, each of which has a game of its own: ``worth_of`` gives
    ``(inputs,)``."""

    worth: Callable[[BoolArray], float] = field(init=False)
    count: int = 0
    inputs: int = 1
    worth_of: Callable[[BoolArray], FloatArray] = lambda c: np.zeros(1)

    def __post_init__(self) -> None:
        self.worth = lambda c: float(self.worth_of(c).mean())

    @property
    def samples(self) -> int:
        return self.inputs

    def by_input(self, coalition: BoolArray) -> FloatArray:
        return self.worth_of(coalition)


def random_game(players: int, seed: int, *, null: Sequence[int] = ()) -> TableGame:
    """A game whose 2^n values are drawn at random; ``null`` players change nothing."""
    table = np.random.default_rng(seed).normal(size=2**players)
    matters = np.array([i not in null for i in range(players)])
    weights = 1 << np.arange(players)
    return TableGame(lambda c: float(table[int(((c & matters) * weights).sum())]), players)


def sampled_game(
    players: int, inputs: int, seed: int, *, null: Sequence[int] = (), spread: float = 1.0
) -> SampledGame:
    """``random_game`` plus, for each input, a level of its own and another random game; ``spread``
    is the standard deviation of both."""
    generator = np.random.default_rng(seed)
    table = generator.normal(size=2**players)[:, None] + spread * (
        generator.normal(size=(2**players, inputs)) + generator.normal(size=inputs)
    )
    matters = np.array([i not in null for i in range(players)])
    weights = 1 << np.arange(players)
    return SampledGame(
        count=players,
        inputs=inputs,
        worth_of=lambda c: table[int(((c & matters) * weights).sum())],
    )


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


def semivalue_by_coalitions(game: TableGame, low: float, high: float) -> FloatArray:
    """Slow, from the definition: the mean marginal over coalitions in which every other player is
    kept with chance t, t uniform on ``[low, high]``. A polynomial in t, which the Gauss-Legendre
    rule integrates exactly."""
    nodes, weights = np.polynomial.legendre.leggauss(game.count)
    found = np.zeros(game.count)
    for node, weight in zip(nodes, weights, strict=True):
        rate = low + (high - low) * (node + 1) / 2
        for player in range(game.count):
            for rest in product((False, True), repeat=game.count - 1):
                kept = np.insert(np.array(rest, dtype=bool), player, True)
                with_it = game.worth(kept)
                kept[player] = False
                chance = rate ** sum(rest) * (1 - rate) ** (len(rest) - sum(rest))
                found[player] += weight / 2 * chance * (with_it - game.worth(kept))
    return found
