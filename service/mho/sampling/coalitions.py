"""Random coalitions whose share of kept players is stratified, in mirrored pairs.

Every player is kept with chance t, and t is uniform on an interval: so the mean of a marginal is a
semivalue. The interval is cut into strata, and a replicate is one draw in each. The draw of stratum
k and that of the opposite one mirror each other: t and 1 - t within their strata, and for every
player a uniform number u and 1 - u, against t. The inputs of a replicate are met in turn. Each draw
by itself is as random as any; what grows with t or with the presence of a player, and what is
peculiar to an input, cancels within a replicate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mho.evaluation import CoalitionEvaluator
from mho.sampling.draws import stream
from mho.types import BoolArray, FloatArray, IntArray

_SHRINK = 0.1
_INPUTS = 1 << 20
"""Last counter of the stream of inputs, beyond those of pairs."""


@dataclass(frozen=True)
class Strata:
    """The interval ``[low, high]`` of t, cut into ``count`` equal parts."""

    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Draw:
    """One random coalition. rate: t. kept: ``(players,)``. inputs: ``(inputs,)``, or None for
    all."""

    rate: float
    kept: BoolArray
    inputs: IntArray | None

    @property
    def mask(self) -> FloatArray:
        """``(players,)``: where marginals are predicted from slopes.

        The coalition, drawn towards its mean by a tenth. Away from the corner 0/1 a network has
        fewer kinks, and predictions are better: on the example's loss a tenth of the remaining
        variance is gone, and from a quarter on it returns.
        """
        return np.asarray((1 - _SHRINK) * self.kept + _SHRINK * self.rate)


def all_and_none(players: int) -> BoolArray:
    """``(2, players)``: the coalition of all players, and that of none."""
    return np.stack([np.ones(players, dtype=bool), np.zeros(players, dtype=bool)])


def drawn(
    strata: Strata,
    index: int,
    game: CoalitionEvaluator,
    size: int,
    seed: int,
    kind: int,
    *,
    mirrored: bool,
) -> Draw:
    """Draw ``index`` of those that ``seed`` and ``kind`` name, in stratum ``index`` mod count, on
    ``size`` inputs of the game, 0 for all.

    Draws that are not ``mirrored`` are independent, so that each stratum has a variance of its own.
    """
    replicate, stratum = divmod(index, strata.count)
    opposite = strata.count - 1 - stratum
    pair = min(stratum, opposite) if mirrored else stratum
    generator = stream(seed, kind, replicate, pair)
    place, uniform = generator.random(), generator.random(len(game.players))
    if stratum > pair:
        place, uniform = 1 - place, 1 - uniform
    rate = strata.low + (strata.high - strata.low) * (stratum + place) / strata.count
    return Draw(rate, uniform < rate, _inputs(game.samples, size, stratum, seed, kind, replicate))


def _inputs(samples: int, size: int, stratum: int, *counters: int) -> IntArray | None:
    """``(size,)``: those of a stratum, one after the other in a random order of all; so the draws
    of a replicate meet every input as often as another, to one. None, for all, where ``size`` is 0
    or takes them all."""
    if size == 0 or size >= samples:
        return None
    order = stream(*counters, _INPUTS).permutation(samples)
    return order[(stratum * size + np.arange(size)) % samples].astype(np.int64)


def inputs_of(draws: list[Draw]) -> IntArray | None:
    """``(draws, inputs)``, or None for all."""
    chosen = [draw.inputs for draw in draws if draw.inputs is not None]
    return np.stack(chosen) if chosen else None


def predicted(game: CoalitionEvaluator, draws: list[Draw]) -> FloatArray:
    """``(draws, players)``: marginals by linear extrapolation at each draw's mask and inputs."""
    return game.linearised(np.stack([draw.mask for draw in draws]), inputs_of(draws))
