"""What a picture of maps is made of: panels, one for each map of an input, and the inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mho.artifacts import style
from mho.artifacts.context import Context, Picture
from mho.artifacts.ranking import resolved_units
from mho.results import Result
from mho.types import FloatArray


@dataclass(frozen=True)
class Panel:
    """The maps of a layer, or of one of its units: ``scores`` ``(inputs, *positions)``."""

    layer: str
    unit: int | None
    scores: FloatArray

    @property
    def positions(self) -> int:
        """How many axes of positions there are."""
        return self.scores.ndim - 1

    def of(self, subjects: Sequence[Subject]) -> FloatArray:
        """The maps of ``subjects``, ``(subjects, *positions)``, with at most two positions: the
        last ones, summed over those before."""
        scores = np.asarray(self.scores[[subject.index for subject in subjects]], np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            return np.asarray(scores.sum(axis=tuple(range(1, max(1, self.positions - 1)))))


@dataclass(frozen=True)
class Subject:
    """An input that is shown. about: its class, and the class that is explained; may be empty."""

    index: int
    name: str
    about: str
    picture: Picture | None

    def lines(self, letters: int) -> list[str]:
        """What is written below it, in lines of so many letters."""
        return [style.short(text, letters) for text in (self.name, self.about) if text]


def panels(result: Result) -> list[Panel]:
    """A panel for each map of ``result`` that has inputs and positions, in its own order. An axis
    of one position tells nothing and is left out, as long as there is another."""
    found: list[Panel] = []
    for layer, values in result.maps.items():
        units = resolved_units(layer, result)
        if units and values.ndim > 1 and values.shape[1] == len(units):
            found += [Panel(layer, unit, values[:, place]) for place, unit in enumerate(units)]
        else:
            found.append(Panel(layer, None, values))
    return [
        replace(panel, scores=_without_lone_axes(panel.scores))
        for panel in found
        if panel.positions > 0 and panel.scores.size
    ]


def _without_lone_axes(scores: FloatArray) -> FloatArray:
    inputs, *positions = scores.shape
    return scores.reshape(inputs, *([count for count in positions if count > 1] or [1]))


def titles(shown: Sequence[Panel], letters: int) -> list[list[str]]:
    """The lines above each panel, or before it: the layer, in so many letters, and the unit."""
    names = style.shortened(list(dict.fromkeys(panel.layer for panel in shown)), letters)
    return [
        [names[panel.layer], *([] if panel.unit is None else [f"#{panel.unit}"])] for panel in shown
    ]


def subjects(
    result: Result, context: Context, inputs: int, most: int, *, pictured: bool
) -> list[Subject]:
    """Up to ``most`` of ``inputs`` inputs, with what is known of each."""
    explained = targets(result, context, inputs)
    alike = len(set(explained)) < 2
    found = []
    for index in context.sample(inputs, most).tolist():
        about = [context.class_name(index) or ""]
        if explained and not alike:
            about.append(f"explained: {explained[index]}")
        picture = context.pictures(index) if pictured else None
        text = " · ".join(filter(None, about))
        found.append(Subject(index, context.input_name(index), text, picture))
    return found


def targets(result: Result, context: Context, inputs: int) -> list[str]:
    """The class that is explained of each input, in words; empty where nothing is known of
    classes, as where the one output is no class."""
    found = result.report.get("targets")
    known = context.class_names or context.labels is not None
    if not known or not isinstance(found, list) or len(found) != inputs:
        return []
    return [context.class_names.get(target, f"class {target}") for target in found]
