"""Means of draws and their standard errors, kept up as the draws come in (Welford 1962)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mho.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class RunningMean:
    """Of one quantity for each player; each ``(players,)``.

    count: draws so far. mean: of these, 0 before the first. squares: sum of squared deviations.
    """

    count: IntArray
    mean: FloatArray
    squares: FloatArray

    @staticmethod
    def empty(players: int) -> RunningMean:
        return RunningMean(np.zeros(players, dtype=np.int64), np.zeros(players), np.zeros(players))

    def with_draw(self, found: FloatArray, of: BoolArray | None = None) -> RunningMean:
        """With one more draw, of all players or of those that ``of`` names."""
        of = np.ones(len(found), dtype=bool) if of is None else of
        count = self.count + of
        delta = np.where(of, found - self.mean, 0.0)
        mean = self.mean + delta / np.maximum(count, 1)
        squares = self.squares + np.where(of, delta * (found - mean), 0.0)
        return RunningMean(count, mean, squares)

    @property
    def value(self) -> FloatArray:
        """The mean, NaN before the first draw."""
        return np.where(self.count > 0, self.mean, np.nan)

    @property
    def variance(self) -> FloatArray:
        """Of one draw, without bias; infinite before the second."""
        return np.where(self.count > 1, self.squares / np.maximum(self.count - 1, 1), np.inf)

    @property
    def std_error(self) -> FloatArray:
        """Of the mean, where draws are independent; infinite before the second."""
        return np.sqrt(self.variance / np.maximum(self.count, 1))
