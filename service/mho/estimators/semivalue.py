"""The semivalue whose inclusion rate is drawn from an interval."""

from __future__ import annotations

from typing import ClassVar

from mho.estimation.flips import FlipEstimator


class Semivalue(FlipEstimator):
    """Mean marginal over coalitions in which every other player is kept with chance t, t uniform on
    the interval that was asked for.

    Near the full coalition it predicts what removing a few units from the whole model does, which
    the Shapley value does not: it weights all sizes of coalitions alike, and in a deep network most
    are dead. In the manner of Beta Shapley (Kwon & Zou 2022).
    """

    name: ClassVar[str] = "semivalue"
    summary: ClassVar[str] = (
        "as assisted, over coalitions that keep --inclusion of the players (0.9:1), near which "
        "single removals are judged"
    )

    takes: ClassVar[frozenset[str]] = frozenset({"inclusion", "minibatch"})

    @property
    def estimand(self) -> str:
        low, high = self.interval
        return f"semivalue with inclusion rate uniform on [{low:g}, {high:g}]"

    @property
    def interval(self) -> tuple[float, float]:
        return self.asked.inclusion or (0.9, 1.0)
