"""Gradient times activation: a first-order estimate of what removing a unit would change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mho.evaluation import Quantity
from mho.point_method import GradientMethod


@dataclass(frozen=True, kw_only=True)
class GradientXActivation(GradientMethod):
    """dF/dy · y at the input, as compared with in sections 4 and 5 of the conductance paper.

    A channel's score is the sum over its positions. It looks at the input alone and knows no
    baseline: section 4.1 has an example in which it overshoots F.
    """

    name: ClassVar[str] = "gradient_x_activation"
    summary: ClassVar[str] = "gradient times activation of each unit, per input"
    quantity: ClassVar[Quantity] = Quantity.GRADIENT_X_ACTIVATION

    def estimand(self) -> str:
        return f"gradient times activation for the target's {self.score}, {self.reduced()}"
