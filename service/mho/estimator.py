"""What an estimator of semivalues is: draws coalitions, asks the game for V, says how sure it is.

To add one: put a file in ``estimators/`` with one subclass of ``Estimator``; the tests play it
against exact values and count how often its intervals cover them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from mho.evaluation import CoalitionEvaluator
from mho.method import Progress
from mho.types import FloatArray

StateT = TypeVar("StateT")


@dataclass(frozen=True)
class Estimate:
    """What is known of all players when the estimator stops.

    values, std_error: ``(players,)``.
    factor: standard errors to each side of a value that make its 95 % confidence interval.
    v_full, v_empty: V of all players and of none.
    evaluations: how often V was evaluated over the data.
    draws: independent samples behind each value; 0 where the values are exact.
    """

    values: FloatArray
    std_error: FloatArray
    factor: float
    v_full: float
    v_empty: float
    evaluations: int
    draws: int

    @property
    def lower(self) -> FloatArray:
        """Lower ends of the 95 % intervals, ``(players,)``."""
        return self.values - self.factor * self.std_error

    @property
    def upper(self) -> FloatArray:
        """Upper ends of the 95 % intervals, ``(players,)``."""
        return self.values + self.factor * self.std_error


class Estimator(ABC, Generic[StateT]):
    """One estimator. ``estimand`` says in words what the values estimate."""

    name: ClassVar[str]
    summary: ClassVar[str]
    estimand: ClassVar[str]

    @abstractmethod
    def state_class(self) -> type[StateT]: ...

    @abstractmethod
    def init(self, game: CoalitionEvaluator, *, evaluations: int, seed: int) -> StateT:
        """Begin; ``evaluations`` 0 stands for the estimator's own default.

        InvalidOption where the estimator cannot serve so many players with so few evaluations.
        """

    @abstractmethod
    def step(self, state: StateT, game: CoalitionEvaluator) -> StateT: ...

    @abstractmethod
    def done(self, state: StateT) -> bool: ...

    @abstractmethod
    def progress(self, state: StateT) -> Progress: ...

    @abstractmethod
    def estimate(self, state: StateT) -> Estimate: ...
