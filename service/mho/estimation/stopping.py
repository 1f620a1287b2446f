"""When an estimation may stop before its budget is spent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mho.estimator import Estimate
from mho.sampling.top_players import settled
from mho.types import BoolArray

_MORE = 1.2
"""Players are told apart again when draws have grown by this factor: every look costs some of the
confidence."""

_LEAST_DRAWS = 4
"""Before so many a standard error is too uncertain to stop by."""


@dataclass(frozen=True)
class Stopping:
    """What is asked for; 0 for what is not.

    seconds: of evaluation. std_error: that none is above, of the players whose value is not
    approximate where there are such.
    top: players that are to be settled, with what confidence.
    """

    seconds: float
    std_error: float
    top: int
    confidence: float


@dataclass(frozen=True)
class Looked:
    """looks: how often players were told apart; draws: how many there were at the last time.
    end: why the estimation is over, empty while it is not."""

    looks: int = 0
    draws: int = 0
    end: str = ""


def looked(rule: Stopping, before: Looked, estimate: Estimate, seconds: float) -> Looked:
    """What the rule says of an estimate that took ``seconds`` so far."""
    if rule.seconds and seconds >= rule.seconds:
        return Looked(before.looks, before.draws, "seconds")
    asked = estimate.exact if estimate.exact.any() else np.isfinite(estimate.values)
    if not asked.any():
        return before
    each = estimate.draws[asked]
    small = estimate.std_error[asked].max() <= rule.std_error
    if rule.std_error and small and each.min() >= _LEAST_DRAWS:
        return Looked(before.looks, before.draws, "std_error")
    draws = int(each.sum())
    if not rule.top or draws < _MORE * before.draws or each.max() < _LEAST_DRAWS:
        return before
    if settled_players(rule, estimate, before.looks + 1).sum() >= rule.top:
        return Looked(before.looks + 1, draws, "top settled")
    return Looked(before.looks + 1, draws)


def settled_players(rule: Stopping, estimate: Estimate, looks: int) -> BoolArray:
    """``(players,)``: who is surely among the top ones, by the estimator's own judgement where it
    has one; of those whose value is not approximate."""
    if len(estimate.settled):
        return estimate.settled
    found = np.zeros(len(estimate.values), dtype=bool)
    sure = estimate.exact
    if sure.sum() > rule.top:
        found[sure] = settled(
            estimate.values[sure], estimate.std_error[sure], estimate.draws[sure],
            rule.top, rule.confidence, max(1, looks),
        )  # fmt: skip
    return found
