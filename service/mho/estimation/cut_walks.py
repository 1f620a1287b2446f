"""Shapley values from walks that may be cut short and skip players, while a budget lasts."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from mho.errors import InvalidOption
from mho.estimator import Estimate, Estimator
from mho.evaluation import CoalitionEvaluator
from mho.method import Progress
from mho.sampling.coalitions import all_and_none
from mho.sampling.draws import batch_of
from mho.sampling.removal_walk import TOLERANCE, Walk, begun, gone_on, idle, most_evaluations
from mho.sampling.running_mean import RunningMean
from mho.types import BoolArray, IntArray

_LEAST_WALKS = 2
"""Fewer give no standard error."""


@dataclass(frozen=True)
class Cuts:
    """What was left out. walks: how many were cut. mass: sum over these of |V - V(none)| where
    they were. players: ``(players,)``, in how many walks each was not reached though it was to be.
    wanted: how many marginals were to be had in all."""

    walks: int
    mass: float
    players: IntArray
    wanted: int

    def with_walk(self, walk: Walk) -> Cuts:
        return Cuts(
            self.walks + walk.cut,
            self.mass + abs(walk.mass),
            self.players + (walk.wanted & ~walk.reached),
            self.wanted + int(walk.wanted.sum()),
        )


@dataclass(frozen=True)
class CutWalkState:
    """budget, spent: in evaluations of V over one input, beside V of all and of no players. batch:
    inputs of a walk, 0 for all; samples: of the game.

    index: how many walks are finished; walk: the one in hand. active: ``(players,)``, who is
    evaluated. totals: of the finished walks. least, most: marginal found so far. looks: how often
    it was judged who stays active; looked: after how many walks that was last done. v_full,
    v_empty: over all inputs.
    """

    budget: int
    spent: int
    batch: int
    samples: int
    index: int
    walk: Walk
    active: BoolArray
    totals: RunningMean
    cuts: Cuts
    least: float
    most: float
    looks: int
    looked: int
    v_full: float
    v_empty: float

    @property
    def inputs(self) -> int:
        """Over which V is evaluated in a walk."""
        return self.batch or self.samples


class CutWalkEstimator(Estimator[CutWalkState]):
    """Base of the estimators that differ in who is evaluated; see ``mho.sampling.removal_walk``."""

    default_walks: ClassVar[int]
    """Whole walks that the default budget allows for; as many more as others are cut."""
    unbiased: ClassVar[bool] = False

    @abstractmethod
    def judged(self, state: CutWalkState) -> CutWalkState:
        """After a walk: with those active that are to be evaluated in the next."""

    @property
    def estimand(self) -> str:
        return "Shapley value"

    def state_class(self) -> type[CutWalkState]:
        return CutWalkState

    def init(self, game: CoalitionEvaluator) -> CutWalkState:
        players, samples = len(game.players), game.samples
        batch, _ = batch_of(self.asked.minibatch, samples)
        walk = most_evaluations(players, players, batch) * (batch or samples)
        budget = self.default_walks * walk
        if self.asked.evaluations:
            budget = (self.asked.evaluations - 2) * samples
            if budget < _LEAST_WALKS * walk:
                raise InvalidOption(
                    f"{self.asked.evaluations} evaluations are too few for estimator "
                    f"'{self.name}': {_LEAST_WALKS} permutations of {players} players, the least "
                    f"that gives a standard error, take {2 - (-_LEAST_WALKS * walk // samples)}",
                    subject="evaluations",
                )
        v_full, v_empty = (float(v) for v in game.values(all_and_none(players)))
        return CutWalkState(
            budget=budget,
            spent=0,
            batch=batch,
            samples=samples,
            index=0,
            walk=idle(players),
            active=np.ones(players, dtype=bool),
            totals=RunningMean.empty(players),
            cuts=Cuts(0, 0.0, np.zeros(players, dtype=np.int64), 0),
            least=np.inf,
            most=-np.inf,
            looks=0,
            looked=0,
            v_full=v_full,
            v_empty=v_empty,
        )

    def step(self, state: CutWalkState, game: CoalitionEvaluator) -> CutWalkState:
        room = max(1, game.chunk * state.samples // state.inputs)
        tolerance = TOLERANCE * abs(state.v_full - state.v_empty)
        while room > 0 and not self.done(state):
            walk = state.walk
            before = walk.evaluations
            if walk.over:
                before = 0
                walk = begun(
                    game, self.asked.seed, state.index, state.batch, state.active,
                    state.v_full, state.v_empty,
                )  # fmt: skip
            walk = gone_on(walk, game, tolerance, room)
            done = walk.evaluations - before
            room -= done
            state = replace(state, walk=walk, spent=state.spent + done * state.inputs)
            if walk.over:
                state = self.judged(_finished(state))
        return state

    def done(self, state: CutWalkState) -> bool:
        if not state.walk.over:
            return False
        active = int(state.active.sum())
        most = most_evaluations(active, len(state.active), state.batch)
        return not active or state.spent + most * state.inputs > state.budget

    def progress(self, state: CutWalkState) -> Progress:
        done, total = (2 + n / state.samples for n in (state.spent, state.budget))
        active = int(state.active.sum())
        said = f"permutation {state.index + 1}, {active} of {len(state.active)} players evaluated"
        return Progress(total if self.done(state) else done, total, "evaluations", said)

    def estimate(self, state: CutWalkState) -> Estimate:
        cuts, walks = state.cuts, max(1, state.index)
        missed = int(cuts.players.sum()) / max(1, cuts.wanted)
        notes = []
        if cuts.walks:
            notes.append(
                f"{cuts.walks} of {state.index} permutations were cut where V was near V of no "
                f"players, and {missed:.1%} of the marginals counted 0: the values are biased, by "
                f"{cuts.mass / walks:.3g} in all players together; estimator 'antithetic' is not"
            )
        return Estimate(
            values=state.totals.value,
            std_error=state.totals.std_error,
            draws=state.totals.count,
            v_full=state.v_full,
            v_empty=state.v_empty,
            evaluations=2 + state.spent / state.samples,
            approximate=cuts.players > 0,
            report={
                "permutations": state.index,
                "permutations_cut": cuts.walks,
                "truncated_mass": cuts.mass / walks,
                "truncated_marginals": missed,
                "inputs_a_draw": state.batch or "all",
            },
            notes=notes,
        )


def _finished(state: CutWalkState) -> CutWalkState:
    """With the walk in hand in the totals; those that it did not reach count 0."""
    walk = state.walk
    reached = walk.marginal[walk.reached]
    low, high = float(reached.min(initial=np.inf)), float(reached.max(initial=-np.inf))
    if walk.cut:
        low, high = min(low, 0.0), max(high, 0.0)
    return replace(
        state,
        index=state.index + 1,
        walk=idle(len(walk.order)),
        totals=state.totals.with_draw(walk.marginal, walk.wanted),
        cuts=state.cuts.with_walk(walk),
        least=min(state.least, low),
        most=max(state.most, high),
    )
