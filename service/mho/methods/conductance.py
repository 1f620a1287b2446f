"""Conductance (Dhamdhere, Sundararajan & Yan 2018, Eq. 3): the flow of attribution through each
unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from mho.evaluation import Intervals, PathEvaluator
from mho.method import Method, Progress
from mho.results import Completeness, Result
from mho.types import BoolArray, FloatArray, IntArray

_FIRST_INTERVALS = 8
_PATHS_A_STEP = 4
_NARROWEST = 2.0**-12
"""An interval of this width is not split any more; float32 has no room for finer steps."""
_FLOOR_SHARE = 0.1
_FLOOR_LEAST = 1e-6
_AIM = 0.9
"""Splitting aims a little below the tolerance, so that the last round is not missed by a hair."""


@dataclass(frozen=True)
class Pieces:
    """Intervals of the paths in hand: arrays ``(intervals,)``; ``scores`` by layer ``(intervals,
    *units)``.

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
class ConductanceState:
    """Where the integration is, and what it has found.

    measured: of how many paths F at the first nodes is known. group, first_path: what is being
    integrated. pieces: intervals of the paths in hand. spent: kind of evaluation -> how many, by
    all processes that worked on it.
    first: ``(paths, nodes)``, F at the nodes that every group begins with.
    difference, floor: ``(paths,)``, F(x) - F(x') and what its size is not taken to be below.
    totals: layer -> ``(inputs, *units)``, means over the finished paths of each input.
    total, gap: ``(groups, paths)``, the sum of the scores and the relative gap.
    intervals, weights: ``(groups,)``, how many intervals were kept, and how much work a group is.
    """

    measured: int
    group: int
    first_path: int
    pieces: Pieces
    spent: Mapping[str, IntArray]
    first: FloatArray
    totals: Mapping[str, FloatArray]
    difference: FloatArray
    floor: FloatArray
    total: FloatArray
    gap: FloatArray
    intervals: IntArray
    weights: FloatArray


