"""Shapley values by permutation sampling (Castro, Gómez & Tejada 2009)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from mho.errors import InvalidOption
from mho.estimator import Estimate, Estimator
from mho.evaluation import CoalitionEvaluator
from mho.intervals import student_factor
from mho.method import Progress
from mho.types import FloatArray, IntArray

_DEFAULT_PERMUTATIONS = 24


@dataclass(frozen=True)
class PermutationState:
    """Where the walk is, and what the finished walks came to.

    permutations: how many are to be walked.
    index, position: the walk in hand, and how many players it has removed.
    worth: V after those removals.
    v_full, v_empty: V of all players and of none, where every walk begins and ends.
    evaluations: of V, so far.
    marginals: ``(players,)``, of the walk in hand.
    mean, squares: ``(players,)``, running mean and sum of squared deviations over the finished
        walks (Welford).
    """

    seed: int
    permutations: int
    index: int
    position: int
    worth: float
    v_full: float
    v_empty: float
    evaluations: int
    marginals: FloatArray
    mean: FloatArray
    squares: FloatArray


class Permutation(Estimator[PermutationState]):
    """Mean marginal over random orders in which the players leave the full set, one by one.

    Every walk ends at V of no player, so the values of each walk, and therefore their means, add up
    to V(all) - V(none) to rounding (efficiency). Walks are independent and alike, so the standard
    error of a mean is that of ``permutations`` draws, and its 95 % interval is Student's. The order
    of walk k is drawn from (seed, k) alone: batches, workers and interruptions do not change it.
    """

    name: ClassVar[str] = "permutation"
    summary: ClassVar[str] = "mean marginal over random orders of removal"
    estimand: ClassVar[str] = "Shapley value"

    def state_class(self) -> type[PermutationState]:
        return PermutationState

    def init(self, game: CoalitionEvaluator, *, evaluations: int, seed: int) -> PermutationState:
        players = len(game.players)
        per_walk = max(1, players - 1)  # both ends of a walk are known
        if evaluations == 0:
            permutations = _DEFAULT_PERMUTATIONS
        else:
            permutations = (evaluations - 2) // per_walk
            if permutations < 2:
                raise InvalidOption(
                    f"{evaluations} evaluations are too few: two permutations of {players} "
                    f"players, the least that gives a standard error, take {2 + 2 * per_walk}",
                    subject="evaluations",
                )
        ends = np.stack([np.ones(players, dtype=bool), np.zeros(players, dtype=bool)])
        v_full, v_empty = (float(v) for v in game.values(ends))
        zeros = np.zeros(players)
        return PermutationState(
            seed=seed,
            permutations=permutations,
            index=0,
            position=0,
            worth=v_full,
            v_full=v_full,
            v_empty=v_empty,
            evaluations=2,
            marginals=zeros,
            mean=zeros,
            squares=zeros,
        )

    def step(self, state: PermutationState, game: CoalitionEvaluator) -> PermutationState:
        players = len(game.players)
        order = _order(state.seed, state.index, players)
        stop = min(players, state.position + game.chunk)
        removed = order[state.position : stop]
        rank = np.empty(players, dtype=np.int64)
        rank[order] = np.arange(players)
        # V is asked after every removal but the last of a walk: v_empty is known.
        asked = np.arange(state.position + 1, min(stop, players - 1) + 1)
        worth = np.full(stop - state.position, state.v_empty)
        if len(asked):
            worth[: len(asked)] = game.values(rank[None, :] >= asked[:, None])
        marginals = state.marginals.copy()
        marginals[removed] = np.concatenate([[state.worth], worth[:-1]]) - worth
        moved = replace(
            state,
            position=stop,
            worth=float(worth[-1]),
            marginals=marginals,
            evaluations=state.evaluations + len(asked),
        )
        return _finished(moved) if stop == players else moved

    def done(self, state: PermutationState) -> bool:
        return state.index >= state.permutations

    def progress(self, state: PermutationState) -> Progress:
        players = len(state.mean)
        done = state.index * players + state.position
        return Progress(
            done,
            state.permutations * players,
            "marginals",
            f"permutation {min(state.index + 1, state.permutations)} of {state.permutations}",
        )

    def estimate(self, state: PermutationState) -> Estimate:
        draws = state.index
        spread = np.sqrt(state.squares / max(1, draws - 1))
        error = spread / np.sqrt(draws) if draws > 1 else np.full(len(spread), np.inf)
        return Estimate(
            values=state.mean,
            std_error=error,
            factor=student_factor(draws),
            v_full=state.v_full,
            v_empty=state.v_empty,
            evaluations=state.evaluations,
            draws=draws,
        )


def _order(seed: int, index: int, players: int) -> IntArray:
    """The order in which walk ``index`` removes the players."""
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, index])))
    return generator.permutation(players).astype(np.int64)


def _finished(state: PermutationState) -> PermutationState:
    """Take the walk into the running mean and begin the next one."""
    count = state.index + 1
    delta = state.marginals - state.mean
    mean = state.mean + delta / count
    return replace(
        state,
        index=count,
        position=0,
        worth=state.v_full,
        marginals=np.zeros_like(mean),
        mean=mean,
        squares=state.squares + delta * (state.marginals - mean),
    )
