"""How many players are flipped, in how many strata and on how many inputs, for a budget."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mho.errors import InvalidOption
from mho.estimator import GRADIENT_COST, Asked
from mho.evaluation import CoalitionEvaluator
from mho.sampling.draws import batch_of

_MINIBATCH, _NARROW_MINIBATCH = 16, 4
"""Inputs of a draw where none are asked for. On a narrow interval of t, marginals differ more by
coalition than by input: on SqueezeNet near the full set, 4 gave a third of the variance of 16 for
the same number of evaluations."""
_SCREENS = (32, 16, 8)
"""Draws of predictions before the first round: the most that take a quarter of the budget at most
and leave enough for the rounds; the last gives two to each stratum."""
_REFRESH, _LEAST_REFRESH, _MOST_REFRESH = 0.75, 2, 12
"""Draws of predictions for each round are the root of so many times its flips. With a control
variate that explains seven tenths of the variance, the error of its mean is then what it should be
for the least cost."""
_MOST_STRATA, _STRATA, _NARROW = 8, 4, 0.25
"""An interval of t that is no wider than the last is one stratum: marginals change little along it,
and every round is a replicate of its own."""
_LEAST_ROUNDS, _ROUNDS, _MANY_ROUNDS = 8, 32, 64
"""Rounds that the budget must allow for all players to be flipped, those of the default, and those
from which on finer strata are worth the replicates that they cost: standard errors rest on these.
"""
_ROUNDS_FOR_FEW = (_ROUNDS, 16, _LEAST_ROUNDS)
"""Rounds in which candidates are flipped: the first that leaves enough of them."""
_PREDICTED = 12
"""From so many players on slopes, which serve all of them at once, are worth what they cost."""
_ALL = 320
"""Up to so many players the default budget flips all."""
_LEAST_CANDIDATES, _CANDIDATES = 8, 64


@dataclass(frozen=True)
class Plan:
    """What is settled before the first draw.

    strata: of t. screen: draws of predictions before the first round.
    batch: inputs of a draw, 0 for all; share: how many of all that is.
    budget: in evaluations of V over all inputs. candidates: how many players are flipped at most.
    slopes: whether they are used; surrogate: the smooth value they are of, empty for V itself;
    obstacle: why the game has none.
    """

    strata: int
    screen: int
    batch: int
    share: float
    budget: float
    candidates: int
    slopes: bool
    surrogate: str
    obstacle: str

    def cost(self, flips: int) -> float:
        """Evaluations that a round of so many flips takes, with the slopes drawn for it."""
        slopes = GRADIENT_COST * (1 + self.refresh(flips)) if self.slopes else 0
        return (1 + flips + slopes) * self.share

    def refresh(self, flips: int) -> int:
        """Draws of predictions for each round of so many flips."""
        if not self.slopes:
            return 0
        return int(np.clip(round(np.sqrt(_REFRESH * flips)), _LEAST_REFRESH, _MOST_REFRESH))


def planned(
    game: CoalitionEvaluator, asked: Asked, name: str, interval: tuple[float, float]
) -> Plan:
    """What ``asked`` allows for ``game``, with t from ``interval``. InvalidOption, in the ``name``
    of the estimator, where that is too little."""
    players, samples = len(game.players), game.samples
    slopes, surrogate, obstacle = players >= _PREDICTED, "", ""
    if slopes:
        try:
            surrogate = game.surrogate
        except InvalidOption as error:  # an operator without a derivative rule
            slopes, obstacle = False, error.message
    low, high = interval
    narrow = high - low <= _NARROW
    own = _NARROW_MINIBATCH if narrow else _MINIBATCH
    batch, share = batch_of(asked.minibatch or (own if game.linear else 0), samples)
    # Draws of fewer inputs are worth less each, and there are as many more.
    more = _MINIBATCH // own if batch and not asked.minibatch else 1
    screens = [more * many for many in _SCREENS]
    rounds_for_few = [more * many for many in _ROUNDS_FOR_FEW]
    rounds, least_rounds = rounds_for_few[0], rounds_for_few[-1]
    strata = 1 if narrow else _STRATA
    plan = Plan(strata, screens[0], batch, share, 0.0, players, slopes, surrogate, obstacle)
    each = GRADIENT_COST * share
    least = min(players, _LEAST_CANDIDATES)
    if asked.evaluations:
        most = min(asked.evaluations / 4, asked.evaluations - 2 - least_rounds * plan.cost(least))
        fitting = [many for many in screens if many * each <= most]
        plan = replace(plan, screen=(*fitting, screens[-1])[0])
    before = 2 + (plan.screen * each if slopes else 0)
    few = min(players, max(_CANDIDATES, 4 * asked.top))
    if not asked.evaluations:
        if players <= _ALL or not slopes:
            return replace(plan, budget=before + rounds * plan.cost(players))
        return replace(plan, budget=before + rounds * plan.cost(few), candidates=few)
    plan = replace(plan, budget=float(asked.evaluations))
    rest = plan.budget - before
    if rest >= least_rounds * plan.cost(players):
        if not narrow and rest >= _MANY_ROUNDS * plan.cost(players):
            plan = replace(plan, strata=_MOST_STRATA)
        return plan
    if not slopes or rest < least_rounds * plan.cost(least):
        least = least if slopes else players
        cost = int(np.ceil(before + least_rounds * plan.cost(least)))
        raise InvalidOption(
            f"{asked.evaluations} evaluations are too few for estimator '{name}', "
            f"which takes {cost} for {least} players; give more, or take "
            + ("estimator 'gradient'" if slopes else "fewer players"),
            subject="evaluations",
        )
    costs = np.array([plan.cost(flips) for flips in range(players + 1)])
    fits = [int(np.searchsorted(costs, rest / many, "right")) - 1 for many in rounds_for_few]
    # More than are wanted, or nobody could be told to be in the top.
    needed = (few, max(least, min(players, 2 * asked.top)), least)
    enough = [many for many, wanted in zip(fits, needed, strict=True) if many >= wanted]
    chosen = enough[0] if enough[0] == fits[0] else min(few, enough[0])
    return replace(plan, candidates=min(players, chosen))
