"""What is left of the value as units are removed: ablation curves."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from mho.artifacts import style
from mho.artifacts.curves import AXIS, AXIS_IN_WORDS, drawable, in_words
from mho.types import FloatArray

_TICKS = 12
"""The last tick, at the number of all units, keeps this part of the axis free before it."""

_COLOURS = {"top": style.ORANGE, "bottom": style.BLUE, "random": style.GREY}
"""The other curves take theirs from the cycle and are dashed."""


def draw(curves: Mapping[str, FloatArray], value: str) -> tuple[bytes, str]:
    """PNG and caption. value: the name of V, for the y axis."""
    removed = np.asarray(curves[AXIS])
    figure = style.figure(4.6)
    axes = figure.subplots()
    unknown = iter(style.CYCLE[2:] * len(curves))
    draws = 1
    for name, curve in drawable(curves).items():
        colour = _COLOURS.get(name)
        dash = "-" if colour else "--"
        words = style.short(in_words(name), 40)
        _line(axes, removed, curve, words, colour or next(unknown), dash)
        draws = max(draws, len(curve))
    axes.set_xlabel(AXIS_IN_WORDS)
    axes.set_ylabel(style.short(value.replace("_", " "), 40) or "value")
    axes.grid(axis="y", color=style.FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    _set_axis(axes, removed)
    axes.margins(y=0.06)
    axes.legend(loc="best", title="removed in the order of", alignment="left", title_fontsize=9)
    caption = "The value as ever more units are replaced by their substitutes"
    if draws > 1:
        caption += f"; band: from the lowest to the highest of {draws} draws"
    style.header(figure, "What is left as units are removed", f"{caption}.")
    return style.png(figure), f"{caption}."


def _set_axis(axes: Axes, removed: FloatArray) -> None:
    """All points, with as much room for each where they lie ever wider apart."""
    most = float(removed.max())
    if len(removed) <= most:
        axes.set_xscale("function", functions=(np.log1p, np.expm1))
        ticks = [0.0, *(n * 10.0**k for k in range(int(np.log10(most)) + 1) for n in (1, 2, 5))]
        room = np.log1p(most) / _TICKS
        shown = [tick for tick in ticks if np.log1p(most) - np.log1p(tick) >= room]
        axes.set_xticks([*shown, most], [f"{tick:,.0f}" for tick in [*shown, most]])
        axes.minorticks_off()
    axes.set_xlim(float(removed.min()), most)


def _line(
    axes: Axes, removed: FloatArray, curve: FloatArray, words: str, colour: str, dash: str
) -> None:
    mean = curve.mean(axis=0)
    several = len(curve) > 1
    marker = "o" if len(removed) <= 40 else ""
    axes.plot(
        removed,
        mean,
        color=colour,
        linestyle=dash,
        linewidth=1.8,
        marker=marker,
        markersize=3.5,
        label=f"{words} (mean of {len(curve)})" if several else words,
        zorder=3,
        clip_on=False,
    )
    if several:
        low, high = curve.min(axis=0), curve.max(axis=0)
        axes.fill_between(removed, low, high, color=colour, alpha=0.18, linewidth=0, zorder=2)
