"""V of coalitions: the masked model, many coalitions and samples packed into one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mho.evaluation import Layer, Player
from mho.graph.mask import broadcast_shape, mask_input, masked, substitute_input
from mho.graph.target import SCORES
from mho.runtime.problem import Problem
from mho.types import Array, BoolArray, Float32Array, FloatArray, IntArray
from mho.value import Value


class MaskedCoalitions:
    """A ``CoalitionEvaluator`` on a model with masks.

    players: must not share units. substitutes: layer -> ``(units,)``, the same at every position, or the
    layer's shape without the batch. judged_by: ``(inputs,)``, the class that the value looks at.
    """

    def __init__(
        self,
        problem: Problem,
        players: Sequence[Player],
        substitutes: Mapping[str, Array],
        value: Value,
        judged_by: IntArray,
        ranking: FloatArray | None = None,
    ) -> None:
        self.ranking = ranking
        self._problem = problem
        self._players = tuple(players)
        self._value = value
        self._judged_by = judged_by
        self._samples = len(problem.data)
        _, self._batches = problem.batches(masked(problem.model, problem.layers))
        self._substitutes = {
            substitute_input(layer.name): _shaped(layer, substitutes[layer.name])
            for layer in problem.layers
        }
        self._member = {layer.name: _owners(layer, self._players) for layer in problem.layers}

    @property
    def players(self) -> Sequence[Player]:
        return self._players

    @property
    def layers(self) -> Sequence[Layer]:
        return self._problem.layers

    @property
    def chunk(self) -> int:
        """Enough coalitions to fill a batch, and one at least."""
        return max(1, self._batches.rows // self._samples)

    def values(self, coalitions: BoolArray) -> FloatArray:
        scores = self.scores(coalitions)
        count = len(coalitions)
        labels = np.tile(self._judged_by, count)
        worth = self._value.per_sample(scores.reshape(count * self._samples, -1), labels)
        return worth.reshape(count, self._samples).mean(axis=1)

    def scores(self, coalitions: BoolArray) -> Float32Array:
        """``(coalitions, samples, classes)``: the scores of every sample under every coalition."""
        total = len(coalitions) * self._samples
        masks = {
            mask_input(name): _mask(coalitions, owners) for name, owners in self._member.items()
        }
        data = self._problem.data.inputs

        def feeds(a: int, b: int) -> dict[str, Array]:
            rows = np.arange(a, b)
            coalition, sample = rows // self._samples, rows % self._samples
            fed: dict[str, Array] = {name: array[sample] for name, array in data.items()}
            fed.update({name: mask[coalition] for name, mask in masks.items()})
            fed.update(self._substitutes)
            return fed

        parts = [found[SCORES] for _, _, found in self._batches.run(total, feeds)]
        return np.concatenate(parts).reshape(len(coalitions), self._samples, -1)


def _shaped(layer: Layer, values: Array) -> Float32Array:
    """Values per unit or per position, with a leading 1, so that they broadcast to the layer."""
    array = np.asarray(values, dtype=np.float32)
    return array.reshape(broadcast_shape(layer)) if array.ndim == 1 else array[None]


def _owners(layer: Layer, players: Sequence[Player]) -> IntArray:
    """``(units,)``: index of the player that a unit belongs to, -1 for units that always stay."""
    owners = np.full(layer.units, -1, dtype=np.int64)
    for index, player in enumerate(players):
        owners[list(player.members.get(layer.name, ()))] = index
    return owners


def _mask(coalitions: BoolArray, owners: IntArray) -> Float32Array:
    """``(coalitions, units)``: 1 where the unit is kept."""
    padded = np.concatenate([coalitions, np.ones((len(coalitions), 1), dtype=bool)], axis=1)
    return padded[:, owners].astype(np.float32)  # -1 picks the added column
