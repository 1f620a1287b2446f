"""How far path scores are from adding up to F(x) - F(x'): one dot per input and cut."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import FuncFormatter, NullFormatter

from mho.artifacts import style
from mho.results import Completeness
from mho.types import FloatArray

CUTS = 40
_DOTS = 400  # per cut
_NAMED = 3  # layers of a cut
_SMALLEST = 1e-7  # a gap of 0 has no place on a logarithmic axis


def draw(entries: Sequence[Completeness], tolerance: float | None) -> tuple[bytes, str]:
    """PNG and caption. tolerance: where the line is drawn, if it is known."""
    worst = sorted(entries, key=lambda entry: -_largest(entry.gap))[:CUTS]
    kept = {id(entry) for entry in worst}
    shown = [entry for entry in entries if id(entry) in kept]
    figure = style.figure(1.75 + (0.5 if len(shown) <= 4 else 0.3) * len(shown))
    axes = figure.subplots()
    for row, entry in enumerate(shown):
        gap = np.asarray(entry.gap, np.float64)
        gap = np.sort(gap[np.isfinite(gap)])
        if not gap.size:
            continue
        some = gap[np.unique(np.linspace(0, len(gap) - 1, min(_DOTS, len(gap))).astype(int))]
        dots = np.maximum(some, _SMALLEST)
        over = dots > tolerance if tolerance is not None else np.zeros(len(dots), bool)
        colours = np.where(over, style.ORANGE, style.BLUE)
        spread = row + _jitter(len(dots))
        axes.scatter(
            dots,
            spread,
            s=12 if len(dots) > 60 else 28,
            c=colours,
            alpha=0.6,
            linewidths=0,
            zorder=2,
        )
        median = max(float(np.median(gap)), _SMALLEST)
        axes.plot((median, median), (row - 0.32, row + 0.32), color=style.INK, lw=1.6, zorder=3)
    axes.set_xscale("log")
    axes.set_xlim(*_decades(shown, tolerance))
    if tolerance is not None:
        axes.axvline(tolerance, color=style.ORANGE, linewidth=1.2, linestyle="--", zorder=1)
        axes.annotate(
            f"tolerance {_percent(tolerance)}",
            (tolerance, 1),
            (4, 0),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            color=style.ORANGE,
            va="top",
        )
    cuts = [_named(entry) for entry in shown]
    names = style.shortened(list(dict.fromkeys(cuts)), 40)
    axes.set_yticks(range(len(shown)), [names[cut] for cut in cuts])
    axes.set_ylim(len(shown) - 0.4, -0.9)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: _percent(x)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="x", color=style.FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel("relative completeness gap")
    caption = "One dot per input; upright line: the median"
    if len(shown) < len(entries):
        caption += f"; the {len(shown)} of {len(entries)} cuts with the largest gaps"
    style.header(figure, "Do the scores add up to what is explained?", f"{caption}.")
    return style.png(figure), f"{caption}."


def _named(entry: Completeness) -> str:
    """The layers of a cut, in words."""
    if len(entry.layers) > _NAMED:
        return f"{entry.layers[0]} and {len(entry.layers) - 1} more"
    return ", ".join(entry.layers)


def _decades(entries: Sequence[Completeness], tolerance: float | None) -> tuple[float, float]:
    """Powers of ten around all gaps and the tolerance."""
    values = np.concatenate([np.ravel(entry.gap) for entry in entries])
    values = np.maximum(values[np.isfinite(values)], _SMALLEST)
    values = np.append(values, 0.01 if tolerance is None else tolerance)
    low, high = 0.9 * float(values.min()), 1.1 * float(values.max())
    return 10.0 ** math.floor(math.log10(low)), 10.0 ** math.ceil(math.log10(high))


def _largest(gap: FloatArray) -> float:
    finite = np.asarray(gap)[np.isfinite(gap)]
    return float(finite.max()) if finite.size else -1.0


def _jitter(count: int) -> FloatArray:
    """Heights within a row that keep neighbouring dots apart, the same every time."""
    golden = 0.6180339887498949
    if count == 1:
        return np.zeros(1)
    return np.asarray(((np.arange(count) * golden) % 1.0 - 0.5) * 0.5, np.float64)


def _percent(share: float) -> str:
    return f"{100 * share:.6f}".rstrip("0").rstrip(".") + " %"
