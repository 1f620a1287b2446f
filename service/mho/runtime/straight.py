"""Path methods bound to a model: where their line runs, and which engine walks it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mho.errors import InvalidOption, ResourceExhausted, UnknownLayer, Unsupported
from mho.evaluation import Integrand, Layer, Line, PathEvaluator
from mho.graph import path_input, units
from mho.graph.cut import Tail, cut, separates, tail
from mho.graph.flow import named_values
from mho.graph.model import Model
from mho.graph.target import TARGET, TARGET_SCORE, targeted
from mho.path_method import PathMethod
from mho.runtime.baselines import starts
from mho.runtime.engine import FINITE_DIFFERENCE, GRADIENT, Engine, choose
from mho.runtime.finite_differences import FiniteDifferencePaths
from mho.runtime.gradient_paths import GradientPaths
from mho.runtime.lines import Lines, probed
from mho.runtime.own_lines import OwnLines
from mho.runtime.problem import Problem
from mho.runtime.resolved_paths import ResolvedPaths
from mho.types import JSON, Array, IntArray


@dataclass(frozen=True)
class Walked:
    """evaluator: of the path method. layers: those that get scores. facts: for the report. again:
    the same for a problem that differs in its inputs, with the sessions that are there.
    """

    evaluator: PathEvaluator
    layers: tuple[Layer, ...]
    engine: Engine
    facts: Mapping[str, JSON]
    again: Callable[[Problem, IntArray], Walked]


_Opened = Callable[[Problem, Lines], PathEvaluator]
"""Makes the evaluator of other inputs."""


def walked(
    method: PathMethod, problem: Problem, judged: IntArray, files: Mapping[str, Path]
) -> Walked:
    """The evaluator of ``method``; ``judged``: ``(inputs,)``, the class whose score is F.

    InvalidOption for layers that do not lie on the way, and for an engine that can't serve it.
    """
    course = _course(problem, method.path_input)
    lines, facts = _laid(course, problem, judged, method.baseline, files.get("baseline"))
    if method.line is Line.PATH_INPUT:
        layers = tuple(units.layer(lines.model, name) for name in lines.end)
    else:
        layers = _behind(method, lines, problem)
    problem = replace(problem, layers=layers)
    neurons = method.granularity == "neuron" or method.line is Line.PATH_INPUT
    if method.line is Line.OWN:
        engine, evaluator, opened = _own(method, problem, lines, neurons=neurons)
    else:
        engine, evaluator, opened = _shared(method, problem, lines, neurons=neurons)

    def again(other: Problem, classes: IntArray) -> Walked:
        other = replace(other, layers=layers)
        found, said = _laid(course, other, classes, method.baseline, files.get("baseline"))
        return Walked(opened(other, found), layers, engine, said, again)

    return Walked(evaluator, layers, engine, facts, again)


def straight_lines(
    problem: Problem,
    judged: IntArray,
    *,
    through: str = "",
    baseline: str = "auto",
    file: Path | None = None,
) -> tuple[Lines, dict[str, JSON]]:
    """The lines from every baseline to every input, and facts for the report.

    judged: ``(inputs,)``, the class whose score is F. through: the tensor on which the lines run;
    found where it is empty.
    """
    return _laid(_course(problem, through), problem, judged, baseline, file)


@dataclass(frozen=True)
class _Course:
    """Where lines run, whatever the inputs are.

    names: the tensors of the path, and ``why``. inner: those that are computed, by ``head`` (None
    where there are none). body: from the path to F.
    """

    names: tuple[str, ...]
    why: str
    inner: tuple[str, ...]
    head: Model | None
    body: Model
    axes: Mapping[str, int]


def _course(problem: Problem, through: str) -> _Course:
    model = targeted(problem.model)
    if through:
        chosen = path_input.named(model, through, TARGET_SCORE)
    else:
        chosen = path_input.find(model, TARGET_SCORE)
    names = tuple(spec.name for spec in chosen.tensors)
    inner = [name for name in names if name not in problem.data.inputs]
    head = cut(problem.model, [], inner) if inner else None
    body = cut(model, inner, [TARGET_SCORE]) if inner else model
    return _Course(names, chosen.why, tuple(inner), head, body, _axes(body, names))


def _laid(
    course: _Course, problem: Problem, judged: IntArray, baseline: str, file: Path | None
) -> tuple[Lines, dict[str, JSON]]:
    """The lines of the problem's inputs."""
    data = problem.data.inputs
    ends: dict[str, Array] = {name: data[name] for name in course.names if name in data}
    if course.head is not None:
        ends |= problem.outputs(course.head, data)
    begin = starts(baseline, ends, problem.data, file, embedded=bool(course.inner))
    start_of_path, input_of_path = begin.pairs(len(problem.data))
    needed = {spec.name for spec in course.body.inputs} - set(course.names)
    lines = Lines(
        model=course.body,
        start=begin.values,
        end=ends,
        fixed={TARGET: judged, **{name: data[name] for name in data if name in needed}},
        start_of_path=start_of_path,
        input_of_path=input_of_path,
        axes=course.axes,
    )
    facts: dict[str, JSON] = {
        "path_input": list(course.names),
        "path_input_why": course.why,
        "baseline": begin.name,
        "baselines": 1 if begin.per_input else len(next(iter(begin.values.values()))),
        "targets": judged.tolist(),
    }
    return lines, facts


