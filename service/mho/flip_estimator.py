"""Semivalues from single flips at random coalitions, corrected by what slopes predict.

A round draws a rate t and a coalition S in which every player is kept with chance t, and evaluates
the exact marginals V(S + i) - V(S - i) of the active players: one evaluation each, beside one of
V(S). Their mean over t uniform on an interval is a semivalue: the Shapley value for [0, 1] (Owen
1972). Three things make few rounds enough, none of which biases the mean:

- t is stratified and coalitions come in mirrored pairs (``coalition_draws.py``): a replicate is
  one round in every stratum, and standard errors come from whole replicates. The size of the
  coalition alone explains a quarter to a half of the variance of a marginal.
- What slopes in the masks predict for all players at once is a control variate. Its coefficient
  comes from the rounds before, so that it does not depend on the round in which it is used, and the
  mean of the predictions from draws of their own (``prediction_pool.py``).
- V may be taken over a few random inputs in every round, both ends of a marginal on the same.

Where the budget does not reach for all players, those with the largest mean predictions are
flipped, and the others keep theirs, scaled to the marginals found and marked as approximate. Where
the top k are looked for, players that are surely in or surely out are not flipped any more.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace

import numpy as np

from mho.coalition_draws import Draw, Strata, drawn, predicted
from mho.control_variate import ControlVariate
from mho.estimator import GRADIENT_COST, Estimate, Estimator
from mho.evaluation import CoalitionEvaluator
from mho.flip_plan import REFRESH, Plan, planned
from mho.method import Progress
from mho.prediction_pool import PredictionPool
from mho.top_players import undecided
from mho.types import JSON, BoolArray, FloatArray, IntArray

_ROUND, _POOL = 0, 1
"""First counters of the draws of rounds and of the pool."""
_FIRST_COEFFICIENT = 0.5
"""Of the control variate before anything is known; 0 where predictions are of another value, whose
scale may be another, too."""


@dataclass(frozen=True)
class Totals:
    """What whole replicates came to.

    count, mean, squares: ``(players,)``, of corrected marginals, as Welford has them. weight:
    ``(strata, players)``, the sum of the coefficients that were used.
    """

    count: IntArray
    mean: FloatArray
    squares: FloatArray
    weight: FloatArray

    def with_replicate(self, active: BoolArray, found: FloatArray, used: FloatArray) -> Totals:
        count = self.count + active
        delta = np.where(active, found - self.mean, 0.0)
        mean = self.mean + delta / np.maximum(count, 1)
        squares = self.squares + delta * np.where(active, found - mean, 0.0)
        return Totals(count, mean, squares, self.weight + used)


@dataclass(frozen=True)
class FlipState:
    """layer: ``(players,)``, the number of each player's layer.

    pool: predictions so far; wanted: how many draws it is to have before the next round.
    centre: ``(strata, players)``, the pool's means before the first round, from which predictions
    deviate.
    active: ``(players,)``, who is flipped in this replicate; index: rounds that are done.
    position: how many active players the round in hand has flipped; base: its V(S); prediction,
    marginal: ``(players,)``, of that round.
    corrected: ``(players,)``, sum over this replicate's rounds; used: ``(strata, players)``, its
    coefficients. looks: how often the top was judged.
    evaluations, gradients: over all inputs; fractions where there were fewer.
    """

    plan: Plan
    layer: IntArray
    pool: PredictionPool
    wanted: int
    centre: FloatArray
    active: BoolArray
    index: int
    position: int
    base: float
    prediction: FloatArray
    marginal: FloatArray
    corrected: FloatArray
    used: FloatArray
    variate: ControlVariate
    totals: Totals
    looks: int
    v_full: float
    v_empty: float
    evaluations: float
    gradients: float


class FlipEstimator(Estimator[FlipState]):
    """Base of the estimators that differ in the interval of t only."""

    @property
    @abstractmethod
    def interval(self) -> tuple[float, float]:
        """Of the inclusion rate t."""

    def state_class(self) -> type[FlipState]:
        return FlipState

    def init(self, game: CoalitionEvaluator) -> FlipState:
        plan = planned(game, self.asked, self.name)
        players = len(game.players)
        ends = np.stack([np.ones(players, dtype=bool), np.zeros(players, dtype=bool)])
        v_full, v_empty = (float(v) for v in game.values(ends))
        layer = _layers(game)
        none, by_stratum = np.zeros(players), np.zeros((plan.strata, players))
        return FlipState(
            plan=plan,
            layer=layer,
            pool=PredictionPool.empty(plan.strata, players),
            wanted=plan.screen if plan.slopes else 0,
            centre=by_stratum,
            active=np.full(players, plan.candidates == players),
            index=0,
            position=0,
            base=0.0,
            prediction=none,
            marginal=none,
            corrected=none,
            used=by_stratum,
            variate=ControlVariate.empty(
                plan.strata, int(layer.max()) + 1, 0.0 if plan.surrogate else _FIRST_COEFFICIENT
            ),
            totals=Totals(np.zeros(players, dtype=np.int64), none, none, by_stratum),
            looks=0,
            v_full=v_full,
            v_empty=v_empty,
            evaluations=2.0,
            gradients=0.0,
        )

    def step(self, state: FlipState, game: CoalitionEvaluator) -> FlipState:
        if state.pool.drawn < state.wanted:
            return self._screened(state, game)
        flipped = self._flipped(state, game)
        if flipped.position < int(flipped.active.sum()):
            return flipped
        closed = _closed(flipped)
        return self._judged(closed) if closed.index % closed.plan.strata == 0 else closed

    def done(self, state: FlipState) -> bool:
        if state.pool.drawn < state.wanted or state.position or state.index % state.plan.strata:
            return False
        return not _goes_on(state, state.active)

    def progress(self, state: FlipState) -> Progress:
        budget = state.plan.budget
        if state.index == 0 and state.pool.drawn < state.wanted:
            said = "slopes at random coalitions"
        else:
            said = f"round {state.index + 1}, {int(state.active.sum())} players flipped"
        return Progress(min(_spent(state), budget), budget, "evaluations", said)

    def estimate(self, state: FlipState) -> Estimate:
        values, error, exact = _values(state)
        plan, players = state.plan, len(values)
        notes = []
        if plan.obstacle:
            notes.append(f"marginals were not corrected by predictions: {plan.obstacle}")
        if not exact.all():
            notes.append(
                f"{int((~exact).sum())} of {players} players have approximate values, predicted "
                "from slopes and not corrected by exact marginals; more --evaluations correct more"
            )
        report: dict[str, JSON] = {
            "replicates": int(state.totals.count.max(initial=0)),
            "rounds": state.index,
            "inputs_a_draw": plan.batch or "all",
            "flipped_players": int(exact.sum()),
        }
        if plan.slopes:
            report["predicted_from"] = plan.surrogate or "the value itself"
        return Estimate(
            values=values,
            std_error=error,
            draws=np.where(exact, state.totals.count, state.pool.drawn),
            v_full=state.v_full,
            v_empty=state.v_empty,
            evaluations=state.evaluations,
            gradients=state.gradients,
            approximate=~exact,
            best=_best(state, values, error, exact),
            report=report,
            notes=notes,
        )

    def _draw(self, state: FlipState, game: CoalitionEvaluator, kind: int, index: int) -> Draw:
        strata = Strata(*self.interval, state.plan.strata)
        return drawn(strata, index, game, state.plan.batch, self.asked.seed, kind)

    def _screened(self, state: FlipState, game: CoalitionEvaluator) -> FlipState:
        """A few more draws of slopes; with the last before the first round, the candidates."""
        plan, start = state.plan, state.pool.drawn
        stop = min(state.wanted, start + max(1, int(game.chunk / plan.share) // GRADIENT_COST))
        draws = [self._draw(state, game, _POOL, index) for index in range(start, stop)]
        pool = state.pool.with_draws(predicted(game, draws))
        screened = replace(state, pool=pool, gradients=state.gradients + len(draws) * plan.share)
        if stop < state.wanted or state.index:
            return screened
        screened = replace(screened, centre=pool.mean)
        if plan.candidates == len(state.layer):
            return screened
        rank = pool.value if self.asked.top else np.abs(pool.value)
        active = np.zeros(len(rank), dtype=bool)
        active[np.argsort(-rank, kind="stable")[: plan.candidates]] = True
        return replace(screened, active=active)

    def _flipped(self, state: FlipState, game: CoalitionEvaluator) -> FlipState:
        """Some more flips of the round in hand; with the first, V(S) and the slopes."""
        plan = state.plan
        draw = self._draw(state, game, _ROUND, state.index)
        begins = state.position == 0
        many = max(1, int(game.chunk / plan.share) - begins)
        flip = np.flatnonzero(state.active)[state.position : state.position + many]
        coalitions = np.repeat(draw.kept[None], len(flip) + begins, axis=0)
        coalitions[np.arange(len(flip)) + begins, flip] ^= True
        worth = game.values(coalitions, _repeated(draw, len(coalitions)))
        base, prediction, gradients = state.base, state.prediction, state.gradients
        if begins:
            base, worth = float(worth[0]), worth[1:]
            if plan.slopes:
                prediction = predicted(game, [draw])[0]
                gradients += plan.share
        marginal = state.marginal.copy()
        marginal[flip] = np.where(draw.kept[flip], base - worth, worth - base)
        return replace(
            state,
            position=state.position + len(flip),
            base=base,
            prediction=prediction,
            marginal=marginal,
            evaluations=state.evaluations + len(coalitions) * plan.share,
            gradients=gradients,
        )

    def _judged(self, state: FlipState) -> FlipState:
        """The replicate into the totals; who is flipped in the next, and slopes for it."""
        strata = state.plan.strata
        totals = state.totals.with_replicate(state.active, state.corrected / strata, state.used)
        state = replace(
            state,
            totals=totals,
            corrected=np.zeros_like(state.corrected),
            used=np.zeros_like(state.used),
        )
        active = state.active
        if self.asked.top:
            values, error, exact = _values(state)
            open_ = np.zeros(len(values), dtype=bool)
            open_[exact] = undecided(
                values[exact], error[exact], totals.count[exact],
                self.asked.top, self.asked.confidence, state.looks + 1,
            )  # fmt: skip
            state, active = replace(state, looks=state.looks + 1), active & open_
        wanted = state.pool.drawn
        if state.plan.slopes and _goes_on(state, active):
            wanted += REFRESH * strata
        return replace(state, active=active, wanted=wanted)


def _closed(state: FlipState) -> FlipState:
    """The round in hand, whose marginals are all there, corrected and added to its replicate."""
    stratum = state.index % state.plan.strata
    used, variate = state.used, state.variate
    corrected = state.corrected + np.where(state.active, state.marginal, 0.0)
    if state.plan.slopes:
        centre = state.centre[stratum]
        off = np.where(state.active, state.prediction - centre, 0.0)
        coefficient = np.where(state.active, variate.coefficients(stratum)[state.layer], 0.0)
        corrected = corrected - coefficient * off
        used = used.copy()
        used[stratum] = coefficient
        expected = variate.overall * centre
        variate = variate.with_round(
            stratum, state.layer, np.where(state.active, state.marginal - expected, 0.0), off
        )
    return replace(
        state,
        index=state.index + 1,
        position=0,
        marginal=np.zeros_like(state.marginal),
        corrected=corrected,
        used=used,
        variate=variate,
    )


def _values(state: FlipState) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Values and standard errors ``(players,)``, and which rest on exact marginals."""
    totals, pool = state.totals, state.pool
    count = totals.count
    exact = count > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.where(count > 1, totals.squares / (count - 1) / count, np.inf)
    if not state.plan.slopes or not pool.counts.all():
        values = np.where(exact, totals.mean, np.nan)
        return values, np.where(exact, np.sqrt(spread), np.inf), exact
    weight = totals.weight / np.maximum(count, 1)
    values = totals.mean + (weight * (pool.mean - state.centre)).mean(axis=0)
    error = np.sqrt(spread + pool.variance(weight))
    scale = _scale(values, pool.value, exact) if exact.any() else 1.0
    return (
        np.where(exact, values, scale * pool.value),
        np.where(exact, error, np.inf),  # of a prediction's bias nothing is known
        exact,
    )


