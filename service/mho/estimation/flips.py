"""Semivalues from single flips at random coalitions, corrected by what slopes predict.

A round draws a rate t and a coalition S in which every player is kept with chance t, and evaluates
the exact marginals V(S + i) - V(S - i) of the active players: one evaluation each, beside one of
V(S). Their mean over t uniform on an interval is a semivalue: the Shapley value for [0, 1] (Owen
1972). Three things make few rounds enough, none of which biases the mean:

- t is stratified and coalitions come in mirrored pairs (``sampling/coalitions.py``): a replicate is
  one round in every stratum, and standard errors come from whole replicates. The size of the
  coalition alone explains a quarter to a half of the variance of a marginal.
- What slopes in the masks predict for all players at once is a control variate. Its coefficient
  comes from the rounds before, so that it does not depend on the round in which it is used, and the
  mean of the predictions from draws of their own (``sampling/predictions.py``).
- V may be taken over a few random inputs in every round, both ends of a marginal on the same.

Where the budget does not reach for all players, those with the largest mean predictions are
flipped, and the others keep theirs, scaled to the marginals found and marked as approximate. Where
the top k are looked for, players that are surely in or surely out are not flipped any more.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from mho.estimation.flip_plan import Plan, planned
from mho.estimator import GRADIENT_COST, Estimate, Estimator
from mho.evaluation import CoalitionEvaluator
from mho.method import Progress
from mho.sampling.coalitions import Draw, Strata, all_and_none, drawn, predicted
from mho.sampling.control_variate import ControlVariate
from mho.sampling.predictions import PredictionPool, misfit, steadied
from mho.sampling.running_mean import RunningMean
from mho.sampling.top_players import settled, undecided
from mho.types import JSON, BoolArray, FloatArray, IntArray

_ROUND, _SCREEN, _POOL = 0, 1, 2
"""First counters of the draws of rounds, of the screen and of the pool."""
_FIRST_LOOK, _MORE = 4, 1.5
"""Replicates after which it is judged for the first time who is in the top, and by what factor they
grow until the next: every look costs some of the confidence, and from few replicates nobody is
found, as Student's intervals are wide."""
_FIRST_COEFFICIENT = 0.5
"""Of the control variate before anything is known; 0 where predictions are of another value, whose
scale may be another, too."""


@dataclass(frozen=True)
class FlipState:
    """layer: ``(players,)``, the number of each player's layer.

    screen: predictions before the first round, by which candidates are chosen and coefficients are
    centred. pool: those by which marginals are corrected, independent of the former and of the
    rounds; wanted: how many draws it is to have before the next round.
    active: ``(players,)``, who is flipped in this replicate; index: rounds that are done.
    position: how many active players the round in hand has flipped; base: its V(S); prediction,
    marginal: ``(players,)``, of that round.
    corrected: ``(players,)``, sum over this replicate's rounds; used: ``(strata, players)``, its
    coefficients. totals: corrected marginals, by replicate; weight: ``(strata, players)``, sum of
    the coefficients that were used in whole replicates.
    looks: how often the top was judged; sure: ``(players,)``, who was found to be in it. over:
    whether another replicate is not to be had.
    evaluations, gradients: over all inputs; fractions where there were fewer.
    """

    plan: Plan
    layer: IntArray
    screen: PredictionPool
    pool: PredictionPool
    wanted: int
    active: BoolArray
    index: int
    position: int
    base: float
    prediction: FloatArray
    marginal: FloatArray
    corrected: FloatArray
    used: FloatArray
    variate: ControlVariate
    totals: RunningMean
    weight: FloatArray
    looks: int
    sure: BoolArray
    over: bool
    v_full: float
    v_empty: float
    evaluations: float
    gradients: float


