"""Straight lines in the spaces of several layers, one layer after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from mho.evaluation import Cut, Intervals, IntervalSums, Layer, PathEvaluator, PathGroup
from mho.types import FloatArray, IntArray


class OwnLines:
    """A ``PathEvaluator``: each layer is a group, whose line runs at the layer itself.

    complete: layer name -> whether the layer alone cuts the whole graph, so that its scores add up
    to F(x) - F(x'). opened: makes the evaluator of one layer, when it is needed; the last is kept.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        complete: Mapping[str, bool],
        input_of_path: IntArray,
        inputs: int,
        opened: Callable[[Layer], PathEvaluator],
        *,
        deferred: bool,
    ) -> None:
        self._groups = tuple(
            PathGroup((layer,), (Cut((layer.name,), complete=complete[layer.name]),))
            for layer in layers
        )
        self._input_of_path = input_of_path
        self._inputs = inputs
        self._opener = opened
        self._deferred = deferred
        self._open: tuple[int, PathEvaluator] | None = None
        self._before: dict[str, int] = {}

    @property
    def groups(self) -> Sequence[PathGroup]:
        return self._groups

    @property
    def inputs(self) -> int:
        return self._inputs

    @property
    def input_of_path(self) -> IntArray:
        return self._input_of_path

    @property
    def deferred(self) -> bool:
        return self._deferred

    @property
    def spent(self) -> Mapping[str, int]:
        total = dict(self._before)
        if self._open is not None:
            for kind, count in self._open[1].spent.items():
                total[kind] = total.get(kind, 0) + count
        return total

    @property
    def input_axes(self) -> Mapping[str, int]:
        return {}

    def chunk(self, group: int) -> int:
        return self._opened(group).chunk(0)

    def interval_sums(self, group: int, intervals: Intervals) -> IntervalSums:
        found = self._opened(group).interval_sums(0, intervals)
        if found.flow.shape[1]:
            return found
        return replace(found, flow=np.zeros((len(intervals), 1)))  # nothing moves

    def integrals(self, group: int, intervals: Intervals) -> Mapping[str, FloatArray]:
        return self._opened(group).integrals(0, intervals)

    def _opened(self, group: int) -> PathEvaluator:
        if self._open is None or self._open[0] != group:
            self._before = dict(self.spent)
            self._open = (group, self._opener(self._groups[group].layers[0]))
        return self._open[1]