def _best(state: FlipState, values: FloatArray, error: FloatArray, exact: BoolArray) -> FloatArray:
    """``(players,)``: each exact value and its scaled prediction, weighted by what is known of both
    (empirical Bayes). Predictions err by a spread that the exact values show."""
    if not state.plan.slopes or not exact.any():
        return values
    predicted_ = _scale(values, state.pool.value, exact) * state.pool.value
    off = values - predicted_
    known = exact & np.isfinite(error)
    spread = max(0.0, float(np.mean(off[known] ** 2 - error[known] ** 2))) if known.any() else 0.0
    noise = np.where(known, np.square(error), np.inf)
    share = spread / (spread + noise) if spread > 0 else np.where(noise == 0, 1.0, 0.0)
    return np.where(exact, predicted_ + share * off, values)


def _scale(values: FloatArray, prediction: FloatArray, exact: BoolArray) -> float:
    """What predictions are to be multiplied by to fit the exact values."""
    norm = float(prediction[exact] @ prediction[exact])
    return float(values[exact] @ prediction[exact]) / norm if norm > 0 else 0.0


def _spent(state: FlipState) -> float:
    return state.evaluations + GRADIENT_COST * state.gradients


def _goes_on(state: FlipState, active: BoolArray) -> bool:
    """Whether there is somebody to flip, and budget for another replicate."""
    flips = int(active.sum())
    next_one = state.plan.strata * state.plan.cost(flips)
    # Sums of shares are rounded, in an order that hangs on the batches.
    return flips > 0 and _spent(state) + next_one <= state.plan.budget * (1 + 1e-9)


def _repeated(draw: Draw, coalitions: int) -> IntArray | None:
    """``(coalitions, inputs)``: the draw's inputs for each, None for all."""
    return None if draw.inputs is None else np.tile(draw.inputs, (coalitions, 1))


def _layers(game: CoalitionEvaluator) -> IntArray:
    """``(players,)``: the number of the layer in which each player's first unit is."""
    number = {layer.name: index for index, layer in enumerate(game.layers)}
    return np.array([number[next(iter(p.members))] for p in game.players], dtype=np.int64)
