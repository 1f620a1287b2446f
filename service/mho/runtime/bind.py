"""A method, a model and data bound into the evaluator that the method needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from mho.config import Settings
from mho.data.dataset import Dataset
from mho.editing import ModelEditor
from mho.errors import InvalidOption
from mho.evaluation import CoalitionEvaluator, Layer, PathEvaluator, PointEvaluator, Quantity
from mho.graph import units
from mho.graph.cut import pruned
from mho.graph.model import Model
from mho.graph.target import TARGET_SCORE, scored, targeted
from mho.method import GameMethod, Method
from mho.path_method import PathMethod
from mho.point_method import PointMethod
from mho.runtime.edited import EditedGame
from mho.runtime.engine import Engine, gradient_alone
from mho.runtime.games import game
from mho.runtime.judging import score_of
from mho.runtime.leading import batch_leading
from mho.runtime.points import GraphPoints
from mho.runtime.prepare import Prepared
from mho.runtime.problem import Judged, Problem, judge
from mho.runtime.session import Sessions
from mho.runtime.straight import Walked, walked
from mho.types import JSON


@dataclass(frozen=True)
class Bound:
    """evaluator: what the method runs against. layers: those that get scores. engine, why: how
    derivatives are had, and the reason. facts: for the result's report. notes: for the reader.
    judged: what is attributed of each input; None for methods without a target, and for games.
    again: the same for another data set of the same shapes, with the sessions that are there; None
    where that can't be had.
    """

    evaluator: Any
    layers: tuple[Layer, ...]
    engine: str
    why: str
    facts: Mapping[str, JSON]
    notes: tuple[str, ...]
    judged: Judged | None = None
    again: Callable[[Dataset], Bound] | None = None


def bind(
    method: Method[Any, Any],
    prepared: Prepared,
    data: Dataset,
    reference: Dataset | None,
    files: Mapping[str, Path],
    sessions: Sessions,
    settings: Settings,
    say: Callable[[str], None] = lambda _: None,
) -> Bound:
    """The evaluator that ``method.needs``. ``files``: option name -> the file that it names.
    ``say`` hears what is being done, where it takes long."""
    whole = prepared.model
    if getattr(method, "quantity", None) is Quantity.ACTIVATION:
        model = whole  # activations are those of any tensor, whatever the output is
    else:
        model = pruned(scored(whole, method.output, score_of(method)))
    layers = _layers(method, whole, model) if "layers" in method.uses else ()
    problem = Problem(model, prepared.single, data, layers, sessions, settings)
    notes = (*whole.notes, *prepared.notes, *_unused(method))
    if method.needs is PointEvaluator:
        assert isinstance(method, PointMethod)
        return _points(method, problem, notes)
    if method.needs in (CoalitionEvaluator, ModelEditor):
        assert isinstance(method, GameMethod)
        method = replace(method, layers=method.named_layers)
        found = game(method, problem, reference, files, say)
        edits = method.needs is ModelEditor
        return Bound(
            EditedGame(method, found.evaluator, whole) if edits else found.evaluator,
            tuple(found.evaluator.layers),
            "",
            "coalitions are evaluated, nothing is differentiated",
            found.facts,
            (*notes, *found.notes),
        )
    if method.needs is PathEvaluator:
        assert isinstance(method, PathMethod)
        return _paths(method, problem, files, notes)
    raise TypeError(f"{method.name} needs {method.needs}, which nothing provides")


def _layers(method: Method[Any, Any], whole: Model, model: Model) -> tuple[Layer, ...]:
    """Those that were asked for, or all on which the score of ``model`` depends.

    InvalidOption for a layer that was asked for by name and does not lead to the score.
    """
    if not method.named_layers:
        layers = units.layers(model)
        if not layers:
            raise InvalidOption(
                "the model has no layer with units that could be scored", subject="layers"
            )
        return tuple(layers)
    chosen = units.select(whole, method.named_layers)
    present = _tensors(model)
    inside = tuple(layer for layer in chosen if layer.name in present)
    outside = [layer for layer in chosen if layer not in inside]
    named = [layer for layer in outside if layer.name in method.named_layers]
    if named or not inside:
        raise InvalidOption(
            f"layer '{(named or outside)[0].name}' has no influence on the score: it lies behind "
            "it or beside it; choose other --layers, another --output or another --score",
            subject="layers",
        )
    return inside


def _points(method: PointMethod, problem: Problem, notes: tuple[str, ...]) -> Bound:
    problem, more = batch_leading(problem, asked=bool(method.named_layers))
    reduction = None if method.granularity == "neuron" else getattr(method, "reduction", None)
    notes = (*notes, *more)
    engine = Engine("", "activations need no derivatives")
    if method.quantity is Quantity.GRAD_CAM:
        problem = replace(problem, layers=_with_positions(method, problem))
    if method.quantity is not Quantity.ACTIVATION:
        engine = gradient_alone(method, targeted(problem.model), TARGET_SCORE, problem.layers)
    points = GraphPoints(problem, method.quantity, reduction)

    def bound(data: Dataset) -> Bound:
        own = replace(problem, data=data)
        judged = None
        if method.quantity is not Quantity.ACTIVATION:
            judged = judge(own, method.target)
        return Bound(
            points.on(own, None if judged is None else judged.classes),
            problem.layers,
            engine.name,
            engine.why,
            {} if judged is None else {"targets": judged.classes.tolist()},
            notes,
            judged,
            bound,
        )

    return bound(problem.data)


def _with_positions(method: PointMethod, problem: Problem) -> tuple[Layer, ...]:
    """The layers that have positions; the last that does not hold the answers, where none was asked
    for. InvalidOption where there is none."""
    found = tuple(layer for layer in problem.layers if len(layer.shape) > 2)
    for layer in problem.layers:
        if layer.name in method.named_layers and layer not in found:
            raise InvalidOption(
                f"{method.name} draws a map, but layer '{layer.name}' has no positions; choose a "
                "convolutional layer or one of tokens with --layers",
                subject="layers",
            )
    if not method.named_layers:
        last = units.last_with_positions(problem.model, found)
        found = () if last is None else (last,)
    if not found:
        raise InvalidOption(
            f"{method.name} draws a map, but the model has no layer with positions before the one "
            "that holds the answers; choose a convolutional layer or one of tokens with --layers",
            subject="layers",
        )
    return found


def _paths(
    method: PathMethod, problem: Problem, files: Mapping[str, Path], notes: tuple[str, ...]
) -> Bound:
    problem, more = batch_leading(problem, asked=bool(method.named_layers))
    judged = judge(problem, method.target)
    first = walked(method, problem, judged.classes, files)

    def bound(found: Walked, judged: Judged) -> Bound:
        return Bound(
            found.evaluator,
            found.layers,
            found.engine.name,
            found.engine.why,
            found.facts,
            (*notes, *more),
            judged,
            again,
        )

    def again(data: Dataset) -> Bound:
        own = replace(problem, data=data)
        judged = judge(own, method.target)
        return bound(first.again(own, judged.classes), judged)

    return bound(first, judged)


def _tensors(model: Model) -> set[str | None]:
    """The names of what is fed and computed."""
    fed = {value.name for value in model.graph.inputs}
    return fed | {value.name for node in model.graph for value in node.outputs}


def _unused(method: Method[Any, Any]) -> tuple[str, ...]:
    """A sentence for every option that was set although the method has no use for it."""
    return tuple(
        f"option '{entry.name}' was set, but has no meaning for {method.name} and was not used"
        for entry in fields(method)
        if entry.name not in method.uses and getattr(method, entry.name) != entry.default
    )
