"""Shapley values from single flips, corrected by slopes: the default."""

from __future__ import annotations

from typing import ClassVar

from mho.estimation.flips import FlipEstimator


class Assisted(FlipEstimator):
    """Unbiased where all players are flipped; see ``mho.estimation.flips``."""

    name: ClassVar[str] = "assisted"
    summary: ClassVar[str] = "exact marginals at random coalitions, corrected by slopes"

    @property
    def estimand(self) -> str:
        return "Shapley value"

    @property
    def interval(self) -> tuple[float, float]:
        return 0.0, 1.0
