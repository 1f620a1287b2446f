"""Which pictures a result gets. Drawing is in one file for each kind of picture.

Whatever the size of the result, a picture stays readable and quick: what is drawn is capped, and
the caption says what was left out.
"""

from __future__ import annotations

import numpy as np

from mho.artifacts.chart import Chart
from mho.artifacts.context import Context
from mho.artifacts.curves import drawable
from mho.artifacts.ranking import by_layer
from mho.artifacts.summary import value_name
from mho.results import Result

MAPS = "maps.png"
FILES = ("curves.png", MAPS, "units.png", "layers.png", "inputs.png", "completeness.png")
"""Every file that ``charts`` can give."""


def charts(result: Result, context: Context) -> list[Chart]:
    """The pictures that ``result`` has something for, in the order in which they are best read."""
    # matplotlib takes a good part of a second to import, which only those pay who draw
    from mho.artifacts import bars, gaps, heatmap, lines, maps, overview, style

    layers = [e for e in by_layer(result, context) if np.isfinite(e.mean).any()]
    found: list[Chart] = []
    with style.drawing():
        if drawable(result.curves):
            png, caption = lines.draw(result.curves, value_name(result, context))
            found.append(Chart("curves.png", "What is left as units are removed", caption, png))
        if maps.drawable(result):
            png, caption = maps.draw(result, context)
            found.append(Chart(MAPS, maps.TITLE, caption, png))
        if layers:
            png, caption = bars.draw(layers, result.interval_factor)
            found.append(Chart("units.png", "Units by score", caption, png))
            png, caption = overview.draw(layers)
            found.append(Chart("layers.png", "All layers", caption, png))
        if any(entry.per_input is not None and len(entry.per_input) for entry in layers):
            png, caption = heatmap.draw(layers, context)
            found.append(Chart("inputs.png", "Scores by input", caption, png))
        if result.completeness:
            tolerance = context.options.get("tolerance")
            limit = float(tolerance) if isinstance(tolerance, (int, float)) else None
            png, caption = gaps.draw(result.completeness, limit)
            title = "Do the scores add up to what is explained?"
            found.append(Chart("completeness.png", title, caption, png))
    return found
