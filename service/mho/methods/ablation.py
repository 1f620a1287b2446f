"""Ablation: what is lost when units are removed, one at a time and many at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from mho.errors import InvalidOption
from mho.evaluation import CoalitionEvaluator
from mho.method import GameMethod, Progress, option
from mho.players import by_layer, group_names, value_in_words
from mho.results import Result
from mho.types import BoolArray, FloatArray, IntArray

_DEFAULT_POINTS = 33


@dataclass(frozen=True)
class AblationState:
    """ranking: ``(players,)`` scores by which the orders are made; empty while single removals are
    done.

    single, curves: V without each player ``(players,)``, and V along the orders ``(orders,
    points)``.
    next_single, next_point: first of each not done. points: ``(points,)`` numbers of players
    removed.
    """

    full: float
    single: FloatArray
    next_single: int
    ranking: FloatArray
    points: IntArray
    curves: FloatArray
    next_point: int


@dataclass(frozen=True, kw_only=True)
class Ablation(GameMethod[AblationState]):
    """V as units are removed: from the top of a ranking, from its bottom, and in random orders.

    The ranking is read from ``scores`` (another run's result; the mean over inputs where scores are
    per input). Without one, units are ranked by V(all) - V(all but the unit), which is then the
    score.
    """

    name: ClassVar[str] = "ablation"
    summary: ClassVar[str] = "curves of V as top, bottom and random units are removed"
    uses: ClassVar[frozenset[str]] = frozenset(
        {"layers", "target", "output", "score", "seed", "value", "evaluations", "substitute"}
        | {"reference", "groups", "scores", "draws"}
    )

    scores: str = option("", "result of another run whose scores make the ranking", file="scores")
    draws: int = option(10, "random orders to compare with", minimum=1, maximum=1000)

    def state_class(self) -> type[AblationState]:
        return AblationState

    def init(self, evaluator: CoalitionEvaluator) -> AblationState:
        players = len(evaluator.players)
        given = evaluator.ranking
        singles = 0 if given is not None else players
        points = self._points(players, singles)
        return AblationState(
            full=float(evaluator.values(np.ones((1, players), dtype=bool))[0]),
            single=np.zeros(singles),
            next_single=0,
            ranking=np.zeros(0) if given is None else given,
            points=points,
            curves=np.zeros((2 + self.draws, len(points))),
            next_point=0,
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
        given = evaluator.ranking is not None
        return Result(
            estimand=(
                f"V = {value_in_words(self.value, self.score)} along a given ranking"
                if given
                else f"V(all) - V(all but the unit), V = {value_in_words(self.value, self.score)}"
            ),
            scores=by_layer(evaluator, state.ranking),
            curves={
                "removed": state.points.astype(np.float64),
                "top": state.curves[0],
                "bottom": state.curves[1],
                "random": state.curves[2:],
            },
            evaluations={"coalitions": 1 + len(state.single) + state.curves.size},
            report={
                "value": self.value,
                "players": len(evaluator.players),
                "v_full": state.full,
                "ranking": "given" if given else "single removals",
                "groups": group_names(evaluator),
            },
        )

    def _points(self, players: int, singles: int) -> IntArray:
        """How many players are removed at each point: every number where there is room, else ever
        wider apart, and always none and all."""
        curves = 2 + self.draws
        most = _DEFAULT_POINTS
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
        else:
            seeds = np.random.SeedSequence([self.seed, order - 2])
            places = np.random.Generator(np.random.Philox(seeds)).permutation(players)
        kept = np.ones(players, dtype=bool)
        kept[places[:removed]] = False
        return kept
