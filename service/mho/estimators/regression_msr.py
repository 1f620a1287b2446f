"""Shapley values by regression and maximum sample reuse (Witter, Liu & Musco 2025)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from mho.errors import InvalidOption
from mho.estimator import Estimate, Estimator
from mho.evaluation import CoalitionEvaluator
from mho.method import Progress
from mho.sampling.boosted_trees import BoostedTrees, fitted
from mho.sampling.coalitions import all_and_none
from mho.sampling.draws import batch_of, minibatch, stream
from mho.types import BoolArray, FloatArray, IntArray

_FOLDS = 5
_BLOCK = 32
"""Pairs whose random numbers come from one stream."""
_PAIRS, _TREES, _ELSEWHERE = 0, 1, 2
"""First counters of the streams of pairs, of the coalitions that trees see, and of pairs that are
not evaluated."""
_LEAST_PAIRS = 2 * _FOLDS
_FIRST_FIT = 64
"""The first fit is at no fewer pairs, nor at twice as many; each later one at twice as many."""
_FEW_PLAYERS, _PER_PLAYER, _LEAST_PER_PLAYER = 200, 24, 50
"""Up to so many players any budget is served; evaluations for each player by default up to so many
players, and the least, and default, above."""


@dataclass(frozen=True)
class Guesses:
    """Of the pairs of some folds.

    count: how many. mean, squares: ``(players,)``, the latter the sum of squared deviations.
    missed: sum of squares of what the models leave of V. folds: how many. elsewhere, spread:
    ``(pairs, players)``, running mean over the folds' models, and sum of squared deviations, of
    what these add to guesses at pairs that nobody evaluates.
    """

    count: int
    mean: FloatArray
    squares: FloatArray
    missed: float
    folds: int
    elsewhere: FloatArray
    spread: FloatArray

    @staticmethod
    def empty(players: int) -> Guesses:
        none, pairs = np.zeros(players), np.zeros((_BLOCK, players))
        return Guesses(0, none, none, 0.0, 0, pairs, pairs)

    def with_fold(self, found: FloatArray, missed: float, elsewhere: FloatArray) -> Guesses:
        """With guesses ``(pairs, players)``; two sets are merged as Chan, Golub & LeVeque do."""
        count, mean = len(found), found.mean(axis=0)
        squares = np.square(found - mean).sum(axis=0)
        total, delta = self.count + count, mean - self.mean
        moved = elsewhere - self.elsewhere
        centre = self.elsewhere + moved / (self.folds + 1)
        return Guesses(
            total,
            self.mean + delta * count / total,
            self.squares + squares + delta**2 * self.count * count / total,
            self.missed + missed,
            self.folds + 1,
            centre,
            self.spread + moved * (elsewhere - centre),
        )

    @property
    def std_error(self) -> FloatArray:
        """``(players,)``, of the mean; infinite before two guesses and two folds."""
        if self.count < 2 or self.folds < 2:
            return np.full(len(self.mean), np.inf)
        independent = self.squares / (self.count - 1)
        # The variance among models is spread / (folds - 1). Two of them share all but one of the
        # folds - 1 that each is fitted to, so that it shows 1 / (folds - 1) of their own variance.
        models = self.spread.mean(axis=0)
        return np.asarray(np.sqrt((independent + models) / self.count))


@dataclass(frozen=True)
class RegressionState:
    """pairs: how many there are to be. drawn: how many are evaluated; worth: ``(2 * pairs,)``, V of
    each coalition and, behind it, of its complement. batch: inputs of a pair, 0 for all; share: how
    many of all that is.
    halvings: the next fit is due at ``pairs`` halved so often. fold: how many folds of it are done;
    coming: their guesses. guesses: of the last complete fit. v_full, v_empty: over all inputs.
    """

    pairs: int
    drawn: int
    worth: FloatArray
    batch: int
    share: float
    halvings: int
    fold: int
    coming: Guesses
    guesses: Guesses
    v_full: float
    v_empty: float

    @property
    def next_fit(self) -> int:
        """Pairs at which the next fit is due."""
        return self.pairs >> self.halvings


class RegressionMSR(Estimator[RegressionState]):
    """Shapley values of a model of V, and of what it leaves of V by maximum sample reuse.

    Coalitions come in pairs, one and its complement, of a size s that is uniform on 1 ... n - 1.
    Each serves all players: with f for the model and r = V - f, a guess at phi_i is

        phi_i(f) + (r(all) - r(none)) / n + (n - 1) r(S) (1 / s if i in S else -1 / (n - s)),

    the mean over the pair, which is right on average for every f that the pair has no part in
    (Witter, Liu & Musco 2025, algorithm 1, with these sampling weights). So pairs are dealt into
    five folds, and the model for each is fitted to the others. Guesses, and thus values, add up to
    V(all) - V(none).

    Standard errors come from pairs. But two pairs of different folds have a part in the models for
    each other. To a guess the noise of its model adds a variance, which shows in how the models of
    the folds differ elsewhere; that it comes back by way of the other pairs adds at most as much
    once more (the second term of Hoeffding's decomposition), which is added.

    The model is ``mho.sampling.boosted_trees``, in place of the paper's XGBoost. It is fitted when
    the pairs have doubled, and at the end: in between, the last fit is what is known.
    """

    name: ClassVar[str] = "regression_msr"
    summary: ClassVar[str] = (
        f"boosted trees fitted to random coalitions, corrected; for up to {_FEW_PLAYERS} players, "
        f"or {_LEAST_PER_PLAYER} evaluations for each"
    )
    efficient: ClassVar[bool] = True

    @property
    def estimand(self) -> str:
        return "Shapley value"

    def state_class(self) -> type[RegressionState]:
        return RegressionState

    def init(self, game: CoalitionEvaluator) -> RegressionState:
        """InvalidOption where the budget is too small for the number of players."""
        players, samples = len(game.players), game.samples
        batch, share = batch_of(self.asked.minibatch, samples)
        pairs = self._planned(players, share)
        v_full, v_empty = (float(v) for v in game.values(all_and_none(players)))
        return RegressionState(
            pairs=pairs,
            drawn=0,
            worth=np.zeros(2 * pairs),
            batch=batch,
            share=share,
            halvings=max(0, (pairs // _FIRST_FIT).bit_length() - 1),
            fold=0,
            coming=Guesses.empty(players),
            guesses=Guesses.empty(players),
            v_full=v_full,
            v_empty=v_empty,
        )

    def step(self, state: RegressionState, game: CoalitionEvaluator) -> RegressionState:
        if state.drawn == state.next_fit:
            return self._fitted(state, game)
        room = max(1, int(game.chunk / state.share / 2))
        stop = min(state.next_fit, state.drawn + room)
        kept, inputs = self._pairs(state, game, state.drawn, stop)
        samples = None if inputs is None else np.repeat(inputs, 2, axis=0)
        worth = state.worth.copy()
        worth[2 * state.drawn : 2 * stop] = game.values(kept, samples)
        return replace(state, drawn=stop, worth=worth)

    def done(self, state: RegressionState) -> bool:
        return state.guesses.count >= state.pairs

    def progress(self, state: RegressionState) -> Progress:
        fitting = state.drawn == state.next_fit and not self.done(state)
        said = f"model {state.fold + 1} of {_FOLDS} for {state.drawn} pairs" if fitting else ""
        # All pairs may be drawn, and the last models not yet fitted.
        done = 2 * state.drawn + (state.fold - _FOLDS if fitting else 0)
        return Progress(max(0, done), 2 * state.pairs, "coalitions", said)

    def estimate(self, state: RegressionState) -> Estimate:
        guesses, players = state.guesses, len(state.guesses.mean)
        certain = state.pairs == 0  # a single player
        values = guesses.mean if guesses.count else np.full(players, np.nan)
        error = guesses.std_error
        if certain:
            values, error = np.full(players, state.v_full - state.v_empty), np.zeros(players)
        spread = float(np.var(state.worth[: 2 * guesses.count])) if guesses.count else 0.0
        return Estimate(
            values=values,
            std_error=error,
            draws=np.full(players, guesses.count),
            v_full=state.v_full,
            v_empty=state.v_empty,
            evaluations=2 + 2 * state.drawn * state.share,
            report={
                "inputs_a_draw": state.batch or "all",
                "explained": 1 - guesses.missed / (2 * guesses.count * spread) if spread else None,
            },
        )

    def _planned(self, players: int, share: float) -> int:
        """How many pairs there are to be."""
        if players == 1:
            return 0
        asked, many = self.asked.evaluations, players > _FEW_PLAYERS
        if not asked:
            per_player = _LEAST_PER_PLAYER if many else _PER_PLAYER
            return max(_LEAST_PAIRS, per_player * players // 2)
        least = math.ceil(2 + 2 * _LEAST_PAIRS * share)
        if many:
            least = max(least, _LEAST_PER_PLAYER * players)
        if asked < least:
            why = (
                f"the model of {players} players is then so poor that others need fewer"
                if many
                else f"{_LEAST_PAIRS} pairs of coalitions are the least"
            )
            raise InvalidOption(
                f"{asked} evaluations are too few for estimator '{self.name}', which takes {least} "
                f"for {players} players: {why}; give more, or take 'assisted' or 'antithetic'",
                subject="evaluations",
            )
        return int((asked - 2) / (2 * share) + 1e-9)

    def _pairs(
        self, state: RegressionState, game: CoalitionEvaluator, start: int, stop: int
    ) -> tuple[BoolArray, IntArray | None]:
        """Coalitions ``(2 (stop - start), players)``, each before its complement, and the inputs of
        each pair, None for all."""
        numbers = range(start // _BLOCK, -(-stop // _BLOCK))
        blocks = [self._block(state, game, _PAIRS, number) for number in numbers]
        first = start % _BLOCK
        last = first + stop - start
        kept = np.concatenate([kept for kept, _ in blocks])[2 * first : 2 * last]
        inputs = [chosen for _, chosen in blocks if chosen is not None]
        return kept, np.concatenate(inputs)[first:last] if inputs else None

    def _block(
        self, state: RegressionState, game: CoalitionEvaluator, kind: int, number: int
    ) -> tuple[BoolArray, IntArray | None]:
        """The pairs of one stream, and their inputs."""
        players = len(game.players)
        generator = stream(self.asked.seed, kind, number)
        size = generator.integers(1, players, _BLOCK)
        rank = generator.random((_BLOCK, players)).argsort(axis=1).argsort(axis=1)
        kept = rank < size[:, None]
        both = np.stack([kept, ~kept], axis=1).reshape(-1, players)
        if not state.batch:
            return both, None
        chosen = [minibatch(generator, game.samples, state.batch) for _ in range(_BLOCK)]
        return both, np.stack([one for one in chosen if one is not None])

    def _fitted(self, state: RegressionState, game: CoalitionEvaluator) -> RegressionState:
        """With the model of one fold more, and the guesses that it gives."""
        coalitions, _ = self._pairs(state, game, 0, state.drawn)
        worth = state.worth[: 2 * state.drawn]
        inside = np.repeat(np.arange(state.drawn) % _FOLDS == state.fold, 2)
        generator = stream(self.asked.seed, _TREES, state.drawn, state.fold)
        model = fitted(coalitions[~inside], worth[~inside], generator)
        rest = worth[inside] - model.values(coalitions[inside])
        players = coalitions.shape[1]
        ends = (state.v_full - state.v_empty) / players
        own = _added(model, coalitions[inside])
        found = own + ends + _reused(coalitions[inside], worth[inside])
        fresh, _ = self._block(state, game, _ELSEWHERE, 0)
        coming = state.coming.with_fold(
            _by_pair(found), float(rest @ rest), _by_pair(_added(model, fresh))
        )
        state = replace(state, fold=state.fold + 1, coming=coming)
        if state.fold < _FOLDS:
            return state
        return replace(
            state,
            fold=0,
            coming=Guesses.empty(players),
            guesses=coming,
            halvings=max(0, state.halvings - 1),
        )


def _added(model: BoostedTrees, coalitions: BoolArray) -> FloatArray:
    """``(coalitions, players)``: what the model adds to guesses, nothing on average."""
    players = coalitions.shape[1]
    full, empty = model.values(all_and_none(players))
    reused = _reused(coalitions, model.values(coalitions))
    return np.asarray(model.shapley - (full - empty) / players - reused)


def _by_pair(found: FloatArray) -> FloatArray:
    """``(pairs, players)``: means over a coalition and its complement."""
    return np.asarray(found.reshape(-1, 2, found.shape[1]).mean(axis=1))


def _reused(coalitions: BoolArray, rest: FloatArray) -> FloatArray:
    """``(coalitions, players)``: what each coalition says of each player's Shapley value in the
    game ``rest``, besides the ends."""
    players = coalitions.shape[1]
    size = coalitions.sum(axis=1, keepdims=True)
    weight = np.where(coalitions, 1 / size, -1 / (players - size))
    return np.asarray((players - 1) * weight * rest[:, None])
