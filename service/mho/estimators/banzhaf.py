"""Banzhaf values by maximum sample reuse (Wang & Jia 2023)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from mho.estimation.draws import DrawEstimator
from mho.types import Array, BoolArray, FloatArray

_BLOCK = 16


class Banzhaf(DrawEstimator):
    """Mean V of random coalitions with the player, less that of coalitions without it.

    Every player is kept with chance 1/2, and every coalition serves all players: "maximum sample
    reuse", Wang & Jia 2023, equation 6. Departure from the paper: coalitions are drawn in blocks of
    sixteen, in which each player, independently of the others, is kept in a random half. Within a
    block the difference of the two means is thus unbiased without exception, and what a block has
    in common, such as the level of V on its minibatch, cancels; standard errors come from blocks.
    Values do not add up to V(all) - V(none).
    """

    name: ClassVar[str] = "banzhaf"
    summary: ClassVar[str] = (
        "Banzhaf values, another semivalue: every random coalition serves all players"
    )
    called: ClassVar[tuple[str, str]] = ("block", f"blocks of {_BLOCK} coalitions")
    with_ends: ClassVar[bool] = False

    @property
    def estimand(self) -> str:
        return "Banzhaf value"

    @property
    def interval(self) -> tuple[float, float]:
        return 0.5, 0.5

    def size(self, players: int) -> int:
        del players  # a coalition serves them all
        return _BLOCK

    def content(self, generator: np.random.Generator, players: int) -> Array:
        """``(coalitions, players)``, half of each column True."""
        half = np.repeat(np.arange(_BLOCK)[:, None] < _BLOCK // 2, players, axis=1)
        return generator.permuted(half, axis=0)

    def coalitions(self, content: Array, start: int, stop: int) -> BoolArray:
        return np.asarray(content[start:stop], dtype=bool)

    def guess(self, content: Array, worth: FloatArray) -> FloatArray:
        signed = np.where(content, worth[:, None], -worth[:, None])
        return np.asarray(signed.sum(axis=0) / (_BLOCK // 2))
