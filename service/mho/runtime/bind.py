"""A method, a model and data bound into the evaluator that the method needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from mho.config import Settings
from mho.data.dataset import Dataset
from mho.errors import InvalidOption
from mho.evaluation import ActivationEvaluator, CoalitionEvaluator, Layer, PathEvaluator
from mho.graph import path_input, units
from mho.graph.cut import cut, pruned
from mho.graph.model import Model
from mho.graph.target import TARGET, TARGET_SCORE, scored, targeted
from mho.method import GameMethod, Method
from mho.runtime.activations import GraphActivations
from mho.runtime.baselines import starts
from mho.runtime.games import game
from mho.runtime.leading import batch_leading
from mho.runtime.paths import FiniteDifferencePaths, Paths
from mho.runtime.prepare import Prepared
from mho.runtime.problem import Problem, judged_by
from mho.runtime.session import Sessions
from mho.types import JSON, Array


@dataclass(frozen=True)
class Bound:
    """evaluator: what the method runs against. layers: those that get scores. engine, why: how
    derivatives are had, and the reason. facts: for the result's report. notes: for the reader.
    """

    evaluator: Any
    layers: tuple[Layer, ...]
    engine: str
    why: str
    facts: Mapping[str, JSON]
    notes: tuple[str, ...]


def bind(
    method: Method[Any, Any],
    prepared: Prepared,
    data: Dataset,
    reference: Dataset | None,
    files: Mapping[str, Path],
    sessions: Sessions,
    settings: Settings,
) -> Bound:
    """The evaluator that ``method.needs``. ``files``: option name -> the file that it names."""
    if method.engine == "gradient":
        raise InvalidOption(
            "engine 'gradient' does not exist in this version; take 'finite_difference', which "
            "works for every operator, or 'auto'",
            subject="engine",
        )
    whole = prepared.model
    if method.needs is ActivationEvaluator:
        model = whole  # activations are those of any tensor, whatever the output is
    else:
        model = pruned(scored(whole, method.output, method.score))
    problem = Problem(
        model, prepared.single, data, _layers(method, whole, model), sessions, settings
    )
    notes = (*whole.notes, *prepared.notes, *_unused(method))
    if method.needs is ActivationEvaluator:
        return _activations(method, problem, notes)
    if method.needs is CoalitionEvaluator:
        assert isinstance(method, GameMethod)
        evaluator, more = game(method, problem, reference, files)
        substitute = "file" if "substitute" in files else method.substitute
        return Bound(
            evaluator,
            tuple(evaluator.layers),
            "",
            "coalitions are evaluated, nothing is differentiated",
            {"substitute": substitute},
            (*notes, *more),
        )
    if method.needs is PathEvaluator:
        return _paths(method, problem, files, notes)
    raise TypeError(f"{method.name} needs {method.needs}, which nothing provides")


def _layers(method: Method[Any, Any], whole: Model, model: Model) -> tuple[Layer, ...]:
    """Those that were asked for, or all on which the score of ``model`` depends.

    InvalidOption for a layer that was asked for by name and does not lead to the score.
    """
    if not method.layers:
        layers = units.layers(model)
        if not layers:
            raise InvalidOption(
                "the model has no layer with units that could be scored", subject="layers"
            )
        return tuple(layers)
    chosen = units.select(whole, method.layers)
    present = _tensors(model)
    inside = tuple(layer for layer in chosen if layer.name in present)
    outside = [layer for layer in chosen if layer not in inside]
    named = [layer for layer in outside if layer.name in method.layers]
    if named or not inside:
        raise InvalidOption(
            f"layer '{(named or outside)[0].name}' has no influence on the score: it lies behind "
            "it or beside it; choose other --layers, another --output or another --score",
            subject="layers",
        )
    return inside


def _activations(method: Method[Any, Any], problem: Problem, notes: tuple[str, ...]) -> Bound:
    problem, more = batch_leading(problem, asked=bool(method.layers))
    reduction = None if method.granularity == "neuron" else getattr(method, "reduction", "mean")
    return Bound(
        GraphActivations(problem, reduction),
        problem.layers,
        "",
        "activations need no derivatives",
        {},
        (*notes, *more),
    )


def _paths(
    method: Method[Any, Any], problem: Problem, files: Mapping[str, Path], notes: tuple[str, ...]
) -> Bound:
    why = (
        "asked for"
        if method.engine == "finite_difference"
        else "auto: this version has no gradient engine; finite differences work for every operator"
    )
    problem, more = batch_leading(problem, asked=bool(method.layers))
    model = targeted(problem.model)
    if method.path_input:
        chosen = path_input.named(model, method.path_input, TARGET_SCORE)
    else:
        chosen = path_input.find(model, TARGET_SCORE)
    names = [spec.name for spec in chosen.tensors]
    data = problem.data.inputs
    ends: dict[str, Array] = {name: data[name] for name in names if name in data}
    inner = [name for name in names if name not in ends]
    body = model
    if inner:
        ends |= problem.outputs(cut(problem.model, [], inner), data)
        body = cut(model, inner, [TARGET_SCORE])
    problem = replace(problem, layers=_behind(method, body, problem, names))
    begin = starts(method.baseline, ends, problem.data, files.get("baseline"), embedded=bool(inner))
    start_of_path, input_of_path = begin.pairs(len(problem.data))
    judged = judged_by(problem, method.target)
    needed = {spec.name for spec in body.inputs} - set(names)
    paths = Paths(
        model=body,
        start=begin.values,
        end=ends,
        fixed={TARGET: judged, **{name: data[name] for name in data if name in needed}},
        start_of_path=start_of_path,
        input_of_path=input_of_path,
    )
    facts: dict[str, JSON] = {
        "path_input": list(names),
        "path_input_why": chosen.why,
        "baseline": begin.name,
        "baselines": 1 if begin.per_input else len(next(iter(begin.values.values()))),
        "targets": judged.tolist(),
    }
    evaluator = FiniteDifferencePaths(problem, paths, neurons=method.granularity == "neuron")
    return Bound(evaluator, problem.layers, "finite_difference", why, facts, (*notes, *more))


def _behind(
    method: Method[Any, Any], body: Model, problem: Problem, names: list[str]
) -> tuple[Layer, ...]:
    """The layers that exist between path input and target; InvalidOption for one that was asked for
    and lies elsewhere.
    """
    present = _tensors(body)
    inside = tuple(layer for layer in problem.layers if layer.name in present)
    outside = [layer.name for layer in problem.layers if layer not in inside]
    where = f"between the path input ({', '.join(names)}) and the target"
    if method.layers and outside:
        raise InvalidOption(
            f"layer '{outside[0]}' does not lie {where}; choose other --layers or another "
            "--path-input",
            subject="layers",
        )
    if not inside:
        raise InvalidOption(f"no layer lies {where}; choose another --path-input", subject="layers")
    return inside


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