@dataclass(frozen=True, kw_only=True)
class Conductance(Method[ConductanceState, PathEvaluator]):
    """Cond^y(x) = ∫ dF/dy (x(α)) · dy/dα dα along the straight line x(α) = x' + α (x - x').

    Scores are summed over a channel's positions (or kept per neuron). The path is cut into
    intervals, each with its own gap |flow - ΔF|; those with the largest gaps are halved until their
    sum, relative to max(|F(x) - F(x')|, a tenth of F's range on the path), is within ``tolerance``.
    Scores are never rescaled to close the gap. With a set of baselines, scores are the mean over
    it.
    """

    name: ClassVar[str] = "conductance"
    summary: ClassVar[str] = "flow of integrated gradients through each unit, per input"
    needs: ClassVar[type[Any]] = PathEvaluator
    uses: ClassVar[frozenset[str]] = frozenset(
        {"layers", "target", "output", "score", "granularity", "engine", "tolerance", "path_input"}
        | {"baseline"}
    )

    def state_class(self) -> type[ConductanceState]:
        return ConductanceState

    def init(self, evaluator: PathEvaluator) -> ConductanceState:
        paths, groups = len(evaluator.input_of_path), evaluator.groups
        return ConductanceState(
            measured=0,
            group=0,
            first_path=0,
            pieces=_no_pieces(),
            spent={},
            first=np.zeros((paths, _FIRST_INTERVALS + 1)),
            totals={},
            difference=np.zeros(paths),
            floor=np.zeros(paths),
            total=np.zeros((len(groups), paths)),
            gap=np.zeros((len(groups), paths)),
            intervals=np.zeros(len(groups), dtype=np.int64),
            weights=np.array([float(sum(layer.units for layer in g.layers)) for g in groups]),
        )

    def step(self, state: ConductanceState, evaluator: PathEvaluator) -> ConductanceState:
        """Evaluate F at a few paths' first nodes, or a handful of intervals; or settle the paths in
        hand and take up the next ones."""
        before = evaluator.spent
        moved = self._moved(state, evaluator)
        spent = {
            kind: np.asarray(state.spent.get(kind, 0) + count - before[kind])
            for kind, count in evaluator.spent.items()
        }
        return replace(moved, spent=spent)

    def _moved(self, state: ConductanceState, evaluator: PathEvaluator) -> ConductanceState:
        if state.measured < len(state.difference):
            return _measured(state, evaluator)
        if not len(state.pieces.path):
            return replace(state, pieces=_first_pieces(state, evaluator))
        waiting = np.nonzero(~state.pieces.known)[0]
        if len(waiting):
            chosen = waiting[: evaluator.chunk(state.group)]
            return replace(state, pieces=_evaluated(state.pieces, chosen, state.group, evaluator))
        split = self._to_split(state)
        if split.any():
            return replace(state, pieces=_halved(state.pieces, split, evaluator))
        return self._settled(state, evaluator)

    def done(self, state: ConductanceState) -> bool:
        return state.group == len(state.weights)

    def progress(self, state: ConductanceState) -> Progress:
        paths = len(state.difference)
        total = (1 + float(state.weights.sum())) * paths
        done = state.measured + float(state.weights[: state.group].sum()) * paths
        message = ""
        if state.measured < paths:
            message = f"path {state.measured + 1} of {paths}"
        elif not self.done(state):
            known = state.pieces.known
            hand = len(np.unique(state.pieces.path))
            share = float(known.mean()) if len(known) else 0.0
            done += float(state.weights[state.group]) * (state.first_path + hand * share)
            message = f"layer group {state.group + 1} of {len(state.weights)}"
        return Progress(done, total, "unit-paths", message)

    def result(self, state: ConductanceState, evaluator: PathEvaluator) -> Result:
        input_of_path = evaluator.input_of_path
        count = np.maximum(np.bincount(input_of_path, minlength=evaluator.inputs), 1)

        def per_input(values: FloatArray) -> FloatArray:
            return np.bincount(input_of_path, weights=values, minlength=evaluator.inputs) / count

        completeness, notes = [], []
        for index, group in enumerate(evaluator.groups):
            names = tuple(layer.name for layer in group.layers)
            reached = state.gap[index] <= self.tolerance
            if not group.cuts:
                notes.append(
                    f"nothing flows through {', '.join(names)}: the path does not move it, or the "
                    "target does not depend on it; its conductance is 0"
                )
                continue
            if not reached.all():
                notes.append(
                    f"{', '.join(names)}: the tolerance of {self.tolerance:g} was not reached on "
                    f"{int((~reached).sum())} of {len(reached)} paths; the largest gap is "
                    f"{float(state.gap[index].max()):.3g}, at intervals too narrow for float32"
                )
            complete = [cut for cut in group.cuts if cut.complete]
            completeness += [
                Completeness(
                    layers=cut.layers,
                    difference=per_input(state.difference),
                    total=per_input(state.total[index]),
                    floor=per_input(state.floor),
                    gap=per_input(state.gap[index]),
                )
                for cut in complete
            ]
        beside = [
            layer.name
            for group in evaluator.groups
            for layer in group.layers
            if group.cuts and not any(c.complete and layer.name in c.layers for c in group.cuts)
        ]
        if beside:
            notes.append(
                "completeness does not apply to these layers alone, because something passes "
                "beside them: " + ", ".join(beside)
            )
        return Result(
            estimand=f"conductance (Eq. 3) of the target's {self.score}, "
            + (
                "per neuron"
                if self.granularity == "neuron"
                else "summed over each channel's positions"
            ),
            scores=state.totals,
            completeness=completeness,
            evaluations={kind: int(count) for kind, count in state.spent.items()},
            report={
                "tolerance": self.tolerance,
                "intervals": {
                    ", ".join(layer.name for layer in group.layers): int(kept)
                    for group, kept in zip(evaluator.groups, state.intervals, strict=True)
                },
                "paths": len(input_of_path),
            },
            notes=notes,
        )

    def _to_split(self, state: ConductanceState) -> BoolArray:
        """Which intervals to halve: of each path beyond tolerance, those with the largest gaps, so
        many that what is left of the gaps is within the tolerance."""
        pieces = state.pieces
        worst = _worst_gap(pieces)
        split = np.zeros(len(worst), dtype=bool)
        for path in np.unique(pieces.path):
            here = np.nonzero(pieces.path == path)[0]
            allowed = self.tolerance * _scale(state, path)
            gaps = worst[here]
            if gaps.sum() <= allowed:
                continue
            order = np.argsort(gaps, kind="stable")
            harmless = np.cumsum(gaps[order]) <= _AIM * allowed
            chosen = here[order[~harmless]]
            wide = pieces.upper[chosen] - pieces.lower[chosen] > _NARROWEST
            split[chosen[wide]] = True
        return split

    def _settled(self, state: ConductanceState, evaluator: PathEvaluator) -> ConductanceState:
        """Add the paths in hand to the totals; go on to the next paths or the next group."""
        pieces = state.pieces
        total, gap = state.total.copy(), state.gap.copy()
        totals = dict(state.totals)
        inputs = evaluator.inputs
        count = np.bincount(evaluator.input_of_path, minlength=inputs)
        worst = _worst_gap(pieces)
        for path in np.unique(pieces.path):
            gap[state.group, path] = worst[pieces.path == path].sum() / _scale(state, path)
        for name, values in pieces.scores.items():
            sums = np.array(totals.get(name, np.zeros((inputs, *values.shape[1:]))))
            owner = evaluator.input_of_path[pieces.path]
            share = values / count[owner].reshape(-1, *[1] * (values.ndim - 1))
            np.add.at(sums, owner, share)
            totals[name] = sums
            np.add.at(total[state.group], pieces.path, values.reshape(len(values), -1).sum(axis=1))
        kept = state.intervals.copy()
        kept[state.group] += len(pieces.path)
        following = int(pieces.path.max()) + 1
        last = following == len(state.difference)
        return replace(
            state,
            group=state.group + 1 if last else state.group,
            first_path=0 if last else following,
            pieces=_no_pieces(),
            totals=totals,
            total=total,
            gap=gap,
            intervals=kept,
        )


