"""Conductance: the paper's examples and axioms, the slow version, and what the result says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from closed_form import Composition, conductance_by_riemann
from methods.solving import solve
from mho.integration import Integration
from mho.methods.conductance import Conductance
from mho.results import Result
from mho.state import pack, unpack
from mho.types import FloatArray


def conductance(evaluator: Composition, **options: Any) -> Result:
    return solve(Conductance(**options), evaluator)


def scores(
    h: Callable[[FloatArray], Any], g: Callable[[FloatArray], float], end: Any, start: Any = None
) -> FloatArray:
    end = np.atleast_1d(np.asarray(end, dtype=float))
    begin = np.zeros_like(end) if start is None else np.atleast_1d(np.asarray(start, dtype=float))
    model = Composition(lambda x: np.atleast_1d(h(x)), g, end, begin)
    found: FloatArray = conductance(model, tolerance=1e-4).scores["y"][0]
    return found


def test_saturation_of_section_4_1() -> None:
    """y = 2x, z = min(y, 1), x = 1 (the erratum: min, not max): conductance gives y all of it."""
    assert scores(lambda x: 2 * x, lambda y: min(y[0], 1.0), 1.0) == pytest.approx([1.0], abs=1e-4)


def test_overshoot_of_section_4_1() -> None:
    """f(x) = x, g(y) = max(y - 1, 0) at x = 1 + e (the erratum).

    Gradient times activation would give 1 + e; conductance gives the output, e.
    """
    e = 0.25
    found = scores(lambda x: x, lambda y: max(y[0] - 1.0, 0.0), 1 + e)
    assert found == pytest.approx([e], abs=1e-4)


def test_below_the_threshold_all_scores_are_zero() -> None:
    """The example as it is printed, x = 1 - e: the output is 0, and so is the score."""
    assert scores(lambda x: x, lambda y: max(y[0] - 1.0, 0.0), 0.75) == pytest.approx([0.0])


def test_sign_of_section_4_1() -> None:
    """f(x) = -x, g(y) = y: the output falls to -1, and so says conductance.

    Internal influence would say +1.
    """
    assert scores(lambda x: -x, lambda y: y[0], 1.0) == pytest.approx([-1.0])


def test_theorem_2() -> None:
    """h = (x1^2, x2), g = sqrt(y1) y2, so F = x1 x2: each unit gets 1/2.

    So much integrated gradients give each input; taken at the layer they would give 1/3 and 2/3.
    """
    found = scores(
        lambda x: np.array([x[0] ** 2, x[1]]), lambda y: np.sqrt(max(y[0], 0)) * y[1], [1, 1]
    )
    assert found == pytest.approx([0.5, 0.5], abs=2e-3)


def test_axiom_1_linearity() -> None:
    def h(x: FloatArray) -> FloatArray:
        return np.array([x[0] * x[1], np.tanh(x[1])])

    def g1(y: FloatArray) -> float:
        return float(y[0] * y[1])

    def g2(y: FloatArray) -> float:
        return float(np.exp(y[0]))

    end = [1.0, 2.0]
    both = scores(h, lambda y: 3 * g1(y) - 2 * g2(y), end)
    apart = 3 * scores(h, g1, end) - 2 * scores(h, g2, end)
    np.testing.assert_allclose(both, apart, atol=5e-3)


def test_axiom_2_insensitivity() -> None:
    found = scores(lambda x: np.array([x[0], x[0] ** 3]), lambda y: y[0] ** 2, 2.0)
    assert found[1] == 0.0


def test_axiom_3_completeness() -> None:
    def g(y: FloatArray) -> float:
        return float(np.sin(3 * y[0]) * y[1] + max(y[2] - 0.4, 0.0))

    model = Composition(
        lambda x: np.array([x[0], x[0] * x[1], np.tanh(x[1])]), g, np.array([1.0, 2.0]), np.zeros(2)
    )
    result = conductance(model, tolerance=0.01)
    (entry,) = result.completeness
    assert entry.total[0] == pytest.approx(result.scores["y"].sum())
    assert entry.difference[0] == pytest.approx(g(model.hidden(1.0)) - g(model.hidden(0.0)))
    assert (
        abs(entry.total[0] - entry.difference[0])
        <= entry.gap[0] * max(abs(entry.difference[0]), entry.floor[0]) + 1e-12
    )
    assert entry.gap[0] <= 0.01


def test_axiom_4_partition_consistency() -> None:
    """Units that depend on x1 alone get together what integrated gradients give x1; so for x2."""

    def f(x1: float, x2: float) -> float:
        return float(np.sin(x1) * x2**2 + x1)

    found = scores(
        lambda x: np.array([np.sin(x[0]), x[0], x[1] ** 2]),
        lambda y: y[0] * y[2] + y[1],
        [1.2, 0.7],
    )
    steps = (np.arange(20_000) + 0.5) / 20_000
    first = np.mean(
        [(f(1.2 * a + 1e-6, 0.7 * a) - f(1.2 * a - 1e-6, 0.7 * a)) / 2e-6 for a in steps]
    )
    second = np.mean(
        [(f(1.2 * a, 0.7 * a + 1e-6) - f(1.2 * a, 0.7 * a - 1e-6)) / 2e-6 for a in steps]
    )
    # Chords close the gap of a product at once, so that the first eight intervals stand, and their
    # error of second order in the width is left.
    assert found[:2].sum() == pytest.approx(1.2 * first, abs=3e-3)
    assert found[2] == pytest.approx(0.7 * second, abs=3e-3)


def test_equals_the_slow_version() -> None:
    model = Composition(
        lambda x: np.array([np.maximum(x[0] - 0.2, 0), x[0] * x[1], np.maximum(0.5 - x[1], 0)]),
        lambda y: float(np.maximum(y[0] + y[1] - 0.3, 0) - y[2] * y[1]),
        np.array([1.0, 0.9]),
        np.array([-0.3, 0.1]),
    )
    np.testing.assert_allclose(
        conductance(model, tolerance=1e-3).scores["y"][0], conductance_by_riemann(model), atol=2e-3
    )


def test_refines_where_the_function_bends() -> None:
    """A smooth line needs no more than the first intervals; a product of bends needs more."""
    straight = Composition(
        lambda x: np.array([x[0], -x[0]]), lambda y: y[0] - 2 * y[1], np.ones(1), np.zeros(1)
    )
    conductance(straight)
    bent = Composition(
        lambda x: np.array([x[0], x[0] ** 2]),
        lambda y: float(np.maximum(y[0] - 0.9, 0) * np.maximum(y[1] - 0.8, 0)),
        np.ones(1),
        np.zeros(1),
    )
    intervals: Any = conductance(bent).report["intervals"]
    assert straight.calls == 2 * 2 * 8
    assert intervals.keys() == {"y"}
    assert 8 < intervals["y"] < 40


def test_a_path_without_change_is_complete() -> None:
    """F(x) = F(x') at both ends and between: the gap is 0 and nothing divides by 0."""
    model = Composition(lambda x: x, lambda y: 0.0, np.ones(2), np.zeros(2))
    (entry,) = conductance(model).completeness
    assert entry.gap[0] == 0.0


def test_says_when_the_tolerance_cannot_be_reached() -> None:
    """A jump has no conductance: the gap stays, and the result says so."""
    model = Composition(
        lambda x: np.array([x[0], x[0]]),
        lambda y: float(y[0] + y[1] > 1.1),
        np.ones(1),
        np.zeros(1),
    )
    result = conductance(model)
    assert result.completeness[0].gap[0] > 0.5
    assert any("not reached on 1 of 1 paths" in note for note in result.notes)


@pytest.mark.parametrize("stop_after", [0, 1, 2, 5, 9])
def test_a_run_resumed_from_its_checkpoint_equals_an_undisturbed_one(stop_after: int) -> None:
    def model() -> Composition:
        return Composition(
            lambda x: np.array([x[0], x[0] ** 2]),
            lambda y: float(y[0] * y[1] ** 2),
            np.ones(1),
            np.zeros(1),
        )

    method = Conductance(tolerance=1e-3)
    evaluator = model()
    state = method.init(evaluator)
    for _ in range(stop_after):
        state = method.step(state, evaluator)
    state = unpack(Integration, pack(state))
    while not method.done(state):
        state = method.step(state, model())
    resumed = method.result(state, model())
    whole = conductance(model(), tolerance=1e-3)
    np.testing.assert_array_equal(resumed.scores["y"], whole.scores["y"])
    np.testing.assert_array_equal(resumed.completeness[0].gap, whole.completeness[0].gap)


def test_progress_never_falls_back_to_nothing_and_ends_at_all() -> None:
    method = Conductance()
    model = Composition(
        lambda x: np.array([x[0], x[0] ** 3]), lambda y: float(y[0] * y[1]), np.ones(1), np.zeros(1)
    )
    state = method.init(model)
    while not method.done(state):
        state = method.step(state, model)
        assert 0.0 <= method.progress(state).fraction <= 1.0
    assert method.progress(state).fraction == 1.0


def test_the_report_is_json() -> None:
    model = Composition(lambda x: x, lambda y: float(y.sum()), np.ones(2), np.zeros(2))
    json.dumps(conductance(model).report)
