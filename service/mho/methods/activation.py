"""The activation itself as the score of a unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mho.evaluation import ActivationEvaluator
from mho.method import Method, Progress, option
from mho.results import Result
from mho.types import FloatArray


@dataclass(frozen=True)
class ActivationState:
    """next: first input not done. scores: layer -> ``(inputs, units)``, filled up to ``next``."""

    next: int
    inputs: int
    scores: Mapping[str, FloatArray]


@dataclass(frozen=True, kw_only=True)
class Activation(Method[ActivationState, ActivationEvaluator]):
    """The value of a hidden unit at the input, as compared with in section 4 of the conductance
    paper.

    A channel's score is the mean over its positions (``reduction`` says otherwise). It knows
    neither the
    target nor a baseline, and has no sign of influence: after a ReLU it is never negative.
    """

    name: ClassVar[str] = "activation"
    summary: ClassVar[str] = "activation of each unit, per input"
    needs: ClassVar[type[Any]] = ActivationEvaluator
    uses: ClassVar[frozenset[str]] = frozenset({"layers", "granularity", "reduction"})

    reduction: str = option(
        "mean",
        "how a channel's positions are brought to one number",
        choices=("mean", "sum", "max"),
    )

    def state_class(self) -> type[ActivationState]:
        return ActivationState

    def init(self, evaluator: ActivationEvaluator) -> ActivationState:
        return ActivationState(0, evaluator.inputs, {})

    def step(self, state: ActivationState, evaluator: ActivationEvaluator) -> ActivationState:
        stop = min(state.inputs, state.next + evaluator.chunk)
        found = evaluator.activations(np.arange(state.next, stop))
        scores = {
            name: np.concatenate([state.scores[name], value]) if name in state.scores else value
            for name, value in found.items()
        }
        return ActivationState(stop, state.inputs, scores)

    def done(self, state: ActivationState) -> bool:
        return state.next == state.inputs

    def progress(self, state: ActivationState) -> Progress:
        return Progress(state.next, state.inputs, "inputs")

    def result(self, state: ActivationState, evaluator: ActivationEvaluator) -> Result:
        if self.granularity == "neuron":
            estimand = "activation of each neuron"
        else:
            estimand = f"{self.reduction} activation of each channel over its positions"
        return Result(
            estimand=estimand,
            scores={layer.name: state.scores[layer.name] for layer in evaluator.layers},
            evaluations={"forward": state.inputs},
        )
