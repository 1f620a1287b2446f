"""Grad-CAM (Selvaraju et al. 2017): where a layer sees what speaks for the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mho.evaluation import Quantity
from mho.point_method import PointMethod


@dataclass(frozen=True, kw_only=True)
class GradCam(PointMethod):
    """ReLU(Σ_c α_c y_c) at each position of a layer, with α_c the mean of dF/dy over the positions
    of channel c.

    The map has the layer's own resolution. A channel's score is its part of the map before the
    ReLU, α_c y_c summed over positions. By default the layer is the last one with positions that
    does not hold the answers themselves.
    """

    name: ClassVar[str] = "grad_cam"
    summary: ClassVar[str] = "map of where a layer speaks for the target, per input"
    quantity: ClassVar[Quantity] = Quantity.GRAD_CAM
    uses: ClassVar[frozenset[str]] = frozenset({"layers", "target", "output", "score", "engine"})

    def estimand(self) -> str:
        return f"Grad-CAM of the target's {self.score}; each channel's part of the map"
