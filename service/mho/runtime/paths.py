"""Straight-line paths by finite differences: works for every operator.

For each interval the head of the model gives the layer at both ends; the tail then runs central chords,
two rows per unit that moves (``graph/chords.py``). Units that are the same at both ends (a ReLU that stays
off) get exactly 0 without being run. What passes beside the layer is moved as one block, two more rows,
so that every interval has a flow to compare with the change of F.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mho.errors import Unsupported
from mho.evaluation import Cut, Intervals, IntervalSums, Layer, PathGroup
from mho.graph.chords import (
    BESIDE,
    CHORD,
    INTERVAL,
    UNIT,
    chords,
    fixed_input,
    lower_input,
    upper_input,
)
from mho.graph.cut import Tail, cut, cuts_among, depends, separates, tail
from mho.graph.linear import reader
from mho.graph.model import Model
from mho.graph.target import TARGET, TARGET_SCORE
from mho.runtime.batches import Batches
from mho.runtime.problem import Problem
from mho.types import Array, FloatArray, IntArray


_BATCHES_A_STEP = 4


@dataclass(frozen=True)
class Paths:
    """Straight lines in the space of the path input.

    model: from the path input (and whatever else it reads) to ``mho/F``.
    start: tensor name -> ``(starts, ...)``; end: tensor name -> ``(inputs, ...)``.
    fixed: graph input -> ``(inputs, ...)``, what else the model reads, the target included.
    start_of_path, input_of_path: ``(paths,)``, from which start to which input a path runs.
    """

    model: Model
    start: Mapping[str, Array]
    end: Mapping[str, Array]
    fixed: Mapping[str, Array]
    start_of_path: IntArray
    input_of_path: IntArray

    def at(self, path: IntArray, alpha: FloatArray) -> dict[str, Array]:
        """Feeds of the points x' + alpha (x - x'), rows ``(points,)``."""
        owner = self.input_of_path[path]
        feeds: dict[str, Array] = {name: array[owner] for name, array in self.fixed.items()}
        for name, ends in self.end.items():
            start, end = self.start[name][self.start_of_path[path]], ends[owner]
            scale = alpha.astype(end.dtype).reshape(-1, *[1] * (end.ndim - 1))
            # exact at both ends, so that F(x) and F(x') are the model's own
            feeds[name] = (1 - scale) * start + scale * end
        return feeds


@dataclass(frozen=True)
class _Member:
    """One layer of a group, with what runs its head and its chords. ``layer.shape`` is the actual one.

    moving: the tensors whose values at both ends the chords need.
    beside: whether what passes beside the layer is moved too, as one block, to know the whole flow.
    """

    layer: Layer
    tail: Tail
    moving: tuple[str, ...]
    head: Batches
    chords: Batches
    beside: bool


class FiniteDifferencePaths:
    """A ``PathEvaluator``. Layers that together cut the graph, such as parallel branches, form a group
    and share their nodes; a layer that belongs to no cut is a group alone."""

    def __init__(self, problem: Problem, paths: Paths, *, neurons: bool) -> None:
        self._problem = problem
        self._paths = paths
        self._neurons = neurons
        self._spent = {"forward": 0, "head": 0, "tail": 0}
        self._whole = problem.batches(paths.model)[1]
        self._moving = tuple(paths.end)
        self._groups = self._grouped()
        self._open: tuple[int, tuple[_Member, ...]] | None = None

    def _grouped(self) -> tuple[PathGroup, ...]:
        """Every layer in one group; layers through which nothing flows have no cut."""
        model, layers = self._paths.model, {layer.name: layer for layer in self._problem.layers}
        found: dict[str, PathGroup] = {}
        for name, layer in layers.items():
            flows = depends(model, self._moving, name) and depends(model, [name], TARGET_SCORE)
            if not flows:
                found[name] = PathGroup((layer,), ())
        active = [name for name in layers if name not in found]
        for names in cuts_among(model, self._moving, active, TARGET_SCORE):
            if not any(name in found for name in names):
                group = PathGroup(tuple(layers[n] for n in names), (Cut(names, complete=True),))
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
        return self._paths.input_of_path

    @property
    def spent(self) -> Mapping[str, int]:
        return dict(self._spent)

    def chunk(self, group: int) -> int:
        """So many intervals that their chords fill a few batches, if all units move."""
        members = self._opened(group)
        pairs = sum(int(np.prod(self._unit_shape(member.layer))) for member in members)
        return max(1, _BATCHES_A_STEP * min((m.chords.rows for m in members), default=1) // max(1, pairs))

    def values(self, path: IntArray, alpha: FloatArray) -> FloatArray:
        result = np.empty(len(path), dtype=np.float64)
        batches = self._whole.run(len(path), lambda a, b: self._paths.at(path[a:b], alpha[a:b]))
        for start, stop, found in batches:
            result[start:stop] = found[TARGET_SCORE]
        self._spent["forward"] += len(path)
        return result

    def interval_sums(self, group: int, intervals: Intervals) -> IntervalSums:
        scores: dict[str, FloatArray] = {}
        flow = np.zeros((len(intervals), len(self._groups[group].cuts)))
        for member in self._opened(group):
            units, beside = self._member_sums(member, intervals)
            scores[member.layer.name] = units
            flow += (units.reshape(len(units), -1).sum(axis=1) + beside)[:, None]
        if not flow.shape[1]:
            scores = {
                layer.name: np.zeros((len(intervals), *self._unit_shape(layer)))
                for layer in self._groups[group].layers
            }
        return IntervalSums(scores, flow)

    def _member_sums(
        self, member: _Member, intervals: Intervals
    ) -> tuple[FloatArray, FloatArray]:
        """The units' integrals ``(intervals, *units)`` and that of what passes beside ``(intervals,)``."""
        ends, place_lower, place_upper = _ends(intervals)
        tensors = self._heads(member, ends)
        lower = {name: value[place_lower] for name, value in tensors.items()}
        upper = {name: value[place_upper] for name, value in tensors.items()}
        interval, unit = self._rows(member, lower, upper)
        values = self._chords(member, lower, upper, interval, unit)
        shape = self._unit_shape(member.layer)
        flat = np.zeros((len(intervals), int(np.prod(shape))), dtype=np.float64)
        ours = unit != BESIDE
        flat[interval[ours], unit[ours]] = values[ours]
        beside = np.zeros(len(intervals))
        np.add.at(beside, interval[~ours], values[~ours])
        return flat.reshape(-1, *shape), beside

    def _unit_shape(self, layer: Layer) -> tuple[int, ...]:
        if not self._neurons:
            return (layer.units,)
        return tuple(d for d in layer.shape[1:] if isinstance(d, int))

    def _opened(self, index: int) -> tuple[_Member, ...]:
        """The sessions of one group; we hold those of the last group, the cache keeps more."""
        if self._open is None or self._open[0] != index:
            group = self._groups[index]
            alone = not any(cut.complete for cut in group.cuts)
            members = tuple(self._member(layer, beside=alone) for layer in group.layers if group.cuts)
            self._open = (index, members)
        return self._open[1]

    def _member(self, layer: Layer, *, beside: bool) -> _Member:
        model = self._paths.model
        linear = None if self._neurons else reader(model, layer)
        found = tail(model, layer.name if linear is None else linear.output, TARGET_SCORE, self._moving)
        if found is None:
            raise Unsupported(f"the target does not depend on layer '{layer.name}'")
        moving = tuple(dict.fromkeys((layer.name, found.layer, *found.beside)))
        reads = [name for name in (*moving, *found.fixed) if name != TARGET]
        head = self._problem.batches(cut(model, [*self._moving], reads))[1]
        point = self._paths.at(np.zeros(1, np.int64), np.ones(1))
        _, _, probe = next(head.run(1, lambda a, b: {k: v[a:b] for k, v in point.items()}))
        actual = replace(layer, shape=("N", *probe[layer.name].shape[1:]))
        graph = chords(found, actual, linear, neurons=self._neurons)
        return _Member(actual, found, moving, head, self._problem.batches(graph)[1], beside)

    def _heads(self, member: _Member, ends: Intervals) -> dict[str, Array]:
        """All tensors that the tail reads, at the points ``(path, lower)`` of ``ends``."""
        parts: dict[str, list[Array]] = {}
        batches = member.head.run(
            len(ends), lambda a, b: self._paths.at(ends.path[a:b], ends.lower[a:b])
        )
        for _, _, found in batches:
            for name, value in found.items():
                parts.setdefault(name, []).append(value)
        self._spent["head"] += len(ends)
        tensors = {name: np.concatenate(values) for name, values in parts.items()}
        if TARGET in member.tail.fixed:
            tensors[TARGET] = self._paths.fixed[TARGET][self._paths.input_of_path[ends.path]]
        return tensors

    def _rows(
        self, member: _Member, lower: Mapping[str, Array], upper: Mapping[str, Array]
    ) -> tuple[IntArray, IntArray]:
        """``(interval, unit)`` of every chord that may differ from 0."""
        name, axis = member.layer.name, member.layer.axis
        moved = lower[name] != upper[name]
        if self._neurons:
            moved = moved.reshape(len(moved), -1)
        else:
            others = tuple(i for i in range(1, moved.ndim) if i != axis)
            moved = moved.any(axis=others)
        interval, unit = np.nonzero(moved)
        if member.beside and member.tail.beside:
            beside = np.zeros(len(moved), dtype=bool)
            for tensor in member.tail.beside:
                differs = lower[tensor] != upper[tensor]
                beside |= differs.reshape(len(differs), -1).any(axis=1)
            places = np.nonzero(beside)[0]
            interval = np.concatenate([interval, places])
            unit = np.concatenate([unit, np.full(len(places), BESIDE)])
            order = np.argsort(interval, kind="stable")
            interval, unit = interval[order], unit[order]
        return interval.astype(np.int64), unit.astype(np.int64)

    def _chords(
        self,
        member: _Member,
        lower: Mapping[str, Array],
        upper: Mapping[str, Array],
        interval: IntArray,
        unit: IntArray,
    ) -> FloatArray:
        """F after minus F before the middle, ``(pairs,)``; ``interval`` ascends."""
        values = np.empty(len(interval), dtype=np.float64)

        def feeds(a: int, b: int) -> dict[str, Array]:
            first, last = int(interval[a]), int(interval[b - 1]) + 1
            fed: dict[str, Array] = {INTERVAL: interval[a:b] - first, UNIT: unit[a:b]}
            for name in member.moving:
                fed[lower_input(name)] = lower[name][first:last]
                fed[upper_input(name)] = upper[name][first:last]
            for name in member.tail.fixed:
                fed[fixed_input(name)] = lower[name][first:last]
            return fed

        for start, stop, found in member.chords.run(len(values), feeds):
            values[start:stop] = found[CHORD]
        self._spent["tail"] += 2 * len(values)
        return values


def _ends(intervals: Intervals) -> tuple[Intervals, IntArray, IntArray]:
    """The distinct end points of ``intervals`` and where each lower and upper end is among them."""
    path = np.concatenate([intervals.path, intervals.path])
    alpha = np.concatenate([intervals.lower, intervals.upper])
    points, place = np.unique(np.stack([path.astype(np.float64), alpha]), axis=1, return_inverse=True)
    place = place.reshape(-1)
    distinct = Intervals(points[0].astype(np.int64), points[1], points[1])
    return distinct, place[: len(intervals)], place[len(intervals) :]
