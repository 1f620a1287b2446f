"""Integrals along straight-line paths, refined until they are complete: the state that all path
methods share, and what moves it on.

A path is cut into intervals. F is known at their ends, so every interval has its own gap: what
flows through a cut of the graph, less the change of F. The gaps within each eighth of the path are
added up, and the absolute values of the eighths; the intervals with the largest gaps are split
until that is within the tolerance, for every cut. So gaps of opposite sign can't hide one another
from one eighth to the next, and scores are never rescaled to close a gap
(docs/decisions/0007-gradient-graph.md says why eighths).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from mho.evaluation import Intervals, PathEvaluator
from mho.types import BoolArray, FloatArray, IntArray

_FIRST_INTERVALS = 8
"""Intervals with which every path begins, and within which gaps may cancel."""
_NARROWEST = 2.0**-12
"""An interval of this width is not split any more; float32 has no room for finer steps."""
_FLOOR_SHARE = 0.1
_FLOOR_LEAST = 1e-6
_NOISE = 2.0**-13
"""A change of F by this share of F is a thousand times what float32 rounds away; below it a gap of
one percent would be rounding."""
_AIM = 0.9
"""Splitting aims a little below the tolerance, so that the last round is not missed by a hair."""
_MOST_PARTS = 8
"""Gaps fall about as the number of intervals rises, so an interval is split into as many parts as
the gap is times what is allowed; but into no more than this at once."""
_SHARE = 0.5
"""Of an eighth that is to become finer, those intervals are split that hold this share of its
absolute gaps."""


@dataclass(frozen=True)
class Pieces:
    """Intervals of the paths in hand, by path and place: arrays ``(intervals,)``; ``scores`` by
    layer ``(intervals, *units)``.

    f_lower, f_upper: F at both ends. gap: ``(intervals, cuts)``, signed: flow - (f_upper -
    f_lower).
    known: whether the interval has been evaluated.
    """

    path: IntArray
    lower: FloatArray
    upper: FloatArray
    f_lower: FloatArray
    f_upper: FloatArray
    gap: FloatArray
    known: BoolArray
    scores: Mapping[str, FloatArray]


@dataclass(frozen=True)
class Integration:
    """Where the integration is, and what it has found.

    group, first_path: what is being integrated. pieces: intervals of the paths in hand. settling:
    whether they are fine enough, and only their scores are still to be had.
    spent: kind of evaluation -> how many, by all processes that worked on it.
    totals: layer -> ``(inputs, *units)``, means over the finished paths of each input.
    difference, floor: ``(groups, paths)``, F at the end less F at the start, and what its size is
    not taken to be below.
    total, gap: ``(groups, paths, cuts)``, the flow and the relative gap of each cut.
    intervals, weights: ``(groups,)``, how many intervals were kept, and how much work a group is.
    """

    group: int
    first_path: int
    pieces: Pieces
    settling: bool
    spent: Mapping[str, IntArray]
    totals: Mapping[str, FloatArray]
    difference: FloatArray
    floor: FloatArray
    total: FloatArray
    gap: FloatArray
    intervals: IntArray
    weights: FloatArray

    @property
    def done(self) -> bool:
        return self.group == len(self.weights)


def begun(evaluator: PathEvaluator) -> Integration:
    """The state before anything has been evaluated."""
    groups, paths = evaluator.groups, len(evaluator.input_of_path)
    cuts = max((len(group.cuts) for group in groups), default=0)
    return Integration(
        group=0,
        first_path=0,
        pieces=_no_pieces(),
        settling=False,
        spent={},
        totals={},
        difference=np.zeros((len(groups), paths)),
        floor=np.zeros((len(groups), paths)),
        total=np.zeros((len(groups), paths, cuts)),
        gap=np.zeros((len(groups), paths, cuts)),
        intervals=np.zeros(len(groups), dtype=np.int64),
        weights=np.array([float(sum(layer.units for layer in g.layers)) for g in groups]),
    )


def advanced(state: Integration, evaluator: PathEvaluator, tolerance: float) -> Integration:
    """One step further: the next paths are taken up, a handful of intervals is evaluated, or those
    in hand are split, settled or added up. ``tolerance`` is relative, as ``gap`` is."""
    before = evaluator.spent
    moved = _moved(state, evaluator, tolerance)
    spent = dict(state.spent)
    for kind, count in evaluator.spent.items():
        spent[kind] = np.asarray(spent.get(kind, 0) + count - before.get(kind, 0))
    return replace(moved, spent=spent)


def fraction(state: Integration) -> tuple[float, float]:
    """Work done and in all, in unit-paths; the first never exceeds the second."""
    paths = state.difference.shape[1]
    total = float(state.weights.sum()) * paths
    done = float(state.weights[: state.group].sum()) * paths
    if not state.done:
        known = state.pieces.known
        hand = len(np.unique(state.pieces.path))
        share = float(known.mean()) if len(known) else 0.0
        done += float(state.weights[state.group]) * (state.first_path + hand * share)
    return done, total


def _moved(state: Integration, evaluator: PathEvaluator, tolerance: float) -> Integration:
    if not len(state.pieces.path):
        return replace(state, pieces=_first_pieces(state, evaluator))
    if state.settling:
        return _asked(state, evaluator)
    waiting = np.nonzero(~state.pieces.known)[0]
    if len(waiting):
        chosen = waiting[: evaluator.chunk(state.group)]
        return replace(state, pieces=_evaluated(state.pieces, chosen, state.group, evaluator))
    parts = _splits(state.pieces, tolerance)
    if (parts > 1).any():
        return replace(state, pieces=_split(state.pieces, parts))
    return _settled(state, evaluator)


def _first_pieces(state: Integration, evaluator: PathEvaluator) -> Pieces:
    """The first intervals of so many paths as fill a call or two of the evaluator."""
    paths = state.difference.shape[1]
    side_by_side = max(1, 2 * evaluator.chunk(state.group) // _FIRST_INTERVALS)
    taken = np.arange(state.first_path, min(paths, state.first_path + side_by_side))
    nodes = np.linspace(0.0, 1.0, _FIRST_INTERVALS + 1)
    count = len(taken) * _FIRST_INTERVALS
    return Pieces(
        path=np.repeat(taken, _FIRST_INTERVALS),
        lower=np.tile(nodes[:-1], len(taken)),
        upper=np.tile(nodes[1:], len(taken)),
        f_lower=np.zeros(count),
        f_upper=np.zeros(count),
        gap=np.zeros((count, len(evaluator.groups[state.group].cuts))),
        known=np.zeros(count, dtype=bool),
        scores={},
    )


def _evaluated(pieces: Pieces, chosen: IntArray, group: int, evaluator: PathEvaluator) -> Pieces:
    sums = evaluator.interval_sums(group, _intervals(pieces, chosen))
    gap, known = pieces.gap.copy(), pieces.known.copy()
    f_lower, f_upper = pieces.f_lower.copy(), pieces.f_upper.copy()
    f_lower[chosen], f_upper[chosen] = sums.f_lower, sums.f_upper
    gap[chosen] = sums.flow - (sums.f_upper - sums.f_lower)[:, None]
    known[chosen] = True
    scores = {}
    for name, values in sums.scores.items():
        held = pieces.scores.get(name)
        kept = np.zeros((len(pieces.path), *values.shape[1:])) if held is None else held.copy()
        kept[chosen] = values
        scores[name] = kept
    return replace(pieces, f_lower=f_lower, f_upper=f_upper, gap=gap, known=known, scores=scores)


def _splits(pieces: Pieces, tolerance: float) -> IntArray:
    """``(intervals,)``: into how many parts each interval is to be split, 1 for none.

    For every cut whose gap is beyond the tolerance on a path, the eighths with the largest gaps
    are made finer, so many that what is left is within it; of each those intervals are split that
    hold the largest gaps.
    """
    parts = np.ones(len(pieces.path), dtype=np.int64)
    wide = pieces.upper - pieces.lower > _NARROWEST
    for path in np.unique(pieces.path):
        here = np.nonzero(pieces.path == path)[0]
        difference, floor = _change(pieces, here)
        allowed = tolerance * max(abs(difference), floor)
        eighth = _eighths(pieces, here)
        # what is too narrow to be split, such as a jump, keeps its gap: no others are split for it
        sums_of_cuts = _sums_of_eighths(pieces, here[wide[here]]).T
        for own, sums in zip(pieces.gap[here].T, sums_of_cuts, strict=True):
            size = np.abs(sums)
            if size.sum() <= allowed:
                continue
            order = np.argsort(size, kind="stable")
            coarse = order[np.cumsum(size[order]) > _AIM * allowed]
            able = [np.nonzero((eighth == i) & wide[here])[0] for i in coarse]
            chosen = np.concatenate([_largest(here[some], own[some]) for some in able])
            parts[chosen] = np.maximum(parts[chosen], _power_of_two(size.sum() / allowed))
    return parts


def _power_of_two(ratio: float) -> int:
    """The power of two that is nearest to ``ratio``, within bounds; so that all nodes are exact."""
    return int(2 ** np.clip(np.round(np.log2(ratio)), 1, np.log2(_MOST_PARTS)))


def _largest(places: IntArray, gap: FloatArray) -> IntArray:
    """The fewest of ``places`` that hold a share of all absolute gaps."""
    if not len(places):
        return places
    order = np.argsort(-np.abs(gap), kind="stable")
    held = np.cumsum(np.abs(gap[order]))
    count = int(np.searchsorted(held, _SHARE * held[-1])) + 1
    return places[order[:count]]


def _eighths(pieces: Pieces, here: IntArray) -> IntArray:
    """``(here,)``: in which of the first intervals each lies; no interval crosses their ends."""
    middle = (pieces.lower[here] + pieces.upper[here]) / 2
    return np.asarray(middle * _FIRST_INTERVALS, dtype=np.int64)


def _sums_of_eighths(pieces: Pieces, here: IntArray) -> FloatArray:
    """``(eighths, cuts)``: the signed gaps within each eighth of one path, added up."""
    sums = np.zeros((_FIRST_INTERVALS, pieces.gap.shape[1]))
    np.add.at(sums, _eighths(pieces, here), pieces.gap[here])
    return sums


def _split(pieces: Pieces, parts: IntArray) -> Pieces:
    """Replace every interval by its parts, which are not evaluated yet where there are several."""
    source = np.repeat(np.arange(len(parts)), parts)
    place = np.concatenate([np.arange(count) for count in parts])
    whole = parts[source] == 1
    width = (pieces.upper - pieces.lower)[source] / parts[source]
    lower = pieces.lower[source] + place * width
    last = place == parts[source] - 1
    return Pieces(
        path=pieces.path[source],
        lower=lower,
        upper=np.where(last, pieces.upper[source], lower + width),
        f_lower=pieces.f_lower[source],
        f_upper=pieces.f_upper[source],
        gap=pieces.gap[source] * whole[:, None],
        known=whole,
        scores={name: values[source] for name, values in pieces.scores.items()},
    )


def _settled(state: Integration, evaluator: PathEvaluator) -> Integration:
    """Write down what is known of the paths in hand. Their scores are added up at once, or asked
    for in the next steps where they are ``deferred``."""
    pieces = state.pieces
    difference, floor = state.difference.copy(), state.floor.copy()
    total, gap = state.total.copy(), state.gap.copy()
    flow = pieces.gap + (pieces.f_upper - pieces.f_lower)[:, None]
    cuts = pieces.gap.shape[1]
    for path in np.unique(pieces.path):
        here = np.nonzero(pieces.path == path)[0]
        change, least = _change(pieces, here)
        difference[state.group, path], floor[state.group, path] = change, least
        total[state.group, path, :cuts] = flow[here].sum(axis=0)
        gap[state.group, path, :cuts] = np.abs(_sums_of_eighths(pieces, here)).sum(axis=0)
        gap[state.group, path] /= max(abs(change), least)
    kept = state.intervals.copy()
    kept[state.group] += len(pieces.path)
    written = replace(
        state, difference=difference, floor=floor, total=total, gap=gap, intervals=kept
    )
    if evaluator.deferred:
        return replace(written, settling=True)
    totals = dict(state.totals)
    for name, values in pieces.scores.items():
        totals[name] = _added(totals.get(name), values, pieces.path, evaluator)
    return _onward(replace(written, totals=totals))


def _asked(state: Integration, evaluator: PathEvaluator) -> Integration:
    """Ask for the scores of some settled intervals of the first path in hand, and drop them."""
    pieces = state.pieces
    path = pieces.path[:1]
    here = np.nonzero(pieces.path == path)[0][: evaluator.chunk(state.group)]
    sums = evaluator.integrals(state.group, _intervals(pieces, here))
    totals = dict(state.totals)
    for name, values in sums.items():
        totals[name] = _added(totals.get(name), values[None], path, evaluator)
    if len(here) == len(pieces.path):
        return _onward(replace(state, totals=totals))
    left = _kept(pieces, np.arange(len(here), len(pieces.path)))
    onward = state.first_path if left.path[0] == path[0] else int(left.path[0])
    return replace(state, totals=totals, pieces=left, first_path=onward)


def _onward(state: Integration) -> Integration:
    """The next paths, or the next group."""
    following = int(state.pieces.path.max()) + 1
    last = following == state.difference.shape[1]
    return replace(
        state,
        group=state.group + 1 if last else state.group,
        first_path=0 if last else following,
        pieces=_no_pieces(),
        settling=False,
    )


def _added(
    held: FloatArray | None, values: FloatArray, path: IntArray, evaluator: PathEvaluator
) -> FloatArray:
    """``held`` and, to the input that each path belongs to, its share of ``values``
    ``(intervals, *units)``."""
    inputs, input_of_path = evaluator.inputs, evaluator.input_of_path
    count = np.bincount(input_of_path, minlength=inputs)
    sums = np.zeros((inputs, *values.shape[1:])) if held is None else held.copy()
    owner = input_of_path[path]
    np.add.at(sums, owner, values / count[owner].reshape(-1, *[1] * (values.ndim - 1)))
    return sums


def _change(pieces: Pieces, here: IntArray) -> tuple[float, float]:
    """F at the end less F at the start of one path, and what its size is not taken to be below: a
    tenth of F's range on the path, and as much of F itself as float32 leaves uncertain."""
    values = np.concatenate([pieces.f_lower[here], pieces.f_upper[here]])
    spread = float(values.max() - values.min())
    difference = float(pieces.f_upper[here[-1]] - pieces.f_lower[here[0]])
    noise = _NOISE * float(np.abs(values).max())
    return difference, max(_FLOOR_SHARE * spread, noise, _FLOOR_LEAST)


def _kept(pieces: Pieces, rest: IntArray) -> Pieces:
    return Pieces(
        path=pieces.path[rest],
        lower=pieces.lower[rest],
        upper=pieces.upper[rest],
        f_lower=pieces.f_lower[rest],
        f_upper=pieces.f_upper[rest],
        gap=pieces.gap[rest],
        known=pieces.known[rest],
        scores={name: values[rest] for name, values in pieces.scores.items()},
    )


def _intervals(pieces: Pieces, chosen: IntArray) -> Intervals:
    return Intervals(pieces.path[chosen], pieces.lower[chosen], pieces.upper[chosen])


def _no_pieces() -> Pieces:
    none = np.zeros(0)
    return Pieces(
        none.astype(np.int64), none, none, none, none, np.zeros((0, 0)), none.astype(bool), {}
    )
