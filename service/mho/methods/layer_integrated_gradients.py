"""Integrated gradients taken at a layer (Remark 1 of the conductance paper): a straight line in the
layer's own space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mho.evaluation import Integrand, Line
from mho.path_method import PathMethod


@dataclass(frozen=True, kw_only=True)
class LayerIntegratedGradients(PathMethod):
    """(y - y') ∫ dF/dy (y' + α (y - y')) dα, where y and y' are the layer at input and baseline.

    The line runs through activations that no input may ever cause, and what happens below the
    layer plays no part: theorem 2 shows the difference from conductance. What passes beside the
    layer stays as it is at the input.
    """

    name: ClassVar[str] = "layer_integrated_gradients"
    summary: ClassVar[str] = "integrated gradients on a straight line in each layer's own space"
    integrand: ClassVar[Integrand] = Integrand.CONDUCTANCE
    line: ClassVar[Line] = Line.OWN

    def estimand(self) -> str:
        of = f"integrated gradients at the layer (Remark 1) of the target's {self.score}"
        return f"{of}, {self.positions()}"
