"""Exact Shapley values and other semivalues, by evaluating every coalition."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    """The definition over all 2^n coalitions, up to 20 players.

    phi_i = sum over S without i of w(|S|) · (V(S + i) - V(S)), where w(s) is the mean of
    t^s (1 - t)^(n - 1 - s) over t in the interval of inclusion rates. For [0, 1] that is
    s! (n - s - 1)! / n!, which gives the Shapley value (Owen 1972).
    """

    name: ClassVar[str] = "exact"
    summary: ClassVar[str] = f"all coalitions, up to {_MOST_PLAYERS} players"
    takes: ClassVar[frozenset[str]] = frozenset({"inclusion"})
    efficient: ClassVar[bool] = True

    @property
    def estimand(self) -> str:
        low, high = self.interval
        if (low, high) == (0.0, 1.0):
            return "Shapley value"
        return f"semivalue with inclusion rate uniform on [{low:g}, {high:g}]"

    @property
    def interval(self) -> tuple[float, float]:
        return self.asked.inclusion or (0.0, 1.0)

    def state_class(self) -> type[ExactState]:
        return ExactState

    def init(self, game: CoalitionEvaluator) -> ExactState:
        players = len(game.players)
        if players > _MOST_PLAYERS:
            raise InvalidOption(
                f"estimator 'exact' serves up to {_MOST_PLAYERS} players, not {players}; take "
                "another, or fewer --layers or --groups",
                subject="estimator",
            )
        if 0 < self.asked.evaluations < 2**players:
            raise InvalidOption(
                f"estimator 'exact' needs {2**players} evaluations for {players} players, but only "
                f"{self.asked.evaluations} are allowed; give more, or take another estimator",
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
        ready = self.done(state)
        return Estimate(
            values=self._values(state) if ready else np.full(n, np.nan),
            std_error=np.zeros(n) if ready else np.full(n, np.inf),
            draws=np.zeros(n, dtype=np.int64),
            v_full=float(state.worth[-1]) if ready else np.nan,
            v_empty=float(state.worth[0]) if state.next else np.nan,
            evaluations=float(state.next),
        )

    def _values(self, state: ExactState) -> FloatArray:
        numbers = np.arange(len(state.worth))
        weight = _weights(state.players, *self.interval)
        by_coalition = weight[np.bitwise_count(numbers)]
        values = np.zeros(state.players)
        for player in range(state.players):
            without = numbers[(numbers >> player) & 1 == 0]
            marginal = state.worth[without | (1 << player)] - state.worth[without]
            values[player] = float(by_coalition[without] @ marginal)
        return values


def _weights(players: int, low: float, high: float) -> FloatArray:
    """``(players + 1,)``: w by the size of the coalition without the player; 0 for all players.

    A polynomial in t of degree ``players - 1``, which so many nodes of Gauss and Legendre integrate
    exactly.
    """
    nodes, shares = np.polynomial.legendre.leggauss(players)
    rate = low + (high - low) * (nodes + 1) / 2
    size = np.arange(players)[:, None]
    weights = (rate**size * (1 - rate) ** (players - 1 - size)) @ (shares / 2)
    return np.append(weights, 0.0)


def _members(numbers: IntArray, players: int) -> BoolArray:
    """``(coalitions, players)``: the bits of the coalition numbers."""
    return np.asarray((numbers[:, None] >> np.arange(players)) & 1, dtype=bool)
