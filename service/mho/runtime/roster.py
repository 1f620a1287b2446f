"""Who plays a game: units, layers or groups of units, and the tensors at which they are masked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from mho.errors import InvalidData, InvalidOption
from mho.evaluation import Layer, Player
from mho.graph import units
from mho.graph.model import Model
from mho.method import GameMethod
from mho.runtime.leading import batch_leading
from mho.runtime.problem import Problem

Groups = Mapping[str, Mapping[str, Sequence[int]]]
"""Group -> layer -> units."""


@dataclass(frozen=True)
class Roster:
    """problem: its layers are those that are masked. single: whether every player is one unit.
    alike: layer -> tensors that hold the same units, whose scores from elsewhere are the layer's.
    """

    problem: Problem
    players: tuple[Player, ...]
    single: bool
    alike: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...]


def roster(
    method: GameMethod[object],
    problem: Problem,
    ranked: Collection[str] | None,
    groups: Groups | None,
) -> Roster:
    """The players that ``method`` asks for; ``problem.layers`` are those asked for, or all.

    ranked: names of what a given ranking speaks of. Errors name a layer that can't play, groups
    that overlap, and units that don't exist.
    """
    if groups is not None:
        layers = _grouped(groups, problem.model)
        notes = _overruled(method)
    else:
        layers, notes = _masked(method, problem, ranked)
    problem, more = batch_leading(
        replace(problem, layers=tuple(layers)), asked=bool(method.layers) or groups is not None
    )
    if groups is not None:
        players = [
            Player(group, {name: tuple(indices) for name, indices in members.items()})
            for group, members in groups.items()
        ]
    elif method.players == "layers":
        players = [
            Player(layer.name, {layer.name: tuple(range(layer.units))}) for layer in problem.layers
        ]
    else:
        players = [
            Player(f"{layer.name}:{unit}", {layer.name: (unit,)})
            for layer in problem.layers
            for unit in range(layer.units)
        ]
    single = groups is None and method.players == "units"
    return Roster(problem, tuple(players), single, _alike(method, problem.model), (*notes, *more))


def _overruled(method: GameMethod[object]) -> tuple[str, ...]:
    """Notes on options that have no say where there are groups."""
    notes = []
    if method.layers:
        notes.append("option 'layers' was set, but the groups say which units play")
    if method.players == "layers":
        notes.append("option 'players' was set, but the groups say who plays")
    if method.masked == "before":
        notes.append(
            "option 'masked' was set, but groups name the very tensors at which units are masked"
        )
    return tuple(notes)


def _masked(
    method: GameMethod[object], problem: Problem, ranked: Collection[str] | None
) -> tuple[list[Layer], tuple[str, ...]]:
    """The layers to mask where there are no groups, and notes."""
    if not method.layers:
        return _playing(method, problem, ranked), ()
    layers = list(problem.layers)
    notes: tuple[str, ...] = ()
    if method.masked == "before":
        exact = [layer for layer in layers if layer.name in method.layers]
        globbed = units.before_activation(
            problem.model, [layer for layer in layers if layer not in exact]
        )
        layers = _in_order(problem.model, [*exact, *globbed])
        if len(exact) == len(problem.layers):
            notes = (
                "option 'masked' was set, but layers that are named exactly are masked where they "
                "are named",
            )
    return layers, (*notes, *_twice(method, layers, problem))


def _playing(
    method: GameMethod[object], problem: Problem, ranked: Collection[str] | None
) -> list[Layer]:
    """Every unit once, after its activation or before it, and not the output layer.

    A given ranking restricts the players to the layers it speaks of; to none where it speaks of
    whole players.
    """
    before = method.masked == "before"
    layers = units.playing(problem.model, list(problem.layers), before=before)
    if ranked is not None and ranked:
        alike = _alike(method, problem.model)
        chosen = [
            layer
            for layer in layers
            if any(name in ranked for name in (layer.name, *alike.get(layer.name, ())))
        ]
        layers = chosen or [layer for layer in problem.layers if layer.name in ranked]
    if not layers:
        raise InvalidOption(
            "no layer is left to play: the model has only its output layer, or the given scores "
            "name none of its layers; choose with --layers",
            subject="layers",
        )
    return layers


def _alike(method: GameMethod[object], model: Model) -> Mapping[str, tuple[str, ...]]:
    """Only where units are masked before their activation: their scores are mostly those of a run
    that masked behind it."""
    return units.same_units(model) if method.masked == "before" else {}


def _grouped(groups: Groups, model: Model) -> list[Layer]:
    """The layers of which groups have units, in the order of the graph.

    UnknownLayer and InvalidData name a layer, or a unit, that does not exist or plays twice.
    """
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
    return _in_order(model, list(layers.values()))


def _in_order(model: Model, layers: Sequence[Layer]) -> list[Layer]:
    """``layers``, each once, in the order of the graph."""
    made = [*model.graph.inputs, *(value for node in model.graph for value in node.outputs)]
    position = {value.name: index for index, value in enumerate(made)}
    once = {layer.name: layer for layer in layers}
    return sorted(once.values(), key=lambda layer: position[layer.name])


def _twice(
    method: GameMethod[object], layers: Sequence[Layer], problem: Problem
) -> tuple[str, ...]:
    """Notes on asked layers that make a unit play twice, or the answers themselves play."""
    listed, before = units.layers(problem.model), method.masked == "before"
    once = {layer.name for layer in units.playing(problem.model, listed, before=before)}
    others = [layer.name for layer in layers if layer.name not in once]
    if not others or len(others) == len(layers):
        return ()
    return (
        f"{', '.join(others)} holds units that play elsewhere too, or the model's answers; without "
        "--layers every hidden unit plays once",
    )
