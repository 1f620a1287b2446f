"""Maps with two positions, one row per input: its picture, and each map laid over it in grey."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from mho.artifacts import style
from mho.artifacts.canvas import LETTER, LINE, Box, Canvas
from mho.artifacts.context import Picture
from mho.artifacts.panels import Panel, Subject, titles
from mho.artifacts.scale import Scale, greyed, resized, scale, thumbnail
from mho.types import FloatArray

INPUTS = 8
"""About how many are shown; as many as fill the rows."""
PANELS = 6

# Inches, unless said otherwise.
_MARGIN, _GAP, _BETWEEN = 0.1, 0.05, 0.3  # beside cells of a block, and beside blocks
_ABOVE, _BELOW = 0.06, 0.14  # a row
_LARGEST = 3.4  # side of a cell
_TALLEST = 16.0  # all rows
_FLATTEST, _STEEPEST = 0.4, 2.5  # height over width of a cell
_BAR, _BAR_TEXT = 0.08, 0.25
_SLIVER = 4.0
"""How much narrower or flatter than its cell a map may be; beyond, its cells are not square."""
_ODD = 2.0
"""How much a map's ratio of sides may differ from its picture's to be laid over it."""


class Grid:
    """Inputs in rows, in as many blocks side by side as there is room for; a block has a column for
    the pictures, where there are any, and one for each panel.

    ``picture`` is the height and width of the pictures, or None.
    """

    def __init__(self, panels: Sequence[Panel], inputs: int, picture: tuple[int, int] | None):
        self._panels = panels
        self._pictured = picture is not None
        rows, columns = picture or panels[0].scores.shape[-2:]
        aspect: float = min(max(rows / columns, _FLATTEST), _STEEPEST)
        self._cells = len(panels) + self._pictured
        cells = 4 if aspect < 0.6 else 6 if aspect < 1.6 else 9
        self._across = max(1, min(cells // self._cells, inputs))
        gaps = _BETWEEN * (self._across - 1) + _GAP * self._across * (self._cells - 1)
        room = (style.WIDTH - 2 * _MARGIN - gaps) / (self._across * self._cells)
        self._width = min(room, _LARGEST, _LARGEST / aspect)
        self._height = self._width * aspect
        self._letters = int(self._width / LETTER)
        self._titles = titles(panels, max(self._letters, 12))

    @property
    def most(self) -> int:
        """How many inputs are shown at most."""
        row = self._height + 2 * LINE + _ABOVE + _BELOW
        rows = min(math.ceil(INPUTS / self._across), max(1, int(_TALLEST / row)))
        return rows * self._across

    def height(self, subjects: Sequence[Subject]) -> float:
        """Inches for so many inputs."""
        rows = math.ceil(len(subjects) / self._across)
        return self._head + rows * self._row(subjects) + _BAR + _BAR_TEXT

    def laid_over(self, subjects: Sequence[Subject]) -> bool:
        """Whether any map is laid over a picture."""
        shapes = [panel.scores.shape for panel in self._panels]
        return any(_over(subject, shape) for subject in subjects for shape in shapes)

    def draw(
        self, canvas: Canvas, subjects: Sequence[Subject], top: float, *, signed: bool
    ) -> None:
        """Everything, ``top`` inches below the upper end of ``canvas``."""
        maps = [panel.of(subjects) for panel in self._panels]
        scales = [scale(values, signed=signed) for values in maps]
        blocks = range(min(self._across, len(subjects)))
        for block in blocks:
            self._draw_titles(canvas, block, top)
        row = self._row(subjects)
        for place, subject in enumerate(subjects):
            at = top + self._head + place // self._across * row
            self._draw_row(
                canvas, subject, place % self._across, at, scales, [m[place] for m in maps]
            )
        under = top + self.height(subjects) - _BAR - _BAR_TEXT
        for column, (one, panel) in enumerate(zip(scales, self._panels, strict=True)):
            over = any(_over(subject, panel.scores.shape) for subject in subjects)
            for block in blocks:
                box = self._box(block, column + self._pictured, under)
                one.bar(canvas, replace(box, height=_BAR), laid_over=over)

    def _draw_titles(self, canvas: Canvas, block: int, top: float) -> None:
        for column, lines in enumerate(self._titles):
            box = self._box(block, column + self._pictured, top)
            canvas.text("\n".join(lines), box.left, top)

    def _draw_row(
        self,
        canvas: Canvas,
        subject: Subject,
        block: int,
        top: float,
        scales: Sequence[Scale],
        maps: Sequence[FloatArray],
    ) -> None:
        picture = subject.picture
        if picture is not None:
            box = self._box(block, 0, top).inside(picture.shape[0] / picture.shape[1])
            canvas.image(thumbnail(picture, box), box)
        for column, (one, scores) in enumerate(zip(scales, maps, strict=True)):
            box = self._box(block, column + self._pictured, top)
            if picture is not None and _over(subject, scores.shape):
                box = box.inside(picture.shape[0] / picture.shape[1])
                canvas.image(_laid_over(picture, one, scores, box), box)
            else:
                box = _filled(box, scores.shape)
                canvas.image(_alone(one, scores, box), box)
        left = self._box(block, 0, top).left
        letters = int((self._width * self._cells + _GAP * (self._cells - 1)) / LETTER)
        for number, line in enumerate(subject.lines(letters)):
            colour = style.GREY if number else style.INK
            canvas.text(line, left, top + self._height + 0.05 + number * LINE, color=colour)

    def _box(self, block: int, cell: int, top: float) -> Box:
        wide = self._cells * self._width + (self._cells - 1) * _GAP + _BETWEEN
        left = _MARGIN + block * wide + cell * (self._width + _GAP)
        return Box(left, top, self._width, self._height)

    @property
    def _head(self) -> float:
        """Inches that the titles take."""
        return LINE * max(map(len, self._titles)) + _ABOVE

    def _row(self, subjects: Sequence[Subject]) -> float:
        lines = max(len(subject.lines(self._letters)) for subject in subjects)
        return self._height + lines * LINE + _BELOW


def fits(scores: tuple[int, ...], picture: tuple[int, ...]) -> bool:
    """Whether a map of one shape can be of a picture of the other: both have about the same ratio
    of sides, as far as the map's few rows and columns tell."""
    (rows, columns), (height, width) = scores[:2], picture[:2]
    least = (rows - 1) / (columns + 1)
    most = (rows + 1) / (columns - 1) if columns > 1 else math.inf
    return least <= _ODD * height / width and most >= height / width / _ODD


def _over(subject: Subject, scores: tuple[int, ...]) -> bool:
    """Whether a map of this shape is laid over the picture of its input."""
    return subject.picture is not None and fits(scores[-2:], subject.picture.shape)


def _laid_over(picture: Picture, one: Scale, scores: FloatArray, box: Box) -> FloatArray:
    size = box.pixels
    share = resized(one.share(scores), *size)
    return one.over(share, greyed(picture, *size))


def _alone(one: Scale, scores: FloatArray, box: Box) -> FloatArray:
    """Cells as they are; only where they are too many to be seen, the means of neighbours."""
    width, height = box.pixels
    share = one.share(scores)
    if scores.shape[0] > height or scores.shape[1] > width:
        share = resized(share, min(width, scores.shape[1]), min(height, scores.shape[0]))
    return one.alone(share)


def _filled(box: Box, shape: tuple[int, ...]) -> Box:
    """Where a map is drawn that has no picture: with square cells, unless it would be a sliver."""
    aspect = shape[0] / shape[1]
    narrow = box.height / box.width / aspect
    return box if max(narrow, 1 / narrow) > _SLIVER else box.inside(aspect)
