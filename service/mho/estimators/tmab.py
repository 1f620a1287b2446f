"""The bandit of Neuron Shapley (Ghorbani & Zou 2020, algorithm 1): looks for the top players."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np

from mho.estimation.cut_walks import CutWalkEstimator, CutWalkState
from mho.estimator import Estimate
from mho.sampling.intervals import bernstein_width, error_at
from mho.types import BoolArray

_TOP = 100
_MORE = 1.1
"""Players are judged again when walks have grown by this factor: each look costs confidence."""


class Tmab(CutWalkEstimator):
    """Truncated permutations in which only players near the threshold are still evaluated.

    The threshold is the (k + 1)-th highest mean, and a player stays active while its interval, the
    empirical Bernstein bound of Maurer & Pontil (2009), holds it. One that is not leaves
    unevaluated, and may become active again as the threshold moves. It ends when no other player
    than that of the threshold is active, or the budget is spent. The players above the threshold
    are the top k; their values are known only as well as that takes.

    Departures from the paper. The confidence is shared among players and among looks, both sides of
    an interval included, so that all intervals hold their means at once. The theorem asks for the
    length of the interval in which all marginals lie, which the paper takes to be the range of V,
    half of what is certain: here it is that of the marginals met so far, of all players. Rare
    larger ones would void it, and the result says so. As in the paper the threshold is taken for
    known.
    """

    name: ClassVar[str] = "tmab"
    summary: ClassVar[str] = "the bandit of Neuron Shapley: truncated, evaluates undecided players"
    settles: ClassVar[bool] = True
    default_walks: ClassVar[int] = 100

    def judged(self, state: CutWalkState) -> CutWalkState:
        if state.index < 2 or state.index < _MORE * state.looked:
            return state
        state = replace(state, looks=state.looks + 1, looked=state.index)
        active = self._undecided(state)
        if active.sum() <= 1:
            active = np.zeros_like(active)
        return replace(state, active=active)

    def estimate(self, state: CutWalkState) -> Estimate:
        found = super().estimate(state)
        if not state.index:
            return found
        extent = state.most - state.least
        top = np.zeros(len(state.active), dtype=bool)
        if not state.active.any():
            top[np.argsort(-state.totals.mean, kind="stable")[: self._top(state)]] = True
        return replace(
            found,
            settled=top,
            report={
                **found.report,
                "top_sought": self._top(state),
                "active_players": int(state.active.sum()),
                "extent_of_marginals": extent,
            },
            notes=[
                *found.notes,
                f"intervals of the bandit take all marginals to lie within {extent:.3g} of each "
                "other, as those that were met do",
            ],
        )

    def _top(self, state: CutWalkState) -> int:
        """k: what was asked for, or a tenth of the players, 100 at most."""
        return self.asked.top or min(_TOP, max(1, len(state.active) // 10))

    def _undecided(self, state: CutWalkState) -> BoolArray:
        """``(players,)``: whose interval holds the threshold."""
        totals, players, top = state.totals, len(state.active), self._top(state)
        if top >= players:
            return np.zeros(players, dtype=bool)
        error = error_at(state.looks, self.asked.confidence) / players
        threshold = np.sort(totals.mean)[::-1][top]
        extent = state.most - state.least
        width = bernstein_width(totals.variance, totals.count, extent, error / 2)
        return np.asarray(np.abs(totals.mean - threshold) < width)
