"""The loop that a run owns, for tests that let an estimator play a game."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mho.estimator import Asked, Estimate, Estimator
from mho.evaluation import CoalitionEvaluator
from mho.registry import entries
from mho.state import pack, unpack

ESTIMATORS: dict[str, type[Estimator[Any]]] = entries("mho.estimators", Estimator)
"""All there are, by name."""


def states(estimator: Estimator[Any], game: CoalitionEvaluator) -> Iterator[Any]:
    """The state before the first step and after each, to the end."""
    state = estimator.init(game)
    yield state
    while not estimator.done(state):
        state = estimator.step(state, game)
        yield state


def played(
    kind: type[Estimator[Any]], game: CoalitionEvaluator, *, restart_after: int = -1, **asked: Any
) -> Estimate:
    """What the estimator says in the end; after ``restart_after`` steps it goes on, as a new one,
    from its packed state."""
    estimator = kind(Asked(**asked))
    state, steps = estimator.init(game), 0
    while True:
        if steps == restart_after:
            state = unpack(estimator.state_class(), pack(state))
            estimator = kind(Asked(**asked))
        if estimator.done(state):
            return estimator.estimate(state)
        state = estimator.step(state, game)
        steps += 1
