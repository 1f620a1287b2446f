"""Shapley values by antithetic permutation sampling (Mitchell, Cooper, Frank & Holmes 2022)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from mho.estimation.draws import DrawEstimator
from mho.sampling.departures import marginals, ranks, remaining
from mho.types import Array, BoolArray, FloatArray


class Antithetic(DrawEstimator):
    """Mean marginal over random orders of removal and their reverses.

    An order and its reverse are one draw, on the same inputs. A player that leaves early in one
    leaves late in the other, so that what grows with the size of the coalition cancels; where
    players interact in pairs only, every draw gives the exact values. Standard errors are those of
    draws, not of orders. Means add up as those of permutation sampling do (efficiency).
    """

    name: ClassVar[str] = "antithetic"
    summary: ClassVar[str] = "mean marginal over random orders of removal and their reverses"
    called: ClassVar[tuple[str, str]] = ("pair", "pairs of permutations")
    with_ends: ClassVar[bool] = True
    efficient: ClassVar[bool] = True

    @property
    def estimand(self) -> str:
        return "Shapley value"

    def size(self, players: int) -> int:
        return 2 * (players - 1)

    def content(self, generator: np.random.Generator, players: int) -> Array:
        """``(players,)``, as they leave in the first order."""
        return generator.permutation(players)

    def coalitions(self, content: Array, start: int, stop: int) -> BoolArray:
        """Those of the order, then those of its reverse."""
        each = len(content) - 1
        forth = remaining(ranks(content), min(start, each) + 1, min(stop, each) + 1)
        back = remaining(ranks(content[::-1]), max(start - each, 0) + 1, max(stop - each, 0) + 1)
        return np.concatenate([forth, back])

    def guess(self, content: Array, worth: FloatArray) -> FloatArray:
        full, between, empty = worth[:1], worth[1:-1], worth[-1:]
        each = len(content) - 1
        forth = marginals(content, np.concatenate([full, between[:each], empty]))
        back = marginals(content[::-1], np.concatenate([full, between[each:], empty]))
        return (forth + back) / 2
