"""Conductance resolved to the input (Eq. 2), on the intervals at which the layers' flow closes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy

import numpy as np

from mho.errors import InvalidData, InvalidOption
from mho.evaluation import Integrand, Intervals, IntervalSums, Layer, PathGroup
from mho.graph.resolved import CHOSEN, RESOLVED, WEIGHT, resolved
from mho.path_method import unit_totals
from mho.runtime.batches import Batches
from mho.runtime.gradient_paths import GradientPaths
from mho.runtime.lines import Lines
from mho.runtime.problem import Problem
from mho.telemetry.figures import evaluated
from mho.types import Array, FloatArray, IntArray

_MOST_PARTS = 64
"""An interval is not halved further."""


class ResolvedPaths:
    """A ``PathEvaluator`` whose scores are ``(units, *path input)`` for the chosen units of each
    layer. ``unit_totals(layer)``, ``(units,)``, are the conductances by Eq. 3 of all its units on
    the same intervals.

    ``units``: layer name -> indices. The path must run on one tensor. The intervals at which the
    flow closes may be too coarse for what happens below the layer, so they are halved until the
    elements of a unit add up to its conductance within ``tolerance``, relative to all the units of
    the layer.
    """

    def __init__(
        self,
        problem: Problem,
        lines: Lines,
        units: Mapping[str, tuple[int, ...]],
        tolerance: float,
    ) -> None:
        if len(lines.end) != 1:
            raise InvalidOption(
                f"units are resolved to one tensor, but the path runs on {', '.join(lines.end)}; "
                "choose one with --path-input",
                subject="units",
            )
        (self._input,) = lines.end
        self._problem = problem
        self._lines = lines
        self._units = units
        self._tolerance = tolerance
        self._flow = GradientPaths(problem, lines, Integrand.CONDUCTANCE, neurons=False)
        self._running: dict[str, Batches] = {}
        self._rows = 0

    def on(self, problem: Problem, lines: Lines) -> ResolvedPaths:
        """The same for other inputs, with the sessions that are there; ``lines`` run through the
        same model."""
        other = copy(self)
        other._problem, other._lines, other._rows = problem, lines, 0
        other._flow = self._flow.on(problem, lines)
        return other

    @property
    def groups(self) -> Sequence[PathGroup]:
        return self._flow.groups

    @property
    def inputs(self) -> int:
        return self._flow.inputs

    @property
    def input_of_path(self) -> IntArray:
        return self._flow.input_of_path

    @property
    def spent(self) -> Mapping[str, int]:
        return {**self._flow.spent, "resolved": self._rows}

    @property
    def deferred(self) -> bool:
        return True

    @property
    def tensors(self) -> tuple[str, ...]:
        """Those with respect to which F is differentiated."""
        return (*self._flow.tensors, self._input)

    @property
    def input_axes(self) -> Mapping[str, int]:
        return self._lines.axes

    def chunk(self, group: int) -> int:
        return self._flow.chunk(group)

    def interval_sums(self, group: int, intervals: Intervals) -> IntervalSums:
        found = self._flow.interval_sums(group, intervals)
        return IntervalSums({}, found.flow, found.f_lower, found.f_upper)

    def integrals(self, group: int, intervals: Intervals) -> Mapping[str, FloatArray]:
        made = self._flow.groups[group]
        direct = self._flow.interval_sums(group, intervals).scores
        path = intervals.path[:1]
        (step,) = (self._end(path) - self._start(path)).astype(np.float64)
        sums: dict[str, FloatArray] = {}
        for layer in made.layers:
            units = list(self._units[layer.name])
            totals = direct[layer.name].sum(axis=0)
            sums[unit_totals(layer.name)] = totals
            if not made.cuts:
                sums[layer.name] = np.zeros((len(units), *step.shape))
                continue
            allowed = self._tolerance * float(np.abs(totals).sum())
            sums[layer.name] = np.stack(
                [self._unit(layer, unit, intervals, step, totals[unit], allowed) for unit in units]
            )
        return sums

    def _unit(
        self,
        layer: Layer,
        unit: int,
        intervals: Intervals,
        step: FloatArray,
        total: float,
        allowed: float,
    ) -> FloatArray:
        """The unit's share of each element, on ever finer parts of ``intervals``."""
        parts = 1
        while True:
            found = self._slope(layer, unit, *_weighted(intervals, parts, middle=False)) * step
            if not np.isfinite(found).all():  # a slope that does not exist at an end
                found = self._slope(layer, unit, *_weighted(intervals, parts, middle=True)) * step
            if not np.isfinite(found).all():
                raise InvalidData(
                    f"the gradient between unit {unit} of layer '{layer.name}' and the input is "
                    "not finite somewhere on the path; choose another --baseline",
                    subject=layer.name,
                )
            if abs(float(found.sum()) - total) <= allowed or parts == _MOST_PARTS:
                return found
            parts *= 2

    def _slope(
        self, layer: Layer, unit: int, path: IntArray, alpha: FloatArray, weight: FloatArray
    ) -> FloatArray:
        """∫ Σ_p dF/dy_p · dy_p/dx dα over the points, shaped like the path input."""
        if layer.name not in self._running:
            graph = resolved(self._lines.model, layer, self._input)
            self._running[layer.name] = self._problem.batches(graph)

        def feeds(a: int, b: int) -> dict[str, Array]:
            fed = self._lines.at(path[a:b], alpha[a:b])
            chosen = np.zeros((b - a, layer.units), dtype=np.float32)
            chosen[:, unit] = 1
            return {**fed, CHOSEN: chosen, WEIGHT: weight[a:b].astype(np.float32)}

        parts = self._running[layer.name].run(len(path), feeds)
        total = np.sum([found[RESOLVED].astype(np.float64) for _, _, found in parts], axis=0)
        self._rows += len(path)
        evaluated("resolved", len(path))
        return np.asarray(total, dtype=np.float64)

    def _start(self, path: IntArray) -> Array:
        return self._lines.start[self._input][self._lines.start_of_path[path[:1]]]

    def _end(self, path: IntArray) -> Array:
        return self._lines.end[self._input][self._lines.input_of_path[path[:1]]]


def _weighted(
    intervals: Intervals, parts: int, *, middle: bool
) -> tuple[IntArray, FloatArray, FloatArray]:
    """The distinct points of ``parts`` of each interval of one path, and their weights in the
    trapezoid rule, or in the mid-point rule."""
    share = np.arange(parts) / parts
    width = np.repeat((intervals.upper - intervals.lower) / parts, parts)
    lower = (
        intervals.lower[:, None] + (intervals.upper - intervals.lower)[:, None] * share
    ).reshape(-1)
    if middle:
        points, weights = lower + width / 2, width
    else:
        points, weights = np.concatenate([lower, lower + width]), np.tile(width / 2, 2)
    alpha, place = np.unique(np.round(points, 15), return_inverse=True)
    weight = np.zeros(len(alpha))
    np.add.at(weight, place.reshape(-1), weights)
    return np.full(len(alpha), intervals.path[0], dtype=np.int64), alpha, weight
