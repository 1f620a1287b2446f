"""V of coalitions: the masked model, many coalitions and samples packed into one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mho.errors import InvalidData
from mho.evaluation import Layer, Player
from mho.graph.mask import broadcast_shape, mask_input, masked, substitute_input
from mho.graph.target import SCORES
from mho.runtime.problem import Problem
from mho.types import Array, BoolArray, Float32Array, FloatArray, IntArray
from mho.value import Value


class MaskedCoalitions:
    """A ``CoalitionEvaluator`` on a model with masks.

    players: must not share units. substitutes: layer -> ``(units,)``, the same at every position,
    or the layer's shape without the batch. judged_by: ``(inputs,)``, the class that the value looks
    at.
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
        self._batches = problem.batches(masked(problem.model, problem.layers))
        self._substitutes = {
            substitute_input(layer.name): _shaped(layer, substitutes[layer.name])
            for layer in problem.layers
        }
        self._owners = {layer.name: _owners(layer, self._players) for layer in problem.layers}

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
        """V ``(coalitions,)``. InvalidData where a coalition gives no finite V."""
        count = len(coalitions)
        if not count:
            return np.zeros(0)
        scores = self.scores(coalitions)
        labels = np.tile(self._judged_by, count)
        flat = scores.reshape(count * self._samples, -1)
        worth = self._value.per_sample(flat, labels).reshape(count, self._samples)
        bad = np.isnan(scores).any(axis=2) | ~np.isfinite(worth)
        if bad.any():
            coalition, sample = np.argwhere(bad)[0]
            removed = int((~coalitions[coalition]).sum())
            raise InvalidData(
                f"with {removed} of {len(self._players)} players removed, the model's score of "
                f"input '{self._problem.data.names[sample]}' is not finite; choose another "
                "--substitute or --value, or other --layers",
                subject="substitute",
            )
        return np.asarray(worth.mean(axis=1))

    def scores(self, coalitions: BoolArray) -> Float32Array:
        """``(coalitions, samples, classes)``: scores of every sample under every coalition."""
        total = len(coalitions) * self._samples
        masks = {
            mask_input(name): _mask(coalitions, owners) for name, owners in self._owners.items()
        }
        data = self._problem.data.inputs

        def feeds(a: int, b: int) -> dict[str, Array]:
            coalition, sample = np.divmod(np.arange(a, b), self._samples)
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
