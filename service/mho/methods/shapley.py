"""Neuron Shapley (Ghorbani & Zou 2020): the fair share of each unit in the value of the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from mho.estimator import Estimator
from mho.evaluation import CoalitionEvaluator
from mho.method import GameMethod, Progress
from mho.players import by_layer, group_names, value_in_words
from mho.registry import find
from mho.results import Result


@dataclass(frozen=True, kw_only=True)
class Shapley(GameMethod[Any]):
    """Players are units, or groups of units; a removed unit is replaced by its substitute.

    V is evaluated on all inputs for every coalition, so the standard errors speak of the sampling
    of coalitions, for these inputs; they do not speak of other inputs.
    """

    name: ClassVar[str] = "shapley"
    summary: ClassVar[str] = "Shapley value of each unit in a value of the network over the data"
    uses: ClassVar[frozenset[str]] = frozenset(
        {"layers", "target", "output", "score", "seed", "value", "estimator", "evaluations"}
        | {"substitute", "reference", "groups"}
    )

    def _estimator(self) -> Estimator[Any]:
        return find("mho.estimators", Estimator, self.estimator, subject="estimator")()

    def state_class(self) -> type[Any]:
        return self._estimator().state_class()

    def init(self, evaluator: CoalitionEvaluator) -> Any:
        return self._estimator().init(evaluator, evaluations=self.evaluations, seed=self.seed)

    def step(self, state: Any, evaluator: CoalitionEvaluator) -> Any:
        return self._estimator().step(state, evaluator)

    def done(self, state: Any) -> bool:
        return self._estimator().done(state)

    def progress(self, state: Any) -> Progress:
        return self._estimator().progress(state)

    def result(self, state: Any, evaluator: CoalitionEvaluator) -> Result:
        estimator = self._estimator()
        estimate = estimator.estimate(state)
        return Result(
            estimand=f"{estimator.estimand} of V = {value_in_words(self.value, self.score)}",
            scores=by_layer(evaluator, estimate.values),
            std_error=by_layer(evaluator, estimate.std_error) if estimate.draws else {},
            interval_factor=estimate.factor,
            evaluations={"coalitions": estimate.evaluations},
            report={
                "value": self.value,
                "estimator": self.estimator,
                "players": len(evaluator.players),
                "v_full": estimate.v_full,
                "v_empty": estimate.v_empty,
                "efficiency_gap": float(
                    estimate.values.sum() - (estimate.v_full - estimate.v_empty)
                ),
                "draws": estimate.draws,
                "groups": group_names(evaluator),
            },
        )
