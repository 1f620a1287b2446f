"""Where the scores lie: maps over the positions of each input, laid over its picture.

Maps with two positions make a grid, those with one make strips; of more positions the first ones
are summed away.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mho.artifacts import grid, strips, style
from mho.artifacts.canvas import Canvas
from mho.artifacts.context import Context
from mho.artifacts.grid import Grid
from mho.artifacts.panels import Panel, panels, subjects, targets
from mho.artifacts.strips import Strips
from mho.results import Result

TITLE = "Where the scores lie"

_SECTIONS = 0.25  # inches between them


def drawable(result: Result) -> bool:
    """Whether ``result`` has a map of anything."""
    return any(np.isfinite(panel.scores).any() for panel in panels(result))


def draw(result: Result, context: Context) -> tuple[bytes, str]:
    """PNG and caption. Inputs are taken at even steps over the data and sorted by label."""
    found = panels(result)
    inputs = min(len(panel.scores) for panel in found)
    flat = _chosen([panel for panel in found if panel.positions > 1], grid.PANELS)
    long = _chosen([panel for panel in found if panel.positions == 1], strips.PANELS)
    drawn = [*flat, *long]
    picture = context.pictures(0)
    cells = Grid(flat, inputs, None if picture is None else picture.shape[:2]) if flat else None
    most = cells.most if cells else strips.INPUTS
    shown = subjects(result, context, inputs, most, pictured=picture is not None)
    counts = dict.fromkeys(panel.scores.shape[1] for panel in long)
    groups = [Strips([p for p in long if p.scores.shape[1] == count], shown) for count in counts]
    signed = any(bool((panel.of(shown) < 0).any()) for panel in drawn)
    laid_over = cells is not None and cells.laid_over(shown)
    words = [
        *_meaning(drawn, laid_over=laid_over, signed=signed),
        *_explained(targets(result, context, inputs)),
        *_left_out(found, drawn, len(shown), inputs),
    ]
    caption = "; ".join(words)
    heights = [group.height for group in groups]
    if cells:
        heights.insert(0, cells.height(shown))
    canvas = Canvas(TITLE, f"{caption}.", sum(heights) + _SECTIONS * (len(heights) - 1))
    top = 0.0
    if cells:
        cells.draw(canvas, shown, top, signed=signed)
        top += heights[0] + _SECTIONS
    for group in groups:
        group.draw(canvas, top, signed=signed)
        top += group.height + _SECTIONS
    return canvas.png(), f"{caption}."


def _chosen(found: Sequence[Panel], most: int) -> list[Panel]:
    """At most so many, in their order: units by the sum of their ``|score|``, layers, whose maps
    are not to be compared, at even steps to the last."""
    if len(found) <= most:
        return list(found)
    if all(panel.unit is not None for panel in found):
        with np.errstate(over="ignore"):
            weights = [float(np.nansum(np.abs(panel.scores))) for panel in found]
        kept = sorted(range(len(found)), key=lambda place: -weights[place])[:most]
    else:
        kept = np.linspace(0, len(found) - 1, most).round().astype(int).tolist()
    return [found[place] for place in sorted(kept)]


def _meaning(drawn: Sequence[Panel], *, laid_over: bool, signed: bool) -> list[str]:
    """How the picture is to be read."""
    words = ["Each map lies over its input, in grey" if laid_over else "Scores by position"]
    words.append("blue above 0, red below" if signed else "the bluer, the higher")
    words.append("full colour at the 99.5th percentile of |score|")
    if any(panel.positions > 2 for panel in drawn):
        words.append("the sum over all positions but the last two")
    if any(panel.positions == 1 and panel.scores.shape[1] > strips.COLUMNS for panel in drawn):
        words.append(f"means of neighbours, in {strips.COLUMNS:,} cells")
    return words


def _explained(classes: Sequence[str]) -> list[str]:
    """The class that is explained, where it is one."""
    return [f"explained: {style.short(classes[0], 40)}"] if len(set(classes)) == 1 else []


def _left_out(found: Sequence[Panel], drawn: Sequence[Panel], shown: int, inputs: int) -> list[str]:
    words = []
    if len(drawn) < len(found):
        units = all(panel.unit is not None for panel in found)
        what = "units, those of largest |score|" if units else "maps, at even steps"
        words.append(f"{len(drawn)} of {len(found)} {what}")
    if shown < inputs:
        words.append(f"{shown} of {inputs:,} inputs, at even steps over the data")
    return words
