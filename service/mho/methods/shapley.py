"""Neuron Shapley (Ghorbani & Zou 2020): the fair share of each unit in the value of the network."""

from __future__ import annotations

import time
from collections.abc import Hashable
from dataclasses import dataclass, make_dataclass, replace
from functools import cache, cached_property
from typing import Any, ClassVar, cast

import numpy as np

from mho.errors import InvalidOption
from mho.estimation.stopping import Looked, Stopping, looked, settled_players
from mho.estimator import Asked, Estimate, Estimator
from mho.evaluation import CoalitionEvaluator
from mho.method import GAME_OPTIONS, GameMethod, Progress, option
from mho.players import by_layer, group_names
from mho.registry import find
from mho.results import Result
from mho.sampling.intervals import student_factor
from mho.types import JSON
from mho.value import chosen

_SHOWN = 20
"""How many of the highest players are told where none are asked for, and of the lowest."""


@dataclass(frozen=True, kw_only=True)
class Shapley(GameMethod[Any]):
    """Players are units, or groups of units; a removed unit is replaced by its substitute.

    Which coalitions are asked for, and what their marginals estimate, is for the estimator; it
    stops at its budget, or before that after ``seconds``, at a standard error, or when the ``top``
    players are settled. The Shapley value weighs coalitions of all sizes alike, and a network with
    many units removed is dead; to find those without which the whole model fails, take estimator
    ``semivalue``. Its ``highest`` are named as ``--remove`` of the method edit takes them.

    Standard errors speak of the sampling of coalitions, and of inputs where
    each draw takes some of them; of the inputs that were given, not of others.
    """

    name: ClassVar[str] = "shapley"
    summary: ClassVar[str] = "Shapley value of each unit in a value of the network over the data"
    uses: ClassVar[frozenset[str]] = GAME_OPTIONS | {
        *("estimator", "evaluations", "minibatch", "inclusion", "top", "confidence"),
        *("std_error", "seconds"),
    }

    inclusion: str = option(
        "",
        "interval of the share of players that coalitions keep, for estimators semivalue (0.9:1 "
        "where it is not set) and gradient (0:1)",
        free=True,
        metavar="LOW:HIGH",
    )
    top: int = option(
        0, "how many of the highest players are wanted; stop when they are settled", minimum=0
    )
    confidence: float = option(
        0.95, "with which the top players are to be right", minimum=0.5, maximum=0.999999
    )
    std_error: float = option(
        0.0, "stop when no standard error is above this; 0: never", minimum=0.0
    )
    seconds: float = option(
        0.0, "stop after so many seconds of evaluation; 0: no limit", minimum=0.0
    )

    def state_class(self) -> type[Any]:
        return _state_class(cast(Hashable, self._estimator.state_class()))

    def init(self, evaluator: CoalitionEvaluator) -> Any:
        players = len(evaluator.players)
        if self.top >= players:
            raise InvalidOption(
                f"top is {self.top}, but only {players} players play; ask for fewer", subject="top"
            )
        began = time.monotonic()
        inner = self._estimator.init(evaluator)
        return self.state_class()(inner, Looked(), time.monotonic() - began)

    def step(self, state: Any, evaluator: CoalitionEvaluator) -> Any:
        began = time.monotonic()
        estimator = self._estimator
        inner = estimator.step(state.inner, evaluator)
        seconds = state.seconds + time.monotonic() - began
        rule = replace(self._stopping, top=0) if estimator.settles else self._stopping
        now = looked(rule, state.looked, estimator.estimate(inner), seconds)
        return self.state_class()(inner, now, seconds)

    def done(self, state: Any) -> bool:
        return bool(state.looked.end) or self._estimator.done(state.inner)

    def progress(self, state: Any) -> Progress:
        reached = self._estimator.progress(state.inner)
        if self.seconds and state.seconds / self.seconds > reached.fraction:
            return Progress(state.seconds, self.seconds, "seconds", reached.message)
        return reached

    def result(self, state: Any, evaluator: CoalitionEvaluator) -> Result:
        estimator = self._estimator
        estimate = estimator.estimate(state.inner)
        certain = not estimate.std_error.any()
        drawn = estimate.draws[np.isfinite(estimate.std_error) & (estimate.draws > 1)]
        evaluations = {"coalitions": round(estimate.evaluations)}
        if estimate.gradients:
            evaluations["slopes"] = round(estimate.gradients)
        notes = [
            *estimate.notes,
            *(
                f"option '{name}' was set, but has no meaning for estimator '{self.estimator}'"
                for name in ("inclusion", "minibatch")
                if getattr(self, name) and name not in estimator.takes
            ),
        ]
        if self.seconds and state.looked.end == "seconds":
            notes.append(
                f"stopped after {self.seconds:g} seconds; another run stops elsewhere, so that its "
                "numbers differ"
            )
        return Result(
            estimand=f"{estimator.estimand} of V = {chosen(self).words}",
            scores=by_layer(evaluator, estimate.values),
            ranking=by_layer(evaluator, estimate.best) if len(estimate.best) else {},
            std_error={} if certain else by_layer(evaluator, estimate.std_error),
            interval_factor=0.0 if certain else student_factor(int(min(drawn, default=1))),
            evaluations=evaluations,
            report={
                "value": self.value,
                "estimator": self.estimator,
                "players": len(evaluator.players),
                "v_full": estimate.v_full,
                "v_empty": estimate.v_empty,
                "efficiency_gap": float(
                    estimate.values.sum() - (estimate.v_full - estimate.v_empty)
                ),
                "draws": int(estimate.draws.max(initial=0)),
                "stopped_by": state.looked.end or self._end(estimate),
                "groups": group_names(evaluator),
                **self._ends(evaluator, estimate, state.looked),
                **estimate.report,
            },
            notes=notes,
        )

    def _end(self, estimate: Estimate) -> str:
        """What ended an estimation that was not stopped."""
        return "top settled" if 0 < self.top <= estimate.settled.sum() else "budget"

    @cached_property
    def _estimator(self) -> Estimator[Any]:
        kind = find("mho.estimators", Estimator, self.estimator, subject="estimator")
        return kind(
            Asked(
                evaluations=self.evaluations,
                seed=self.seed,
                minibatch=self.minibatch,
                inclusion=_interval(self.inclusion),
                top=self.top,
                confidence=self.confidence,
            )
        )

    @property
    def _stopping(self) -> Stopping:
        return Stopping(self.seconds, self.std_error, self.top, self.confidence)

    def _ends(
        self, evaluator: CoalitionEvaluator, estimate: Estimate, before: Looked
    ) -> dict[str, JSON]:
        """The highest players and whether they are settled, and the lowest."""
        players = evaluator.players
        count = self.top or min(_SHOWN, len(players) - 1)
        order = np.argsort(-estimate.ranking, kind="stable")
        # This is one more look, unless it is the one by which the run ended.
        looks = before.looks + (before.end != "top settled")
        sure = settled_players(replace(self._stopping, top=count), estimate, looks)

        def row(index: int) -> dict[str, JSON]:
            error = float(estimate.std_error[index])
            return {
                "player": players[index].name,
                "score": float(estimate.values[index]),
                "std_error": error if np.isfinite(error) else None,
                "approximate": not estimate.exact[index],
            }

        lowest = order[::-1][: min(_SHOWN, len(players) - count)]
        return {
            "highest": [{**row(i), "settled": bool(sure[i])} for i in order[:count]],
            "lowest": [row(i) for i in lowest],
        }


@cache
def _state_class(inner: Any) -> type[Any]:
    """The state of an estimator, what was seen of it, and the seconds that it took."""
    members = [("inner", inner), ("looked", Looked), ("seconds", float)]
    return make_dataclass(f"Shapley{inner.__name__}", members, frozen=True)


def _interval(written: str) -> tuple[float, float] | None:
    """``0.9:1`` as numbers; InvalidOption for anything but two that rise within [0, 1]."""
    if not written:
        return None
    try:
        low, high = (float(part) for part in written.split(":"))
    except ValueError:
        low, high = 1.0, 0.0
    if not 0 <= low <= high <= 1:
        raise InvalidOption(
            f"inclusion is '{written}'; write two shares between 0 and 1 that rise, such as 0.9:1",
            subject="inclusion",
        )
    return low, high
