"""Coefficients of a control variate, fitted as rounds go by, for every layer and stratum.

The corrected marginal of a player is ``marginal - b (prediction - mean prediction)``. Its mean is
that of the marginal for every b that does not depend on the round itself, and its variance is least
at b = cov(marginal, prediction) / var(prediction), which differs from layer to layer and with the
size of the coalition. The deviations of a round go together, so that what is known of a cell grows
with its rounds and not with its players: a cell's coefficient counts for its rounds, and that of
all cells for two more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mho.types import FloatArray, IntArray

_PRIOR_ROUNDS = 2


@dataclass(frozen=True)
class ControlVariate:
    """Sums over the rounds so far.

    rounds: ``(strata,)``. products, norms: ``(strata, layers)``, of deviation of the marginal times
    deviation of the prediction, and of the latter squared. first: the coefficient before any round.
    """

    rounds: IntArray
    products: FloatArray
    norms: FloatArray
    first: float

    @staticmethod
    def empty(strata: int, layers: int, first: float) -> ControlVariate:
        zeros = np.zeros((strata, layers))
        return ControlVariate(np.zeros(strata, dtype=np.int64), zeros, zeros, first)

    @property
    def overall(self) -> float:
        """The coefficient of all cells together."""
        rounds = int(self.rounds.sum())
        norm = float(self.norms.sum())
        fitted = float(self.products.sum()) / norm if norm > 0 else self.first
        return (rounds * fitted + _PRIOR_ROUNDS * self.first) / (rounds + _PRIOR_ROUNDS)

    def coefficients(self, stratum: int) -> FloatArray:
        """``(layers,)``."""
        rounds, norms = int(self.rounds[stratum]), self.norms[stratum]
        fitted = np.divide(
            self.products[stratum], norms, out=np.full(len(norms), self.overall), where=norms > 0
        )
        return np.asarray(
            (rounds * fitted + _PRIOR_ROUNDS * self.overall) / (rounds + _PRIOR_ROUNDS)
        )

    def with_round(
        self, stratum: int, layer: IntArray, marginal: FloatArray, prediction: FloatArray
    ) -> ControlVariate:
        """With the deviations of a round, each ``(players,)``; layer: the number of each one's."""
        rounds = self.rounds.copy()
        rounds[stratum] += 1
        products, norms = self.products.copy(), self.norms.copy()
        np.add.at(products[stratum], layer, marginal * prediction)
        np.add.at(norms[stratum], layer, prediction * prediction)
        return ControlVariate(rounds, products, norms, self.first)
