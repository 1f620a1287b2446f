"""Quantiles against closed forms, published figures and integration; widths by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mho.sampling.intervals import bernstein_width, error_at, student_factor, student_quantile


def tail(t: float, freedom: int) -> float:
    """Chance of more than ``t`` in size, by integrating the density, which in the angle
    atan(t / sqrt(freedom)) is a power of the cosine."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    angle = math.atan2(math.sqrt(freedom), t)  # of the rest, from its far end

    def integral(upper: float) -> float:
        return float(weights @ np.sin(upper * (nodes + 1) / 2) ** (freedom - 1)) * upper / 2

    return integral(angle) / integral(math.pi / 2)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 8, 15, 30, 100, 400])
@pytest.mark.parametrize("error", [0.5, 0.05, 1e-3, 1e-6, 1e-10, 1e-14])
def test_the_chance_of_exceeding_the_quantile_is_the_error(freedom: int, error: float) -> None:
    assert tail(student_quantile(freedom, error), freedom) == pytest.approx(error, rel=1e-9)


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, 12.7062047), (3, 3.1824463), (7, 2.3646243), (10, 2.2281389), (23, 2.0686576),
     (120, 1.9799304), (1000, 1.9623391), (100_000, 1.9599877)],
)  # fmt: skip
def test_published_quantiles(freedom: int, quantile: float) -> None:
    assert student_quantile(freedom, 0.05) == pytest.approx(quantile, abs=5e-7)
    assert student_factor(freedom + 1) == student_quantile(freedom, 1 - 0.95)


def test_from_many_degrees_of_freedom_on_the_expansion_goes_on_where_the_fraction_ended() -> None:
    for error in (0.3, 0.05, 1e-6, 1e-12):
        below, at, above = (student_quantile(n, error) for n in (9_999, 10_000, 10_001))
        assert below > at > above
        assert (below - at) == pytest.approx(at - above, rel=0.01)


def test_it_falls_with_draws_and_rises_with_confidence() -> None:
    by_draws = [student_quantile(n, 1e-4) for n in range(1, 60)]
    assert by_draws == sorted(by_draws, reverse=True)
    by_error = [student_quantile(3, error) for error in np.geomspace(1e-12, 0.9, 60)]
    assert by_error == sorted(by_error, reverse=True)


def test_what_is_certain_or_void() -> None:
    assert student_factor(1) == student_factor(0) == math.inf
    assert student_quantile(5, 0.0) == math.inf
    assert student_quantile(5, 1.0) == 0.0
    assert student_factor(24, 1.0) == math.inf


def test_the_bernstein_width_is_that_of_the_theorem() -> None:
    found = bernstein_width(np.array([0.25, 0.25]), np.array([100, 1]), 2.0, 0.01)
    log = math.log(200)
    expected = math.sqrt(2 * 0.25 * log / 100) + 7 * 2.0 * log / (3 * 99)
    assert found[0] == pytest.approx(expected)
    assert np.isinf(found[1])


@pytest.mark.parametrize("draws", [5, 50, 500])
@pytest.mark.parametrize("chance", [0.5, 0.02])
def test_means_leave_the_bernstein_width_less_often_than_the_error(
    draws: int, chance: float
) -> None:
    """Coins, fair and rare: the worst for intervals that rest on the normal distribution."""
    coins = np.random.default_rng(draws).random((4000, draws)) < chance
    mean, variance = coins.mean(axis=1), coins.var(axis=1, ddof=1)
    width = bernstein_width(variance, np.full(4000, draws), 1.0, 0.05)
    assert (chance - mean > width).mean() <= 0.05
    assert (mean - chance > width).mean() <= 0.05


def test_all_looks_together_err_with_what_the_confidence_leaves() -> None:
    total = sum(error_at(look, 0.9) for look in range(1, 200_000))
    assert total == pytest.approx(0.1, rel=1e-4)
    assert total < 0.1
