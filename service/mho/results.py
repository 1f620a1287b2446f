"""Kinds of result. What a method found, before it becomes files.

A ``Result`` carries any of: scores per layer, curves, and a report of plain numbers. Later methods
whose results are images, patches or phrases add their kind here and a writer in ``artifacts/``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mho.types import JSON, FloatArray

CURVES, MAPS, RANKING, STD_ERROR = "curves/", "maps/", "ranking/", "/std_error"
"""Begin, and the last one ends, the keys of ``scores.npz`` that are not the scores of a layer."""


def role_of(key: str, keys: Collection[str]) -> tuple[str, str]:
    """What the array ``key`` of a ``scores.npz`` with ``keys`` holds, and the layer or curve.

    SCORES, RANKING, MAP, STD_ERROR or CURVE. A layer may be called as if it were another's: only
    beside that one's scores it is.
    """
    if key.startswith(CURVES):
        return "CURVE", key.removeprefix(CURVES)
    for start, role in ((MAPS, "MAP"), (RANKING, "RANKING")):
        if key.startswith(start) and key.removeprefix(start) in keys:
            return role, key.removeprefix(start)
    if key.endswith(STD_ERROR) and key.removesuffix(STD_ERROR) in keys:
        return "STD_ERROR", key.removesuffix(STD_ERROR)
    return "SCORES", key


@dataclass(frozen=True)
class Completeness:
    """How well the scores of one cut add up to F(x) - F(x'); all arrays are ``(inputs,)``.

    layers: the cut.
    difference: F(x) - F(x').
    total: the sum of the scores, so that the signed gap is ``total - difference``.
    floor: what |difference| is not taken to be smaller than.
    gap: the sum over the eighths of the path of the absolute gap in each, over
        ``max(|difference|, floor)``; gaps of opposite sign can't hide one another beyond an eighth.
    """

    layers: tuple[str, ...]
    difference: FloatArray
    total: FloatArray
    floor: FloatArray
    gap: FloatArray


class WrittenModel(Protocol):
    """A model that a method has made, to be written as files of the result."""

    @property
    def names(self) -> tuple[str, ...]:
        """The files that ``write`` makes, the ONNX file first."""

    def write(self, folder: Path) -> None:
        """Write the files into ``folder``."""


@dataclass(frozen=True)
class Result:
    """What a method returns.

    estimand: what the scores estimate, in words.
    scores: layer name -> ``(units,)`` for a value over the data set, ``(inputs, units)`` for scores
        per input, ``(inputs, *shape[1:])`` at neuron granularity, ``(inputs, units, *input shape)``
        for chosen units resolved to the input; or ``groups`` -> ``(groups,)`` where the players are
        groups.
    ranking: layer name -> the best guess by which to rank its units, same shape as the scores,
        where that is another: scores that are right on average may be noisier.
    maps: layer name -> ``(inputs, *positions)``, scores laid over positions, or ``(inputs, units,
        *positions)`` for several units; where the method has such.
    std_error: layer name -> standard error of the scores, same shape, where the method has one.
    interval_factor: standard errors to each side of a score that make its 95 % interval.
    curves: name -> ``(points,)`` or ``(draws, points)``; all of one result share their x axis,
        which is the curve named ``removed``.
    completeness: one entry per cut, for path methods.
    model: a model that was made, which becomes files of the result.
    evaluations: what was spent, e.g. ``{"coalitions": 4000}`` or ``{"forward": 64, "tail": 9000}``.
    report: further plain figures, written into the summary as they are.
    notes: sentences that the reader must see (why an engine was taken, what does not apply).
    """

    estimand: str
    scores: Mapping[str, FloatArray] = field(default_factory=dict)
    maps: Mapping[str, FloatArray] = field(default_factory=dict)
    ranking: Mapping[str, FloatArray] = field(default_factory=dict)
    std_error: Mapping[str, FloatArray] = field(default_factory=dict)
    interval_factor: float = 1.96
    curves: Mapping[str, FloatArray] = field(default_factory=dict)
    completeness: Sequence[Completeness] = ()
    model: WrittenModel | None = None
    evaluations: Mapping[str, int] = field(default_factory=dict)
    report: Mapping[str, JSON] = field(default_factory=dict)
    notes: Sequence[str] = ()
