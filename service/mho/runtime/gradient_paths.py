"""Straight-line paths by the gradient graph: one run gives all units of all layers.

The points of a batch of intervals are the rows of one run, which computes F, the gradients at every
layer and the integrals (``graph/path_sums.py``). Layers share their points, and so one run serves
every cut that can be made of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np

from mho.errors import InvalidData
from mho.evaluation import Cut, Integrand, Intervals, IntervalSums, PathGroup
from mho.graph.cut import cuts_among, waists
from mho.graph.flow import dims, named_values
from mho.graph.path_sums import (
    LOWER,
    SLOPE_LOWER,
    SLOPE_UPPER,
    UPPER,
    WIDTH,
    flow_output,
    neurons_output,
    path_sums,
    units_output,
)
from mho.graph.target import TARGET_SCORE
from mho.runtime.batches import Batches
from mho.runtime.lines import Lines, check_scores, flowing, with_shape
from mho.runtime.problem import Problem
from mho.telemetry.figures import evaluated
from mho.types import Array, BoolArray, FloatArray, IntArray

_BATCHES_A_STEP = 2
_NOTHING_A_STEP = 4096
_ABSURD = 10.0
"""A flow that is so many times F has been multiplied by a slope where there is none."""


@dataclass(frozen=True)
class _Rows:
    """The distinct points of some intervals, where the ends of each interval are among them, and
    where its slopes are taken: at the ends, or twice in the middle."""

    path: IntArray
    alpha: FloatArray
    lower: IntArray
    upper: IntArray
    slope_lower: IntArray
    slope_upper: IntArray


@dataclass(frozen=True)
class _Sums:
    """scores: layer -> ``(intervals, units)``; flows: tensor -> ``(intervals,)``; F at the ends."""

    scores: dict[str, FloatArray]
    flows: dict[str, FloatArray]
    f_lower: FloatArray
    f_upper: FloatArray

    def finite(self) -> BoolArray:
        """``(intervals,)``"""
        found = np.ones(len(self.f_lower), dtype=bool)
        for values in (*self.scores.values(), *self.flows.values()):
            found &= np.isfinite(values.reshape(len(values), -1)).all(axis=1)
        return found

    def put(self, places: IntArray, other: _Sums) -> None:
        """Take the sums of ``other`` at ``places``."""
        for name, values in other.scores.items():
            self.scores[name][places] = values
        for name, values in other.flows.items():
            self.flows[name][places] = values


class GradientPaths:
    """A ``PathEvaluator``. All layers through which something flows are one group; each other one
    is a group without cuts.
    """

    def __init__(
        self, problem: Problem, lines: Lines, integrand: Integrand, *, neurons: bool
    ) -> None:
        self._problem = problem
        self._lines = lines
        self._integrand = integrand
        self._neurons = neurons
        self._spent = {"gradient": 0}
        self._carriers: dict[Cut, tuple[str, ...]] = {}
        self._groups = self._grouped()
        self._running: dict[bool, Batches] = {}

    def on(self, problem: Problem, lines: Lines) -> GradientPaths:
        """The same for other inputs, with the sessions that are there; ``lines`` run through the
        same model."""
        other = copy(self)
        other._problem, other._lines, other._spent = problem, lines, {"gradient": 0}
        return other

    @property
    def groups(self) -> Sequence[PathGroup]:
        return self._groups

    @property
    def inputs(self) -> int:
        return len(self._problem.data)

    @property
    def input_of_path(self) -> IntArray:
        return self._lines.input_of_path

    @property
    def spent(self) -> Mapping[str, int]:
        return dict(self._spent)

    @property
    def deferred(self) -> bool:
        return self._neurons

    @property
    def tensors(self) -> tuple[str, ...]:
        """Those with respect to which F is differentiated."""
        group = self._groups[0]
        if not group.cuts:
            return ()
        names = [layer.name for layer in group.layers]
        return tuple(dict.fromkeys([*names, *self._steering(group)]))

    @property
    def input_axes(self) -> Mapping[str, int]:
        return self._lines.axes

    def chunk(self, group: int) -> int:
        """So many intervals as fill a batch or two."""
        if not self._groups[group].cuts:
            return _NOTHING_A_STEP
        return _BATCHES_A_STEP * self._batches(totals=False).rows

    def interval_sums(self, group: int, intervals: Intervals) -> IntervalSums:
        made, count = self._groups[group], len(intervals)
        if not made.cuts:
            still = np.zeros(count)
            nothing = {} if self._neurons else self._nothing(made, count)
            return IntervalSums(nothing, np.zeros((count, 0)), still, still)
        found = self._sums(made, intervals, middle=False)
        flow = self._through(made, found.flows)
        bad = np.flatnonzero(~found.finite() | _absurd(flow, found.f_lower, found.f_upper))
        if len(bad):  # a root has no slope at its end, a normalisation of zeros any; the middle has
            part = Intervals(intervals.path[bad], intervals.lower[bad], intervals.upper[bad])
            found.put(bad, self._sums(made, part, middle=True))
            _check_finite({**found.flows, **found.scores})
        flow = self._through(made, found.flows)
        return IntervalSums(found.scores, flow, found.f_lower, found.f_upper)

    def _through(self, group: PathGroup, flows: Mapping[str, FloatArray]) -> FloatArray:
        """``(intervals, cuts)``: what flows through each cut, of the flows through tensors."""
        through = [
            np.sum([flows[name] for name in self._carriers[entry]], axis=0) for entry in group.cuts
        ]
        return np.stack(through, axis=1)

    def _sums(self, group: PathGroup, intervals: Intervals, *, middle: bool) -> _Sums:
        count = len(intervals)
        found = _Sums(
            {} if self._neurons else {e.name: np.zeros((count, e.units)) for e in group.layers},
            {name: np.zeros(count) for name in self._steering(group)},
            np.zeros(count),
            np.zeros(count),
        )
        summed = self._summed(group)
        for part, rows, outputs in self._run(intervals, totals=False, middle=middle):
            values = outputs[TARGET_SCORE].astype(np.float64).reshape(-1)
            check_scores(values, rows.path, rows.alpha, self._lines, self._problem)
            found.f_lower[part], found.f_upper[part] = values[rows.lower], values[rows.upper]
            for name, scores in found.scores.items():
                scores[part] = outputs[units_output(name)]
            for name, flow in found.flows.items():
                known = name in summed
                flow[part] = (
                    found.scores[name][part].sum(axis=1) if known else outputs[flow_output(name)]
                )
        return found

    def integrals(self, group: int, intervals: Intervals) -> Mapping[str, FloatArray]:
        made = self._groups[group]
        if not made.cuts:
            return {name: values[0] for name, values in self._nothing(made, 1).items()}
        sums: dict[str, FloatArray] = {}
        for part, rows, outputs in self._run(intervals, totals=True, middle=False):
            batch = [outputs]
            if self._misplaced(made, rows, outputs):
                again = Intervals(
                    intervals.path[part], intervals.lower[part], intervals.upper[part]
                )
                batch = [found for _, _, found in self._run(again, totals=True, middle=True)]
            for layer in made.layers:
                name = neurons_output(layer.name)
                found = np.sum([entry[name].astype(np.float64) for entry in batch], axis=0)
                sums[layer.name] = sums.get(layer.name, 0.0) + found
        _check_finite(sums)
        return sums

    def _misplaced(self, group: PathGroup, rows: _Rows, outputs: Mapping[str, Array]) -> bool:
        """Whether the slopes of a batch of totals are to be taken in the middle, as
        ``interval_sums`` took them."""
        flows = {name: outputs[flow_output(name)] for name in self._steering(group)}
        values = outputs[TARGET_SCORE].astype(np.float64).reshape(-1)
        flow = self._through(group, flows)
        scores = (outputs[neurons_output(layer.name)] for layer in group.layers)
        finite = np.isfinite(flow).all() and all(np.isfinite(found).all() for found in scores)
        return bool(not finite or _absurd(flow, values[rows.lower], values[rows.upper]).any())

    def _grouped(self) -> tuple[PathGroup, ...]:
        """The layers through which something flows, with every cut that can be made of them; then
        the others.

        A layer that is in no cut takes its points from the nearest tensor above it that carries
        everything, or from the path input itself.
        """
        model, start = self._lines.model, tuple(self._lines.end)
        layers = {layer.name: layer for layer in self._problem.layers}
        active = flowing(self._lines, layers)
        moved = active
        if self._integrand is Integrand.INFLUENCE:  # F may answer to what the path does not move
            active = list(layers)
        cuts = []
        for names in cuts_among(model, start, moved, TARGET_SCORE):
            cuts.append(Cut(names, complete=True))
            self._carriers[cuts[-1]] = names
        covered = {name for entry in cuts for name in entry.layers}
        above = self._above([name for name in active if name not in covered])
        for carriers, names in above.items():
            cuts.append(Cut(names, complete=False))
            self._carriers[cuts[-1]] = carriers
        groups = []
        if active:
            groups.append(PathGroup(tuple(layers[name] for name in active), tuple(cuts)))
        idle = [layer for name, layer in layers.items() if name not in set(active)]
        return (*groups, *(PathGroup((layer,), ()) for layer in idle))

    def _above(self, names: Sequence[str]) -> dict[tuple[str, ...], tuple[str, ...]]:
        """What carries everything above each of ``names`` -> those it is the nearest for."""
        if not names:
            return {}
        model, start = self._lines.model, tuple(self._lines.end)
        values = named_values(model.graph)
        place = {name: i for i, name in enumerate(values)}
        leading = {shape[0] for name in start if (shape := dims(values[name]))}
        batched = [
            name
            for name in waists(model, start, TARGET_SCORE)
            if (shape := dims(values[name])) and shape[0] in leading
        ]
        found: dict[tuple[str, ...], tuple[str, ...]] = {}
        for name in names:
            earlier = [waist for waist in batched if place[waist] < place[name]]
            carriers = (earlier[-1],) if earlier else start
            found[carriers] = (*found.get(carriers, ()), name)
        return found

    def _steering(self, group: PathGroup) -> tuple[str, ...]:
        """The tensors whose flow is needed."""
        return tuple(dict.fromkeys(n for entry in group.cuts for n in self._carriers[entry]))

    def _summed(self, group: PathGroup) -> frozenset[str]:
        """The layers whose flow is the sum of their units' scores."""
        if self._neurons or self._integrand is not Integrand.CONDUCTANCE:
            return frozenset()
        return frozenset(layer.name for layer in group.layers)

    def _batches(self, *, totals: bool) -> Batches:
        """What runs the graph of the first group: of its intervals, or of their totals."""
        if totals not in self._running:
            group = self._groups[0]
            summed = self._summed(group)
            flows = [name for name in self._steering(group) if name not in summed]
            graph = path_sums(
                self._lines.model,
                self._integrand,
                units=() if self._neurons else group.layers,
                flows=flows,
                neurons=group.layers if totals else (),
            )
            # a batch of adjacent intervals has one row more than intervals
            made = self._problem.batches(graph)
            made.rows = max(1, made.rows - 1)
            self._running[totals] = made
        return self._running[totals]

    def _run(
        self, intervals: Intervals, *, totals: bool, middle: bool
    ) -> Iterator[tuple[slice, _Rows, dict[str, Array]]]:
        """Yield ``(slice, rows, outputs)`` for batches of intervals."""
        made: dict[tuple[int, int], _Rows] = {}

        def feeds(a: int, b: int) -> dict[str, Array]:
            rows = made[a, b] = _rows(intervals, slice(a, b), middle=middle)
            fed = self._lines.at(rows.path, rows.alpha)
            fed |= {LOWER: rows.lower, UPPER: rows.upper}
            fed |= {SLOPE_LOWER: rows.slope_lower, SLOPE_UPPER: rows.slope_upper}
            fed[WIDTH] = (intervals.upper[a:b] - intervals.lower[a:b]).astype(np.float32)
            return fed

        for start, stop, found in self._batches(totals=totals).run(len(intervals), feeds):
            rows = made[start, stop]
            self._spent["gradient"] += len(rows.path)
            evaluated("gradient", len(rows.path))
            yield slice(start, stop), rows, found

    def _nothing(self, group: PathGroup, count: int) -> dict[str, FloatArray]:
        """Zeros for layers through which nothing flows."""
        found = {}
        for layer in group.layers:
            shape: tuple[int, ...] = (layer.units,)
            if self._neurons:
                whole = with_shape(self._problem, self._lines, layer)
                shape = tuple(dim for dim in whole.shape[1:] if isinstance(dim, int))
            found[layer.name] = np.zeros((count, *shape))
        return found


