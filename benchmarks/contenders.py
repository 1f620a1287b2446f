"""Who estimates Shapley values in the benchmark of sample efficiency, and what each is charged.

An evaluation is V of one coalition over all inputs; a part of the inputs counts for that part, and
slopes for ``GRADIENT_COST`` evaluations. shapiq's approximators are charged for the coalitions that
differ, however often they ask.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapiq
from coalition_games import PlayedGame
from published_bandit import Reached, bandit

from mho.errors import InvalidOption
from mho.estimator import GRADIENT_COST, Asked, Estimate, Estimator
from mho.evaluation import CoalitionEvaluator
from mho.registry import entries
from mho.shapiq import CoalitionGame
from mho.types import FloatArray

TOP = 20


@dataclass(frozen=True)
class Point:
    """Where a contender is when its budget is spent.

    cost: in evaluations. values: ``(players,)``; ranking: those by which it tells the highest.
    std_error: its own; NaN where it has none. biased: whether the values are not right on average.
    """

    cost: float
    values: FloatArray
    ranking: FloatArray
    std_error: FloatArray
    biased: bool


class Contender(ABC):
    """name: in tables. group: ``mho``, ``shapiq`` or ``paper``. most_work: evaluations times
    players squared up to which it is followed, where its own arithmetic takes long."""

    group: str
    most_work: float = math.inf

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def play(self, game: PlayedGame, value: str, budget: int, seed: int) -> Point | None:
        """What it says of ``game``, of which V is ``value``, at the end of its budget; 0 is its
        default. None where the budget is too small for it."""


class Own(Contender):
    """An estimator of mho's. top: how many highest players it is asked for, 0 for none. minibatch:
    inputs of each draw, 0 for those that it takes by itself."""

    group = "mho"

    def __init__(self, kind: type[Estimator[Any]], top: int = 0, minibatch: int = 0) -> None:
        name = f"{kind.name}, top {top}" if top else kind.name
        super().__init__(f"{name}, {minibatch} inputs" if minibatch else name)
        self._kind = kind
        self._top = top
        self._minibatch = minibatch

    def play(self, game: PlayedGame, value: str, budget: int, seed: int) -> Point | None:
        del value
        if self._minibatch >= game.samples:
            return None
        asked = Asked(evaluations=budget, seed=seed, top=self._top, minibatch=self._minibatch)
        estimator = self._kind(asked)
        try:
            estimate = finished(estimator, game)
        except InvalidOption:
            return None
        if np.isnan(estimate.values).any():
            return None
        return Point(
            estimate.evaluations + GRADIENT_COST * estimate.gradients,
            estimate.values,
            estimate.ranking,
            estimate.std_error,
            not self._kind.unbiased or bool(estimate.approximate.any()),
        )


class Approximator(Contender):
    """One of shapiq's. make: from the number of players and a seed."""

    group = "shapiq"

    def __init__(
        self,
        name: str,
        make: Callable[[int, int], Any],
        *,
        biased: bool = False,
        most_work: float = math.inf,
    ) -> None:
        super().__init__(name)
        self._make = make
        self._biased = biased
        self.most_work = most_work

    def play(self, game: PlayedGame, value: str, budget: int, seed: int) -> Point | None:
        del value
        played = CoalitionGame(game)
        found = self._make(len(game.players), seed).approximate(budget, played)
        values = np.asarray(found.get_n_order_values(1), dtype=np.float64)
        if not values.any():  # below its least budget it says nothing
            return None
        unknown = np.full(len(values), np.nan)
        return Point(float(played.evaluations), values, values, unknown, self._biased)


class Published(Contender):
    """The bandit of Neuron Shapley."""

    group = "paper"

    def __init__(self) -> None:
        super().__init__("TMAB as published")

    def play(self, game: PlayedGame, value: str, budget: int, seed: int) -> Point | None:
        chance = 1 / game.classes
        base, extent = (chance, 1.0) if value == "accuracy" else (math.log(chance), 0.0)
        last: Reached | None = None
        for reached in bandit(game, TOP, base, extent, seed):
            if reached.evaluations > budget:
                break
            last = reached
        if last is None or np.isnan(last.mean).any():
            return None
        unknown = np.full(len(last.mean), np.nan)
        return Point(float(last.evaluations), last.mean, last.mean, unknown, True)


def all_contenders() -> dict[str, Contender]:
    """By name.

    Of mho's all that estimate the Shapley value, the default also when it is asked for the top
    players, and permutation sampling also with as few inputs as the default takes. Of shapiq's
    those that serve many players, with paired coalitions where they can, and the newer ones where
    its version has them.
    """
    found: list[Contender] = []
    for kind in entries("mho.estimators", Estimator).values():
        if kind().interval != (0.0, 1.0):
            continue  # of another value
        found.append(Own(kind, TOP) if kind.name == "tmab" else Own(kind))
        if kind.name == "assisted":
            found.append(Own(kind, TOP))
        if kind.name == "permutation":
            found.append(Own(kind, minibatch=16))
    found.append(Published())
    found += [
        Approximator("shapiq PermutationSamplingSV", _made("PermutationSamplingSV")),
        Approximator("shapiq StratifiedSamplingSV", _made("StratifiedSamplingSV"), biased=True),
        Approximator("shapiq OwenSamplingSV", _made("OwenSamplingSV"), biased=True),
        Approximator("shapiq KernelSHAP", _kernel, biased=True),
        Approximator("shapiq KernelSHAP, leverage", _leverage, biased=True),
        Approximator("shapiq UnbiasedKernelSHAP", _unbiased),
        Approximator(
            "shapiq SVARM", _made("SVARM", pairing_trick=True), biased=True, most_work=2e7
        ),
    ]
    found += [
        Approximator(f"shapiq {name}", _made(name), biased=name == "LeverageSHAP")
        for name in ("LeverageSHAP", "RegressionMSR")
        if hasattr(shapiq.approximator, name)
    ]
    return {contender.name: contender for contender in found}


def finished(estimator: Estimator[Any], game: CoalitionEvaluator) -> Estimate:
    """What ``estimator`` says at its end."""
    state = estimator.init(game)
    while not estimator.done(state):
        state = estimator.step(state, game)
    return estimator.estimate(state)


def _made(name: str, **options: Any) -> Callable[[int, int], Any]:
    """What makes shapiq's approximator ``name``."""
    kind = getattr(shapiq.approximator, name)
    return lambda players, seed: kind(n=players, random_state=seed, **options)


_kernel = _made("KernelSHAP", pairing_trick=True)
_unbiased = _made("UnbiasedKernelSHAP", pairing_trick=True)
_svarm = _made("SVARM", pairing_trick=True)


def _leverage(players: int, seed: int) -> Any:
    """KernelSHAP over sizes that are as likely as one another, as Musco & Witter (2025) draw."""
    weights = np.ones(players + 1)
    return shapiq.KernelSHAP(
        n=players, random_state=seed, sampling_weights=weights, pairing_trick=True
    )
