"""Straight-line paths by finite differences: works for every operator.

For each interval the head of the model gives the layer at both ends; the tail then runs central
chords, two rows per unit that moves (``graph/chords.py``). Units that are the same at both ends (a
ReLU that stays off) get exactly 0 without being run. What passes beside the layer is moved as one
block, two more rows, so that every interval has a flow to compare with the change of F.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace

import numpy as np

from mho.errors import InvalidData, Unsupported
from mho.evaluation import Cut, Intervals, IntervalSums, Layer, PathGroup
from mho.graph.chords import (
    BESIDE,
    CHORD,
    INTERVAL,
    SIDE,
    UNIT,
    chords,
    fixed_input,
    lower_input,
    upper_input,
)
from mho.graph.cut import Tail, cut, cuts_among, tail
from mho.graph.linear import Reader, reader
from mho.graph.target import TARGET_SCORE
from mho.runtime.batches import Batches
from mho.runtime.lines import Lines, Scores, flowing, probed, with_shape
from mho.runtime.problem import Problem
from mho.telemetry.figures import evaluated
from mho.types import Array, BoolArray, FloatArray, IntArray

_BATCHES_A_STEP, _NOTHING_A_STEP = 4, 4096
_HELD_SHARE = 4
"""A step's ends of intervals may take this part of the memory budget."""
_COMPARED = 32
"""Intervals whose ends are compared at a time."""


@dataclass(frozen=True)
class _Member:
    """One layer of a group, with what runs its chords. ``layer.shape`` is the actual one.

    moving: the tensors whose values at both ends the chords need.
    beside: whether what passes beside the layer is moved too, to know the whole flow.
    """

    layer: Layer
    tail: Tail
    moving: tuple[str, ...]
    chords: Batches
    beside: bool


@dataclass(frozen=True)
class _Group:
    """A group in hand. given, head: what its members read at a point and is fed, and what gives the
    rest; None where there is no rest. point_bytes: what all that takes.
    """

    members: tuple[_Member, ...]
    given: tuple[str, ...]
    head: Batches | None
    point_bytes: int


@dataclass(frozen=True)
class _Ends:
    """The tensors at the distinct end points of intervals, and where the ends of each interval are.

    tensors: name -> ``(points, ...)``. lower, upper: ``(intervals,)``, indices of points.
    """

    tensors: Mapping[str, Array]
    lower: IntArray
    upper: IntArray

    def __len__(self) -> int:
        return len(self.lower)

    def differ(self, name: str, kept: tuple[int, ...]) -> BoolArray:
        """``(intervals, ...)``: whether the tensor moves, anywhere along the axes not ``kept``."""
        tensor = self.tensors[name]
        gone = tuple(i for i in range(1, tensor.ndim) if i not in kept)
        parts = []
        for start in range(0, len(self), _COMPARED):
            part = slice(start, start + _COMPARED)
            parts.append((tensor[self.lower[part]] != tensor[self.upper[part]]).any(axis=gone))
        return np.concatenate(parts)


