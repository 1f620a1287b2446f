"""Scores of players as arrays by layer, and orders among players."""

from __future__ import annotations

import numpy as np

from mho.evaluation import CoalitionEvaluator
from mho.types import JSON, FloatArray

GROUPS = "groups"
"""Under this name stand the scores of players that are groups of units, in the players' order."""

GIVEN = "given"
"""Name of the ranking that is read from the result of another run."""


def by_layer(game: CoalitionEvaluator, values: FloatArray) -> dict[str, FloatArray]:
    """``(players,)`` -> layer name -> ``(units,)`` where every unit plays for itself; otherwise all
    values stay together under ``groups``."""
    if sum(layer.units for layer in game.layers) != len(game.players):
        return {GROUPS: values}
    arrays = {layer.name: np.zeros(layer.units) for layer in game.layers}
    for player, value in zip(game.players, values, strict=True):
        for layer, units in player.members.items():
            arrays[layer][units[0]] = value
    return arrays


def group_names(game: CoalitionEvaluator) -> list[JSON]:
    """The names of players that are groups, in the order of their scores; none for single units."""
    if sum(layer.units for layer in game.layers) == len(game.players):
        return []
    return [player.name for player in game.players]
