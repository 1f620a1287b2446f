"""Exact Shapley values, by evaluating every coalition."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import comb
from typing import ClassVar

import numpy as np

from mho.errors import InvalidOption
from mho.estimator import Estimate, Estimator
from mho.evaluation import CoalitionEvaluator
from mho.method import Progress
from mho.types import BoolArray, FloatArray, IntArray

_MOST_PLAYERS = 20


@dataclass(frozen=True)
class ExactState:
    """worth: ``(2 ** players,)``, V by the coalition's number; bit i of it stands for player i.

    next: the first coalition that is not done.
    """

    players: int
    worth: FloatArray
    next: int


class Exact(Estimator[ExactState]):
    """Shapley's formula over all 2^n coalitions; up to 20 players.

    phi_i = sum over S without i of |S|! (n - |S| - 1)! / n! · (V(S + i) - V(S)).
    """

    name: ClassVar[str] = "exact"
    summary: ClassVar[str] = f"all coalitions, up to {_MOST_PLAYERS} players"
    estimand: ClassVar[str] = "Shapley value"

    def state_class(self) -> type[ExactState]:
        return ExactState

    def init(self, game: CoalitionEvaluator, *, evaluations: int, seed: int) -> ExactState:
        del seed  # nothing is drawn
        players = len(game.players)
        if players > _MOST_PLAYERS:
            raise InvalidOption(
                f"estimator 'exact' serves up to {_MOST_PLAYERS} players, not {players}; take "
                "'permutation', or fewer --layers or --groups",
                subject="estimator",
            )
        if 0 < evaluations < 2**players:
            raise InvalidOption(
                f"estimator 'exact' needs {2**players} evaluations for {players} players, but only "
                f"{evaluations} are allowed; take 'permutation'",
                subject="evaluations",
            )
        return ExactState(players, np.zeros(2**players), 0)

    def step(self, state: ExactState, game: CoalitionEvaluator) -> ExactState:
        stop = min(len(state.worth), state.next + game.chunk)
        worth = state.worth.copy()
        worth[state.next : stop] = game.values(_members(np.arange(state.next, stop), state.players))
        return replace(state, worth=worth, next=stop)

    def done(self, state: ExactState) -> bool:
        return state.next == len(state.worth)

    def progress(self, state: ExactState) -> Progress:
        return Progress(state.next, len(state.worth), "coalitions")

    def estimate(self, state: ExactState) -> Estimate:
        n = state.players
        numbers = np.arange(len(state.worth))
        size = _members(numbers, n).sum(axis=1)
        values = np.zeros(n)
        for player in range(n):
            without = numbers[(numbers >> player) & 1 == 0]
            marginal = state.worth[without | (1 << player)] - state.worth[without]
            weight = np.array([1.0 / (n * comb(n - 1, int(s))) for s in range(n)])
            values[player] = float(weight[size[without]] @ marginal)
        return Estimate(
            values=values,
            std_error=np.zeros(n),
            factor=0.0,
            v_full=float(state.worth[-1]),
            v_empty=float(state.worth[0]),
            evaluations=state.next,
            draws=0,
        )


def _members(numbers: IntArray, players: int) -> BoolArray:
    """``(coalitions, players)``: the bits of the coalition numbers."""
    return np.asarray((numbers[:, None] >> np.arange(players)) & 1, dtype=bool)
