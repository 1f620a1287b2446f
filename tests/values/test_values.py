"""Every value function against a slow version; a value without a row here fails."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mho.registry import entries
from mho.value import Value

SCORES = np.array([[2.0, 1.0, -1.0], [0.0, 0.0, 3.0], [1.0, 1.0, 0.0]], dtype=np.float32)
LABELS = np.array([0, 1, 1])


def log_probability(row: int) -> float:
    exps = [np.exp(float(s)) for s in SCORES[row]]
    return float(np.log(exps[LABELS[row]] / sum(exps)))


SLOW: dict[str, Callable[[int], float]] = {
    "accuracy": lambda row: [1.0, 0.0, 0.0][row],  # the tie in the last row goes to the first class
    "cross_entropy": log_probability,
    "logit": lambda row: float(SCORES[row, LABELS[row]]),
}


@pytest.mark.parametrize("name", entries("mho.values", Value))
def test_value(name: str) -> None:
    value = entries("mho.values", Value)[name]()
    assert name in SLOW, f"value '{name}' has no slow version in this test"
    expected = [SLOW[name](row) for row in range(3)]
    np.testing.assert_allclose(value.per_sample(SCORES, LABELS), expected, rtol=1e-6)
    assert value.summary


def test_cross_entropy_does_not_overflow() -> None:
    value = entries("mho.values", Value)["cross_entropy"]()
    found = value.per_sample(np.array([[1e4, -1e4]], dtype=np.float32), np.array([1]))
    np.testing.assert_allclose(found, [-2e4])
