"""Straight lines from baseline to input: the points on them, and F there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace

import numpy as np

from mho.errors import InvalidData
from mho.evaluation import Layer
from mho.graph.cut import between, cut
from mho.graph.model import Model
from mho.graph.target import TARGET_SCORE
from mho.runtime.problem import Problem
from mho.types import Array, FloatArray, IntArray


@dataclass(frozen=True)
class Lines:
    """Straight lines in the space of the path input.

    model: from the path input (and whatever else it reads) to ``mho/F``.
    start: tensor name -> ``(starts, ...)``; end: tensor name -> ``(inputs, ...)``.
    fixed: graph input -> ``(inputs, ...)``, what else the model reads, the target included.
    start_of_path, input_of_path: ``(paths,)``, from which start to which input a path runs.
    axes: tensor of the path -> its unit axis, for those that have positions besides.
    """

    model: Model
    start: Mapping[str, Array]
    end: Mapping[str, Array]
    fixed: Mapping[str, Array]
    start_of_path: IntArray
    input_of_path: IntArray
    axes: Mapping[str, int] = field(default_factory=dict)

    def at(
        self, path: IntArray, alpha: FloatArray, names: Collection[str] | None = None
    ) -> dict[str, Array]:
        """Feeds of the points x' + alpha (x - x'), rows ``(points,)``; all, or those of
        ``names``."""
        owner = self.input_of_path[path]
        wanted = (*self.fixed, *self.end) if names is None else names
        feeds = {name: array[owner] for name, array in self.fixed.items() if name in wanted}
        for name, ends in self.end.items():
            if name not in wanted:
                continue
            start, end = self.start[name][self.start_of_path[path]], ends[owner]
            wide = np.promote_types(end.dtype, np.float32)  # float16 has no room for fine steps
            scale = alpha.astype(wide).reshape(-1, *[1] * (end.ndim - 1))
            # exact at both ends, so that F(x) and F(x') are the model's own
            feeds[name] = ((1 - scale) * start + scale * end).astype(end.dtype, copy=False)
        return feeds


def flowing(lines: Lines, names: Iterable[str]) -> list[str]:
    """Those tensors of ``names`` that the path moves and on which F depends."""
    moved = between(lines.model, tuple(lines.end), TARGET_SCORE)
    return [name for name in names if name in moved]


def probed(
    problem: Problem, lines: Lines, model: Model, names: Sequence[str]
) -> tuple[dict[str, Array], set[str]]:
    """The outputs ``names`` of ``model``, a head of the lines' own, at one end of a path; and those
    of them that have not a row for every point."""
    ends = np.array([0.0, 1.0])
    session = problem.sessions.get(model)
    found = session.run(lines.at(np.zeros(1, np.int64), ends[1:]))
    wrong = {name for name in names if np.ndim(found[name]) == 0 or len(found[name]) != 1}
    if not problem.single:
        pair = session.run(lines.at(np.zeros(2, np.int64), ends))
        wrong |= {name for name in names if np.ndim(pair[name]) == 0 or len(pair[name]) != 2}
    return found, wrong


def with_shape(problem: Problem, lines: Lines, layer: Layer) -> Layer:
    """``layer`` with the shape that it has, found by running where it is not known."""
    if all(isinstance(dim, int) for dim in layer.shape[1:]):
        return layer
    if layer.name in lines.end:
        return replace(layer, shape=("N", *lines.end[layer.name].shape[1:]))
    model = cut(lines.model, tuple(lines.end), [layer.name])
    found, _ = probed(problem, lines, model, [layer.name])
    return replace(layer, shape=("N", *found[layer.name].shape[1:]))


class Scores:
    """F at points of the lines."""

    def __init__(self, problem: Problem, lines: Lines) -> None:
        self._problem = problem
        self._lines = lines
        self._batches = problem.batches(lines.model)

    def on(self, problem: Problem, lines: Lines) -> Scores:
        """The same for other inputs, with the sessions that are there."""
        other = copy(self)
        other._problem, other._lines = problem, lines
        return other

    def at(self, path: IntArray, alpha: FloatArray) -> FloatArray:
        """F ``(points,)``. InvalidData where it is not finite."""
        result = np.empty(len(path), dtype=np.float64)
        batches = self._batches.run(len(path), lambda a, b: self._lines.at(path[a:b], alpha[a:b]))
        for start, stop, found in batches:
            result[start:stop] = found[TARGET_SCORE].reshape(stop - start)
        check_scores(result, path, alpha, self._lines, self._problem)
        return result


def check_scores(
    values: FloatArray, path: IntArray, alpha: FloatArray, lines: Lines, problem: Problem
) -> None:
    """InvalidData where F is not finite at one of the points."""
    bad = ~np.isfinite(values)
    if bad.any():
        where = int(np.argmax(bad))
        name = problem.data.names[lines.input_of_path[path[where]]]
        raise InvalidData(
            f"the score is {values[where]} on the path to input '{name}', at {alpha[where]:g} "
            "of the way from the baseline; choose another --baseline or --path-input",
            subject="baseline",
        )