def _axes(model: Model, names: Sequence[str]) -> dict[str, int]:
    """The unit axes of those tensors that have positions besides."""
    found = {}
    for name in names:
        with suppress(UnknownLayer):  # no layer: without units, or its shape is not known
            layer = units.layer(model, name)
            if len(layer.shape) > 2:
                found[name] = layer.axis
    return found


def _behind(method: PathMethod, lines: Lines, problem: Problem) -> tuple[Layer, ...]:
    """The layers that exist between path input and target; InvalidOption for one that was asked for
    and lies elsewhere.
    """
    present = named_values(lines.model.graph)
    inside = tuple(layer for layer in problem.layers if layer.name in present)
    outside = [layer.name for layer in problem.layers if layer not in inside]
    where = f"between the path input ({', '.join(lines.end)}) and the target"
    if method.named_layers and outside:
        raise InvalidOption(
            f"layer '{outside[0]}' does not lie {where}; choose other --layers or another "
            "--path-input",
            subject="layers",
        )
    if not inside:
        raise InvalidOption(f"no layer lies {where}; choose another --path-input", subject="layers")
    return inside


def _shared(
    method: PathMethod, problem: Problem, lines: Lines, *, neurons: bool
) -> tuple[Engine, PathEvaluator, _Opened]:
    """One line for all layers."""
    found: GradientPaths | ResolvedPaths
    if method.chosen_units:
        _check_units(method.chosen_units, problem)
        found = ResolvedPaths(problem, lines, method.chosen_units, method.tolerance)
    else:
        found = GradientPaths(problem, lines, method.integrand, neurons=neurons)
    engine = choose(method.engine, lines.model, TARGET_SCORE, found.tensors, single=problem.single)
    if engine.name == GRADIENT:
        return engine, found, found.on
    _check_differences(method, engine)
    differences = FiniteDifferencePaths(problem, lines, neurons=neurons)
    return engine, differences, differences.on


def _check_units(chosen: Mapping[str, tuple[int, ...]], problem: Problem) -> None:
    names = {layer.name for layer in problem.layers}
    for name in chosen:
        if name not in names:
            raise InvalidOption(
                f"units names the layer '{name}', which the model does not have by that name; "
                "give its name in full, as mho layers shows it",
                subject="units",
            )
    for layer in problem.layers:
        for unit in chosen[layer.name]:
            if unit >= layer.units:
                raise InvalidOption(
                    f"units names unit {unit} of layer '{layer.name}', which has the units 0 to "
                    f"{layer.units - 1}",
                    subject="units",
                )


def _own(
    method: PathMethod, problem: Problem, lines: Lines, *, neurons: bool
) -> tuple[Engine, PathEvaluator, _Opened]:
    """A line for each layer, in its own space."""
    names = [layer.name for layer in problem.layers]
    engine = choose(method.engine, lines.model, TARGET_SCORE, names, single=problem.single)

    complete = {
        name: separates(lines.model, tuple(lines.end), [name], TARGET_SCORE) for name in names
    }

    def evaluator(problem: Problem, lines: Lines) -> PathEvaluator:
        def opened(layer: Layer) -> PathEvaluator:
            own = _line_of(layer, problem, lines)
            alone = replace(problem, layers=(layer,))
            if engine.name == GRADIENT:
                return GradientPaths(alone, own, method.integrand, neurons=neurons)
            return FiniteDifferencePaths(alone, own, neurons=neurons)

        return OwnLines(
            problem.layers,
            complete,
            lines.input_of_path,
            len(problem.data),
            opened,
            deferred=neurons and engine.name == GRADIENT,
        )

    return engine, evaluator(problem, lines), evaluator


