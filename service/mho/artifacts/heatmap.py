"""Which units speak for which inputs: inputs x the units that matter most, with the pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from PIL import Image

from mho.artifacts import style
from mho.artifacts.context import Context, Picture
from mho.artifacts.ranking import LayerScores, Unit, strongest
from mho.types import IntArray

INPUTS = 32
ILLUSTRATED = 24  # inputs, where each has a picture
UNITS = 24
_THUMBNAIL = 64  # pixels


def draw(layers: Sequence[LayerScores], context: Context) -> tuple[bytes, str]:
    """PNG and caption. Inputs are taken at even steps over the data set and sorted by label."""
    per_input = [entry for entry in layers if entry.per_input is not None]
    inputs = min(len(entry.per_input) for entry in per_input if entry.per_input is not None)
    units = strongest(per_input, UNITS)
    illustrated = context.pictures(0) is not None
    shown = context.sample(inputs, ILLUSTRATED if illustrated else INPUTS)
    values = np.array([_column(unit, shown) for unit in units]).T.reshape(len(shown), len(units))
    row = 0.42 if illustrated else 0.24
    columns = _columns(units)
    longest = max(map(len, columns), default=0)
    figure = style.figure(0.9 + 0.078 * longest + row * max(len(shown), 3))
    axes = figure.subplots()
    limit = float(np.nanmax(np.abs(values))) if np.isfinite(values).any() else 0.0
    limit = limit or 1.0
    image = axes.imshow(values, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
    _label(axes, columns, shown, context, illustrated)
    if illustrated:
        _thumbnails(axes, [context.pictures(int(index)) for index in shown])
    figure.colorbar(image, ax=axes, label="score", fraction=0.03, pad=0.015, aspect=35)
    caption = f"The {len(units)} units of largest mean |score|"
    if len(shown) < inputs:
        caption += f"; {len(shown)} of {inputs:,} inputs, at even steps over the data"
    style.header(figure, "Scores by input", f"{caption}.")
    return style.png(figure), f"{caption}."


def _column(unit: Unit, shown: IntArray) -> np.ndarray:
    assert unit.scores.per_input is not None
    return np.asarray(unit.scores.per_input[shown, unit.index])


def _columns(units: Sequence[Unit]) -> list[str]:
    names = style.shortened(list(dict.fromkeys(unit.scores.layer for unit in units)), 34)
    return [
        f"{names[unit.scores.layer]}  {style.short(unit.scores.label(unit.index), 24)}"
        for unit in units
    ]


def _label(
    axes: Axes, columns: Sequence[str], shown: IntArray, context: Context, illustrated: bool
) -> None:
    axes.set_xticks(range(len(columns)), columns, rotation=90)
    rows = []
    for index in shown:
        name, kind = context.input_name(int(index)), context.class_name(int(index))
        rows.append(style.short(name, 26) if kind is None else style.short(kind, 22))
    axes.set_yticks(range(len(shown)), rows)
    axes.tick_params(axis="both", length=0)
    axes.tick_params(axis="y", pad=38 if illustrated else 4)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xticks(np.arange(-0.5, len(columns)), minor=True)
    axes.set_yticks(np.arange(-0.5, len(shown)), minor=True)
    axes.tick_params(which="minor", length=0)
    axes.grid(which="minor", color="white", linewidth=0.8)


def _thumbnails(axes: Axes, pictures: Sequence[Picture | None]) -> None:
    """Each input's picture left of its row."""
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    for row, picture in enumerate(pictures):
        if picture is None:
            continue
        small = Image.fromarray(picture)
        small.thumbnail((_THUMBNAIL, _THUMBNAIL), Image.Resampling.LANCZOS)
        # 28 points square at most: a row is 0.42 inches = 30 points high
        box = OffsetImage(np.asarray(small), zoom=28 / _THUMBNAIL, interpolation="lanczos")
        axes.add_artist(
            AnnotationBbox(
                box,
                (-0.5, row),
                xybox=(-4, 0),
                xycoords="data",
                boxcoords="offset points",
                box_alignment=(1, 0.5),
                frameon=False,
                pad=0,
                annotation_clip=False,
            )
        )