class FiniteDifferencePaths:
    """A ``PathEvaluator``. Layers that together cut the graph, such as parallel branches, form a
    group and share their nodes; a layer that belongs to no cut is a group alone.
    """

    def __init__(self, problem: Problem, lines: Lines, *, neurons: bool) -> None:
        self._problem = problem
        self._lines = lines
        self._neurons = neurons
        self._spent = {"forward": 0, "head": 0, "tail": 0}
        self._scores = Scores(problem, lines)
        self._known: dict[tuple[int, float], float] = {}
        self._moving = tuple(lines.end)
        self._fed = {*lines.end, *lines.fixed}
        self._groups = self._grouped()
        self._open: tuple[int, _Group] | None = None

    def on(self, problem: Problem, lines: Lines) -> FiniteDifferencePaths:
        """The same for other inputs, with the sessions that are there; ``lines`` run through the
        same model."""
        other = copy(self)
        other._problem, other._lines = problem, lines
        other._scores, other._known = self._scores.on(problem, lines), {}
        other._spent = dict.fromkeys(self._spent, 0)
        return other

    def _grouped(self) -> tuple[PathGroup, ...]:
        """Every layer in one group; layers through which nothing flows have no cut."""
        model, layers = self._lines.model, {layer.name: layer for layer in self._problem.layers}
        found: dict[str, PathGroup] = {}
        active = flowing(self._lines, layers)
        for name, layer in layers.items():
            if name not in active:
                found[name] = PathGroup((self._actual(layer),), ())
        for names in cuts_among(model, self._moving, active, TARGET_SCORE):
            if not any(name in found for name in names):
                cut_made = Cut(names, complete=True)
                group = PathGroup(tuple(layers[n] for n in names), (cut_made,))
                found.update(dict.fromkeys(names, group))
        for name in active:
            alone = PathGroup((layers[name],), (Cut((name,), complete=False),))
            found.setdefault(name, alone)
        return tuple({id(found[name]): found[name] for name in layers}.values())

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
    def input_axes(self) -> Mapping[str, int]:
        return self._lines.axes

    def chunk(self, group: int) -> int:
        """So many intervals that their chords fill a few batches, if all units move, and that what
        is known of their ends fits the memory."""
        opened = self._opened(group)
        if not opened.members:
            return _NOTHING_A_STEP
        pairs = sum(math.prod(self._unit_shape(member.layer)) for member in opened.members)
        rows = min(member.chords.rows for member in opened.members)
        held = self._problem.settings.memory_bytes // (_HELD_SHARE * opened.point_bytes)
        return max(1, min(_BATCHES_A_STEP * rows // max(1, pairs), held))

    @property
    def deferred(self) -> bool:
        """Chords give the scores of an interval and its flow at once."""
        return False

    def integrals(self, group: int, intervals: Intervals) -> Mapping[str, FloatArray]:
        sums = self.interval_sums(group, intervals)
        return {name: values.sum(axis=0) for name, values in sums.scores.items()}

    def values(self, path: IntArray, alpha: FloatArray) -> FloatArray:
        """F ``(points,)``, each point being evaluated once and remembered."""
        points = list(zip(path.tolist(), alpha.tolist(), strict=True))
        new = [point for point in dict.fromkeys(points) if point not in self._known]
        if new:
            owner, at = np.array([p for p, _ in new]), np.array([a for _, a in new])
            self._known.update(zip(new, self._scores.at(owner, at).tolist(), strict=True))
            self._spent["forward"] += len(new)
            evaluated("forward", len(new))
        return np.array([self._known[point] for point in points], dtype=np.float64)

    def interval_sums(self, group: int, intervals: Intervals) -> IntervalSums:
        made, count = self._groups[group], len(intervals)
        opened = self._opened(group)
        if not made.cuts or not count:
            layers = [member.layer for member in opened.members] or made.layers
            nothing = {layer.name: np.zeros((count, *self._unit_shape(layer))) for layer in layers}
            still = np.zeros(count)
            return IntervalSums(nothing, np.zeros((count, len(made.cuts))), still, still)
        scores: dict[str, FloatArray] = {}
        flow = np.zeros(count)
        ends = self._ends(opened, intervals)
        for member in opened.members:
            units, beside = self._member_sums(member, ends)
            scores[member.layer.name] = units
            flow += units.reshape(count, -1).sum(axis=1) + beside
        return IntervalSums(
            scores,
            np.repeat(flow[:, None], len(made.cuts), axis=1),
            self.values(intervals.path, intervals.lower),
            self.values(intervals.path, intervals.upper),
        )

    def _member_sums(self, member: _Member, ends: _Ends) -> tuple[FloatArray, FloatArray]:
        """The units' integrals ``(intervals, *units)`` and that of what passes beside
        ``(intervals,)``."""
        interval, unit = self._moved(member, ends)
        values = self._chords(member, ends, interval, unit)
        shape = self._unit_shape(member.layer)
        flat = np.zeros((len(ends), math.prod(shape)), dtype=np.float64)
        ours = unit != BESIDE
        flat[interval[ours], unit[ours]] = values[ours]
        beside = np.zeros(len(ends))
        beside[interval[~ours]] = values[~ours]
        return flat.reshape(-1, *shape), beside

    def _unit_shape(self, layer: Layer) -> tuple[int, ...]:
        if not self._neurons:
            return (layer.units,)
        return tuple(d for d in layer.shape[1:] if isinstance(d, int))

    def _opened(self, index: int) -> _Group:
        """The sessions of one group; we hold those of the last group, the cache keeps more."""
        if self._open is None or self._open[0] != index:
            self._open = (index, self._made(self._groups[index]))
        return self._open[1]

    def _made(self, group: PathGroup) -> _Group:
        """Cut head and tails for ``group``.

        A tensor that a tail reads must have the batch in front. Where the shapes leave it open, a
        run of the head tells, and the tail is cut elsewhere.
        """
        if not group.cuts:
            return _Group((), (), None, 1)
        alone = not any(cut_made.complete for cut_made in group.cuts)
        unbatched: set[str] = set()
        while True:
            tails = [self._tail(layer, unbatched) for layer in group.layers]
            moving = [
                tuple(dict.fromkeys((layer.name, found.layer, *found.beside)))
                for layer, (found, _) in zip(group.layers, tails, strict=True)
            ]
            reads = {name for names in moving for name in names}
            reads |= {name for found, _ in tails for name in found.fixed}
            head, probe, wrong = self._head(sorted(reads))
            if not wrong:
                break
            for layer in group.layers:
                if layer.name in wrong or wrong <= unbatched:
                    raise Unsupported(
                        f"layer '{layer.name}' has not one row for every input; its first "
                        "dimension must be the batch",
                        subject=layer.name,
                    )
            unbatched |= wrong
        members = []
        for layer, (found, linear), names in zip(group.layers, tails, moving, strict=True):
            actual = replace(layer, shape=("N", *probe[layer.name].shape[1:]))
            single = self._problem.single
            graph = chords(found, actual, linear, neurons=self._neurons, one_sided=single)
            batches = self._problem.batches(graph, copies=2)
            members.append(_Member(actual, found, names, batches, alone))
        size = sum(array.nbytes for array in probe.values())
        given = tuple(name for name in probe if name in self._fed)
        return _Group(tuple(members), given, head, max(1, size))

    def _tail(self, layer: Layer, unbatched: set[str]) -> tuple[Tail, Reader | None]:
        model = self._lines.model
        linear = None if self._neurons else reader(model, layer)
        if linear is not None and linear.output in unbatched:
            linear = None
        start = layer.name if linear is None else linear.output
        found = tail(model, start, TARGET_SCORE, self._moving, unbatched=unbatched)
        if found is None:
            raise Unsupported(f"the target does not depend on layer '{layer.name}'")
        return found, linear

    def _head(self, reads: list[str]) -> tuple[Batches | None, dict[str, Array], set[str]]:
        """What computes ``reads``; those tensors at one point; and those that have not a row for
        every point."""
        computed = [name for name in reads if name not in self._fed]
        point = self._lines.at(np.zeros(1, np.int64), np.ones(1))
        probe = {name: point[name] for name in reads if name in self._fed}
        if not computed:
            return None, probe, set()
        model = cut(self._lines.model, self._moving, computed)
        found, wrong = probed(self._problem, self._lines, model, computed)
        return self._problem.batches(model), {**probe, **found}, wrong

    def _actual(self, layer: Layer) -> Layer:
        """``layer`` with the shape that it has, where that is needed."""
        return with_shape(self._problem, self._lines, layer) if self._neurons else layer

    def _ends(self, group: _Group, intervals: Intervals) -> _Ends:
        """All tensors that the tails of ``group`` read, at the distinct ends of ``intervals``."""
        count = len(intervals)
        path = np.concatenate([intervals.path, intervals.path])
        alpha = np.concatenate([intervals.lower, intervals.upper])
        points, place = np.unique(
            np.stack([path.astype(np.float64), alpha]), axis=1, return_inverse=True
        )
        place = place.reshape(-1)
        owner, at = points[0].astype(np.int64), points[1]
        tensors = self._lines.at(owner, at, group.given)
        if group.head is not None:
            parts: dict[str, list[Array]] = {}
            for _, _, found in group.head.run(
                len(at), lambda a, b: self._lines.at(owner[a:b], at[a:b])
            ):
                for name, value in found.items():
                    parts.setdefault(name, []).append(value)
            tensors |= {name: np.concatenate(values) for name, values in parts.items()}
            self._spent["head"] += len(at)
            evaluated("head", len(at))
        return _Ends(tensors, place[:count], place[count:])

    def _moved(self, member: _Member, ends: _Ends) -> tuple[IntArray, IntArray]:
        """``(interval, unit)`` of every chord that may differ from 0; ``interval`` ascends."""
        layer = member.layer
        kept = tuple(range(1, len(layer.shape))) if self._neurons else (layer.axis,)
        moved = ends.differ(layer.name, kept).reshape(len(ends), -1)
        interval, unit = np.nonzero(moved)
        if member.beside and member.tail.beside:
            beside = np.any([ends.differ(name, ()) for name in member.tail.beside], axis=0)
            places = np.nonzero(beside)[0]
            interval = np.concatenate([interval, places])
            unit = np.concatenate([unit, np.full(len(places), BESIDE)])
            order = np.argsort(interval, kind="stable")
            interval, unit = interval[order], unit[order]
        return interval.astype(np.int64), unit.astype(np.int64)

    def _chords(
        self, member: _Member, ends: _Ends, interval: IntArray, unit: IntArray
    ) -> FloatArray:
        """F after minus F before the middle, ``(pairs,)``; ``interval`` ascends."""
        values = np.zeros(len(interval), dtype=np.float64)
        sides = (1.0, -1.0) if self._problem.single else (1.0,)
        for side in sides:

            def feeds(a: int, b: int, side: float = side) -> dict[str, Array]:
                first, last = int(interval[a]), int(interval[b - 1]) + 1
                lower, upper = ends.lower[first:last], ends.upper[first:last]
                fed: dict[str, Array] = {
                    INTERVAL: interval[a:b] - first,
                    UNIT: unit[a:b],
                    SIDE: np.array(side, dtype=np.float32),
                }
                for name in member.moving:
                    fed[lower_input(name)] = ends.tensors[name][lower]
                    fed[upper_input(name)] = ends.tensors[name][upper]
                for name in member.tail.fixed:
                    fed[fixed_input(name)] = ends.tensors[name][lower]
                return fed

            for start, stop, found in member.chords.run(len(values), feeds):
                values[start:stop] += side * found[CHORD].reshape(stop - start)
        self._spent["tail"] += 2 * len(values)
        evaluated("tail", 2 * len(values))
        if not np.isfinite(values).all():
            bad = int(unit[int(np.argmin(np.isfinite(values)))])
            raise InvalidData(
                f"the score is not finite when unit {bad} of layer '{member.layer.name}' is moved "
                "along the path; leave the layer out, or choose another --baseline",
                subject=member.layer.name,
            )
        return values