def _worst_gap(pieces: Pieces) -> FloatArray:
    """``(intervals,)``: the largest |gap| among the cuts, 0 where there is none."""
    return np.asarray(np.abs(pieces.gap).max(axis=1, initial=0.0))


def _scale(state: ConductanceState, path: int) -> float:
    """What the gaps of a path are relative to."""
    return max(abs(float(state.difference[path])), float(state.floor[path]))


def _no_pieces() -> Pieces:
    none = np.zeros(0)
    return Pieces(
        none.astype(np.int64), none, none, none, none, np.zeros((0, 0)), none.astype(bool), {}
    )


def _measured(state: ConductanceState, evaluator: PathEvaluator) -> ConductanceState:
    """F at the first nodes of some more paths, and with it F(x) - F(x') and the floor under it."""
    paths = len(state.difference)
    taken = np.arange(state.measured, min(paths, state.measured + _PATHS_A_STEP))
    nodes = np.linspace(0.0, 1.0, _FIRST_INTERVALS + 1)
    values = evaluator.values(np.repeat(taken, len(nodes)), np.tile(nodes, len(taken)))
    first, difference, floor = state.first.copy(), state.difference.copy(), state.floor.copy()
    first[taken] = values.reshape(len(taken), len(nodes))
    difference[taken] = first[taken, -1] - first[taken, 0]
    spread = first[taken].max(axis=1) - first[taken].min(axis=1)
    floor[taken] = np.maximum(_FLOOR_SHARE * spread, _FLOOR_LEAST)
    return replace(
        state,
        measured=state.measured + len(taken),
        first=first,
        difference=difference,
        floor=floor,
    )


def _first_pieces(state: ConductanceState, evaluator: PathEvaluator) -> Pieces:
    """The first intervals of so many paths as fill a call or two of the evaluator."""
    paths = len(state.difference)
    side_by_side = max(1, 2 * evaluator.chunk(state.group) // _FIRST_INTERVALS)
    taken = np.arange(state.first_path, min(paths, state.first_path + side_by_side))
    nodes = np.linspace(0.0, 1.0, _FIRST_INTERVALS + 1)
    values = state.first[taken]
    count = len(taken) * _FIRST_INTERVALS
    return Pieces(
        path=np.repeat(taken, _FIRST_INTERVALS),
        lower=np.tile(nodes[:-1], len(taken)),
        upper=np.tile(nodes[1:], len(taken)),
        f_lower=values[:, :-1].reshape(-1),
        f_upper=values[:, 1:].reshape(-1),
        gap=np.zeros((count, len(evaluator.groups[state.group].cuts))),
        known=np.zeros(count, dtype=bool),
        scores={},
    )


def _evaluated(pieces: Pieces, chosen: IntArray, group: int, evaluator: PathEvaluator) -> Pieces:
    sums = evaluator.interval_sums(
        group, Intervals(pieces.path[chosen], pieces.lower[chosen], pieces.upper[chosen])
    )
    gap, known = pieces.gap.copy(), pieces.known.copy()
    change = pieces.f_upper[chosen] - pieces.f_lower[chosen]
    gap[chosen] = sums.flow - change[:, None]
    known[chosen] = True
    scores = {}
    for name, values in sums.scores.items():
        held = pieces.scores.get(name)
        kept = np.zeros((len(pieces.path), *values.shape[1:])) if held is None else held.copy()
        kept[chosen] = values
        scores[name] = kept
    return replace(pieces, gap=gap, known=known, scores=scores)


def _halved(pieces: Pieces, split: BoolArray, evaluator: PathEvaluator) -> Pieces:
    """Replace the chosen intervals by their halves, which are not evaluated yet."""
    kept, halves = ~split, np.nonzero(split)[0]
    middle = 0.5 * (pieces.lower[halves] + pieces.upper[halves])
    f_middle = evaluator.values(pieces.path[halves], middle)

    def joined(old: Any, first: Any, second: Any) -> Any:
        return np.concatenate([old[kept], first, second])

    def unknown(old: Any) -> Any:
        return np.concatenate([old[kept], np.zeros((2 * len(halves), *old.shape[1:]), old.dtype)])

    return Pieces(
        path=joined(pieces.path, pieces.path[halves], pieces.path[halves]),
        lower=joined(pieces.lower, pieces.lower[halves], middle),
        upper=joined(pieces.upper, middle, pieces.upper[halves]),
        f_lower=joined(pieces.f_lower, pieces.f_lower[halves], f_middle),
        f_upper=joined(pieces.f_upper, f_middle, pieces.f_upper[halves]),
        gap=unknown(pieces.gap),
        known=unknown(pieces.known),
        scores={name: unknown(values) for name, values in pieces.scores.items()},
    )
