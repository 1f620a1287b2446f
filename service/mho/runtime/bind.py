"""A method, a model and data bound into the evaluator that the method needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from mho.config import Settings
from mho.data.dataset import Dataset
from mho.errors import InvalidData, InvalidOption
from mho.evaluation import ActivationEvaluator, CoalitionEvaluator, Layer, PathEvaluator
from mho.graph import path_input, units
from mho.graph.cut import cut
from mho.graph.model import Model
from mho.graph.target import TARGET, TARGET_SCORE, scored, targeted
from mho.method import GameMethod, Method
from mho.runtime.activations import GraphActivations
from mho.runtime.baselines import starts
from mho.runtime.games import game
from mho.runtime.paths import FiniteDifferencePaths, Paths
from mho.runtime.prepare import Prepared
from mho.runtime.problem import Problem, judged_by
from mho.runtime.session import Sessions
from mho.types import JSON, Array


@dataclass(frozen=True)
class Bound:
    """evaluator: what the method runs against. layers: those that get scores. engine, why: how derivatives
    are had, and the reason. facts: for the result's report. notes: for the reader."""

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
    model = scored(prepared.model, method.output, method.score)
    layers = units.select(prepared.model, method.layers) if method.layers else units.layers(model)
    if not layers:
        raise InvalidOption("the model has no layer with units that could be scored", subject="layers")
    problem = Problem(model, prepared.single, data, tuple(layers), sessions, settings)
    notes = (*prepared.model.notes, *prepared.notes, *_unused(method))
    if method.needs is ActivationEvaluator:
        reduction = None if method.granularity == "neuron" else getattr(method, "reduction", "mean")
        evaluator: Any = GraphActivations(problem, reduction)
        return Bound(
            evaluator, problem.layers, "forward", "activations need no derivatives", {}, notes
        )
    if method.needs is CoalitionEvaluator:
        assert isinstance(method, GameMethod)
        evaluator = game(method, problem, reference, files)
        facts: dict[str, JSON] = {"substitute": method.substitute if "substitute" not in files else "file"}
        return Bound(
            evaluator,
            tuple(evaluator.layers),
            "forward",
            "coalitions are evaluated, nothing is differentiated",
            facts,
            notes,
        )
    if method.needs is PathEvaluator:
        return _paths(method, problem, files, notes)
    raise TypeError(f"{method.name} needs {method.needs}, which nothing provides")


def _paths(
    method: Method[Any, Any], problem: Problem, files: Mapping[str, Path], notes: tuple[str, ...]
) -> Bound:
    if method.engine == "gradient":
        raise InvalidOption(
            "engine 'gradient' does not exist in this version; take 'finite_difference', which works for "
            "every operator, or 'auto'",
            subject="engine",
        )
    why = (
        "asked for"
        if method.engine == "finite_difference"
        else "auto: this version has no gradient engine; finite differences work for every operator"
    )
    model = targeted(problem.model)
    if method.path_input:
        chosen = path_input.named(model, method.path_input, TARGET_SCORE)
    else:
        chosen = path_input.find(model, TARGET_SCORE)
    names = [spec.name for spec in chosen.tensors]
    given = {name: problem.data.inputs[name] for name in names if name in problem.data.inputs}
    inner = [name for name in names if name not in given]
    ends: dict[str, Array] = dict(given)
    if inner:
        ends |= problem.outputs(cut(problem.model, [], inner), problem.data.inputs)
    begin = starts(
        method.baseline, ends, problem.data, files.get("baseline"), embedded=bool(inner)
    )
    start_of_path, input_of_path = begin.pairs(len(problem.data))
    body = cut(model, inner, [TARGET_SCORE]) if inner else model
    judged = judged_by(problem, method.target)
    needed = {spec.name for spec in body.inputs}
    fixed: dict[str, Array] = {
        name: array
        for name, array in problem.data.inputs.items()
        if name in needed and name not in names
    }
    layers = _behind(method, body, problem, names)
    paths = Paths(
        model=body,
        start=begin.values,
        end=ends,
        fixed={**fixed, TARGET: judged},
        start_of_path=start_of_path,
        input_of_path=input_of_path,
    )
    evaluator = FiniteDifferencePaths(
        replace(problem, layers=layers), paths, neurons=method.granularity == "neuron"
    )
    facts: dict[str, JSON] = {
        "path_input": list(names),
        "path_input_why": chosen.why,
        "baseline": begin.name,
        "baselines": 1 if begin.per_input else len(next(iter(begin.values.values()))),
        "targets": np.asarray(judged).tolist(),
    }
    return Bound(evaluator, layers, "finite_difference", why, facts, notes)


def _behind(
    method: Method[Any, Any], body: Model, problem: Problem, names: list[str]
) -> tuple[Layer, ...]:
    """The layers that exist between path input and target; InvalidOption for one that was asked for
    and lies elsewhere."""
    present = {v.name for v in body.graph.inputs} | {
        v.name for node in body.graph for v in node.outputs
    }
    inside = tuple(layer for layer in problem.layers if layer.name in present)
    outside = [layer.name for layer in problem.layers if layer not in inside]
    if method.layers and outside:
        raise InvalidOption(
            f"layer '{outside[0]}' does not lie between the path input ({', '.join(names)}) and the "
            "target; choose other --layers or another --path-input",
            subject="layers",
        )
    if not inside:
        raise InvalidData("no layer lies between the path input and the target", subject="layers")
    return inside


def _unused(method: Method[Any, Any]) -> tuple[str, ...]:
    """A sentence for every option that was set although the method has no use for it."""
    return tuple(
        f"option '{entry.name}' was set, but has no meaning for {method.name} and was not used"
        for entry in fields(method)
        if entry.name not in method.uses and getattr(method, entry.name) != entry.default
    )
