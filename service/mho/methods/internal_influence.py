"""Internal influence (Leino et al. 2018; Eq. 4 of the conductance paper): the mean gradient of each
unit along the path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mho.evaluation import Integrand, Line
from mho.path_method import PathMethod


@dataclass(frozen=True, kw_only=True)
class InternalInfluence(PathMethod):
    """IntInf^y(x) = ∫ dF/dy (x(α)) dα along the straight line x(α) = x' + α (x - x').

    It does not say how far the unit moves, so it is no share of F and completeness does not apply:
    in section 4.1 it may even have the wrong sign. The path is refined as for conductance, until
    the flow through the layers closes within ``tolerance``.
    """

    name: ClassVar[str] = "internal_influence"
    summary: ClassVar[str] = "mean gradient of each unit along the path, per input"
    integrand: ClassVar[Integrand] = Integrand.INFLUENCE
    line: ClassVar[Line] = Line.LAYERS

    def estimand(self) -> str:
        return f"internal influence (Eq. 4) on the target's {self.score}, {self.positions()}"
