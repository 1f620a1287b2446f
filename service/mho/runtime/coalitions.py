"""V of coalitions: the masked model, many coalitions and samples packed into one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mho.errors import InvalidData, InvalidOption
from mho.evaluation import Layer, Player
from mho.graph.target import SCORES
from mho.runtime.engine import obstacle
from mho.runtime.mask_slopes import MaskSlopes
from mho.runtime.problem import Problem
from mho.runtime.resampled import masked_model
from mho.runtime.substitutes import Substitutes
from mho.telemetry.figures import evaluated
from mho.types import BoolArray, Float32Array, FloatArray, IntArray
from mho.value import Samples, Value


class MaskedCoalitions:
    """A ``CoalitionEvaluator`` on a model with masks.

    players: must not share units. substitutes: what removed units become. known: what there is to
    know of the inputs.
    """

    def __init__(
        self,
        problem: Problem,
        players: Sequence[Player],
        substitutes: Substitutes,
        value: Value,
        known: Samples,
        rankings: Mapping[str, FloatArray] | None = None,
    ) -> None:
        self.rankings = rankings or {}
        self.problem = problem
        self._players = tuple(players)
        self._value = value
        self.substitutes = substitutes
        weights = value.weights(known)
        # Inputs that V does not depend on are never run.
        self._index = np.flatnonzero(weights).astype(np.int64)
        self._weights = weights[self._index]
        self._known = known.take(self._index)
        self._model = masked_model(problem, substitutes)
        self._owners = {layer.name: _owners(layer, self._players) for layer in problem.layers}
        self._slopes: MaskSlopes | None = None

    @property
    def players(self) -> Sequence[Player]:
        return self._players

    @property
    def layers(self) -> Sequence[Layer]:
        return self.problem.layers

    @property
    def samples(self) -> int:
        return len(self._index)

    @property
    def linear(self) -> bool:
        return self._value.linear

    @property
    def chunk(self) -> int:
        """Enough coalitions to fill a batch, and one at least."""
        return max(1, self._model.rows // self.samples)

    def values(self, coalitions: BoolArray, samples: IntArray | None = None) -> FloatArray:
        """V ``(coalitions,)``. InvalidData where a coalition gives no finite V."""
        count = len(coalitions)
        if not count:
            return np.zeros(0)
        chosen = self._chosen(count, samples)
        scores = self._scores(coalitions, chosen)
        evaluated("coalitions", chosen.size)
        with np.errstate(over="ignore", invalid="ignore"):
            worth = self._value.worth(
                scores, self._known.take(chosen.ravel()), self._weighted(chosen)
            )
        bad = np.isnan(scores).any(axis=(1, 2)) | ~np.isfinite(worth)
        if bad.any():
            coalition = int(np.argmax(bad))
            removed = int((~coalitions[coalition]).sum())
            sample = int(np.argmax(~np.isfinite(scores[coalition]).all(axis=1)))
            name = self.problem.data.names[int(self._index[chosen[coalition, sample]])]
            raise InvalidData(
                f"with {removed} of {len(self._players)} players removed, the model's score of "
                f"input '{name}' is not finite; choose another --substitute or --value, or other "
                "--layers",
                subject="substitute",
            )
        return worth

    @property
    def surrogate(self) -> str:
        """As the protocol says. InvalidOption where an operator has no derivative rule."""
        problem = self.problem
        names = [layer.name for layer in problem.layers]
        why = obstacle(problem.model, SCORES, names, single=problem.single)
        if why:
            raise InvalidOption(
                f"the value has no slopes in the masks: {why}; estimators that need none, such as "
                "permutation, work with every operator",
                subject="estimator",
            )
        return self._value.stand_in

    def linearised(self, masks: FloatArray, samples: IntArray | None = None) -> FloatArray:
        """``(masks, players)``: link(z + (1 - m) s) - link(z - m s), where m is the player's mask,
        z the argument of the smooth worth there and s its slope in m, weighted over the inputs.

        InvalidData where a slope is not finite.
        """
        chosen = self._chosen(len(masks), samples)
        mask, _ = np.divmod(np.arange(chosen.size), chosen.shape[1])
        flat = chosen.ravel()
        evaluated("slopes", chosen.size)
        argument, by_layer = self._slopes_of().read(
            self._by_layer(masks), mask, self._index[flat], self._known.take(flat)
        )
        slope = np.zeros((len(self._players), len(flat)))
        for name, owners in self._owners.items():
            owned = owners >= 0
            np.add.at(slope, owners[owned], by_layer[name][:, owned].T)
        self._check_slopes(slope, flat)
        link, share = self._value.surrogate.link, masks[mask].T
        marginal = link(argument + (1 - share) * slope) - link(argument - share * slope)
        each = marginal.T.reshape(*chosen.shape, -1) * self._weighted(chosen)[:, :, None]
        return np.asarray(self._value.sign * each.sum(axis=1))

    def _slopes_of(self) -> MaskSlopes:
        if self._slopes is None:
            self._slopes = MaskSlopes(self.problem, self.substitutes, self._value)
        return self._slopes

    def _check_slopes(self, slope: FloatArray, chosen: IntArray) -> None:
        """InvalidData where one of ``slope`` ``(players, rows)`` is not finite."""
        bad = ~np.isfinite(slope).all(axis=0)
        if bad.any():
            name = self.problem.data.names[int(self._index[chosen[int(np.argmax(bad))]])]
            raise InvalidData(
                f"the slope of the value in the masks is not finite for input '{name}'; leave it "
                "out, or take --estimator permutation",
                subject="inputs",
            )

    def _chosen(self, count: int, samples: IntArray | None) -> IntArray:
        """``(count, inputs)``: positions among the inputs that matter."""
        if samples is not None:
            return samples
        return np.tile(np.arange(self.samples), (count, 1))

    def _weighted(self, chosen: IntArray) -> FloatArray:
        return np.asarray(self._weights[chosen] * (self.samples / chosen.shape[1]))

    def _scores(self, coalitions: BoolArray, chosen: IntArray) -> Float32Array:
        """``(coalitions, inputs, classes)``."""
        coalition, _ = np.divmod(np.arange(chosen.size), chosen.shape[1])
        flat = self._model.scores(
            self._by_layer(coalitions), coalition, self._index[chosen.ravel()]
        )
        return flat.reshape(*chosen.shape, -1)

    def _by_layer(self, masks: BoolArray | FloatArray) -> dict[str, Float32Array]:
        """Layer -> ``(masks, units)``: 1 where a unit is kept; units that do not play are."""
        padded = np.concatenate([masks, np.ones((len(masks), 1), dtype=masks.dtype)], axis=1)
        # -1 picks the added column
        return {name: padded[:, owners].astype(np.float32) for name, owners in self._owners.items()}


def _owners(layer: Layer, players: Sequence[Player]) -> IntArray:
    """``(units,)``: index of the player that a unit belongs to, -1 for units that always stay."""
    owners = np.full(layer.units, -1, dtype=np.int64)
    for index, player in enumerate(players):
        owners[list(player.members.get(layer.name, ()))] = index
    return owners
