"""What a pointwise method is: a quantity that is read off at every input, batch by batch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mho.evaluation import PointEvaluator, Quantity
from mho.method import Method, Progress, option
from mho.results import Result
from mho.types import FloatArray


@dataclass(frozen=True)
class PointState:
    """next: first input not done. scores, maps: layer -> ``(inputs, ...)``, filled up to there."""

    next: int
    inputs: int
    scores: Mapping[str, FloatArray]
    maps: Mapping[str, FloatArray]


@dataclass(frozen=True, kw_only=True)
class PointMethod(Method[PointState, PointEvaluator]):
    """Base of the methods that look at each input alone."""

    needs: ClassVar[type[Any]] = PointEvaluator
    quantity: ClassVar[Quantity]

    @abstractmethod
    def estimand(self) -> str:
        """What the scores are, in words."""

    def state_class(self) -> type[PointState]:
        return PointState

    def init(self, evaluator: PointEvaluator) -> PointState:
        return PointState(0, evaluator.inputs, {}, {})

    def step(self, state: PointState, evaluator: PointEvaluator) -> PointState:
        stop = min(state.inputs, state.next + evaluator.chunk)
        found = evaluator.read(np.arange(state.next, stop))
        return PointState(
            stop,
            state.inputs,
            _joined(state.scores, found.scores),
            _joined(state.maps, found.maps),
        )

    def done(self, state: PointState) -> bool:
        return state.next == state.inputs

    def progress(self, state: PointState) -> Progress:
        return Progress(state.next, state.inputs, "inputs")

    def result(self, state: PointState, evaluator: PointEvaluator) -> Result:
        kind = "forward" if self.quantity is Quantity.ACTIVATION else "gradient"
        names = [layer.name for layer in evaluator.layers]
        return Result(
            estimand=self.estimand(),
            scores={name: state.scores[name] for name in names},
            maps={name: state.maps[name] for name in names if name in state.maps},
            evaluations={kind: state.inputs},
        )


@dataclass(frozen=True, kw_only=True)
class GradientMethod(PointMethod):
    """Base of those whose quantity is made of the gradient dF/dy at the input, per position."""

    uses: ClassVar[frozenset[str]] = frozenset(
        {"layers", "target", "output", "score", "granularity", "engine", "reduction"}
    )

    reduction: str = option(
        "sum",
        "how a channel's positions are brought to one number",
        choices=("sum", "mean", "max"),
    )

    def reduced(self) -> str:
        """How positions are treated, in words."""
        if self.granularity == "neuron":
            return "per neuron"
        return f"{self.reduction} over each channel's positions"


def _joined(
    held: Mapping[str, FloatArray], found: Mapping[str, FloatArray]
) -> dict[str, FloatArray]:
    return {
        name: np.concatenate([held[name], value]) if name in held else value
        for name, value in found.items()
    }
