"""Integrated gradients (Sundararajan, Taly & Yan 2017; Eq. 1 of the conductance paper): the share
of each element of the input."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from mho.evaluation import Integrand, Line, PathEvaluator
from mho.integration import Integration
from mho.path_method import PathMethod, over_positions
from mho.results import Result


@dataclass(frozen=True, kw_only=True)
class IntegratedGradients(PathMethod):
    """IG_i(x) = (x_i - x'_i) ∫ dF/dx_i (x(α)) dα along the straight line x(α) = x' + α (x - x').

    Every element of the path input has a score: pixels, table columns, or, for token models, the
    numbers of the embedding. It is the conductance of the path input itself, and computed so.
    """

    name: ClassVar[str] = "integrated_gradients"
    summary: ClassVar[str] = "share of each element of the input, per input"
    uses: ClassVar[frozenset[str]] = PathMethod.uses - {"layers", "granularity"}
    integrand: ClassVar[Integrand] = Integrand.CONDUCTANCE
    line: ClassVar[Line] = Line.PATH_INPUT

    def estimand(self) -> str:
        return f"integrated gradients (Eq. 1) of the target's {self.score}, per element"

    def result(self, state: Integration, evaluator: PathEvaluator) -> Result:
        result = super().result(state, evaluator)
        axes = evaluator.input_axes
        maps = {name: over_positions(result.scores[name], axis) for name, axis in axes.items()}
        return replace(result, maps=maps)
