"""The activation itself as the score of a unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mho.evaluation import Quantity
from mho.method import option
from mho.point_method import PointMethod


@dataclass(frozen=True, kw_only=True)
class Activation(PointMethod):
    """The value of a hidden unit at the input, as compared with in section 4 of the conductance
    paper.

    A channel's score is the mean over its positions (``reduction`` says otherwise). It knows
    neither the target nor a baseline, and has no sign of influence: after a ReLU it is never
    negative.
    """

    name: ClassVar[str] = "activation"
    summary: ClassVar[str] = "activation of each unit, per input"
    quantity: ClassVar[Quantity] = Quantity.ACTIVATION
    uses: ClassVar[frozenset[str]] = frozenset({"layers", "granularity", "reduction"})

    reduction: str = option(
        "mean",
        "how a channel's positions are brought to one number",
        choices=("mean", "sum", "max"),
    )

    def estimand(self) -> str:
        if self.granularity == "neuron":
            return "activation of each neuron"
        return f"{self.reduction} activation of each channel over its positions"
