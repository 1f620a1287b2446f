"""F(x) = g(h(x)) as plain functions: path methods are tested on these without a model.

``Composition`` is a ``PathEvaluator`` that differentiates by central chords along each unit's own
step, in float64; one layer, whose units are the components of h.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mho.evaluation import Cut, Intervals, IntervalSums, Layer, PathGroup
from mho.types import FloatArray, IntArray


@dataclass
class Composition:
    """h: ``(inputs,)`` -> ``(units,)``; g: ``(units,)`` -> number; one path from ``start`` to
    ``end``."""

    h: Callable[[FloatArray], FloatArray]
    g: Callable[[FloatArray], float]
    end: FloatArray
    start: FloatArray
    calls: int = field(default=0, init=False)

    @property
    def groups(self) -> Sequence[PathGroup]:
        layer = Layer("y", "Conv", len(self.h(self.end)), ("N", len(self.h(self.end))), 1)
        return [PathGroup((layer,), (Cut(("y",), complete=True),))]

    @property
    def inputs(self) -> int:
        return 1

    @property
    def input_of_path(self) -> IntArray:
        return np.array([0])

    @property
    def spent(self) -> Mapping[str, int]:
        return {"tail": self.calls}

    @property
    def input_axes(self) -> Mapping[str, int]:
        return {}

    def chunk(self, group: int) -> int:
        return 3

    def hidden(self, alpha: float) -> FloatArray:
        return np.asarray(self.h(self.start + alpha * (self.end - self.start)), dtype=np.float64)

    def values(self, alpha: FloatArray) -> FloatArray:
        return np.array([self.g(self.hidden(a)) for a in alpha])

    def interval_sums(self, group: int, intervals: Intervals) -> IntervalSums:
        sums = []
        for lower, upper in zip(intervals.lower, intervals.upper, strict=True):
            begin, end = self.hidden(lower), self.hidden(upper)
            middle, row = (begin + end) / 2, []
            for unit in range(len(begin)):
                step = np.zeros_like(begin)
                step[unit] = (end - begin)[unit] / 2
                row.append(self.g(middle + step) - self.g(middle - step))
                self.calls += 2
            sums.append(row)
        scores = np.array(sums)
        flow = scores.sum(axis=1, keepdims=True)
        return IntervalSums(
            {"y": scores}, flow, self.values(intervals.lower), self.values(intervals.upper)
        )

    @property
    def deferred(self) -> bool:
        return False

    def integrals(self, group: int, intervals: Intervals) -> Mapping[str, FloatArray]:
        return {"y": self.interval_sums(group, intervals).scores["y"].sum(axis=0)}


def conductance_by_riemann(model: Composition, steps: int = 20_000) -> FloatArray:
    """Eq. 3 as the paper writes it: gradients of g by small differences at the middle of each of
    many small steps, times the change of each unit over the step."""
    total = np.zeros(len(model.hidden(1.0)))
    for k in range(steps):
        before, after = model.hidden(k / steps), model.hidden((k + 1) / steps)
        middle = model.hidden((k + 0.5) / steps)
        for unit in range(len(total)):
            nudge = np.zeros_like(middle)
            nudge[unit] = 1e-6
            slope = (model.g(middle + nudge) - model.g(middle - nudge)) / 2e-6
            total[unit] += slope * (after - before)[unit]
    return total
