"""Which players are surely among the highest, and which are surely not.

Every player has an interval of its own, and all intervals together hold their values with the
confidence that is asked for: it is shared among the players (Bonferroni), and among the looks, of
which the l-th may err with a share of 6 / (pi l)^2. So one may look as often as one likes and stop
when one likes. Each interval is Student's, which is right for means of enough draws and is not
proven for few draws of heavy tails.
"""

from __future__ import annotations

import numpy as np

from mho.sampling.intervals import error_at, student_quantile
from mho.types import BoolArray, FloatArray, IntArray


def settled(
    values: FloatArray,
    std_error: FloatArray,
    draws: IntArray,
    top: int,
    confidence: float,
    look: int,
) -> BoolArray:
    """``(players,)``: who is surely one of the ``top`` highest.

    Its interval lies above those of all but ``top - 1`` others. values, std_error, draws:
    ``(players,)``; look: how many times it was judged, this one included.
    """
    lower, upper = _intervals(values, std_error, draws, confidence, look)
    if top >= len(values):
        return np.ones(len(values), dtype=bool)
    return np.asarray(lower > _others(upper, top))


def undecided(
    values: FloatArray,
    std_error: FloatArray,
    draws: IntArray,
    top: int,
    confidence: float,
    look: int,
) -> BoolArray:
    """``(players,)``: who is neither surely among the ``top`` highest nor surely not."""
    lower, upper = _intervals(values, std_error, draws, confidence, look)
    if top >= len(values):
        return np.zeros(len(values), dtype=bool)
    inside = lower > _others(upper, top)
    outside = upper < np.sort(lower)[::-1][top - 1]
    return np.asarray(~inside & ~outside)


def _others(upper: FloatArray, top: int) -> FloatArray:
    """For each player, the ``top``-th highest upper end among the others."""
    ordered = np.sort(upper)[::-1]
    return np.asarray(np.where(upper >= ordered[top - 1], ordered[top], ordered[top - 1]))


def _intervals(
    values: FloatArray, std_error: FloatArray, draws: IntArray, confidence: float, look: int
) -> tuple[FloatArray, FloatArray]:
    error = error_at(look, confidence) / len(values)
    each = {int(n): student_quantile(int(n) - 1, error) for n in np.unique(draws)}
    factor = np.array([each[int(n)] for n in draws])
    with np.errstate(invalid="ignore"):
        width = np.where(std_error == 0, 0.0, factor * std_error)
    return values - width, values + width
