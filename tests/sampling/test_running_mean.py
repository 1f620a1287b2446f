"""Running means against NumPy's over all draws at once."""

from __future__ import annotations

import numpy as np

from mho.sampling.running_mean import RunningMean


def test_equals_the_mean_and_error_over_all_draws() -> None:
    """Also far from 0, where a sum of squares would lose everything."""
    draws = np.random.default_rng(0).normal((0, 1e9, -5, 1e-3), 1.0, (50, 4))
    of = np.random.default_rng(1).random((50, 4)) < 0.7
    whole, part = RunningMean.empty(4), RunningMean.empty(4)
    for found, chosen in zip(draws, of, strict=True):
        whole, part = whole.with_draw(found), part.with_draw(found, chosen)
    np.testing.assert_allclose(whole.value, draws.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(whole.std_error, draws.std(axis=0, ddof=1) / np.sqrt(50), rtol=1e-6)
    for player in range(4):
        own = draws[of[:, player], player]
        assert part.count[player] == len(own)
        np.testing.assert_allclose(part.value[player], own.mean(), rtol=1e-12)
        error = own.std(ddof=1) / np.sqrt(len(own))
        np.testing.assert_allclose(part.std_error[player], error, rtol=1e-6)


def test_nothing_is_known_before_the_first_draw_and_no_error_before_the_second() -> None:
    none = RunningMean.empty(2)
    assert np.isnan(none.value).all()
    assert np.isinf(none.std_error).all()
    one = none.with_draw(np.array([3.0, 4.0]), np.array([True, False]))
    np.testing.assert_array_equal(one.value, [3.0, np.nan])
    assert np.isinf(one.std_error).all()
