"""A game among units, from options: which units play, what replaces them, and V."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mho.data import attachments
from mho.data.dataset import Dataset
from mho.errors import InvalidData, InvalidOption
from mho.evaluation import Layer, Player
from mho.graph import units
from mho.graph.model import Model
from mho.graph.reduce import activation_output, activations
from mho.method import GameMethod
from mho.players import GROUPS
from mho.registry import find
from mho.runtime.coalitions import MaskedCoalitions
from mho.runtime.leading import batch_leading
from mho.runtime.problem import Problem, checked_labels, judged_by
from mho.types import Array, FloatArray, IntArray
from mho.value import Value

Groups = Mapping[str, Mapping[str, Sequence[int]]]
"""Group -> layer -> units."""


def game(
    method: GameMethod[object],
    problem: Problem,
    reference: Dataset | None,
    files: Mapping[str, Path],
) -> tuple[MaskedCoalitions, tuple[str, ...]]:
    """The game of ``method``, and notes; ``problem.layers`` are those asked for, or all.

    Errors name the option at fault: a value that needs labels, groups that overlap, a file that
    does not fit.
    """
    kind = find("mho.values", Value, method.value, subject="value")
    value = kind()
    if method.value == "cross_entropy" and method.score == "probability":
        raise InvalidOption(
            "value 'cross_entropy' takes scores before softmax; leave --score at 'logit'",
            subject="score",
        )
    given = attachments.scores(files["scores"]) if "scores" in files else None
    groups = attachments.groups(files["groups"]) if "groups" in files else None
    notes: tuple[str, ...] = ()
    if groups is None:
        layers = _playing(method, problem, given)
    else:
        layers = _grouped(groups, problem.model)
        if method.layers:
            notes = ("option 'layers' was set, but the groups say which units play",)
    if value.needs_labels and method.target not in ("argmax", "label"):
        notes += (f"option 'target' was set, but value '{value.name}' judges by the labels",)
    if groups is None and method.layers:
        notes += _twice(layers, problem)
    problem, more = batch_leading(
        replace(problem, layers=tuple(layers)), asked=bool(method.layers) or groups is not None
    )
    players = _units(problem.layers) if groups is None else _groups(groups)
    evaluator = MaskedCoalitions(
        problem,
        players,
        _substitutes(method.substitute, problem, reference, files.get("substitute")),
        value,
        _judged_by(value, method.target, problem),
        None if given is None else _ranking(given, players, problem.layers, grouped=bool(groups)),
    )
    return evaluator, (*notes, *more)


def _units(layers: Sequence[Layer]) -> list[Player]:
    return [
        Player(f"{layer.name} #{unit}", {layer.name: (unit,)})
        for layer in layers
        for unit in range(layer.units)
    ]


def _groups(groups: Groups) -> list[Player]:
    return [
        Player(group, {name: tuple(indices) for name, indices in members.items()})
        for group, members in groups.items()
    ]


def _playing(
    method: GameMethod[object], problem: Problem, given: Mapping[str, FloatArray] | None
) -> list[Layer]:
    """As asked for; else every unit once, after its activation, and not the output layer.

    A given ranking restricts the players to the layers it speaks of.
    """
    if method.layers:
        return list(problem.layers)
    layers = units.playing(problem.model, list(problem.layers))
    if given is not None:
        ranked = [layer for layer in layers if layer.name in given]
        layers = ranked or [layer for layer in problem.layers if layer.name in given]
    if not layers:
        raise InvalidOption(
            "no layer is left to play: the model has only its output layer, or the given scores "
            "name none of its layers; choose with --layers",
            subject="layers",
        )
    return layers


def _grouped(groups: Groups, model: Model) -> list[Layer]:
    """The layers of which groups have units, in the order of the graph.

    UnknownLayer and InvalidData name a layer, or a unit, that does not exist or plays twice.
    """
    made = [*model.graph.inputs, *(value for node in model.graph for value in node.outputs)]
    position = {value.name: index for index, value in enumerate(made)}
    layers: dict[str, Layer] = {}
    taken: dict[tuple[str, int], str] = {}
    for group, members in groups.items():
        for name, indices in members.items():
            if name not in layers:
                layers[name] = units.layer(model, name)
            for unit in indices:
                if not 0 <= unit < layers[name].units:
                    raise InvalidData(
                        f"group '{group}' names unit {unit} of '{name}', which has units 0 to "
                        f"{layers[name].units - 1}",
                        subject="groups",
                    )
                if (name, unit) in taken:
                    raise InvalidData(
                        f"unit {unit} of '{name}' is in the groups '{taken[name, unit]}' and "
                        f"'{group}'; a unit can play once",
                        subject="groups",
                    )
                taken[name, unit] = group
    return sorted(layers.values(), key=lambda layer: position[layer.name])


def _twice(layers: Sequence[Layer], problem: Problem) -> tuple[str, ...]:
    """Notes on asked layers that make a unit play twice, or the answers themselves play."""
    once = {layer.name for layer in units.playing(problem.model, units.layers(problem.model))}
    others = [layer.name for layer in layers if layer.name not in once]
    if not others or len(others) == len(layers):
        return ()
    return (
        f"{', '.join(others)} holds units that play elsewhere too, or the model's answers; without "
        "--layers every hidden unit plays once",
    )


def _judged_by(value: Value, target: str, problem: Problem) -> IntArray:
    if not value.needs_labels:
        return judged_by(problem, target)
    labels = problem.data.labels
    if labels is None:
        raise InvalidOption(
            f"value '{value.name}' needs a label for every input; pass --labels, or take "
            "--value logit",
            subject="labels",
        )
    classes = problem.scores().shape[1]
    if classes == 1:
        raise InvalidOption(
            f"value '{value.name}' compares classes, but the output has one score for each input; "
            "take --value logit, or another --output",
            subject="value",
        )
    return checked_labels(labels, classes)


def _substitutes(
    substitute: str, problem: Problem, reference: Dataset | None, file: Path | None
) -> dict[str, Array]:
    if file is not None:
        return _from_file(file, problem.layers)
    if substitute == "zero":
        return {layer.name: np.zeros(layer.units, np.float32) for layer in problem.layers}
    if substitute != "mean":
        raise InvalidOption(
            f"substitute is '{substitute}', which is neither mean, zero nor a file that exists",
            subject="substitute",
        )
    over = problem.data if reference is None else reference
    found = problem.outputs(activations(problem.model, problem.layers, "mean"), over.inputs)
    means = {}
    for layer in problem.layers:
        means[layer.name] = found[activation_output(layer.name)].mean(axis=0, dtype=np.float64)
        if not np.isfinite(means[layer.name]).all():
            raise InvalidData(
                f"the mean activation of layer '{layer.name}' is not finite; choose another "
                "--substitute, or other --layers",
                subject="substitute",
            )
    return means


def _from_file(file: Path, layers: Sequence[Layer]) -> dict[str, Array]:
    names = [layer.name for layer in layers]
    found = attachments.keyed(file, "substitute", names, f"{len(layers)} layers are masked")
    values = {}
    for layer in layers:
        array = np.asarray(found[layer.name])
        per_unit = array.shape == (layer.units,)
        per_position = array.ndim == len(layer.shape) - 1 and all(
            not isinstance(wanted, int) or wanted == length
            for wanted, length in zip(layer.shape[1:], array.shape, strict=True)
        )
        if not (per_unit or per_position):
            raise InvalidData(
                f"the substitute of '{layer.name}' has shape {array.shape}; {(layer.units,)} (per "
                f"unit) or {layer.shape[1:]} (per position) is needed",
                subject="substitute",
            )
        values[layer.name] = array
    return values


def _ranking(
    given: Mapping[str, FloatArray],
    players: Sequence[Player],
    layers: Sequence[Layer],
    *,
    grouped: bool,
) -> FloatArray:
    """``(players,)``: given scores; those per input are averaged, those of several units added."""
    if grouped and GROUPS in given:
        if given[GROUPS].shape != (len(players),):
            raise InvalidData(
                f"the given scores are those of {len(given[GROUPS])} groups, but {len(players)} "
                "groups play; give the scores of a run with the same groups",
                subject="scores",
            )
        return given[GROUPS]
    flat = {layer.name: _per_unit(given, layer) for layer in layers}
    return np.array(
        [
            sum(float(flat[n][list(u)].sum()) for n, u in player.members.items())
            for player in players
        ]
    )


def _per_unit(given: Mapping[str, FloatArray], layer: Layer) -> FloatArray:
    """``(units,)`` of scores ``(units,)``, ``(inputs, units)`` or ``(inputs, *layer shape)``."""
    if layer.name not in given:
        raise InvalidData(f"the given scores have none for layer '{layer.name}'", subject="scores")
    scores = given[layer.name]
    if scores.ndim == len(layer.shape) and scores.ndim > 2:
        positions = tuple(i for i in range(1, scores.ndim) if i != layer.axis)
        scores = scores.sum(axis=positions)
    if scores.ndim == 2:
        scores = scores.mean(axis=0)
    if scores.shape != (layer.units,):
        raise InvalidData(
            f"the given scores of '{layer.name}' have shape {given[layer.name].shape}; "
            f"({layer.units},) or (inputs, {layer.units}) is needed",
            subject="scores",
        )
    return scores
