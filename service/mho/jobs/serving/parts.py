"""What one query is answered, from the state of a run that several queries shared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mho.errors import InvalidOption
from mho.evaluation import Layer, Line, PathGroup
from mho.integration import Integration
from mho.jobs.serving.query import Answer, CutSums, LayerScores, Tensor, TopUnit
from mho.jobs.serving.warm import WarmRun
from mho.method import Method
from mho.path_method import PathMethod
from mho.point_method import PointState
from mho.results import Result
from mho.runtime.problem import Judged
from mho.types import Array, FloatArray, IntArray

LARGEST = 4_000_000
"""Bytes of the arrays of an answer; with what is around them it stays within 4 MiB."""


@dataclass(frozen=True)
class _Rows:
    """An evaluator as a result sees it, cut down to some of its inputs."""

    layers: Sequence[Layer]
    groups: Sequence[PathGroup]
    inputs: int
    input_of_path: IntArray
    input_axes: Mapping[str, int]


def answer_of(run: WarmRun, state: Any, rows: slice, top: int) -> Answer:
    """The answer for the inputs ``rows`` of a run that has reached ``state``.

    top: as in ``Query``. InvalidOption where the arrays would be too large for one answer.
    """
    bound, count = run.bound, rows.stop - rows.start
    whole = bound.evaluator
    part = _Rows(
        layers=getattr(whole, "layers", ()),
        groups=getattr(whole, "groups", ()),
        inputs=count,
        input_of_path=np.arange(count),
        input_axes=getattr(whole, "input_axes", {}),
    )
    own = _part(state, rows)
    result: Result = run.method.result(own, part)
    judged = None
    if bound.judged is not None:
        judged = Judged(bound.judged.classes[rows], bound.judged.scores[rows])
    axes = {layer.name: layer.axis for layer in bound.layers}
    _check_size(result, top)
    return Answer(
        estimand=result.estimand,
        engine=bound.engine,
        why=bound.why if bound.engine else "",
        model_digest=run.kept.model.digest,
        layers=[
            _layer(name, values, result.maps.get(name), axes[name], top, run.method)
            for name, values in result.scores.items()
        ],
        targets=[] if judged is None else judged.classes.tolist(),
        values=[] if judged is None else judged.scores.tolist(),
        starts=_starts(run.method, own, part.groups, judged),
        completeness=[
            CutSums(c.layers, c.difference.tolist(), c.total.tolist(), c.gap.tolist())
            for c in result.completeness
        ],
        notes=[*bound.notes, *result.notes],
        seconds=0.0,
        inputs=count,
    )


def _part(state: Any, rows: slice) -> Any:
    """The state as if there were no other inputs; here every input has one path."""
    if isinstance(state, Integration):
        return replace(
            state,
            totals={name: values[rows] for name, values in state.totals.items()},
            difference=state.difference[:, rows],
            floor=state.floor[:, rows],
            total=state.total[:, rows],
            gap=state.gap[:, rows],
        )
    assert isinstance(state, PointState)
    count = rows.stop - rows.start
    scores = {name: values[rows] for name, values in state.scores.items()}
    maps = {name: values[rows] for name, values in state.maps.items()}
    return PointState(count, count, scores, maps)


def _starts(
    method: Method[Any, Any], state: Any, groups: Sequence[PathGroup], judged: Judged | None
) -> list[float]:
    """F(x') of each input, from what is known of F(x) - F(x'); [] where that is not known."""
    if judged is None or not isinstance(method, PathMethod):
        return []
    for index, group in enumerate(groups):
        whole = any(cut.complete for cut in group.cuts)
        # a line that runs at a layer starts at x' only where nothing passes beside the layer
        if whole or (group.cuts and method.line is not Line.OWN):
            found: FloatArray = judged.scores - state.difference[index]
            return [float(value) for value in found]
    return []


def _check_size(result: Result, top: int) -> None:
    if top:
        return
    arrays = [*result.scores.values(), *result.maps.values()]
    size = sum(4 * array.size for array in arrays)
    if size > LARGEST:
        raise InvalidOption(
            f"the scores take {size} bytes, and an answer holds {LARGEST}; ask for the top units "
            "only (top), for fewer layers or inputs, or submit a job",
            subject="top",
        )


def _layer(
    name: str,
    scores: FloatArray,
    map_: FloatArray | None,
    axis: int,
    top: int,
    method: Method[Any, Any],
) -> LayerScores:
    if not top:
        return LayerScores(name, _tensor(scores), None if map_ is None else _tensor(map_), ())
    chosen: tuple[int, ...] = ()
    if isinstance(method, PathMethod):
        chosen = method.chosen_units.get(name, ())
    if chosen:  # resolved to the input: the sum over its elements is the unit's own score
        scores = scores.reshape(*scores.shape[:2], -1).sum(axis=2)
    units = [_top(row, axis - 1 if row.ndim > 1 else 0, top, chosen) for row in scores]
    return LayerScores(name, None, None, units)


def _top(row: FloatArray, axis: int, top: int, chosen: tuple[int, ...]) -> list[TopUnit]:
    """The ``top`` units of one input by falling |score|; equals in their own order."""
    flat = row.reshape(-1)
    size = np.nan_to_num(np.abs(flat), nan=-1.0)
    count = min(top, len(flat))
    least = np.partition(size, len(size) - count)[len(size) - count]
    places = np.flatnonzero(size >= least)
    places = places[np.argsort(-size[places], kind="stable")][:count]
    units = []
    for place in places:
        where = [int(index) for index in np.unravel_index(place, row.shape)]
        unit = where.pop(axis)
        score = float(flat[place])
        units.append(TopUnit(chosen[unit] if chosen else unit, tuple(where), score))
    return units


def _tensor(values: Array) -> Tensor:
    little = np.ascontiguousarray(values, "<f4")
    return Tensor("float32", little.shape, little.tobytes())
