"""Shapley values from truncated permutations (Ghorbani & Zou 2019, "Data Shapley", TMC-Shapley)."""

from __future__ import annotations

from typing import ClassVar

from mho.estimation.cut_walks import CutWalkEstimator, CutWalkState


class Truncated(CutWalkEstimator):
    """Mean marginal over random orders of removal, each cut where the network is dead.

    What is left of a permutation counts 0 after six departures in a row with V near V of no
    players. That is biased, by no more in all players together than the truncated mass that the
    result reports; what is saved goes into more permutations. See ``mho.sampling.removal_walk``.
    """

    name: ClassVar[str] = "truncated"
    summary: ClassVar[str] = "as permutation, each cut short where little of V is left; biased"
    default_walks: ClassVar[int] = 24

    def judged(self, state: CutWalkState) -> CutWalkState:
        return state
