"""Half-widths of confidence intervals from means and variances of draws."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from mho.types import FloatArray, IntArray

_LARGE = 10_000
"""From so many degrees of freedom on, an expansion in their reciprocal is exact to rounding."""
_ROUNDING = 1e-15
_MOST_TERMS = 100_000
_MOST_STEPS = 200


def student_factor(draws: int, confidence: float = 0.95) -> float:
    """Half-width of the two-sided interval of a mean, in standard errors: Student's quantile.

    Of ``draws - 1`` degrees of freedom. Infinite for fewer than 2 draws, where nothing is known of
    the spread.
    """
    return student_quantile(draws - 1, 1 - confidence)


@lru_cache(maxsize=4096)
def student_quantile(freedom: int, error: float) -> float:
    """The t that Student's variable of ``freedom`` degrees of freedom exceeds in size with
    probability ``error``, to a relative accuracy of about 1e-11.

    error: from 0 (t is infinite) to 1 (t is 0). A tail, not a confidence, so that it may be far
    smaller than the distance of numbers below 1.
    """
    if freedom < 1 or error <= 0:
        return math.inf
    if error >= 1:
        return 0.0
    if freedom == 1:
        return 1 / math.tan(math.pi * error / 2)
    at_two = (1 - error) * math.sqrt(2 / (error * (2 - error)))
    if freedom == 2:
        return at_two
    normal = -NormalDist().inv_cdf(error / 2)
    if freedom >= _LARGE:
        return _expanded(normal, freedom)
    # The quantile falls as the degrees of freedom grow, which encloses it.
    low, high = normal, at_two
    t = min(max(_expanded(normal, freedom), low), high)
    for _ in range(_MOST_STEPS):
        tail = _log_tail(t, freedom)
        low, high = (t, high) if tail > math.log(error) else (low, t)
        # Newton on log(tail) against log(t): a straight line far out.
        slope = 2 * math.exp(_log_density(t, freedom) + math.log(t) - tail)
        following = t * math.exp((tail - math.log(error)) / slope)
        if not low < following < high:
            following = math.sqrt(low * high)
        if abs(following - t) <= _ROUNDING * t:
            return following
        t = following
    return t


def bernstein_width(
    variance: FloatArray, draws: IntArray, width: float, error: float
) -> FloatArray:
    """``(means,)``: how far a mean may lie from its estimate to one side, but for a chance of
    ``error``.

    The empirical Bernstein bound of Maurer & Pontil (2009, theorem 4): with variance s^2 of n draws
    from an interval of length R, ``sqrt(2 s^2 ln(2/error) / n) + 7 R ln(2/error) / (3 (n - 1))``.
    It holds for every n and every distribution on the interval. Infinite for fewer than 2 draws.

    variance: ``(means,)``, with n - 1 in the denominator. draws: ``(means,)``. width: R.
    """
    log = math.log(2 / error)
    n = np.maximum(draws, 2)
    found = np.sqrt(2 * variance * log / n) + 7 * width * log / (3 * (n - 1))
    return np.where(draws > 1, found, np.inf)


def error_at(look: int, confidence: float) -> float:
    """What the ``look``-th look, counted from 1, may err with, so that all looks together, however
    many, err with no more than ``1 - confidence``: shares 6 / (pi look)^2 add up to 1."""
    return (1 - confidence) * 6 / (math.pi * look) ** 2


def _expanded(z: float, freedom: int) -> float:
    """The quantile from the normal one ``z``, by the expansion in 1 / freedom (Hill 1970)."""
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / freedom ** (i + 1) for i, term in enumerate(terms))


def _log_density(t: float, freedom: int) -> float:
    log = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)
    log -= 0.5 * math.log(math.pi * freedom)
    return log - (freedom + 1) / 2 * math.log1p(t * t / freedom)


def _log_tail(t: float, freedom: int) -> float:
    """Logarithm of the chance of more than ``t`` in size, which is the incomplete beta function
    I_x(freedom / 2, 1 / 2) at x = freedom / (freedom + t^2)."""
    a, b = freedom / 2, 0.5
    x, rest = freedom / (freedom + t * t), t * t / (freedom + t * t)
    log = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = log - a * math.log1p(t * t / freedom) + b * math.log(rest)
    if x < (a + 1) / (a + b + 2):
        return front + math.log(_beta_fraction(x, a, b) / a)
    return math.log1p(-math.exp(front) * _beta_fraction(rest, b, a) / b)


def _beta_fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of the incomplete beta function (Abramowitz & Stegun 26.5.8), from its
    front by the rule of Lentz."""
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    found = d
    for m in range(1, _MOST_TERMS):
        for factor in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / (1 + factor * d)
            c = 1 + factor / c
            found *= c * d
        if abs(c * d - 1) < _ROUNDING:
            break
    return found
