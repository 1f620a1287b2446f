"""Which units matter most and least, over all layers: horizontal bars."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from mho.artifacts import style
from mho.artifacts.ranking import LayerScores, Unit, highest, lowest

TOP = 20
BOTTOM = 10


def draw(layers: Sequence[LayerScores], factor: float) -> tuple[bytes, str]:
    """PNG and caption. Whiskers: 95 % intervals, ``factor`` standard errors to each side, or the
    middle half of the inputs."""
    total = sum(entry.mean.size for entry in layers)
    best = highest(layers, TOP)
    worst = lowest(layers, BOTTOM)[::-1] if total > TOP else []
    left_out = total - len(best) - len(worst)
    if left_out <= 0:  # all of them in one list
        best, worst, left_out = highest(layers, total), [], 0
    rows = len(best) + len(worst) + (1 if worst and left_out else 0)
    figure = style.figure(1.3 + 0.235 * rows)
    axes = figure.subplots()
    _bars(axes, best, worst, left_out, factor)
    whiskers = _whiskers([*best, *worst])
    shown = f"The {len(best)} highest and the {len(worst)} lowest of {total:,} units"
    shown = shown if worst else f"All {total:,} units"
    caption = f"{shown}{whiskers}."
    style.header(figure, "Units by score", caption)
    return style.png(figure), caption


def _bars(
    axes: Axes, best: Sequence[Unit], worst: Sequence[Unit], left_out: int, factor: float
) -> None:
    gap = 1 if worst and left_out else 0
    units = [*best, *worst]
    heights = np.array([*range(len(best)), *range(len(best) + gap, len(units) + gap)], float)
    scores = np.array([unit.score for unit in units])
    colours = [style.BLUE if score >= 0 else style.ORANGE for score in scores]
    axes.barh(heights, scores, height=0.72, color=colours, zorder=2)
    spans = [_span(unit, factor) for unit in units]
    for height, span in zip(heights, spans, strict=True):
        if span is not None:
            axes.plot(span, (height, height), color=style.INK, linewidth=1.1, zorder=3)
    if gap:
        axes.text(
            0.5,
            len(best),
            f"{left_out:,} units between",
            transform=axes.get_yaxis_transform(),
            ha="center",
            va="center",
            color=style.GREY,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 2},
        )
    names = style.shortened(list(dict.fromkeys(unit.scores.layer for unit in units)), 42)
    axes.set_yticks(
        heights,
        [f"{names[u.scores.layer]}  {style.short(u.scores.label(u.index), 30)}" for u in units],
    )
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.axvline(0, color=style.GREY, linewidth=0.8, zorder=1)
    axes.grid(axis="x", color=style.FAINT, linewidth=0.8, zorder=0)
    axes.set_axisbelow(True)
    axes.set_ylim(float(heights[-1]) + 0.7 if len(heights) else 1, -0.7)
    axes.locator_params(axis="x", nbins=7)
    axes.set_xlabel("score")


def _span(unit: Unit, factor: float) -> tuple[float, float] | None:
    """The ends of a unit's whisker."""
    error = unit.std_error
    if error is not None:
        return unit.score - factor * error, unit.score + factor * error
    if unit.scores.per_input is None or len(unit.scores.per_input) < 4:
        return None
    values = unit.scores.per_input[:, unit.index]
    low, high = np.percentile(values, (25, 75))
    return float(low), float(high)


def _whiskers(units: Sequence[Unit]) -> str:
    if any(unit.std_error is not None for unit in units):
        return "; lines: 95 % intervals"
    if any(_span(unit, 1.0) is not None for unit in units):
        return "; bars: mean over the inputs, lines: the middle half of the inputs"
    return ""
