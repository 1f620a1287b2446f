"""Marginals predicted from slopes in the masks: a quick, biased stand-in for Shapley values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from mho.errors import InvalidOption
from mho.estimator import GRADIENT_COST, Estimate, Estimator
from mho.evaluation import CoalitionEvaluator
from mho.method import Progress
from mho.sampling.coalitions import Strata, all_and_none, drawn, predicted
from mho.sampling.draws import batch_of
from mho.sampling.predictions import PredictionPool

_STRATA = 8
_DRAWS = 64
_MINIBATCH = 16


@dataclass(frozen=True)
class GradientState:
    """pool: predictions so far; draws: how many there are to be.

    batch: inputs of a draw, 0 for all; share: how many of all that is.
    """

    pool: PredictionPool
    draws: int
    batch: int
    share: float
    v_full: float
    v_empty: float
    surrogate: str


class Gradient(Estimator[GradientState]):
    """What derivatives of the value in the masks, at random coalitions, predict for each player.

    One backward pass serves all players. A network is not linear in a mask, so that all values are
    approximate: they are good for a ranking.
    """

    name: ClassVar[str] = "gradient"
    summary: ClassVar[str] = "marginals predicted from slopes in the masks: fast, biased"
    takes: ClassVar[frozenset[str]] = frozenset({"inclusion", "minibatch"})
    unbiased: ClassVar[bool] = False

    @property
    def estimand(self) -> str:
        low, high = self.interval
        what = "Shapley value" if (low, high) == (0.0, 1.0) else f"semivalue on [{low:g}, {high:g}]"
        return f"{what}, predicted from slopes,"

    @property
    def interval(self) -> tuple[float, float]:
        return self.asked.inclusion or (0.0, 1.0)

    def state_class(self) -> type[GradientState]:
        return GradientState

    def init(self, game: CoalitionEvaluator) -> GradientState:
        surrogate = game.surrogate  # raises where there are no slopes
        players, samples = len(game.players), game.samples
        own = _MINIBATCH if game.linear else 0
        batch, share = batch_of(self.asked.minibatch or own, samples)
        draws = _DRAWS
        if self.asked.evaluations:
            draws = int((self.asked.evaluations - 2) / (GRADIENT_COST * share))
            if draws < 2 * _STRATA:
                least = int(np.ceil(2 + 2 * _STRATA * GRADIENT_COST * share))
                raise InvalidOption(
                    f"{self.asked.evaluations} evaluations are too few: the least that gives a "
                    f"standard error, {2 * _STRATA} draws of slopes, counts for {least}",
                    subject="evaluations",
                )
        v_full, v_empty = (float(v) for v in game.values(all_and_none(players)))
        pool = PredictionPool.empty(_STRATA, players)
        return GradientState(pool, draws, batch, share, v_full, v_empty, surrogate)

    def step(self, state: GradientState, game: CoalitionEvaluator) -> GradientState:
        start = state.pool.drawn
        stop = min(state.draws, start + max(1, int(game.chunk / state.share) // GRADIENT_COST))
        strata = Strata(*self.interval, _STRATA)
        draws = [
            drawn(strata, index, game, state.batch, self.asked.seed, 0, mirrored=False)
            for index in range(start, stop)
        ]
        return replace(state, pool=state.pool.with_draws(predicted(game, draws)))

    def done(self, state: GradientState) -> bool:
        return state.pool.drawn >= state.draws

    def progress(self, state: GradientState) -> Progress:
        return Progress(state.pool.drawn, state.draws, "draws")

    def estimate(self, state: GradientState) -> Estimate:
        pool = state.pool
        players = pool.mean.shape[1]
        return Estimate(
            values=pool.value,
            std_error=np.sqrt(pool.variance()),
            draws=np.full(players, pool.drawn),
            v_full=state.v_full,
            v_empty=state.v_empty,
            evaluations=2.0,
            gradients=pool.drawn * state.share,
            approximate=np.ones(players, dtype=bool),
            report={
                "predicted_from": state.surrogate or "the value itself",
                "inputs_a_draw": state.batch or "all",
            },
            notes=[
                "the values are predicted from slopes, not marginals: take them as a ranking; "
                "estimators 'assisted' and 'semivalue' correct them by exact marginals"
            ],
        )
