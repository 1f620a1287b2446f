"""Marginals of all players predicted from slopes, averaged over random coalitions.

One backward pass costs about three evaluations of V and speaks of every player, where a marginal
speaks of one. Its predictions are biased, for a network is not linear in a mask: their mean ranks
players, and their deviations from their mean serve as a control variate for exact marginals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mho.types import FloatArray, IntArray

_HALVINGS = 40
"""Of the interval in which a variance is looked for: to rounding, nearly."""


@dataclass(frozen=True)
class PredictionPool:
    """Running means by stratum.

    drawn: how many draws there were; draw k falls into stratum k mod strata.
    counts: ``(strata,)``. mean, squares: ``(strata, players)``, Welford's.
    """

    drawn: int
    counts: IntArray
    mean: FloatArray
    squares: FloatArray

    @staticmethod
    def empty(strata: int, players: int) -> PredictionPool:
        zeros = np.zeros((strata, players))
        return PredictionPool(0, np.zeros(strata, dtype=np.int64), zeros, zeros)

    def with_draws(self, found: FloatArray) -> PredictionPool:
        """The predictions of the next draws, ``(draws, players)``, in their order."""
        counts, mean, squares = self.counts.copy(), self.mean.copy(), self.squares.copy()
        for offset, one in enumerate(found):
            stratum = (self.drawn + offset) % len(counts)
            counts[stratum] += 1
            delta = one - mean[stratum]
            mean[stratum] += delta / counts[stratum]
            squares[stratum] += delta * (one - mean[stratum])
        return PredictionPool(self.drawn + len(found), counts, mean, squares)

    @property
    def value(self) -> FloatArray:
        """``(players,)``: the mean over the interval; NaN before the first draw."""
        if not self.drawn:
            return np.full(self.mean.shape[1], np.nan)
        return np.asarray(self.mean[self.counts > 0].mean(axis=0))

    @property
    def spread(self) -> FloatArray:
        """``(strata, players)``: the variance of a prediction; 0 where nothing is known of it."""
        return np.asarray(self.squares / np.maximum(self.counts - 1, 1)[:, None])

    def variance(self, weight: FloatArray | float = 1.0) -> FloatArray:
        """``(players,)``: of the mean over strata of ``weight`` ``(strata, players)`` times the
        mean prediction, draws being independent; infinite where a stratum has fewer than two.
        """
        if self.counts.min() < 2:
            return np.full(self.mean.shape[1], np.inf)
        each = self.squares / ((self.counts - 1) * self.counts)[:, None]
        return np.asarray((np.square(weight) * each).sum(axis=0) / len(self.counts) ** 2)


def misfit(off: FloatArray, error: FloatArray) -> float:
    """The variance by which predictions err, from how far values lie ``off`` them, ``(values,)``,
    and the standard ``error`` of each value.

    With which the squares are as large as they should be, on average, in units of their own
    variance (Paule & Mandel 1982): so that a value that is hardly known says hardly anything. 0
    where errors explain all.
    """
    squares, noise = np.square(off), np.square(error)
    low, high = 0.0, float(squares.max(initial=0.0))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        expected = middle + noise
        each = np.divide(squares, expected, out=np.zeros_like(squares), where=expected > 0)
        low, high = (middle, high) if each.sum() > len(each) else (low, middle)
    return high if low > 0 else 0.0


def steadied(variance: FloatArray, draws: IntArray) -> FloatArray:
    """``(values,)``: estimates of variances, each drawn towards the mean of all.

    From n draws, two at least, the estimate of a variance has a variance of its own, 2 / (n - 1)
    times its square. What the estimates differ by beyond that, they differ by in truth; in that
    proportion each keeps its distance from the mean (the linear rule of empirical Bayes).
    """
    mean = float(variance.mean()) if len(variance) else 0.0
    if mean == 0:
        return variance
    chance = 2 / (draws - 1)
    usual = float(chance.mean())
    true = max(0.0, float(variance.var()) / mean**2 - usual) / (1 + usual)
    return np.asarray(mean + true / (true + chance * (1 + true)) * (variance - mean))
