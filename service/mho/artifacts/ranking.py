"""Scores -> which units stand out. Used by the summary and by every picture.

A layer's scores are brought to one figure per unit: where they are given per input, the mean over
the inputs; where a unit is resolved to the input, the sum over the input's elements first. Units
are ranked by *magnitude*: ``|score|``, or its mean over the inputs, so that a unit that speaks for
one input and against another is not lost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mho.artifacts.context import Context
from mho.players import GROUPS
from mho.results import Result
from mho.types import FloatArray, IntArray

_AT_ONCE = 1 << 22
"""Scores of which a copy is made."""


@dataclass(frozen=True)
class LayerScores:
    """One layer's scores, one figure per unit (per neuron, flattened, at neuron granularity).

    mean, magnitude: ``(units,)``. std_error: ``(units,)`` or None. per_input: ``(inputs, units)``,
    or None where the scores are of the whole data set. shape: of the layer without batch at neuron
    granularity, else ``(units,)``. axis: the unit axis in ``shape``. labels: names of the units, or
    empty. chosen: which units of the layer these are, where they are not all.
    """

    layer: str
    mean: FloatArray
    magnitude: FloatArray
    std_error: FloatArray | None
    per_input: FloatArray | None
    shape: tuple[int, ...]
    axis: int
    labels: Sequence[str]
    chosen: tuple[int, ...] = ()

    def ranked(self) -> IntArray:
        """Units by falling magnitude; equals in their own order, what is not a number last."""
        return np.argsort(-np.nan_to_num(self.magnitude, nan=-1.0), kind="stable").astype(np.int64)

    def place(self, index: int) -> tuple[int, tuple[int, ...]]:
        """Flat index -> unit and, at neuron granularity, its position in the other dimensions."""
        where = [int(i) for i in np.unravel_index(index, self.shape)]
        unit = where.pop(self.axis)
        return self.chosen[unit] if self.chosen else unit, tuple(where)

    def label(self, index: int) -> str:
        """``#12``, ``#12 (3, 4)`` for a neuron, or the unit's own name."""
        if index < len(self.labels):
            return self.labels[index]
        unit, position = self.place(index)
        return f"#{unit}" + (f" ({', '.join(map(str, position))})" if position else "")


@dataclass(frozen=True)
class Unit:
    """One unit among all: where it is, and its figures."""

    scores: LayerScores
    index: int

    @property
    def score(self) -> float:
        return float(self.scores.mean[self.index])

    @property
    def std_error(self) -> float | None:
        error = self.scores.std_error
        return None if error is None else float(error[self.index])


def by_layer(result: Result, context: Context) -> list[LayerScores]:
    """The scores of every layer, in the order of the graph; layers without units are left out."""
    order = {name: place for place, name in enumerate(context.layers)}
    names = sorted(result.scores, key=lambda name: order.get(name, len(order)))
    found = [_layer(name, result, context) for name in names]
    return [entry for entry in found if entry.mean.size]


def resolved_units(layer: str, result: Result) -> tuple[int, ...]:
    """The units of ``layer`` that ``result`` resolves to the input, in the order of its arrays:
    ``report["resolved"]`` has them. Empty where there are none."""
    resolved = result.report.get("resolved")
    rows = resolved.get(layer) if isinstance(resolved, Mapping) else None
    if not isinstance(rows, (list, tuple)):
        return ()
    return tuple(int(row["unit"]) for row in rows)


def highest(layers: Sequence[LayerScores], count: int) -> list[Unit]:
    """The ``count`` units of largest score among all layers, largest first."""
    return _first(layers, count, lambda entry: entry.mean)


def lowest(layers: Sequence[LayerScores], count: int) -> list[Unit]:
    """The ``count`` units of smallest score among all layers, smallest first."""
    return _first(layers, count, lambda entry: -entry.mean)


def strongest(layers: Sequence[LayerScores], count: int) -> list[Unit]:
    """The ``count`` units of largest magnitude among all layers, largest first."""
    return _first(layers, count, lambda entry: entry.magnitude)


def _first(
    layers: Sequence[LayerScores], count: int, key: Callable[[LayerScores], FloatArray]
) -> list[Unit]:
    """By falling ``key``; equals in the order of the graph, what is not a number left out."""
    found: list[tuple[float, int, int]] = []
    for place, entry in enumerate(layers):
        values = np.nan_to_num(key(entry), nan=-np.inf, posinf=-np.inf, neginf=-np.inf)
        best = np.argsort(-values, kind="stable")[:count]
        found += [(-float(values[i]), place, int(i)) for i in best if np.isfinite(values[i])]
    return [Unit(layers[place], index) for _, place, index in sorted(found)[:count]]


def _layer(name: str, result: Result, context: Context) -> LayerScores:
    values = np.asarray(result.scores[name], np.float64)
    error = result.std_error.get(name)
    layer = context.layers.get(name)
    labels = _group_names(name, result.report)
    if values.ndim < 2:
        flat = values.reshape(-1)
        return LayerScores(
            layer=name,
            mean=flat,
            magnitude=np.abs(flat),
            std_error=None if error is None else np.asarray(error, np.float64).reshape(-1),
            per_input=None,
            shape=flat.shape,
            axis=0,
            labels=labels,
        )
    chosen = resolved_units(name, result)
    if chosen and values.shape[1] == len(chosen):
        with np.errstate(invalid="ignore", over="ignore"):
            values = values.sum(axis=tuple(range(2, values.ndim)))
    else:
        chosen = ()
    per_input = values.reshape(len(values), math.prod(values.shape[1:]))
    mean, magnitude = _means(per_input)
    return LayerScores(
        layer=name,
        mean=mean,
        magnitude=magnitude,
        std_error=None,
        per_input=per_input,
        shape=values.shape[1:],
        axis=0 if layer is None or values.ndim < 3 else min(layer.axis - 1, values.ndim - 2),
        labels=labels,
        chosen=chosen,
    )


def _means(per_input: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The means of the scores and of ``|score|`` over the inputs, without a copy of them all."""
    inputs, units = per_input.shape
    if not inputs:
        return np.full(units, np.nan), np.full(units, np.nan)
    rows = max(1, _AT_ONCE // max(1, units))
    total = np.zeros(units)
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite stays so
        for start in range(0, inputs, rows):
            total += np.abs(per_input[start : start + rows]).sum(axis=0)
        return per_input.mean(axis=0), total / inputs


def _group_names(name: str, report: Mapping[str, object]) -> Sequence[str]:
    names = report.get(GROUPS)
    return [str(entry) for entry in names] if name == GROUPS and isinstance(names, list) else ()
