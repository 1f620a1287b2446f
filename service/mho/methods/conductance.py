"""Conductance (Dhamdhere, Sundararajan & Yan 2018): the flow of attribution through each unit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from mho.errors import InvalidOption
from mho.evaluation import Integrand, Line, PathEvaluator
from mho.integration import Integration
from mho.method import option
from mho.path_method import PathMethod, over_positions, unit_totals
from mho.results import Result
from mho.types import JSON, FloatArray


@dataclass(frozen=True, kw_only=True)
class Conductance(PathMethod):
    """Cond^y(x) = ∫ dF/dy (x(α)) · dy/dα dα along the straight line x(α) = x' + α (x - x') (Eq. 3).

    Scores are summed over a channel's positions, or kept per neuron. ``units`` asks for chosen
    channels resolved to the input (Eq. 2), (x_i - x'_i) ∫ dF/dy · dy/dx_i dα for every element i:
    what the input does through that unit alone. Over i it adds up to Eq. 3.
    """

    name: ClassVar[str] = "conductance"
    summary: ClassVar[str] = "flow of integrated gradients through each unit, per input"
    integrand: ClassVar[Integrand] = Integrand.CONDUCTANCE
    line: ClassVar[Line] = Line.LAYERS
    uses: ClassVar[frozenset[str]] = PathMethod.uses | {"units"}

    units: tuple[str, ...] = option(
        (),
        "units to resolve to the input (Eq. 2); they name the layers, too",
        free=True,
        metavar="LAYER:UNIT",
    )

    @property
    def named_layers(self) -> tuple[str, ...]:
        return tuple(self.chosen_units) or self.layers

    @property
    def chosen_units(self) -> dict[str, tuple[int, ...]]:
        """Layer -> the units to resolve, as ``units`` names them; InvalidOption where it does not
        name a unit."""
        chosen: dict[str, list[int]] = {}
        for entry in self.units:
            layer, colon, unit = entry.rpartition(":")
            if not colon or not layer or not (unit.isascii() and unit.isdigit()):
                raise InvalidOption(
                    f"units holds '{entry}'; a unit is named by layer and index, as in "
                    "'conv1/relu:12'",
                    subject="units",
                )
            chosen.setdefault(layer, []).append(int(unit))
        if chosen and self.layers:
            raise InvalidOption(
                "units names the layers already; leave out --layers", subject="layers"
            )
        if chosen and self.granularity == "neuron":
            raise InvalidOption(
                "units are channels; they are not resolved at --granularity neuron",
                subject="granularity",
            )
        return {layer: tuple(dict.fromkeys(found)) for layer, found in chosen.items()}

    def estimand(self) -> str:
        if self.units:
            of = f"conductance of chosen units (Eq. 2) of the target's {self.score}"
            return f"{of}, per element of the input"
        return f"conductance (Eq. 3) of the target's {self.score}, {self.positions()}"

    def result(self, state: Integration, evaluator: PathEvaluator) -> Result:
        result = super().result(state, evaluator)
        chosen = self.chosen_units
        if not chosen:
            return result
        names = {layer: unit_totals(layer) for layer in chosen}
        totals = {layer: state.totals[name] for layer, name in names.items()}
        scores = {layer: result.scores[layer] for layer in chosen}
        resolved: dict[str, JSON] = {
            layer: _account(units, scores[layer], totals[layer][:, list(units)])
            for layer, units in chosen.items()
        }
        notes = [*result.notes]
        for layer, rows in resolved.items():
            assert isinstance(rows, list)
            size = float(np.abs(totals[layer]).sum(axis=1).mean())
            open_units = [
                row["unit"]
                for row in rows
                if abs(row["resolved"] - row["conductance"]) > 2 * self.tolerance * max(size, 1e-12)
            ]
            if open_units:
                notes.append(
                    f"{layer}: what the elements of the input have through the units "
                    f"{', '.join(map(str, open_units))} does not add up to their conductance "
                    "within the tolerance; report.resolved has both"
                )
        return replace(
            result,
            scores=scores,
            notes=notes,
            maps={
                layer: over_positions(values, axis, units=True)
                for axis in evaluator.input_axes.values()
                for layer, values in scores.items()
            },
            report={**result.report, "resolved": resolved},
        )


def _account(units: tuple[int, ...], scores: FloatArray, totals: FloatArray) -> list[JSON]:
    """For each unit what it has by Eq. 3, and what its scores by Eq. 2 add up to; means over the
    inputs."""
    sums = scores.reshape(*scores.shape[:2], -1).sum(axis=2)
    return [
        {
            "unit": unit,
            "conductance": float(np.mean(totals[:, place])),
            "resolved": float(np.mean(sums[:, place])),
        }
        for place, unit in enumerate(units)
    ]