class FlipEstimator(Estimator[FlipState]):
    """Base of the estimators that differ in the interval of t only."""

    settles: ClassVar[bool] = True

    @property
    @abstractmethod
    def interval(self) -> tuple[float, float]:
        """Of the inclusion rate t."""

    def state_class(self) -> type[FlipState]:
        return FlipState

    def init(self, game: CoalitionEvaluator) -> FlipState:
        plan = planned(game, self.asked, self.name, self.interval)
        players = len(game.players)
        v_full, v_empty = (float(v) for v in game.values(all_and_none(players)))
        layer = _layers(game)
        none, by_stratum = np.zeros(players), np.zeros((plan.strata, players))
        empty = PredictionPool.empty(plan.strata, players)
        first = 0.0 if plan.surrogate else _FIRST_COEFFICIENT
        return FlipState(
            plan=plan,
            layer=layer,
            screen=empty,
            pool=empty,
            wanted=plan.refresh(plan.candidates) * plan.strata,
            active=np.full(players, plan.candidates == players),
            index=0,
            position=0,
            base=0.0,
            prediction=none,
            marginal=none,
            corrected=none,
            used=by_stratum,
            variate=ControlVariate.empty(plan.strata, int(layer.max()) + 1, first),
            totals=RunningMean.empty(players),
            weight=by_stratum,
            looks=0,
            sure=np.zeros(players, dtype=bool),
            over=False,
            v_full=v_full,
            v_empty=v_empty,
            evaluations=2.0,
            gradients=0.0,
        )

    def step(self, state: FlipState, game: CoalitionEvaluator) -> FlipState:
        if state.plan.slopes and state.screen.drawn < state.plan.screen:
            return self._screened(state, game)
        if state.pool.drawn < state.wanted:
            return self._refreshed(state, game)
        flipped = self._flipped(state, game)
        if flipped.position < int(flipped.active.sum()):
            return flipped
        closed = _closed(flipped)
        return self._judged(closed) if closed.index % closed.plan.strata == 0 else closed

    def done(self, state: FlipState) -> bool:
        return state.over

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
            draws=np.where(exact, state.totals.count, state.screen.drawn + state.pool.drawn),
            v_full=state.v_full,
            v_empty=state.v_empty,
            evaluations=state.evaluations,
            gradients=state.gradients,
            approximate=~exact,
            best=_best(state, values, error, exact),
            settled=state.sure if self.asked.top else np.zeros(0, dtype=bool),
            report=report,
            notes=notes,
        )

    def _draw(self, state: FlipState, game: CoalitionEvaluator, kind: int, index: int) -> Draw:
        strata = Strata(*self.interval, state.plan.strata)
        return drawn(
            strata, index, game, state.plan.batch, self.asked.seed, kind, mirrored=kind == _ROUND
        )

    def _screened(self, state: FlipState, game: CoalitionEvaluator) -> FlipState:
        """Some more draws of the screen; with the last, who is flipped."""
        found = self._predictions(state, game, _SCREEN, state.screen.drawn, state.plan.screen)
        screen = state.screen.with_draws(found)
        spent = state.gradients + len(found) * state.plan.share
        state = replace(state, screen=screen, gradients=spent)
        if screen.drawn < state.plan.screen:
            return state
        if state.plan.candidates < len(state.layer):
            rank = screen.value if self.asked.top else np.abs(screen.value)
            active = np.zeros(len(rank), dtype=bool)
            active[np.argsort(-rank, kind="stable")[: state.plan.candidates]] = True
            state = replace(state, active=active)
        layer, variance = state.layer[state.active], screen.spread[:, state.active]
        return replace(state, variate=state.variate.expecting(layer, variance))

    def _refreshed(self, state: FlipState, game: CoalitionEvaluator) -> FlipState:
        """Some more draws of the pool."""
        found = self._predictions(state, game, _POOL, state.pool.drawn, state.wanted)
        return replace(
            state,
            pool=state.pool.with_draws(found),
            gradients=state.gradients + len(found) * state.plan.share,
        )

    def _predictions(
        self, state: FlipState, game: CoalitionEvaluator, kind: int, start: int, most: int
    ) -> FloatArray:
        """``(draws, players)``: those of a kind from ``start`` on, as many as fill a batch."""
        room = max(1, int(game.chunk / state.plan.share) // GRADIENT_COST)
        draws = [self._draw(state, game, kind, i) for i in range(start, min(most, start + room))]
        return predicted(game, draws)

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
        strata, active = state.plan.strata, state.active
        state = replace(
            state,
            totals=state.totals.with_draw(state.corrected / strata, active),
            weight=state.weight + state.used,
            corrected=np.zeros_like(state.corrected),
            used=np.zeros_like(state.used),
        )
        values, error, exact = _values(state)
        replicates = state.index // strata
        due = replicates >= _FIRST_LOOK * _MORE**state.looks
        if due and 0 < self.asked.top < exact.sum():
            known = values[exact], error[exact], state.totals.count[exact]
            rule = self.asked.top, self.asked.confidence, state.looks + 1
            inside, open_ = state.sure.copy(), np.zeros(len(values), dtype=bool)
            inside[exact] |= settled(*known, *rule)
            open_[exact] = undecided(*known, *rule)
            state = replace(state, looks=state.looks + 1, sure=inside)
            active = active & open_
        state = replace(state, active=active)
        if not _goes_on(state):
            return replace(state, over=True)
        refresh = state.plan.refresh(int(active.sum()))
        return replace(state, wanted=state.wanted + refresh * strata)


def _closed(state: FlipState) -> FlipState:
    """The round in hand, whose marginals are all there, corrected and added to its replicate."""
    stratum = state.index % state.plan.strata
    used, variate = state.used, state.variate
    corrected = state.corrected + np.where(state.active, state.marginal, 0.0)
    if state.plan.slopes:
        centre = state.screen.mean[stratum]
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
    totals = state.totals
    exact = totals.count > 0
    if not state.plan.slopes:
        return totals.value, totals.std_error, exact
    weight = state.weight / np.maximum(totals.count, 1)
    shift = (weight * (state.pool.mean - state.screen.mean)).mean(axis=0)
    error = np.sqrt(np.square(totals.std_error) + state.pool.variance(weight))
    values, prediction = totals.mean + shift, _prediction(state)
    scale = _scale(values, prediction, exact) if exact.any() else 1.0
    return (
        np.where(exact, values, scale * prediction),
        np.where(exact, error, np.inf),  # of a prediction's bias nothing is known
        exact,
    )


def _prediction(state: FlipState) -> FloatArray:
    """``(players,)``: the mean over all draws; NaN before the first."""
    screen, pool = state.screen, state.pool
    if not pool.drawn:
        return screen.value
    return np.asarray(
        (screen.drawn * screen.value + pool.drawn * pool.value) / (screen.drawn + pool.drawn)
    )


def _best(state: FlipState, values: FloatArray, error: FloatArray, exact: BoolArray) -> FloatArray:
    """``(players,)``: each exact value and its scaled prediction, weighted by what is known of both
    (empirical Bayes). Predictions err by a spread that the exact values show."""
    if not state.plan.slopes or not exact.any():
        return values
    prediction = _prediction(state)
    prediction = _scale(values, prediction, exact) * prediction
    off = values - prediction
    known = exact & np.isfinite(error)
    noise = np.full(len(error), np.inf)
    noise[known] = steadied(np.square(error[known]), state.totals.count[known])
    spread = misfit(off[known], np.sqrt(noise[known]))
    share = spread / (spread + noise) if spread > 0 else np.where(noise == 0, 1.0, 0.0)
    return np.where(exact, prediction + share * off, values)


def _scale(values: FloatArray, prediction: FloatArray, exact: BoolArray) -> float:
    """What predictions are to be multiplied by to fit the exact values."""
    norm = float(prediction[exact] @ prediction[exact])
    return float(values[exact] @ prediction[exact]) / norm if norm > 0 else 0.0


def _spent(state: FlipState) -> float:
    return state.evaluations + GRADIENT_COST * state.gradients


def _goes_on(state: FlipState) -> bool:
    """Whether there is somebody to flip, and budget for another replicate."""
    flips = int(state.active.sum())
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