def _line_of(layer: Layer, problem: Problem, lines: Lines) -> Lines:
    """From the layer at each path's start to the layer at its end; what passes beside it stays as
    it is at the end."""
    found, given, reads = _tail_of(layer, problem, lines)
    inputs = np.arange(len(problem.data), dtype=np.int64)
    paths = np.arange(len(lines.input_of_path), dtype=np.int64)
    first_path = np.array([int(np.argmax(lines.input_of_path == i)) for i in inputs])
    at_end = _tensors(problem, lines, reads, first_path, 1.0)
    at_start = _tensors(problem, lines, [layer.name], paths, 0.0)
    return Lines(
        model=found.model,
        start={layer.name: at_start[layer.name]},
        end={layer.name: at_end.pop(layer.name)},
        fixed={**at_end, **{name: lines.fixed[name] for name in given}},
        start_of_path=paths,
        input_of_path=lines.input_of_path,
    )


def _tail_of(layer: Layer, problem: Problem, lines: Lines) -> tuple[Tail, list[str], list[str]]:
    """What is behind the layer; what of it is fed, and what is to be computed, the layer included.

    All that is read has the batch in front: where the shapes leave it open, a run tells, and the
    tail is cut elsewhere.
    """
    unbatched: set[str] = set()
    while True:
        found = tail(lines.model, layer.name, TARGET_SCORE, tuple(lines.end), unbatched=unbatched)
        if found is None:
            raise Unsupported(f"the target does not depend on layer '{layer.name}'")
        beside = (*found.beside, *found.fixed)
        given = [name for name in beside if name in lines.fixed]
        reads = [layer.name, *(name for name in beside if name not in given)]
        computed = [name for name in reads if name not in lines.end]
        if not computed:
            return found, given, reads
        model = cut(lines.model, tuple(lines.end), computed)
        _, wrong = probed(problem, lines, model, computed)
        if not wrong:
            return found, given, reads
        if layer.name in wrong or wrong <= unbatched:
            raise Unsupported(
                f"layer '{layer.name}' has not one row for every input; its first dimension must "
                "be the batch",
                subject=layer.name,
            )
        unbatched |= wrong


def _tensors(
    problem: Problem, lines: Lines, names: list[str], path: Array, alpha: float
) -> dict[str, Array]:
    """The tensors at one place of each path, ``(paths, ...)``; ResourceExhausted where they are too
    large to be held."""
    fed = {*lines.end, *lines.fixed}
    given = [name for name in names if name in fed]
    computed = [name for name in names if name not in fed]
    points = lines.at(path, np.full(len(path), alpha))
    found = {name: points[name] for name in given}
    if not computed:
        return found
    graph: Model = cut(lines.model, tuple(lines.end), computed)
    single = problem.sessions.get(graph).run({name: array[:1] for name, array in points.items()})
    size = len(path) * sum(array.nbytes for array in single.values())
    if size > problem.settings.max_data_bytes:
        raise ResourceExhausted(
            f"the activations of '{computed[0]}' at {len(path)} points take {size} bytes; at most "
            f"{problem.settings.max_data_bytes} are held (setting max_data_bytes); choose fewer "
            "inputs or another layer",
            subject="layers",
        )
    return found | problem.outputs(graph, points)


def _check_differences(method: PathMethod, engine: Engine) -> None:
    """InvalidOption where the method can't do with finite differences."""
    if method.integrand is Integrand.CONDUCTANCE and not method.chosen_units:
        return
    what = "resolves units to the input with" if method.chosen_units else "integrates"
    reason = "" if method.engine == FINITE_DIFFERENCE else f" ({engine.why})"
    raise InvalidOption(
        f"{method.name} {what} gradients, which finite differences along the path do not "
        f"give{reason}; take conductance without units, which works with every operator",
        subject="engine",
    )