def _rows(intervals: Intervals, part: slice, *, middle: bool) -> _Rows:
    lower, upper = intervals.lower[part], intervals.upper[part]
    places = [lower, upper, *([(lower + upper) / 2] if middle else [])]
    points, found = np.unique(
        np.stack([np.tile(intervals.path[part], len(places)), np.concatenate(places)]),
        axis=1,
        return_inverse=True,
    )
    ends = found.reshape(len(places), -1).astype(np.int64)
    slopes = (ends[2], ends[2]) if middle else (ends[0], ends[1])
    return _Rows(points[0].astype(np.int64), points[1], ends[0], ends[1], *slopes)


def _absurd(flow: FloatArray, f_lower: FloatArray, f_upper: FloatArray) -> BoolArray:
    """``(intervals,)``: whether more flows through a cut than slopes that mean something could make
    of F."""
    size = _ABSURD * (np.maximum(np.abs(f_lower), np.abs(f_upper)) + 1e-3)
    return np.asarray((np.abs(flow) > size[:, None]).any(axis=1))


def _check_finite(sums: Mapping[str, FloatArray]) -> None:
    for name, values in sums.items():
        if not np.isfinite(values).all():
            raise InvalidData(
                f"the gradient at '{name}' is not finite somewhere on the path; leave the layer "
                "out, or choose another --baseline, or --engine finite_difference",
                subject=name,
            )
