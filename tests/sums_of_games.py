"""Games of many players that are sums of games of three, whose exact values take no time.

Every triple of neighbours plays a game of its own, of tables drawn at random; V is their sum, a
mean over inputs. A semivalue of a sum is the sum of the semivalues, and the multilinear extension
of a sum is that of its parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mho.errors import InvalidOption
from mho.evaluation import Layer, Player
from mho.types import BoolArray, FloatArray, IntArray

_MEMBERS = np.array([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)], dtype=bool)
"""The coalitions of a triple, in the order of its table."""


@dataclass
class SumOfGames:
    """tables: ``(triples, 8, inputs)``, the worth of the coalitions of each triple at each input.

    predicted_by: tables whose slopes stand in for those of V; None for its own. layer_sizes:
    players of each layer; one layer where empty. smooth: whether there are slopes. evaluations,
    gradients: how often V and slopes were had, over all inputs.
    """

    tables: FloatArray
    predicted_by: FloatArray | None = None
    layer_sizes: tuple[int, ...] = ()
    chunk: int = 1000
    linear: bool = True
    smooth: bool = True
    rankings: Mapping[str, FloatArray] = field(default_factory=dict)
    evaluations: float = field(default=0.0, init=False)
    gradients: float = field(default=0.0, init=False)

    @property
    def count(self) -> int:
        return 3 * len(self.tables)

    @property
    def samples(self) -> int:
        return self.tables.shape[2]

    @property
    def players(self) -> Sequence[Player]:
        return [
            Player(f"{layer.name}:{i}", {layer.name: (i,)})
            for layer in self.layers
            for i in range(layer.units)
        ]

    @property
    def layers(self) -> Sequence[Layer]:
        sizes = self.layer_sizes or (self.count,)
        return [Layer(f"l{k}", "Conv", n, ("N", n), 1) for k, n in enumerate(sizes)]

    def values(self, coalitions: BoolArray, samples: IntArray | None = None) -> FloatArray:
        chosen = self._chosen(len(coalitions), samples)
        self.evaluations += chosen.size / self.samples
        index = coalitions.reshape(len(coalitions), -1, 3) @ np.array([4, 2, 1])
        worth = self.tables[np.arange(len(self.tables)), index]  # (coalitions, triples, inputs)
        return np.take_along_axis(worth.sum(axis=1), chosen, axis=1).mean(axis=1)

    @property
    def surrogate(self) -> str:
        if not self.smooth:
            raise InvalidOption("the value has no slopes in the masks: it is a table")
        return "" if self.predicted_by is None else "another game"

    def linearised(self, masks: FloatArray, samples: IntArray | None = None) -> FloatArray:
        tables = self.tables if self.predicted_by is None else self.predicted_by
        chosen = self._chosen(len(masks), samples)
        self.gradients += chosen.size / self.samples
        shares = masks.reshape(len(masks), -1, 1, 3)
        chance = np.where(_MEMBERS, shares, 1 - shares)  # (masks, triples, 8, 3)
        found = np.empty((len(masks), len(tables), 3))
        for player in range(3):
            others = np.delete(chance, player, axis=3).prod(axis=3)
            signed = others * np.where(_MEMBERS[:, player], 1, -1)
            by_input = np.einsum("mtc,tci->mti", signed, tables)
            at = np.broadcast_to(chosen[:, None], (*by_input.shape[:2], chosen.shape[1]))
            found[:, :, player] = np.take_along_axis(by_input, at, axis=2).mean(axis=2)
        return found.reshape(masks.shape)

    def _chosen(self, count: int, samples: IntArray | None) -> IntArray:
        if samples is not None:
            return samples
        return np.tile(np.arange(self.samples, dtype=np.int64), (count, 1))


def random_sum(
    triples: int, inputs: int = 1, *, seed: int = 0, spread: float = 0.5, null: Sequence[int] = ()
) -> SumOfGames:
    """Tables drawn at random, to which every input adds others of standard deviation ``spread``;
    ``null`` players change nothing."""
    generator = np.random.default_rng(seed)
    tables = generator.normal(size=(triples, 8, 1))
    tables = tables + spread * generator.normal(size=(triples, 8, inputs))
    for player in null:
        triple, place = divmod(player, 3)
        without = _MEMBERS.copy()
        without[:, place] = False
        tables[triple] = tables[triple, without @ np.array([4, 2, 1])]
    return SumOfGames(tables)


def semivalue(game: SumOfGames, low: float = 0.0, high: float = 1.0) -> FloatArray:
    """``(players,)``, from the definition: the mean marginal over coalitions that keep each other
    player with chance t, t uniform on ``[low, high]``. A polynomial of degree 2 in t, which two
    nodes integrate exactly."""
    nodes, weights = np.polynomial.legendre.leggauss(2)
    worth = game.tables.mean(axis=2)
    found = np.zeros((len(worth), 3))
    for node, weight in zip(nodes, weights, strict=True):
        rate = low + (high - low) * (node + 1) / 2
        for player in range(3):
            others = np.delete(_MEMBERS, player, axis=1)
            chance = np.where(others, rate, 1 - rate).prod(axis=1)
            signed = chance * np.where(_MEMBERS[:, player], 1, -1)
            found[:, player] += weight / 2 * worth @ signed
    return found.reshape(-1)
