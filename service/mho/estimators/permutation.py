"""Shapley values by permutation sampling (Castro, Gómez & Tejada 2009)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from mho.estimation.draws import DrawEstimator
from mho.sampling.departures import marginals, ranks, remaining
from mho.types import Array, BoolArray, FloatArray


class Permutation(DrawEstimator):
    """Mean marginal over random orders in which the players leave the full set, one by one.

    A draw is one order. It begins at V of all players and ends at V of none, both over the inputs
    of the draw, so that its marginals add up to the difference of these two; over all inputs their
    means add up to V(all) - V(none) to rounding (efficiency).
    """

    name: ClassVar[str] = "permutation"
    summary: ClassVar[str] = "mean marginal over random orders of removal"
    called: ClassVar[tuple[str, str]] = ("permutation", "permutations")
    with_ends: ClassVar[bool] = True
    efficient: ClassVar[bool] = True

    @property
    def estimand(self) -> str:
        return "Shapley value"

    def size(self, players: int) -> int:
        return players - 1

    def content(self, generator: np.random.Generator, players: int) -> Array:
        """``(players,)``, as they leave."""
        return generator.permutation(players)

    def coalitions(self, content: Array, start: int, stop: int) -> BoolArray:
        return remaining(ranks(content), start + 1, stop + 1)

    def guess(self, content: Array, worth: FloatArray) -> FloatArray:
        return marginals(content, worth)
