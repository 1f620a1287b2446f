"""What a path method is: an integral along the straight line from baseline to input, and its name.

The loop, the choice of nodes and the account of completeness are the same for all of them
(``integration.py``); a method says what is integrated and where.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mho.evaluation import Integrand, Line, PathEvaluator, PathGroup
from mho.integration import Integration, advanced, begun, fraction
from mho.method import Method, Progress
from mho.results import Completeness, Result
from mho.types import FloatArray

_SHARED = {"target", "output", "score", "engine", "tolerance", "path_input", "baseline"}


@dataclass(frozen=True, kw_only=True)
class PathMethod(Method[Integration, PathEvaluator]):
    """Base of the methods that integrate along a path.

    The path is refined until the flow through every cut of the graph closes within ``tolerance``,
    relative to max(|F(x) - F(x')|, a tenth of F's range on the path). With a set of baselines,
    scores are the mean over it.
    """

    needs: ClassVar[type[Any]] = PathEvaluator
    integrand: ClassVar[Integrand]
    line: ClassVar[Line]
    uses: ClassVar[frozenset[str]] = frozenset(_SHARED | {"layers", "granularity"})

    @property
    def chosen_units(self) -> Mapping[str, tuple[int, ...]]:
        """Layer -> units to be resolved to the input, for methods that can do so."""
        return {}

    @abstractmethod
    def estimand(self) -> str:
        """What the scores are, in words."""

    def positions(self) -> str:
        """What becomes of a channel's positions, in words."""
        if self.granularity == "neuron":
            return "per neuron"
        return "summed over each channel's positions"

    def state_class(self) -> type[Integration]:
        return Integration

    def init(self, evaluator: PathEvaluator) -> Integration:
        return begun(evaluator)

    def step(self, state: Integration, evaluator: PathEvaluator) -> Integration:
        return advanced(state, evaluator, self.tolerance)

    def done(self, state: Integration) -> bool:
        return state.done

    def progress(self, state: Integration) -> Progress:
        done, total = fraction(state)
        message = ""
        if not state.done:
            paths = state.difference.shape[1]
            message = f"path {min(state.first_path + 1, paths)} of {paths}"
            if len(state.weights) > 1:
                message += f", layer group {state.group + 1} of {len(state.weights)}"
        return Progress(done, total, "unit-paths", message)

    def result(self, state: Integration, evaluator: PathEvaluator) -> Result:
        complete = self.integrand is Integrand.CONDUCTANCE
        notes = [*self._unreached(state, evaluator.groups)]
        if complete:
            notes += _beside(evaluator.groups)
        return Result(
            estimand=self.estimand(),
            scores=state.totals,
            completeness=_completeness(state, evaluator) if complete else (),
            evaluations={kind: int(count) for kind, count in state.spent.items()},
            report={
                "tolerance": self.tolerance,
                "intervals": {
                    _named(group): int(kept)
                    for group, kept in zip(evaluator.groups, state.intervals, strict=True)
                },
                "paths": len(evaluator.input_of_path),
            },
            notes=notes,
        )

    def _unreached(self, state: Integration, groups: Sequence[PathGroup]) -> list[str]:
        """What the reader must know of layers without flow and of paths beyond the tolerance."""
        notes = []
        for index, group in enumerate(groups):
            if not group.cuts:
                notes.append(
                    f"nothing flows through {_named(group)}: the path does not move it, or the "
                    "target does not depend on it; its score is 0"
                )
                continue
            gap = state.gap[index, :, : len(group.cuts)]
            for number, cut in enumerate(group.cuts):
                over = gap[:, number] > self.tolerance
                if over.any():
                    notes.append(
                        f"{', '.join(cut.layers)}: the tolerance of {self.tolerance:g} was not "
                        f"reached on {int(over.sum())} of {len(over)} paths; the largest gap is "
                        f"{float(gap[:, number].max()):.3g}, at intervals too narrow for float32"
                    )
        return notes


def over_positions(values: FloatArray, axis: int, *, units: bool = False) -> FloatArray:
    """Scores of elements of the path input, ``(inputs, *shape)``, or ``(inputs, units, *shape)``,
    summed over its unit axis: over the colours of a pixel, over the embedding of a token."""
    return np.asarray(values.sum(axis=axis + 1 if units else axis), dtype=np.float64)


def unit_totals(layer: str) -> str:
    """Under what name an evaluator that resolves units to the input gives the conductance of all
    units of the layer: no scores of it, but what those of each unit should add up to."""
    return f"unit totals\x1f{layer}"


def _completeness(state: Integration, evaluator: PathEvaluator) -> list[Completeness]:
    input_of_path = evaluator.input_of_path
    count = np.maximum(np.bincount(input_of_path, minlength=evaluator.inputs), 1)

    def per_input(values: FloatArray) -> FloatArray:
        return np.bincount(input_of_path, weights=values, minlength=evaluator.inputs) / count

    return [
        Completeness(
            layers=cut.layers,
            difference=per_input(state.difference[index]),
            total=per_input(state.total[index, :, number]),
            floor=per_input(state.floor[index]),
            gap=per_input(state.gap[index, :, number]),
        )
        for index, group in enumerate(evaluator.groups)
        for number, cut in enumerate(group.cuts)
        if cut.complete
    ]


def _beside(groups: Sequence[PathGroup]) -> list[str]:
    """The layers that no complete cut holds."""
    names = [
        layer.name
        for group in groups
        for layer in group.layers
        if group.cuts and not any(cut.complete and layer.name in cut.layers for cut in group.cuts)
    ]
    if not names:
        return []
    return [
        "completeness does not apply to these layers alone, because something passes beside them: "
        + ", ".join(names)
    ]


def _named(group: PathGroup) -> str:
    return ", ".join(layer.name for layer in group.layers)
