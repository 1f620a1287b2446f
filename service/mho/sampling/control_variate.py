"""Coefficients of a control variate, fitted as rounds go by, for every layer and stratum.

The corrected marginal of a player is ``marginal - b (prediction - mean prediction)``. Its mean is
that of the marginal for every b that does not depend on the round itself, and its variance is least
at b = cov(marginal, prediction) / var(prediction), which differs from layer to layer and with the
size of the coalition. The deviations of a round go together, so that what is known of a cell grows
with its rounds and not with its players: a cell's coefficient counts for its rounds, and that of
all cells for two more.

Such a ratio of sums runs wild where a cell has few players and its first predictions happen to lie
near their mean. So the two rounds count with variances that other draws have shown, and not with
those of the rounds, and no cell's with less than the mean over all players.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mho.types import FloatArray, IntArray

_PRIOR_ROUNDS = 2


@dataclass(frozen=True)
class ControlVariate:
    """Sums over the rounds so far.

    products, norms: ``(strata, layers)``, of deviation of the marginal times deviation of the
    prediction, and of the latter squared. usual: ``(strata, layers)``, what a round adds to the
    norms by what was known before the first. first: the coefficient before any round.
    """

    products: FloatArray
    norms: FloatArray
    usual: FloatArray
    first: float

    @staticmethod
    def empty(strata: int, layers: int, first: float) -> ControlVariate:
        zeros = np.zeros((strata, layers))
        return ControlVariate(zeros, zeros, zeros, first)

    def expecting(self, layer: IntArray, variance: FloatArray) -> ControlVariate:
        """With the variance of predictions, ``(strata, players)``; layer: the number of each
        player's, of those alone that are flipped."""
        usual = np.zeros_like(self.usual)
        np.add.at(usual.T, layer, variance.T + variance.mean())
        return replace(self, usual=usual)

    @property
    def overall(self) -> float:
        """The coefficient of all cells together."""
        prior = _PRIOR_ROUNDS * float(self.usual.sum(axis=1).mean())
        norm = prior + float(self.norms.sum())
        return (float(self.products.sum()) + prior * self.first) / norm if norm > 0 else self.first

    def coefficients(self, stratum: int) -> FloatArray:
        """``(layers,)``."""
        overall, prior = self.overall, _PRIOR_ROUNDS * self.usual[stratum]
        norms = prior + self.norms[stratum]
        fitted = np.full(len(norms), overall)
        products = self.products[stratum] + prior * overall
        return np.asarray(np.divide(products, norms, out=fitted, where=norms > 0))

    def with_round(
        self, stratum: int, layer: IntArray, marginal: FloatArray, prediction: FloatArray
    ) -> ControlVariate:
        """With the deviations of a round, each ``(players,)``; layer: the number of each one's."""
        products, norms = self.products.copy(), self.norms.copy()
        np.add.at(products[stratum], layer, marginal * prediction)
        np.add.at(norms[stratum], layer, prediction * prediction)
        return replace(self, products=products, norms=norms)
