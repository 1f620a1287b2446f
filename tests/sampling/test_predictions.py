"""Means and variances of predictions by stratum, against numpy on all of them."""

from __future__ import annotations

import numpy as np
import pytest

from mho.sampling.predictions import PredictionPool, misfit, steadied

STRATA, PLAYERS = 4, 3


def draws(count: int, seed: int = 0) -> np.ndarray:
    """Of another mean and spread in each stratum."""
    generator = np.random.default_rng(seed)
    stratum = np.arange(count) % STRATA
    return generator.normal(size=(count, PLAYERS)) * (1 + stratum[:, None]) + 100 * stratum[
        :, None
    ] * np.arange(PLAYERS)


def pool(found: np.ndarray, *cuts: int) -> PredictionPool:
    made = PredictionPool.empty(STRATA, PLAYERS)
    for part in np.split(found, cuts):
        made = made.with_draws(part)
    return made


@pytest.mark.parametrize("count", [8, 11, 40])
def test_as_numpy_has_it(count: int) -> None:
    found = draws(count)
    made = pool(found)
    parts = [found[k::STRATA] for k in range(STRATA)]
    np.testing.assert_allclose(made.mean, [part.mean(axis=0) for part in parts])
    np.testing.assert_allclose(made.spread, [part.var(axis=0, ddof=1) for part in parts])
    np.testing.assert_array_equal(made.counts, [len(part) for part in parts])
    assert made.drawn == count
    np.testing.assert_allclose(made.value, np.mean([p.mean(axis=0) for p in parts], axis=0))
    weight = np.random.default_rng(1).normal(size=(STRATA, PLAYERS))
    each = np.array([part.var(axis=0, ddof=1) / len(part) for part in parts])
    np.testing.assert_allclose(made.variance(), each.sum(axis=0) / STRATA**2)
    np.testing.assert_allclose(made.variance(weight), (weight**2 * each).sum(axis=0) / STRATA**2)


def test_in_whatever_parts_they_come() -> None:
    found = draws(20)
    whole = pool(found)
    for cuts in ((1,), (3, 4, 13), tuple(range(1, 20))):
        parted = pool(found, *cuts)
        np.testing.assert_array_equal(parted.mean, whole.mean)
        np.testing.assert_array_equal(parted.squares, whole.squares)
        assert parted.drawn == whole.drawn


def test_the_variance_is_that_of_the_mean() -> None:
    """Over many pools of independent draws."""
    pools = [pool(draws(24, seed)) for seed in range(2000)]
    values = np.array([each.value for each in pools])
    said = np.mean([each.variance() for each in pools], axis=0)
    np.testing.assert_allclose(said, values.var(axis=0), rtol=0.15)


def test_what_is_not_known_yet() -> None:
    made = PredictionPool.empty(STRATA, PLAYERS)
    assert np.isnan(made.value).all()
    assert np.isinf(made.variance()).all()
    some = made.with_draws(draws(2))
    np.testing.assert_allclose(some.value, draws(2).mean(axis=0))  # over the strata that were met
    assert np.isinf(pool(draws(7)).variance()).all()  # one stratum has had one draw
    assert np.isfinite(pool(draws(8)).variance()).all()


def test_it_stays_as_it_is() -> None:
    made = pool(draws(8))
    before = made.mean.copy(), made.squares.copy(), made.counts.copy()
    made.with_draws(draws(8, 1))
    for array, kept in zip((made.mean, made.squares, made.counts), before, strict=True):
        np.testing.assert_array_equal(array, kept)


@pytest.mark.parametrize("spread", [0.3, 2.0])
def test_what_predictions_err_by_is_found_whatever_the_errors_of_the_values(spread: float) -> None:
    generator = np.random.default_rng(0)
    error = np.exp(generator.normal(-1, 1.5, 4000))
    off = generator.normal(size=4000) * np.sqrt(spread**2 + error**2)
    assert misfit(off, error) == pytest.approx(spread**2, rel=0.15)


def test_a_few_precise_values_are_not_drowned_by_many_vague_ones() -> None:
    """Six values that are known to a hundredth lie one half off their predictions."""
    off = np.concatenate([np.full(6, 0.5), np.zeros(30)])
    error = np.concatenate([np.full(6, 0.01), np.full(30, 1.0)])
    assert np.mean(off**2 - error**2) < 0  # the plain difference sees nothing
    assert misfit(off, error) > 0.02


def test_where_errors_explain_all_predictions_do_not_err() -> None:
    assert misfit(np.array([0.1, -0.2, 0.0]), np.array([0.3, 0.3, 0.3])) == 0
    assert misfit(np.zeros(3), np.zeros(3)) == 0
    assert misfit(np.zeros(0), np.zeros(0)) == 0


def test_exact_values_show_the_spread_itself() -> None:
    assert misfit(np.array([1.0, -3.0]), np.zeros(2)) == pytest.approx(5)


@pytest.mark.parametrize("differ", [False, True])
def test_noisy_variances_are_drawn_towards_their_mean_and_come_nearer_to_the_truth(
    differ: bool,
) -> None:
    generator = np.random.default_rng(3)
    truth = generator.uniform(0.2, 3.0, 400) if differ else np.full(400, 1.5)
    draws = np.full(400, 6)
    seen = truth * generator.chisquare(5, 400) / 5
    found = steadied(seen, draws)
    assert found.mean() == pytest.approx(seen.mean())
    assert np.square(found - truth).mean() < 0.75 * np.square(seen - truth).mean()
    assert (found > 0).all()
    assert (np.diff(found[np.argsort(seen)]) >= 0).all()


def test_variances_that_are_well_known_stay() -> None:
    seen = np.array([1.0, 4.0, 9.0])
    np.testing.assert_allclose(steadied(seen, np.full(3, 1_000_000)), seen, rtol=1e-4)


def test_variances_of_nothing_stay_nothing() -> None:
    assert steadied(np.zeros(0), np.zeros(0, dtype=np.int64)).shape == (0,)
    assert (steadied(np.zeros(4), np.full(4, 2)) == 0).all()
