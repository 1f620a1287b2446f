"""Curves over a common axis, as pictures and the summary take them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mho.types import FloatArray

AXIS = "removed"
"""The curve that is the x axis of all others."""

AXIS_IN_WORDS = "units removed"

_IN_WORDS = {
    "top": "highest scores first",
    "bottom": "lowest scores first",
    "random": "random order",
    "activation": "highest mean |activation| first",
    "weight_norm": "largest weights first",
    "conductance": "highest conductance first",
    "gradient_x_activation": "highest gradient × activation first",
}

_POINTS = 1000


def in_words(name: str) -> str:
    """What the order is called in which the units of a curve are removed."""
    return _IN_WORDS.get(name, name)


def drawable(curves: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """The curves that run over the x axis, each ``(draws, points)``; none without an x axis."""
    axis = curves.get(AXIS)
    if axis is None or np.ndim(axis) != 1 or len(axis) < 2:
        return {}
    found = {name: np.atleast_2d(curve) for name, curve in curves.items() if name != AXIS}
    return {
        name: curve
        for name, curve in found.items()
        if curve.ndim == 2 and curve.shape[1] == len(axis) and len(curve)
    }


def described(curves: Mapping[str, FloatArray], value: str) -> dict[str, dict[str, Any]]:
    """Name -> what the summary says of a curve; at most 1,000 points, at even steps.

    value: the name of V, which is what changes along the axis.
    """
    found = drawable(curves)
    if not found:
        return {}
    axis = np.asarray(curves[AXIS])
    kept = np.unique(np.linspace(0, len(axis) - 1, min(_POINTS, len(axis))).round().astype(int))
    told = {}
    for name, curve in found.items():
        points = np.asarray(curve[:, kept], np.float64)
        told[name] = {
            "title": in_words(name),
            "x_label": AXIS_IN_WORDS,
            "y_label": value.replace("_", " ") or "value",
            "draws": len(points),
            "x": axis[kept],
            "y": points.mean(axis=0),
        }
        if len(points) > 1:
            told[name] |= {"y_low": points.min(axis=0), "y_high": points.max(axis=0)}
    return told
