"""The gradient of the target with respect to each unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mho.evaluation import Quantity
from mho.point_method import GradientMethod


@dataclass(frozen=True, kw_only=True)
class Gradient(GradientMethod):
    """dF/dy at the input: how F answers to a small change of the unit (Simonyan, Vedaldi &
    Zisserman 2014, at hidden layers).

    A channel's score is the sum over its positions, which is the answer to moving all of them
    alike. Where the unit saturates it is 0, however much the unit has done.
    """

    name: ClassVar[str] = "gradient"
    summary: ClassVar[str] = "gradient of the target with respect to each unit, per input"
    quantity: ClassVar[Quantity] = Quantity.GRADIENT

    def estimand(self) -> str:
        return f"gradient of the target's {self.score}, {self.reduced()}"
