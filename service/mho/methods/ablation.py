"""Ablation: what is lost when units are removed, one at a time and many at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from mho.errors import InvalidOption
from mho.evaluation import CoalitionEvaluator
from mho.method import GAME_OPTIONS, GameMethod, Progress, option
from mho.players import GIVEN, by_layer, group_names
from mho.results import Result
from mho.sampling.draws import stream
from mho.types import BoolArray, FloatArray, IntArray
from mho.value import chosen

_DEFAULT_POINTS = 33

ORDERS = ("activation", "weight_norm", "conductance", "gradient_x_activation")
"""Cheap rankings of players that whoever binds the method gives (``runtime/orders.py``)."""


@dataclass(frozen=True)
class AblationState:
    """ranking: ``(players,)`` scores by which the orders are made; empty while single removals are
    done.

    single, curves: V without each player ``(players,)``, and V along the orders ``(orders,
    points)``: the ranking from its top, from its bottom, the random ones, then the others.
    next_single, next_point: first of each not done. points: ``(points,)`` numbers of players
    removed. others: order -> ``(players,)``, further scores to remove players by.
    """

    full: float
    single: FloatArray
    next_single: int
    ranking: FloatArray
    points: IntArray
    curves: FloatArray
    next_point: int
    others: Mapping[str, FloatArray]


@dataclass(frozen=True, kw_only=True)
class Ablation(GameMethod[AblationState]):
    """V as units are removed: from the top of a ranking, from its bottom, and in random orders.

    The ranking is read from ``scores`` (another run's result; the mean over inputs where scores are
    per input). Without one, units are ranked by V(all) - V(all but the unit), which is then the
    score. ``orders`` adds curves along cheap rankings, the highest removed first: units by mean
    |activation|, by the norm of their weights, by conductance or by gradient times activation for
    the class that V judges an input by.
    """

    name: ClassVar[str] = "ablation"
    summary: ClassVar[str] = "curves of V as top, bottom and random units are removed"
    uses: ClassVar[frozenset[str]] = GAME_OPTIONS | {*("evaluations", "scores", "draws", "orders")}

    scores: str = option("", "result of another run whose scores make the ranking", file="scores")
    draws: int = option(10, "random orders to compare with", minimum=1, maximum=1000)
    orders: tuple[str, ...] = option(
        (), "further orders of removal to compare with, each from its highest", choices=ORDERS
    )

    def state_class(self) -> type[AblationState]:
        return AblationState

    def init(self, evaluator: CoalitionEvaluator) -> AblationState:
        players = len(evaluator.players)
        given = evaluator.rankings.get(GIVEN)
        singles = 0 if given is not None else players
        points = self._points(players, singles)
        return AblationState(
            full=float(evaluator.values(np.ones((1, players), dtype=bool))[0]),
            single=np.zeros(singles),
            next_single=0,
            ranking=np.zeros(0) if given is None else given,
            points=points,
            curves=np.zeros((self._orders, len(points))),
            next_point=0,
            others={name: evaluator.rankings[name] for name in self._others},
        )

    def step(self, state: AblationState, evaluator: CoalitionEvaluator) -> AblationState:
        players = len(evaluator.players)
        if state.next_single < len(state.single):
            stop = min(len(state.single), state.next_single + evaluator.chunk)
            asked = np.arange(state.next_single, stop)
            single = state.single.copy()
            single[asked] = evaluator.values(np.arange(players)[None, :] != asked[:, None])
            ranking = state.full - single if stop == len(single) else state.ranking
            return replace(state, single=single, next_single=stop, ranking=ranking)
        stop = min(state.curves.size, state.next_point + evaluator.chunk)
        asked = np.arange(state.next_point, stop)
        order, point = np.divmod(asked, len(state.points))
        curves = state.curves.copy()
        kept = np.stack(
            [
                self._kept(state, int(o), int(state.points[p]))
                for o, p in zip(order, point, strict=True)
            ]
        )
        curves[order, point] = evaluator.values(kept)
        return replace(state, curves=curves, next_point=stop)

    def done(self, state: AblationState) -> bool:
        return state.next_single == len(state.single) and state.next_point == state.curves.size

    def progress(self, state: AblationState) -> Progress:
        done = state.next_single + state.next_point
        return Progress(done, len(state.single) + state.curves.size, "coalitions")

    def result(self, state: AblationState, evaluator: CoalitionEvaluator) -> Result:
        given = GIVEN in evaluator.rankings
        return Result(
            estimand=(
                f"V = {chosen(self).words} along a given ranking"
                if given
                else f"V(all) - V(all but the unit), V = {chosen(self).words}"
            ),
            scores=by_layer(evaluator, state.ranking),
            curves={
                "removed": state.points.astype(np.float64),
                "top": state.curves[0],
                "bottom": state.curves[1],
                "random": state.curves[2 : 2 + self.draws],
                **dict(zip(self._others, state.curves[2 + self.draws :], strict=True)),
            },
            evaluations={"coalitions": 1 + len(state.single) + state.curves.size},
            report={
                "value": self.value,
                "players": len(evaluator.players),
                "v_full": state.full,
                "ranking": "given" if given else "single removals",
                "orders": list(self._others),
                "groups": group_names(evaluator),
            },
        )

    @property
    def _orders(self) -> int:
        """How many curves there are."""
        return 2 + self.draws + len(self._others)

    @property
    def _others(self) -> tuple[str, ...]:
        """The further orders, each once, as their curves stand."""
        return tuple(dict.fromkeys(self.orders))

    def _points(self, players: int, singles: int) -> IntArray:
        """How many players are removed at each point: every number where there is room, else ever
        wider apart, and always none and all."""
        curves, most = self._orders, _DEFAULT_POINTS
        if self.evaluations:
            most = (self.evaluations - 1 - singles) // curves
            if most < 2:
                raise InvalidOption(
                    f"{self.evaluations} evaluations are too few: {singles} single removals and "
                    f"two points on {curves} curves take {1 + singles + 2 * curves}",
                    subject="evaluations",
                )
        if players + 1 <= most:
            return np.arange(players + 1)
        spaced = np.geomspace(1, players + 1, most) - 1
        return np.unique(np.round(spaced).astype(np.int64))

    def _kept(self, state: AblationState, order: int, removed: int) -> BoolArray:
        """The coalition left when the first ``removed`` players of an order are gone.

        Ties in the ranking fall to the lower player number.
        """
        players = len(state.ranking)
        if order == 0:
            places = np.argsort(-state.ranking, kind="stable")
        elif order == 1:
            places = np.argsort(state.ranking, kind="stable")
        elif order < 2 + self.draws:
            places = stream(self.seed, order - 2).permutation(players)
        else:
            scores = state.others[self._others[order - 2 - self.draws]]
            places = np.argsort(-scores, kind="stable")
        kept = np.ones(players, dtype=bool)
        kept[places[:removed]] = False
        return kept
