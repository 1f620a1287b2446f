"""When an estimation may stop before its budget is spent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mho.estimator import Estimate
from mho.top_players import settled
from mho.types import BoolArray

_MORE = 1.2
"""Players are told apart again when draws have grown by this factor: every look costs some of the
confidence."""


@dataclass(frozen=True)
class Stopping:
    """What is asked for; 0 for what is not.

    seconds: of evaluation. std_error: that no player whose value is not approximate is above.
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
    sure = estimate.exact
    if rule.std_error and sure.any() and estimate.std_error[sure].max() <= rule.std_error:
        return Looked(before.looks, before.draws, "std_error")
    draws = int(estimate.draws.sum())
    if not rule.top or draws < _MORE * before.draws or not sure.any():
        return before
    if settled_players(rule, estimate, before.looks + 1).sum() >= rule.top:
        return Looked(before.looks + 1, draws, "top settled")
    return Looked(before.looks + 1, draws)


def settled_players(rule: Stopping, estimate: Estimate, looks: int) -> BoolArray:
    """``(players,)``: who is surely among the top ones, of those whose value is not approximate."""
    found = np.zeros(len(estimate.values), dtype=bool)
    sure = estimate.exact
    if sure.sum() > rule.top:
        found[sure] = settled(
            estimate.values[sure], estimate.std_error[sure], estimate.draws[sure],
            rule.top, rule.confidence, max(1, looks),
        )  # fmt: skip
    return found
