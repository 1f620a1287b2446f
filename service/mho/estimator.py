"""What an estimator of semivalues is: draws coalitions, asks the game for V, says how sure it is.

A semivalue of player i is the mean of its marginal V(S + i) - V(S) over coalitions S of the others.
Where every other player is in S with the same chance t, and t is uniform on [0, 1], it is the
Shapley value (Owen 1972); where t is uniform on another interval it is another semivalue, and where
t = 1/2 it is Banzhaf's.

To add one: put a file in ``estimators/`` with one subclass of ``Estimator``; the tests play it
against exact values and count how often its intervals cover them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Generic, TypeVar

import numpy as np

from mho.evaluation import CoalitionEvaluator
from mho.method import Progress
from mho.types import JSON, BoolArray, FloatArray, IntArray

GRADIENT_COST = 3
"""Evaluations of V that one evaluation of its slopes counts for (benchmarks/README.md)."""

StateT = TypeVar("StateT")


@dataclass(frozen=True)
class Asked:
    """What options say of the estimation.

    evaluations: budget; 0 stands for the estimator's own default. seed: of every draw. minibatch:
    inputs of each draw, 0 for the estimator's own choice. inclusion: the interval of t, where an
    estimator takes one; None for its own. top: how many players of the highest values are looked
    for, 0 where none are. confidence: with which these are to be right.
    """

    evaluations: int = 0
    seed: int = 0
    minibatch: int = 0
    inclusion: tuple[float, float] | None = None
    top: int = 0
    confidence: float = 0.95


@dataclass(frozen=True)
class Estimate:
    """What is known of all players when the estimator stops.

    values, std_error: ``(players,)``; the error is infinite where nothing is known of it.
    draws: ``(players,)``, independent draws behind each value; 0 where the values are exact.
    v_full, v_empty: V of all players and of none; NaN where it was not evaluated.
    evaluations: how often V was evaluated over the data. gradients: the same for slopes.
    approximate: ``(players,)``, whose value is biased, such as a slope that no exact marginal
        corrected; the intervals do not speak of the bias.
    best: ``(players,)``, the guess of least error by which to rank, where it is another than
        ``values``; it may be biased.
    settled: ``(players,)``, who is surely among the ``Asked.top`` highest, where the estimator
        judges that itself.
    report: further figures. notes: what the reader must know.
    """

    values: FloatArray
    std_error: FloatArray
    draws: IntArray
    v_full: float
    v_empty: float
    evaluations: float
    gradients: float = 0.0
    approximate: BoolArray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    best: FloatArray = field(default_factory=lambda: np.zeros(0))
    settled: BoolArray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    report: Mapping[str, JSON] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def exact(self) -> BoolArray:
        """``(players,)``: whose value is not approximate."""
        if not len(self.approximate):
            return np.ones(len(self.values), dtype=bool)
        return ~self.approximate

    @property
    def ranking(self) -> FloatArray:
        """``(players,)``: by which the highest players are told."""
        return self.best if len(self.best) else self.values


class Estimator(ABC, Generic[StateT]):
    """One estimator, made for what was asked."""

    name: ClassVar[str]
    summary: ClassVar[str]
    takes: ClassVar[frozenset[str]] = frozenset({"minibatch"})
    """Which of ``inclusion`` and ``minibatch`` mean something to it; what is set besides gets a
    note."""
    unbiased: ClassVar[bool] = True
    """Whether the values are right on average, where the budget reaches for all players."""
    settles: ClassVar[bool] = False
    """Whether it judges by itself who of the top players is settled, and ends when all are."""
    efficient: ClassVar[bool] = False
    """Whether the values add up to V(all) - V(none) whatever was drawn, over all inputs."""

    def __init__(self, asked: Asked | None = None) -> None:
        self.asked = Asked() if asked is None else asked

    @property
    @abstractmethod
    def estimand(self) -> str:
        """What the values estimate, in words."""

    @property
    def interval(self) -> tuple[float, float]:
        """Of the rate t, whose semivalue is estimated: ``[0, 1]`` for the Shapley value."""
        return 0.0, 1.0

    @abstractmethod
    def state_class(self) -> type[StateT]: ...

    @abstractmethod
    def init(self, game: CoalitionEvaluator) -> StateT:
        """Begin. InvalidOption where the estimator cannot serve so many players with so few
        evaluations, or needs slopes that the game does not have."""

    @abstractmethod
    def step(self, state: StateT, game: CoalitionEvaluator) -> StateT: ...

    @abstractmethod
    def done(self, state: StateT) -> bool: ...

    @abstractmethod
    def progress(self, state: StateT) -> Progress: ...

    @abstractmethod
    def estimate(self, state: StateT) -> Estimate:
        """What is known by now; before the first draw is complete the values are NaN."""
