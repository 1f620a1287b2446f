"""Maps with one position (tokens, time): a strip of coloured cells for each input and map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from matplotlib.ticker import MaxNLocator

from mho.artifacts import style
from mho.artifacts.canvas import LETTER, LINE, Box, Canvas
from mho.artifacts.panels import Panel, Subject, titles
from mho.artifacts.scale import Scale, scale, thumbnail
from mho.types import FloatArray

INPUTS = 8
PANELS = 6
COLUMNS = 1024
"""Cells of a strip; a cell of a longer one is the mean of its neighbours."""

_MARGIN = 0.1
_STRIP, _GAP, _BETWEEN = 0.24, 0.05, 0.1
_LABEL = 34  # letters before a strip
_PICTURE = 0.5
_DIVIDED = 80  # cells that are kept apart by fine lines
_NUMBERS = 24
_BAR, _BAR_WIDTH, _BAR_TEXT = 0.08, 2.4, 0.25


class Strips:
    """The strips of ``panels``, which have as many positions, with the positions' numbers below.

    Of one panel, the layer stands above and each input's name before its strip. Of several, each
    input has a heading and under it a strip for each.
    """

    def __init__(self, panels: Sequence[Panel], subjects: Sequence[Subject]) -> None:
        self._panels = panels
        self._subjects = subjects
        self._count = panels[0].scores.shape[1]
        self._pictured = any(subject.picture is not None for subject in subjects)
        self._several = len(panels) > 1
        self._head = 0.0 if self._several else LINE + 0.06
        self._labels = [" ".join(lines) for lines in titles(panels, _LABEL - 6)]
        if self._several:
            longest = max(map(len, self._labels))
            strips = len(panels) * (_STRIP + _GAP)
            self._block = LINE + 0.03 + max(strips, self._pictured * (_PICTURE - LINE))
        else:
            lines = [subject.lines(_LABEL) for subject in subjects]
            longest = max((len(line) for some in lines for line in some), default=0)
            self._strip = max(_STRIP, LINE * max(map(len, lines)), self._pictured * _PICTURE)
            self._block = self._strip + _GAP
        self._left = _MARGIN + self._pictured * (_PICTURE + 0.08)
        self._start = self._left + longest * LETTER + 0.08

    @property
    def height(self) -> float:
        """Inches of everything."""
        between = _BETWEEN if self._several else 0.0
        blocks = len(self._subjects) * (self._block + between) - between
        return self._head + blocks + LINE + 0.1 + _BAR + _BAR_TEXT

    def draw(self, canvas: Canvas, top: float, *, signed: bool) -> None:
        """Everything, ``top`` inches below the upper end of ``canvas``."""
        maps = [panel.of(self._subjects) for panel in self._panels]
        colours = scale(np.concatenate(maps), signed=signed)
        if not self._several:
            canvas.text(self._labels[0], self._start, top)
        at = top + self._head
        for place, subject in enumerate(self._subjects):
            if subject.picture is not None:
                box = Box(_MARGIN, at, _PICTURE, _PICTURE)
                shown = box.inside(subject.picture.shape[0] / subject.picture.shape[1])
                canvas.image(thumbnail(subject.picture, shown), replace(shown, top=at))
            if self._several:
                self._draw_several(canvas, subject, at, colours, [m[place] for m in maps])
                at += self._block + _BETWEEN
            else:
                self._draw_one(canvas, subject, at, colours, maps[0][place])
                at += self._block
        at -= _BETWEEN if self._several else 0.0
        self._draw_numbers(canvas, at)
        bar = Box(self._start, at + LINE + 0.1, _BAR_WIDTH, _BAR)
        colours.bar(canvas, bar, laid_over=False)

    def _draw_one(
        self, canvas: Canvas, subject: Subject, top: float, colours: Scale, scores: FloatArray
    ) -> None:
        lines = subject.lines(_LABEL)
        first = top + (self._strip - LINE * len(lines)) / 2 + 0.01
        for number, line in enumerate(lines):
            colour = style.GREY if number else style.INK
            canvas.text(line, self._left, first + number * LINE, color=colour)
        self._draw_strip(canvas, self._box(top, self._strip), colours, scores)

    def _draw_several(
        self,
        canvas: Canvas,
        subject: Subject,
        top: float,
        colours: Scale,
        scores: Sequence[FloatArray],
    ) -> None:
        heading = " · ".join(subject.lines(60))
        canvas.text(heading, self._left, top, fontweight="bold")
        for number, (label, values) in enumerate(zip(self._labels, scores, strict=True)):
            at = top + LINE + 0.03 + number * (_STRIP + _GAP)
            canvas.text(label, self._left, at + _STRIP / 2, va="center")
            self._draw_strip(canvas, self._box(at, _STRIP), colours, values)

    def _draw_strip(self, canvas: Canvas, box: Box, colours: Scale, scores: FloatArray) -> None:
        share = colours.share(scores)
        if self._count > COLUMNS:
            edges = np.linspace(0, self._count, COLUMNS + 1).astype(int)
            share = np.add.reduceat(share, edges[:-1]) / np.diff(edges)
        canvas.image(colours.alone(share)[None], box)
        if self._count <= _DIVIDED:
            canvas.dividers(box, self._count)

    def _draw_numbers(self, canvas: Canvas, top: float) -> None:
        box = self._box(top, 0.0)
        room = int(box.width / (len(f"{self._count:,}") * LETTER + 0.15))
        locator = MaxNLocator(min(_NUMBERS, room), integer=True, steps=[1, 2, 5, 10])
        for number in locator.tick_values(0, max(1, self._count - 1)):
            if 0 <= number < self._count:
                middle = box.left + box.width * (number + 0.5) / self._count
                canvas.text(f"{number:,.0f}", middle, top, ha="center", color=style.GREY)

    def _box(self, top: float, height: float) -> Box:
        return Box(self._start, top, style.WIDTH - _MARGIN - self._start, height)
