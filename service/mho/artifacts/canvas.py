"""A figure whose parts are placed by hand, in inches from its upper left corner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matplotlib.patches import Rectangle

from mho.artifacts import style
from mho.types import FloatArray

SMALL = 8
"""Points: the size of what is written beside images."""
LINE = 0.15
"""Inches from one line of that size to the next."""
LETTER = 0.068
"""Inches: how wide its letters are, on average and a little more."""


@dataclass(frozen=True)
class Box:
    """A rectangle, in inches."""

    left: float
    top: float
    width: float
    height: float

    @property
    def pixels(self) -> tuple[int, int]:
        """Its width and height in the PNG, at least one."""
        return max(1, round(self.width * style.DPI)), max(1, round(self.height * style.DPI))

    def inside(self, aspect: float) -> Box:
        """The largest box in here of ``aspect`` (height over width), in its middle."""
        width = min(self.width, self.height / aspect)
        height = min(self.height, self.width * aspect)
        left = self.left + (self.width - width) / 2
        return Box(left, self.top + (self.height - height) / 2, width, height)


class Canvas:
    """``height`` inches under a title and a caption; 0 is where these end."""

    def __init__(self, title: str, caption: str, height: float) -> None:
        above = style.header_height(caption)
        self._figure = style.figure(above + height)
        style.header(self._figure, title, caption)
        self._figure.set_layout_engine("none")
        self._axes = self._figure.add_axes((0, 0, 1, 1))
        self._axes.set_axis_off()
        self._limits = (0.0, style.WIDTH), (height, -above)
        self._axes.set(xlim=self._limits[0], ylim=self._limits[1], autoscale_on=False)

    def image(self, colours: FloatArray, box: Box) -> None:
        """``(rows, columns, 3)`` RGB in 0..1, framed; pixels stay pixels where they are made
        larger."""
        pixels = colours.shape[0] / box.height, colours.shape[1] / box.width
        crisp = max(pixels) < style.DPI
        self._axes.imshow(
            colours,
            extent=(box.left, box.left + box.width, box.top + box.height, box.top),
            aspect="auto",
            interpolation="nearest" if crisp else "antialiased",
        )
        self._axes.set(xlim=self._limits[0], ylim=self._limits[1])
        frame = Rectangle(
            (box.left, box.top),
            box.width,
            box.height,
            fill=False,
            edgecolor=style.FRAME,
            linewidth=0.6,
        )
        self._axes.add_patch(frame)

    def text(self, text: str, left: float, top: float, **look: Any) -> None:
        """``text`` with its upper left corner there; ``look`` is matplotlib's."""
        look = {"va": "top", "fontsize": SMALL, **look}
        self._axes.text(left, top, text, **look)

    def dividers(self, box: Box, count: int) -> None:
        """Fine white lines between ``count`` equal cells of ``box``."""
        places = [box.left + box.width * place / count for place in range(1, count)]
        self._axes.vlines(places, box.top, box.top + box.height, color="white", linewidth=0.8)

    def png(self) -> bytes:
        return style.png(self._figure)
