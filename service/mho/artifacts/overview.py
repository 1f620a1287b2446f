"""All layers at one glance: a strip of its units for each, and how much of the whole it holds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import FuncNorm, Normalize
from matplotlib.image import AxesImage

from mho.artifacts import style
from mho.artifacts.ranking import LayerScores
from mho.types import FloatArray

LAYERS = 60
_COLUMNS = 1024  # cells of the widest strip; a cell of a wider layer is the mean of its neighbours
_NUMBERED = 24  # units of a layer that are numbered, in a picture of so many layers:
_NUMBERED_LAYERS = 12


def draw(layers: Sequence[LayerScores]) -> tuple[bytes, str]:
    """PNG and caption. Units are sorted by score within their layer; colours are common to all."""
    weights = {entry.layer: float(np.nansum(np.abs(entry.mean))) for entry in layers}
    kept = sorted(layers, key=lambda entry: -weights[entry.layer])[:LAYERS]
    shown = [entry for entry in layers if entry in kept] if len(layers) > LAYERS else list(layers)
    row = 0.34 if len(shown) <= 20 else 0.225
    figure = style.figure(1.6 + row * len(shown))
    strips, bars = figure.subplots(1, 2, width_ratios=(5, 1), sharey=True)
    image, limit = _strips(strips, shown)
    _weights(bars, shown, weights)
    height_inches = row * len(shown)
    bar = figure.colorbar(
        image,
        ax=strips,
        orientation="horizontal",
        label="score (colours by square root, so that small ones can be seen)",
        fraction=0.3 / (height_inches + 0.3),
        pad=0.25 / (height_inches + 0.3),
        aspect=40,
        shrink=0.7,
    )
    ticks = [-limit, -limit / 4, 0.0, limit / 4, limit]  # evenly apart by square root
    bar.set_ticks(ticks, labels=[style.number(tick) for tick in ticks])
    bar.outline.set_visible(False)
    caption = (
        "One strip per layer, its units sorted from highest to lowest score; right: its share of "
        "all |score|"
    )
    if len(shown) < len(layers):
        caption += f"; the {len(shown)} weightiest of {len(layers)} layers"
    style.header(figure, "All layers", f"{caption}.")
    return style.png(figure), f"{caption}."


def _strips(axes: Axes, layers: Sequence[LayerScores]) -> tuple[AxesImage, float]:
    norm = _norm(np.concatenate([entry.mean for entry in layers]))
    width = 1.0
    image: AxesImage | None = None
    for place, entry in enumerate(layers):
        order = np.argsort(-np.nan_to_num(entry.mean, nan=-np.inf), kind="stable")
        cells = _cells(entry.mean[order])
        image = axes.imshow(
            cells[None],
            extent=(0, width, place + 0.42, place - 0.42),
            aspect="auto",
            cmap="RdBu",
            norm=norm,
            interpolation="nearest",
        )
        if len(order) <= _NUMBERED and len(layers) <= _NUMBERED_LAYERS:
            _number(axes, entry, order, place, norm)
    assert image is not None  # there is at least one layer
    names = style.shortened([entry.layer for entry in layers], 42)
    labels = [f"{names[entry.layer]}  ({entry.mean.size:,})" for entry in layers]
    axes.set_yticks(range(len(layers)), labels)
    axes.set_ylim(len(layers) - 0.5, -0.5)
    axes.set_xlim(0, width)
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    return image, float(norm.vmax or 1.0)


def _number(axes: Axes, entry: LayerScores, order: np.ndarray, place: int, norm: Normalize) -> None:
    """Write which unit every cell is."""
    for cell, index in enumerate(order):
        score = float(entry.mean[index])
        dark = math.isfinite(score) and abs(float(norm(score)) - 0.5) > 0.33
        axes.text(
            (cell + 0.5) / len(order),
            place,
            str(entry.place(int(index))[0]),
            ha="center",
            va="center",
            color="white" if dark else style.INK,
            fontsize=9 if len(order) <= 16 else 8,
        )


def _weights(axes: Axes, layers: Sequence[LayerScores], weights: dict[str, float]) -> None:
    """How much of the sum of all |score| each layer holds."""
    total = sum(weights.values())
    shares = [weights[entry.layer] / total if total > 0 else 0.0 for entry in layers]
    axes.barh(range(len(layers)), shares, height=0.6, color=style.GREY)
    top = max(shares, default=0.0) or 1.0
    for place, share in enumerate(shares):
        axes.text(share + 0.03 * top, place, f"{100 * share:.1f} %", va="center", fontsize=9)
    axes.set_xlim(0, 1.6 * top)
    axes.set_title("share")
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0, labelleft=False)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)


def _cells(values: FloatArray) -> FloatArray:
    """At most so many cells as can be seen, neighbours being averaged."""
    if len(values) <= _COLUMNS:
        return values
    edges = np.linspace(0, len(values), _COLUMNS + 1).astype(int)
    return np.add.reduceat(values, edges[:-1]) / np.diff(edges)


def _norm(values: FloatArray) -> Normalize:
    """Colours centred on 0, by signed square root, the limit being the largest |score|."""
    finite = np.abs(values[np.isfinite(values)])
    limit = float(finite.max()) if finite.size else 0.0
    limit = limit or 1.0
    return FuncNorm(
        (lambda x: np.sign(x) * np.sqrt(np.abs(x)), lambda y: np.sign(y) * np.square(y)),
        vmin=-limit,
        vmax=limit,
    )
