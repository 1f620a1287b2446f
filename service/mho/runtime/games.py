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
from mho.graph.reduce import activation_output, activations
from mho.method import GameMethod
from mho.players import GROUPS
from mho.registry import find
from mho.runtime.coalitions import MaskedCoalitions
from mho.runtime.problem import Problem, checked_labels, judged_by
from mho.types import Array, FloatArray, IntArray
from mho.value import Value


def game(
    method: GameMethod[object],
    problem: Problem,
    reference: Dataset | None,
    files: Mapping[str, Path],
) -> MaskedCoalitions:
    """The game of ``method``; ``problem.layers`` are those that were asked for, or all.

    Errors name the option at fault: a value that needs labels, groups that overlap, a file that does not
    fit.
    """
    value = find("mho.values", Value, method.value, subject="value")()
    if method.value == "cross_entropy" and method.score == "probability":
        raise InvalidOption(
            "value 'cross_entropy' takes scores before softmax; leave --score at 'logit'", subject="score"
        )
    given = attachments.scores(files["scores"]) if "scores" in files else None
    if "groups" in files:
        players, layers = _grouped(attachments.groups(files["groups"]), problem)
    else:
        layers = _playing(method, problem, given)
        players = [
            Player(f"{layer.name} #{unit}", {layer.name: (unit,)})
            for layer in layers
            for unit in range(layer.units)
        ]
    problem = replace(problem, layers=tuple(layers))
    return MaskedCoalitions(
        problem,
        players,
        _substitutes(method.substitute, problem, reference, files.get("substitute")),
        value,
        _judged_by(value, method.target, problem),
        None if given is None else _ranking(given, players, layers),
    )


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
            "no layer is left to play: the model has only its output layer, or the given scores name none "
            "of its layers; choose with --layers",
            subject="layers",
        )
    return layers


def _grouped(
    groups: Mapping[str, Mapping[str, Sequence[int]]], problem: Problem
) -> tuple[list[Player], list[Layer]]:
    layers: dict[str, Layer] = {}
    taken: dict[tuple[str, int], str] = {}
    players = []
    for group, members in groups.items():
        for name, indices in members.items():
            layer = layers.setdefault(name, units.layer(problem.model, name))
            for unit in indices:
                if not 0 <= unit < layer.units:
                    raise InvalidData(
                        f"group '{group}' names unit {unit} of '{name}', which has units 0 to "
                        f"{layer.units - 1}",
                        subject="groups",
                    )
                if (name, unit) in taken:
                    raise InvalidData(
                        f"unit {unit} of '{name}' is in the groups '{taken[name, unit]}' and '{group}'; "
                        "a unit can play once",
                        subject="groups",
                    )
                taken[name, unit] = group
        players.append(Player(group, {name: tuple(indices) for name, indices in members.items()}))
    return players, list(layers.values())


def _judged_by(value: Value, target: str, problem: Problem) -> IntArray:
    if not value.needs_labels:
        return judged_by(problem, target)
    labels = problem.data.labels
    if labels is None:
        raise InvalidOption(
            f"value '{value.name}' needs a label for every input; pass --labels, or take --value logit",
            subject="labels",
        )
    return checked_labels(labels, problem.scores().shape[1])


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
    return {
        layer.name: found[activation_output(layer.name)].mean(axis=0, dtype=np.float64)
        for layer in problem.layers
    }


def _from_file(file: Path, layers: Sequence[Layer]) -> dict[str, Array]:
    found = attachments.array(file, "substitute")
    if not isinstance(found, dict):
        if len(layers) != 1:
            raise InvalidData(
                f"the substitute {file.name} is one array, but {len(layers)} layers are masked; give an "
                ".npz keyed by layer name",
                subject="substitute",
            )
        found = {layers[0].name: found}
    values = {}
    for layer in layers:
        if layer.name not in found:
            raise InvalidData(
                f"the substitute {file.name} has no array '{layer.name}'", subject="substitute"
            )
        array = np.asarray(found[layer.name])
        whole = layer.shape[1:]
        if array.shape != (layer.units,) and array.shape != whole:
            raise InvalidData(
                f"the substitute of '{layer.name}' has shape {array.shape}; {(layer.units,)} (per unit) "
                f"or {whole} (per position) is needed",
                subject="substitute",
            )
        values[layer.name] = array
    return values


def _ranking(
    given: Mapping[str, FloatArray], players: Sequence[Player], layers: Sequence[Layer]
) -> FloatArray:
    """``(players,)``: given scores; those per input are averaged, those of several units added."""
    if GROUPS in given and len(given[GROUPS]) == len(players):
        return given[GROUPS]
    flat = {}
    for layer in layers:
        if layer.name not in given:
            raise InvalidData(f"the given scores have none for layer '{layer.name}'", subject="scores")
        scores = given[layer.name]
        while scores.ndim > 1 and scores.shape != (layer.units,):
            scores = scores.mean(axis=0) if scores.shape[-1] == layer.units else scores.sum(axis=-1)
        if scores.shape != (layer.units,):
            raise InvalidData(
                f"the given scores of '{layer.name}' have shape {given[layer.name].shape}; "
                f"{(layer.units,)} or {('inputs', layer.units)} is needed",
                subject="scores",
            )
        flat[layer.name] = scores
    return np.array(
        [sum(float(flat[n][list(u)].sum()) for n, u in player.members.items()) for player in players]
    )
