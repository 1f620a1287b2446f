"""Coefficients of the control variate: what they converge to, and that they do not run wild."""

from __future__ import annotations

import numpy as np
import pytest

from mho.sampling.control_variate import ControlVariate

LAYER = np.array([0, 0, 0, 1, 1, 2])
STRATA = 2
SLOPE = np.array([[0.5, 2.0, -1.0], [1.5, 0.0, 3.0]])
"""The best coefficient of each stratum and layer."""


def fitted(rounds: int, *, noise: float = 0.3, seed: int = 0, first: float = 0.5) -> ControlVariate:
    generator = np.random.default_rng(seed)
    made = ControlVariate.empty(STRATA, 3, first).expecting(LAYER, np.ones((STRATA, len(LAYER))))
    for index in range(rounds):
        off = generator.normal(size=len(LAYER))
        marginal = SLOPE[index % 2][LAYER] * off + noise * generator.normal(size=len(LAYER))
        made = made.with_round(index % 2, LAYER, marginal, off)
    return made


def test_it_finds_the_coefficient_of_every_layer_and_stratum() -> None:
    made = fitted(4000)
    for stratum in range(STRATA):
        np.testing.assert_allclose(made.coefficients(stratum), SLOPE[stratum], atol=0.05)


def test_the_overall_one_is_the_regression_over_all_cells() -> None:
    made = fitted(4000)
    players = np.bincount(LAYER)
    assert made.overall == pytest.approx((SLOPE * players).sum() / players.sum() / 2, abs=0.05)


@pytest.mark.parametrize("first", [0.0, 0.5])
def test_the_first_coefficient_before_any_round(first: float) -> None:
    for made in (ControlVariate.empty(STRATA, 3, first), fitted(0, first=first)):
        assert made.overall == first
        np.testing.assert_array_equal(made.coefficients(1), np.full(3, first))


def test_as_a_slow_version_has_it() -> None:
    """Two rounds of the usual norm are added: to all cells together with the first coefficient, and
    to each cell with that of all."""
    generator = np.random.default_rng(3)
    variance = generator.uniform(0.5, 2, (STRATA, len(LAYER)))
    made = ControlVariate.empty(STRATA, 3, 0.5).expecting(LAYER, variance)
    rounds = [generator.normal(size=(2, len(LAYER))) for _ in range(5)]
    for index, (marginal, off) in enumerate(rounds):
        made = made.with_round(index % 2, LAYER, marginal, off)
    usual = variance + variance.mean()
    prior = 2 * usual.sum() / STRATA
    products = sum(float(m @ o) for m, o in rounds)
    norms = sum(float(o @ o) for _, o in rounds)
    overall = (products + prior * 0.5) / (norms + prior)
    assert made.overall == pytest.approx(overall)
    for stratum in range(STRATA):
        for layer in range(3):
            own = layer == LAYER
            prior = 2 * usual[stratum, own].sum()
            product = sum(float(m[own] @ o[own]) for m, o in rounds[stratum::2])
            norm = sum(float(o[own] @ o[own]) for _, o in rounds[stratum::2])
            expected = (product + prior * overall) / (norm + prior)
            assert made.coefficients(stratum)[layer] == pytest.approx(expected)


def test_a_first_prediction_near_its_mean_does_not_run_wild() -> None:
    """The plain ratio of the round would be 1e6."""
    made = fitted(0)
    near = np.full(len(LAYER), 1e-6)
    made = made.with_round(0, LAYER, np.ones(len(LAYER)), near)
    np.testing.assert_allclose(made.coefficients(0), 0.5, atol=1e-3)


def test_nor_do_predictions_that_hardly_vary_in_one_layer() -> None:
    variance = np.where(LAYER == 2, 1e-12, 1.0) * np.ones((STRATA, 1))
    made = ControlVariate.empty(STRATA, 3, 0.5).expecting(LAYER, variance)
    off = np.where(LAYER == 2, 1e-6, 1.0)
    made = made.with_round(0, LAYER, np.ones(len(LAYER)), off)
    assert abs(made.coefficients(0)[2]) < 1


def test_predictions_that_never_vary() -> None:
    made = ControlVariate.empty(STRATA, 3, 0.5).expecting(LAYER, np.zeros((STRATA, len(LAYER))))
    made = made.with_round(0, LAYER, np.ones(len(LAYER)), np.zeros(len(LAYER)))
    assert made.overall == 0.5
    np.testing.assert_array_equal(made.coefficients(0), np.full(3, 0.5))


def test_it_stays_as_it_is() -> None:
    made = fitted(6)
    before = made.products.copy(), made.norms.copy()
    made.with_round(0, LAYER, np.ones(len(LAYER)), np.ones(len(LAYER)))
    np.testing.assert_array_equal(made.products, before[0])
    np.testing.assert_array_equal(made.norms, before[1])
