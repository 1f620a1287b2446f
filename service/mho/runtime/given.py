"""A ranking of a game's players from the scores of another run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mho.errors import InvalidData
from mho.evaluation import Layer, Player
from mho.players import GROUPS
from mho.types import FloatArray


def ranking(
    given: Mapping[str, FloatArray],
    players: Sequence[Player],
    layers: Sequence[Layer],
    alike: Mapping[str, tuple[str, ...]],
    *,
    single: bool,
) -> FloatArray:
    """``(players,)``: given scores; those per input are averaged, those of several units added.

    given: layer -> scores, or ``groups`` -> those of whole players, which are taken where players
    are no ``single`` units. alike: layer -> tensors whose scores stand in for its own. InvalidData
    where scores are missing or do not fit.
    """
    if not single and GROUPS in given:
        if given[GROUPS].shape != (len(players),):
            raise InvalidData(
                f"the given scores are those of {len(given[GROUPS])} groups, but {len(players)} "
                "groups play; give the scores of a run with the same groups",
                subject="scores",
            )
        return given[GROUPS]
    flat = {layer.name: _per_unit(given, layer, alike) for layer in layers}
    return np.array(
        [
            sum(float(flat[n][list(u)].sum()) for n, u in player.members.items())
            for player in players
        ]
    )


def _per_unit(
    given: Mapping[str, FloatArray], layer: Layer, alike: Mapping[str, tuple[str, ...]]
) -> FloatArray:
    """``(units,)`` of scores ``(units,)``, ``(inputs, units)`` or ``(inputs, *layer shape)``."""
    named = (layer.name, *reversed(alike.get(layer.name, ())))
    name = next((name for name in named if name in given), None)
    if name is None:
        raise InvalidData(f"the given scores have none for layer '{layer.name}'", subject="scores")
    scores = given[name]
    if scores.ndim == len(layer.shape) and scores.ndim > 2:
        positions = tuple(i for i in range(1, scores.ndim) if i != layer.axis)
        scores = scores.sum(axis=positions)
    if scores.ndim == 2:
        scores = scores.mean(axis=0)
    if scores.shape != (layer.units,):
        raise InvalidData(
            f"the given scores of '{name}' have shape {given[name].shape}; "
            f"({layer.units},) or (inputs, {layer.units}) is needed",
            subject="scores",
        )
    return scores
