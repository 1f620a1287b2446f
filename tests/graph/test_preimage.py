"""Numbers that a function turns into given ones: found where there are any, and only there."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from mho.graph.preimage import preimage

SINGLE = np.dtype(np.float32)


def gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def silu(x: np.ndarray) -> np.ndarray:
    return x / (1 + np.exp(-x))


FUNCTIONS = {
    "identity": (lambda x: x, (-1e5, 1e5)),
    "scaled": (lambda x: 1e-5 * x + 3, (2.0, 4.0)),
    "falling": (lambda x: 1 - 2 * x, (-50.0, 50.0)),
    "relu": (lambda x: np.maximum(x, 0), (0.0, 1e5)),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), (0.001, 0.999)),
    "exp": (np.exp, (1e-6, 1e6)),
    "cube": (lambda x: x**3, (-1e6, 1e6)),
    "gelu": (gelu, (-0.17, 100.0)),
    "silu": (silu, (-0.278, 100.0)),
    "hat": (lambda x: 1 - np.abs(x - 40), (-500.0, 1.0)),
    "waves": (lambda x: np.sin(x) + 0.1 * x, (-30.0, 30.0)),
    "steps": (np.floor, (-20.0, 20.0)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_finds_what_there_is(name: str) -> None:
    function, (low, high) = FUNCTIONS[name]
    wanted = np.linspace(low, high, 101)
    if name == "steps":
        wanted = np.round(wanted)
    with np.errstate(all="ignore"):
        found = preimage(function, wanted, SINGLE)
        given = function(found.astype(np.float32).astype(np.float64))
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found, found.astype(np.float32))
    np.testing.assert_allclose(given, wanted, rtol=16 * 2.0**-23, atol=1e-7)


def test_the_very_bottom_of_a_curve_that_turns() -> None:
    """No interval shows a change of sign there."""
    x = np.linspace(-2, 0, 2_000_001)
    bottom = silu(x).min()
    found = preimage(silu, np.array([bottom]), SINGLE)
    np.testing.assert_allclose(silu(found), bottom, rtol=1e-6)


def test_of_several_the_one_nearest_to_zero() -> None:
    found = preimage(silu, np.array([-0.1, 0.0]), SINGLE)
    assert -0.3 < found[0] < 0
    assert found[1] == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("relu", -1e-3), ("sigmoid", 1.001), ("exp", -1.0), ("silu", -0.28), ("hat", 1.01),
     ("steps", 0.5)],
)  # fmt: skip
def test_finds_nothing_where_there_is_nothing(name: str, value: float) -> None:
    with np.errstate(all="ignore"):
        found = preimage(FUNCTIONS[name][0], np.array([value, 1.0]), SINGLE)
    assert np.isnan(found[0])
    assert np.isfinite(found[1])


def test_units_have_their_own_functions() -> None:
    slopes = np.array([1.0, -2.0, 0.0, 1e4])
    found = preimage(lambda x: slopes * x + 1, np.array([3.0, 3.0, 3.0, 3.0]), SINGLE)
    np.testing.assert_allclose(found[[0, 1, 3]], [2, -1, 2e-4], rtol=1e-6)
    assert np.isnan(found[2])


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_numbers_are_those_that_the_weights_can_hold(dtype: type) -> None:
    stored = np.dtype(dtype)
    wanted = np.array([0.3, 0.7312, 0.99])
    found = preimage(FUNCTIONS["sigmoid"][0], wanted, stored)
    np.testing.assert_array_equal(found.astype(stored).astype(np.float64), found)
    eps = float(ml_dtypes.finfo(dtype).eps)
    np.testing.assert_allclose(FUNCTIONS["sigmoid"][0](found), wanted, rtol=16 * eps)
    assert np.isnan(preimage(lambda x: x, np.array([1e39]), np.dtype(np.float16))[0])


def test_points_that_give_no_number_are_passed_over() -> None:
    with np.errstate(all="ignore"):
        found = preimage(np.log, np.array([2.0, -3.0]), SINGLE)
    np.testing.assert_allclose(found, np.exp([2.0, -3.0]), rtol=1e-5)
