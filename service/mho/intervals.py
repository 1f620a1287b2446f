"""Confidence intervals from means and variances of draws."""

from __future__ import annotations

import math
from statistics import NormalDist


def student_factor(draws: int, confidence: float = 0.95) -> float:
    """Half-width of the two-sided interval in standard errors: Student's quantile.

    Of ``draws - 1`` degrees of freedom; exact for 2 and 3 draws, beyond that by Hill's expansion
    (relative error below 0.5 %). Infinite for fewer than 2 draws, where nothing is known of the
    spread.
    """
    freedom = draws - 1
    upper = 0.5 + confidence / 2
    if freedom < 1:
        return math.inf
    if freedom == 1:
        return math.tan(math.pi * (upper - 0.5))
    if freedom == 2:
        return (2 * upper - 1) * math.sqrt(2 / (4 * upper * (1 - upper)))
    z = NormalDist().inv_cdf(upper)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / freedom ** (i + 1) for i, term in enumerate(terms))
