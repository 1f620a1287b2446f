"""Values as means over independent draws of a fixed number of coalitions.

V of a draw's coalitions, all over the same inputs, makes one unbiased guess at the values of all
players. So the mean over draws is unbiased, and its standard error is that of independent and alike
guesses, whatever happens within a draw: coalitions that go together, or a minibatch of inputs.
"""

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
from mho.sampling.draws import batch_of, minibatch, stream
from mho.sampling.running_mean import RunningMean
from mho.types import Array, BoolArray, FloatArray, IntArray

_PER_PLAYER = 24
"""Evaluations of V for each player in the default budget."""
_LEAST_DRAWS = 8
"""Of the default budget, where a draw serves many players."""


@dataclass(frozen=True)
class DrawState:
    """What finished draws came to, and how far the one in hand is.

    draws: how many there are to be. index: how many are finished. filled: how many coalitions of
    the draw in hand are evaluated. worth: ``(coalitions of a draw,)``, V of these.
    batch: inputs of a draw, 0 for all; share: how many of all that is.
    rows: how often V was evaluated over the inputs of a draw.
    v_full, v_empty: V of all players and of none, over all inputs.
    """

    draws: int
    index: int
    filled: int
    worth: FloatArray
    batch: int
    share: float
    rows: int
    mean: RunningMean
    v_full: float
    v_empty: float


@dataclass(frozen=True)
class _Part:
    """Coalitions ``start`` to ``stop`` of draw ``index``. content: what was drawn. samples: its
    inputs, or None for all."""

    index: int
    content: Array
    samples: IntArray | None
    start: int
    stop: int


class DrawEstimator(Estimator[DrawState]):
    """Base of the estimators that differ in what a draw is.

    Draw k is made of (seed, k) alone: batches, workers and interruptions do not change it.
    """

    called: ClassVar[tuple[str, str]]
    """What a draw is called, singular and plural."""
    with_ends: ClassVar[bool]
    """Whether a guess also takes V of all players and of none. They are known over all inputs; over
    a minibatch they are evaluated in each draw."""

    @abstractmethod
    def size(self, players: int) -> int:
        """How many coalitions a draw has, besides those of all players and of none."""

    @abstractmethod
    def content(self, generator: np.random.Generator, players: int) -> Array:
        """What describes the coalitions of a draw."""

    @abstractmethod
    def coalitions(self, content: Array, start: int, stop: int) -> BoolArray:
        """``(stop - start, players)``: some of the draw's ``size`` coalitions."""

    @abstractmethod
    def guess(self, content: Array, worth: FloatArray) -> FloatArray:
        """``(players,)`` from V of the coalitions, ``(size,)``; with V of all players before and of
        none behind it, ``(size + 2,)``, where ``with_ends`` asks for them."""

    def state_class(self) -> type[DrawState]:
        return DrawState

    def init(self, game: CoalitionEvaluator) -> DrawState:
        """InvalidOption where the budget does not reach for two draws."""
        players, samples = len(game.players), game.samples
        batch, share = batch_of(self.asked.minibatch, samples)
        rows = self.size(players) + (2 if batch and self.with_ends else 0)
        draws = max(_LEAST_DRAWS, _PER_PLAYER * (players - 1) // max(1, self.size(players)))
        if self.asked.evaluations:
            cost = rows * (batch or samples)
            least = 2 - (-2 * cost // samples)
            if self.asked.evaluations < least:
                raise InvalidOption(
                    f"{self.asked.evaluations} evaluations are too few: two {self.called[1]} of "
                    f"{players} players, the least that gives a standard error, take {least}",
                    subject="evaluations",
                )
            if rows:
                draws = (self.asked.evaluations - 2) * samples // cost
        v_full, v_empty = (float(v) for v in game.values(all_and_none(players)))
        return DrawState(
            draws=draws,
            index=0,
            filled=0,
            worth=np.zeros(rows),
            batch=batch,
            share=share,
            rows=0,
            mean=RunningMean.empty(players),
            v_full=v_full,
            v_empty=v_empty,
        )

    def step(self, state: DrawState, game: CoalitionEvaluator) -> DrawState:
        parts = self._parts(state, game)
        coalitions = [self._rows(state, part) for part in parts]
        asked = np.concatenate(coalitions)
        samples = None
        if state.batch:
            chosen = [p.samples for p in parts if p.samples is not None]
            samples = np.repeat(np.stack(chosen), [p.stop - p.start for p in parts], axis=0)
        found = game.values(asked, samples) if len(asked) else np.zeros(0)
        state = replace(state, rows=state.rows + len(asked))
        for part in parts:
            size = part.stop - part.start
            state = self._filled(state, part, found[:size])
            found = found[size:]
        return state

    def done(self, state: DrawState) -> bool:
        return state.index >= state.draws

    def progress(self, state: DrawState) -> Progress:
        size = max(1, len(state.worth))
        done = state.index * size + state.filled
        said = f"{self.called[0]} {min(state.index + 1, state.draws)} of {state.draws}"
        return Progress(done, state.draws * size, "coalitions", said)

    def estimate(self, state: DrawState) -> Estimate:
        return Estimate(
            values=state.mean.value,
            std_error=state.mean.std_error,
            draws=state.mean.count,
            v_full=state.v_full,
            v_empty=state.v_empty,
            evaluations=2 + state.rows * state.share,
            report={"inputs_a_draw": state.batch or "all"},
        )

    def _parts(self, state: DrawState, game: CoalitionEvaluator) -> list[_Part]:
        """The coalitions that come next, of as many draws as a batch holds."""
        players, size = len(game.players), len(state.worth)
        room = max(1, int(game.chunk / state.share))
        parts = []
        index, start = state.index, state.filled
        while index < state.draws and room > 0:
            generator = stream(self.asked.seed, index)
            content = self.content(generator, players)
            samples = minibatch(generator, game.samples, state.batch)
            stop = min(size, start + room)
            parts.append(_Part(index, content, samples, start, stop))
            room -= stop - start
            index, start = index + 1, 0
        return parts

    def _rows(self, state: DrawState, part: _Part) -> BoolArray:
        """Coalitions of a part; those of all players and of none, where asked for, come first."""
        players = len(state.mean.count)
        ends = 2 if state.batch and self.with_ends else 0
        first = np.repeat(np.array([[True], [False]]), players, axis=1)[part.start : part.stop]
        start, stop = max(0, part.start - ends), max(0, part.stop - ends)
        rest = self.coalitions(part.content, start, stop)
        return np.concatenate([first, rest]) if ends else rest

    def _filled(self, state: DrawState, part: _Part, found: FloatArray) -> DrawState:
        """With V of a part; into the mean where the draw is complete."""
        worth = state.worth.copy()
        worth[part.start : part.stop] = found
        if part.stop < len(worth):
            return replace(state, worth=worth, filled=part.stop)
        if self.with_ends and state.batch:
            worth = np.concatenate([worth[:1], worth[2:], worth[1:2]])
        elif self.with_ends:
            worth = np.concatenate([[state.v_full], worth, [state.v_empty]])
        return replace(
            state,
            index=state.index + 1,
            filled=0,
            worth=np.zeros_like(state.worth),
            mean=state.mean.with_draw(self.guess(part.content, worth)),
        )
