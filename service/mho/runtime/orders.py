"""Orders in which to remove players that cost next to nothing: by activation, weights, gradients.

What a ranking found by many evaluations is worth shows beside these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mho.errors import InvalidOption
from mho.evaluation import Integrand, Intervals, PathEvaluator, Player, Quantity
from mho.graph.flow import named_values
from mho.graph.reduce import activation_output, activations
from mho.graph.target import TARGET_SCORE, targeted
from mho.graph.weight_norms import weight_norms
from mho.runtime.cost import Preparation
from mho.runtime.engine import GRADIENT, choose
from mho.runtime.finite_differences import FiniteDifferencePaths
from mho.runtime.gradient_paths import GradientPaths
from mho.runtime.lines import Lines
from mho.runtime.points import GraphPoints
from mho.runtime.problem import Problem
from mho.runtime.straight import straight_lines
from mho.sampling.draws import stream
from mho.types import FloatArray, IntArray

_ORDERS = 0x6F7264657273
"""Tells the draw of inputs for an order from others that the seed makes."""
_PATHS, _INTERVALS = 32, 8
"""Inputs and intervals of each path for conductance. Ranks need no more: with eight intervals the
gap to completeness is a few percent."""
_CHORD_PATHS, _CHORD_INTERVALS = 8, 4
"""The same by finite differences, which cost two evaluations for every unit and interval."""


@dataclass(frozen=True)
class Basis:
    """What orders are made from. over: the inputs on which V depends. judged: ``(inputs,)``, the
    class that each input is judged by, whose score is F."""

    problem: Problem
    over: IntArray
    judged: IntArray
    seed: int
    say: Callable[[str], None]


Scores = Mapping[str, FloatArray]
"""Layer -> ``(units,)``."""


def rankings(
    names: Sequence[str], basis: Basis, players: Sequence[Player]
) -> tuple[dict[str, FloatArray], tuple[str, ...]]:
    """Order -> ``(players,)``, highest removed first, and notes on how it was had.

    - ``activation``: mean of |y| over inputs and positions.
    - ``weight_norm``: Euclidean norm of the weights that make a unit (``weight_norms``).
    - ``conductance``: mean over inputs of the unit's conductance (Dhamdhere, Sundararajan & Yan
      2018, Eq. 3) for the score of the class that the input is judged by, on few intervals.
    - ``gradient_x_activation``: mean over inputs of dF/dy · y, summed over positions.

    A player of several units has the sum of theirs; of weight norms the root of the sum of their
    squares. InvalidOption where a model does not give an order, TooExpensive where conductance is
    going to take longer than the settings allow.
    """
    found: dict[str, FloatArray] = {}
    notes: list[str] = []
    for name in dict.fromkeys(names):
        basis.say(f"ranking units by {name.replace('_', ' ')}")
        scores, note = BY_NAME[name](basis)
        norm = name == "weight_norm"
        found[name] = np.array([_together(scores, player, norm=norm) for player in players])
        if note:
            notes.append(f"order {name}: {note}")
    return found, tuple(notes)


def _together(scores: Scores, player: Player, *, norm: bool) -> float:
    each = np.concatenate([scores[name][list(units)] for name, units in player.members.items()])
    return float(np.sqrt((each**2).sum()) if norm else each.sum())


def _activation(basis: Basis) -> tuple[Scores, str]:
    problem = basis.problem
    graph = activations(problem.model, problem.layers, "mean", magnitude=True)
    rows = {name: array[basis.over] for name, array in problem.data.inputs.items()}
    found = problem.outputs(graph, rows)
    return {
        layer.name: found[activation_output(layer.name)].mean(axis=0, dtype=np.float64)
        for layer in problem.layers
    }, ""


def _weight_norm(basis: Basis) -> tuple[Scores, str]:
    model = basis.problem.model
    return {layer.name: weight_norms(model, layer) for layer in basis.problem.layers}, ""


def _gradient_x_activation(basis: Basis) -> tuple[Scores, str]:
    problem = basis.problem
    names = [layer.name for layer in problem.layers]
    engine = choose("auto", targeted(problem.model), TARGET_SCORE, names, single=False)
    if engine.name != GRADIENT:
        raise InvalidOption(
            f"order 'gradient_x_activation' needs the gradient at every layer: {engine.why}; leave "
            "it out of --orders, or choose other --layers",
            subject="orders",
        )
    points = GraphPoints(problem, Quantity.GRADIENT_X_ACTIVATION, "sum", basis.judged)
    sums = {layer.name: np.zeros(layer.units) for layer in problem.layers}
    for start in range(0, len(basis.over), points.chunk):
        found = points.read(basis.over[start : start + points.chunk])
        for name, values in found.scores.items():
            sums[name] += values.sum(axis=0)
    note = f"one gradient for each of {len(basis.over)} inputs"
    return {name: values / len(basis.over) for name, values in sums.items()}, note


def _conductance(basis: Basis) -> tuple[Scores, str]:
    problem = basis.problem
    lines, _ = straight_lines(problem, basis.judged)
    _check_between(lines, problem)
    by_gradient = GradientPaths(problem, lines, Integrand.CONDUCTANCE, neurons=False)
    engine = choose("auto", lines.model, TARGET_SCORE, by_gradient.tensors, single=problem.single)
    evaluator: PathEvaluator = by_gradient
    paths, pieces = _PATHS, _INTERVALS
    if engine.name != GRADIENT:
        evaluator = FiniteDifferencePaths(problem, lines, neurons=False)
        paths, pieces = _CHORD_PATHS, _CHORD_INTERVALS
    chosen = basis.over
    if len(chosen) > paths:
        chosen = np.sort(stream(basis.seed, _ORDERS).permutation(chosen)[:paths])
    ends = np.linspace(0.0, 1.0, pieces + 1)
    intervals = Intervals(
        np.repeat(chosen, pieces), np.tile(ends[:-1], len(chosen)), np.tile(ends[1:], len(chosen))
    )
    sums = {layer.name: np.zeros(layer.units) for layer in problem.layers}
    work = Preparation(
        "ranking units by conductance",
        basis.say,
        problem.settings.cost_limit_seconds,
        remedy="leave conductance out of --orders",
        option="orders",
    )
    # by finite differences a unit costs as much as any other, by gradients one group costs it all
    weights = [
        sum(layer.units for layer in group.layers) if group.cuts else 0
        for group in evaluator.groups
    ]
    for group in range(len(evaluator.groups)):
        before = sum(weights[:group]) * len(intervals)
        step = evaluator.chunk(group)
        for start in range(0, len(intervals), step):
            done = before + weights[group] * start
            work.reached(done, sum(weights) * len(intervals), "pieces")
            part = slice(start, start + step)
            piece = Intervals(intervals.path[part], intervals.lower[part], intervals.upper[part])
            for name, scores in evaluator.interval_sums(group, piece).scores.items():
                sums[name] += scores.sum(axis=0) / len(chosen)
    note = f"over {len(chosen)} of {len(problem.data)} inputs, {pieces} intervals of each path"
    return sums, f"{note}, by {engine.name.replace('_', ' ')}"


def _check_between(lines: Lines, problem: Problem) -> None:
    present = named_values(lines.model.graph)
    for layer in problem.layers:
        if layer.name not in present:
            raise InvalidOption(
                f"order 'conductance' has no path through layer '{layer.name}', which lies before "
                f"{', '.join(lines.end)}; leave it out of --orders, or choose other --layers",
                subject="orders",
            )


BY_NAME: Mapping[str, Callable[[Basis], tuple[Scores, str]]] = {
    "activation": _activation,
    "weight_norm": _weight_norm,
    "conductance": _conductance,
    "gradient_x_activation": _gradient_x_activation,
}
"""Every order that there is."""
